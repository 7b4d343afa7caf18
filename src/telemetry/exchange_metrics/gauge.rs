//! Gauges that count what is alive.
//!
//! Does not know what that is. Invariant: what was raised is lowered once, by a drop.

use prometheus::IntGauge;

/// Something that is counted while it lasts.
#[derive(Clone, Debug)]
pub struct Gauge(IntGauge);

impl Gauge {
    pub(super) fn new(gauge: IntGauge) -> Self {
        Self(gauge)
    }

    /// One more until the returned value is dropped.
    pub fn raise(&self) -> Raised {
        self.0.inc();
        Raised(self.0.clone())
    }
}

/// One thing that is being counted; the gauge goes down again when this is dropped.
#[must_use = "the gauge goes down as soon as this value is dropped"]
#[derive(Debug)]
pub struct Raised(IntGauge);

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.dec();
    }
}
