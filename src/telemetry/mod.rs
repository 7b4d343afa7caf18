//! What portreeve says about itself: its log, its metrics, its access lines.
//!
//! Handles are made here and passed down; this room does not know who measures. No globals but the log subscriber.

pub mod access;
pub mod exchange_metrics;
pub mod exposition;
mod registration;
pub mod supervisor_metrics;
pub mod tracing_setup;

#[cfg(test)]
mod strict_text;
