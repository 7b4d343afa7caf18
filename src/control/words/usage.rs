//! What a worker needs of the machine.
//!
//! Knows the shape of answers, as its parent does. All fields stand beside those of their worker.

use serde::{Deserialize, Serialize};

/// Memory and CPU of a worker with all its processes, as measured last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    #[serde(flatten)]
    pub memory: Memory,
    #[serde(flatten)]
    pub cpu: Cpu,
}

/// CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// Hundredths of one CPU that it had between the two latest looks, or since its start before there were two; `None`:
    /// not looked at yet.
    #[serde(rename = "cpu")]
    pub percent: Option<f64>,
    /// Since its start.
    #[serde(rename = "cpu_seconds")]
    pub seconds: Option<f64>,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// As measured last.
    #[serde(rename = "memory")]
    pub bytes: Option<u64>,
    /// How: `cgroup` (working set of its control group), `pss` (shared pages counted in proportion) or `rss` (counted in
    /// full, so the truth is no larger).
    #[serde(rename = "memory_metric")]
    pub metric: Option<String>,
    /// The most that was measured.
    #[serde(rename = "memory_max")]
    pub max: Option<u64>,
    /// Beyond it the worker is replaced.
    #[serde(rename = "memory_soft")]
    pub soft: Option<u64>,
    /// Beyond it the worker is killed.
    #[serde(rename = "memory_hard")]
    pub hard: Option<u64>,
}
