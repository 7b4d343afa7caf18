//! Why a client was cut off, and how often.
//!
//! Does not know how. Invariant: the reasons are constants of the program, each with a series from the beginning.

use prometheus::{IntCounter, IntCounterVec, Registry};

use crate::telemetry::registration::counters;

/// Why a client was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The head of a request did not come in time.
    SlowHead,
    /// The body of a request did not come in time.
    SlowBody,
    /// It took nothing of a response for too long.
    WriteStall,
    /// It did not begin to speak HTTP/2.
    Preface,
    /// Too little of what it sent over HTTP/2 was of use.
    Flood,
    /// It called off too many exchanges before they had an answer.
    RapidReset,
    /// Its address had as many connections as it may have.
    ConnectionsPerIp,
    /// Its address has begun connections more often than it may.
    ConnectsPerIp,
    /// Its address has asked for more than it may.
    RequestsPerIp,
}

impl Cut {
    pub(super) const ALL: [Self; 9] = [
        Self::SlowHead,
        Self::SlowBody,
        Self::WriteStall,
        Self::Preface,
        Self::Flood,
        Self::RapidReset,
        Self::ConnectionsPerIp,
        Self::ConnectsPerIp,
        Self::RequestsPerIp,
    ];

    /// The label value.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::SlowHead => "slow-head",
            Self::SlowBody => "slow-body",
            Self::WriteStall => "write-stall",
            Self::Preface => "preface",
            Self::Flood => "flood",
            Self::RapidReset => "rapid-reset",
            Self::ConnectionsPerIp => "connections-per-ip",
            Self::ConnectsPerIp => "connects-per-ip",
            Self::RequestsPerIp => "requests-per-ip",
        }
    }
}

/// A counter for each reason.
#[derive(Clone, Debug)]
pub(super) struct Cuts([IntCounter; Cut::ALL.len()]);

impl Cuts {
    pub(super) fn new(registry: &Registry) -> Self {
        let all: IntCounterVec = counters(
            registry,
            "portreeve_clients_cut_total",
            "Connections and requests that were ended because of what their client did.",
            &["why"],
        );
        Self(Cut::ALL.map(|cut| all.with_label_values(&[cut.label()])))
    }

    pub(super) fn count(&self, cut: Cut) {
        self.0[cut as usize].inc();
    }
}
