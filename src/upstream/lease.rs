//! One exchange's claim on an endpoint, from the pick to the last byte of the response or the end of the tunnel.
//!
//! It does not know what is done with it. Invariant: a lease stands for exactly one place inside the endpoint's gate.

use std::ops::Deref;
use std::sync::Arc;

use super::endpoint::Endpoint;

/// A claim on an endpoint. Owned: it may move into a response body or a tunnel, and must live as long as that does.
///
/// Dropping it gives the place to the oldest request held, if any; the last lease of a closed endpoint reports it idle.
#[must_use = "the claim ends when the lease is dropped"]
pub struct Lease<C> {
    endpoint: Arc<Endpoint<C>>,
}

impl<C> Lease<C> {
    /// Takes over a place inside the gate that has been entered already.
    pub(super) fn of(endpoint: Arc<Endpoint<C>>) -> Self {
        Self { endpoint }
    }

    /// The endpoint, for those who look at it longer than the claim lasts.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint<C>> {
        &self.endpoint
    }
}

impl<C> Deref for Lease<C> {
    type Target = Endpoint<C>;

    fn deref(&self) -> &Endpoint<C> {
        &self.endpoint
    }
}

impl<C> Drop for Lease<C> {
    fn drop(&mut self) {
        self.endpoint.release();
    }
}
