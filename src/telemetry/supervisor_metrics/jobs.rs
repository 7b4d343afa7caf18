//! What is counted of tasks with a schedule, and what is shown of them.
//!
//! Does not know how runs end: results are label values given by the caller, each one of a few constants.

use prometheus::{IntCounterVec, Registry};

use super::{Family, Sample, gauge, sample};
use crate::id::AppName;
use crate::telemetry::registration::counters;

/// The counters of all jobs.
#[derive(Clone, Debug)]
pub struct Jobs {
    runs: IntCounterVec,
    missed: IntCounterVec,
}

/// One job at one moment; times in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    pub app: &'a AppName,
    pub last_success: Option<f64>,
    pub next: Option<f64>,
}

impl Jobs {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            runs: counters(
                registry,
                "portreeve_job_runs_total",
                "Runs of tasks with a schedule that are over, by result.",
                &["app", "result"],
            ),
            missed: counters(
                registry,
                "portreeve_job_missed_total",
                "Times of tasks that were left out because a run went on.",
                &["app"],
            ),
        }
    }

    /// A run is over.
    pub fn ended(&self, app: &AppName, result: &'static str) {
        self.runs.with_label_values(&[app.as_str(), result]).inc();
    }

    /// A start was left out.
    pub fn missed(&self, app: &AppName) {
        self.missed.with_label_values(&[app.as_str()]).inc();
    }
}

pub(super) fn families(jobs: &[Job<'_>]) -> [Family; 2] {
    let samples = |time: fn(&Job<'_>) -> Option<f64>| -> Vec<Sample> {
        jobs.iter().filter_map(|job| Some(sample(&[("app", job.app.to_string())], time(job)?))).collect()
    };
    [
        gauge(
            "portreeve_job_last_success_timestamp_seconds",
            "When a run of a task last ended well.",
            samples(|job| job.last_success),
        ),
        gauge("portreeve_job_next_run_timestamp_seconds", "When a task runs next.", samples(|job| job.next)),
    ]
}
