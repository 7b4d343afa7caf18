//! What portreeve says about itself: its log, its metrics, its access lines.
//!
//! Handles are made here and passed down; this room does not know who measures. No globals but the log subscriber.

pub mod exposition;
