//! The access log: one line per exchange.
//!
//! [`Asked`] is what its request was, [`Line`] what became of it, and [`AccessLog`] writes both. Does not know HTTP: methods,
//! hosts and paths are text from a client, and are escaped, not trusted. Invariants: a line is one line whatever a client sent,
//! and writing one never waits for a disk, a pipe or a terminal.

mod asked;
mod digits;
mod escape;
mod format;
mod writer;

use std::time::{Duration, SystemTime};

use crate::id::{AppName, Generation, Slot};

pub use asked::Asked;
pub use format::Format;
pub use writer::{AccessLog, OpenError, Target};

/// One finished exchange, but for its request.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// When the head of the request was complete.
    pub time: SystemTime,
    pub client: Client<'a>,
    /// The name of the exchange: visible ASCII without quotes.
    pub id: &'a [u8],
    pub service: Service<'a>,
    /// The status code that the client was sent.
    pub status: u16,
    /// Bytes of body from the client.
    pub received: u64,
    /// Bytes of body to the client.
    pub sent: u64,
    /// From the head of the request to the last byte of the response.
    pub took: Duration,
    /// Why the exchange failed, as a constant label.
    pub fault: Option<&'static str>,
}

/// Who asked.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The address the connection came from, or the one that a trusted front names, as text.
    pub address: &'a [u8],
    pub tls: bool,
}

/// What was asked.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    /// As the client sent it; empty when it sent none.
    pub host: &'a [u8],
    /// Path and query.
    pub path: &'a str,
    /// `HTTP/1.1`, `HTTP/2.0`.
    pub protocol: &'static str,
    /// The `Referer` header.
    pub referer: Option<&'a [u8]>,
    /// The `User-Agent` header.
    pub user_agent: Option<&'a [u8]>,
}

/// Who answered.
#[derive(Clone, Debug, Default)]
pub struct Service<'a> {
    /// `None`: no app was found.
    pub app: Option<&'a AppName>,
    /// The worker of the last attempt.
    pub worker: Option<(Generation, Slot)>,
    /// How often the request was sent to a worker.
    pub attempts: u32,
    /// From the head of the request to its first claim on a worker.
    pub queued: Duration,
}

#[cfg(test)]
mod tests;
