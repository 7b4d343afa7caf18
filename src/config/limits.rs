//! Reader of `[limits]`: what clients may ask of the proxy, in time, number and size.
//!
//! Pure. What is about the crowd of clients, rather than each of them, is read by `crowd`.

use std::time::Duration;

use super::crowd::{self, Crowd};
use super::defaults;
use super::reader::Table;
use super::value;

/// Bounds on what clients may ask of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections in all, per proxy.
    pub connections: u32,
    /// Bytes of a request's head.
    pub header_bytes: u32,
    /// Header fields in a request.
    pub header_count: u32,
    /// Bytes of a request's body; `None`: unlimited.
    pub body_bytes: Option<u64>,
    pub handshake_timeout: Duration,
    /// From the first byte of a head to its last.
    pub header_timeout: Duration,
    /// Longest silence within a request's body.
    pub body_idle: Duration,
    /// Bytes of a request's body a second, in the long run; `None`: as slow as it likes.
    pub body_rate: Option<u64>,
    /// Longest time in which a client may take nothing of a response.
    pub write_stall: Duration,
    /// Longest life of a connection without an exchange.
    pub keepalive_idle: Duration,
    pub http2: Http2,
    pub crowd: Crowd,
}

/// Bounds on one HTTP/2 connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2 {
    /// Concurrent exchanges.
    pub streams: u32,
    /// Exchanges in all, after which its client is asked to make another one.
    pub requests: u32,
}

pub(super) fn limits(table: &mut Table) -> Limits {
    let body_bytes = |value| value::unless("unlimited", value, |value| value::size(value, &defaults::BODY_BYTES));
    let body_rate = |value| value::unless("off", value, |value| value::size(value, &defaults::BODY_RATE.range));
    let header_bytes = &defaults::HEADER_BYTES;
    Limits {
        connections: table.count("connections", &defaults::CONNECTIONS),
        header_bytes: table
            .take("header_bytes", |value| value::size(value, &header_bytes.range))
            .unwrap_or(header_bytes.default) as u32,
        header_count: table.count("header_count", &defaults::HEADER_COUNT),
        body_bytes: table.take("body_bytes", body_bytes).flatten(),
        handshake_timeout: table.duration("handshake_timeout", &defaults::HANDSHAKE_TIMEOUT),
        header_timeout: table.duration("header_timeout", &defaults::HEADER_TIMEOUT),
        body_idle: table.duration("body_idle", &defaults::BODY_IDLE),
        body_rate: table.take("body_rate", body_rate).unwrap_or(Some(defaults::BODY_RATE.default)),
        write_stall: table.duration("write_stall", &defaults::WRITE_STALL),
        keepalive_idle: table.duration("keepalive_idle", &defaults::KEEPALIVE_IDLE),
        http2: Http2 {
            streams: table.count("h2_streams", &defaults::H2_STREAMS),
            requests: table.count("h2_requests", &defaults::H2_REQUESTS),
        },
        crowd: crowd::crowd(table),
    }
}
