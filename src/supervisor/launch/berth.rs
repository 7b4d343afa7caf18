//! Where a worker listens: a loopback port of its own.
//!
//! Invariant: the port stays reserved for as long as the [`Berth`] lives, whatever has become of the worker.

use std::net::{Ipv4Addr, SocketAddr};

use super::kit::Kit;
use crate::id::Address;
use crate::sys::listener::{self, Reservation};

/// A worker's place.
#[derive(Debug)]
pub(in crate::supervisor) struct Berth {
    port: Reservation,
}

impl Berth {
    /// Takes a free place and tells the worker of it.
    ///
    /// # Errors
    /// A sentence that names what failed.
    pub(super) fn take(kit: &mut Kit) -> Result<Self, String> {
        let port = listener::reserve_port().map_err(|error| format!("reserve a loopback port: {error}"))?;
        kit.set("HOST", Ipv4Addr::LOCALHOST.to_string());
        kit.set("PORT", port.port().to_string());
        Ok(Self { port })
    }

    pub(in crate::supervisor) fn address(&self) -> Address {
        Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.port())))
    }
}
