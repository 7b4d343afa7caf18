//! What the supervisor counts, and what it shows of its workers.
//!
//! Counters are live handles. Gauges are not kept at all: they are read off a [`Picture`] when somebody asks, so none can
//! go stale and a slot that no longer exists leaves nothing behind. Does not know lifecycles: states, reasons and
//! outcomes are label values given by the caller, each one of a few constants.

mod jobs;

use std::time::Duration;

pub use jobs::{Job, Jobs};
use prometheus::{Histogram, IntCounter, IntCounterVec, Registry};

use super::exposition::{self, Family, Kind, Sample, Value};
use super::registration::{counter, counters, histogram};
use crate::id::{AppName, Generation, Slot};

/// Upper bounds in seconds for reloads, which wait for programs to start.
const BOUNDS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// All counters of one supervisor. Cheap to clone; clones count into the same metrics.
#[derive(Clone, Debug)]
pub struct SupervisorMetrics {
    registry: Registry,
    worker_restarts: IntCounterVec,
    recycles: IntCounterVec,
    ends: Ends,
    worker_requests: IntCounterVec,
    reloads: Reloads,
    jobs: Jobs,
    proxy_restarts: IntCounter,
    log_failed: IntCounterVec,
    channel_faults: IntCounterVec,
    notify_faults: IntCounterVec,
    invariants: Invariants,
}

/// How reloads ended, and how long those took that went well.
#[derive(Clone, Debug)]
struct Reloads {
    by_outcome: IntCounterVec,
    rollbacks: IntCounterVec,
    seconds: Histogram,
}

impl Reloads {
    fn new(registry: &Registry) -> Self {
        Self {
            by_outcome: counters(
                registry,
                "portreeve_reloads_total",
                "Finished reloads by outcome.",
                &["app", "outcome"],
            ),
            rollbacks: counters(
                registry,
                "portreeve_rollbacks_total",
                "Times that an app went back to the generation from before.",
                &["app"],
            ),
            seconds: histogram(
                registry,
                "portreeve_reload_seconds",
                "From the order to reload to the new generation serving.",
                &BOUNDS,
            ),
        }
    }
}

/// How workers ended.
#[derive(Clone, Debug)]
struct Ends {
    by_cause: IntCounterVec,
    for_memory: IntCounterVec,
}

impl Ends {
    fn new(registry: &Registry) -> Self {
        Self {
            by_cause: counters(
                registry,
                "portreeve_worker_exits_total",
                "Workers that have ended, by what that was due to.",
                &["app", "cause"],
            ),
            for_memory: counters(
                registry,
                "portreeve_worker_oom_total",
                "Workers of which the kernel killed a process because memory ran out.",
                &["app"],
            ),
        }
    }
}

/// Counters of what must never happen, and of what may happen but never silently.
#[derive(Clone, Debug)]
pub struct Invariants {
    drain_forced: IntCounterVec,
    /// I4: our own action left an app without a serving worker.
    pub self_emptied: IntCounter,
    /// I5: a generation was promoted that had not passed its gate in this supervisor's life.
    pub promote_ungated: IntCounter,
    /// I7: a descriptor was passed on and nobody claimed it.
    pub fd_unclaimed: IntCounter,
    /// I7: a generation was forgotten before it had ended.
    pub generation_leaked: IntCounter,
}

/// What there is to show at one moment.
#[derive(Clone, Debug, Default)]
pub struct Picture<'a> {
    /// Every state that a worker can be in.
    pub states: &'a [&'static str],
    pub workers: Vec<Worker<'a>>,
    /// Every state that an app can be in.
    pub app_states: &'a [&'static str],
    /// Each app with one of those.
    pub apps: Vec<(&'a AppName, &'static str)>,
    /// Supervised apps, and whether requests go to workers that fail their probes.
    pub panics: Vec<(&'a AppName, bool)>,
    /// The generation that serves each app.
    pub generations: Vec<(&'a AppName, Generation)>,
    /// Proxies that are alive, draining ones included.
    pub proxies: usize,
    /// Tasks with a schedule.
    pub jobs: Vec<Job<'a>>,
}

/// One process of an app. During a reload two of them share a slot.
#[derive(Clone, Copy, Debug)]
pub struct Worker<'a> {
    pub app: &'a AppName,
    pub slot: Slot,
    /// One of [`Picture::states`].
    pub state: &'static str,
    pub in_flight: u32,
}

impl SupervisorMetrics {
    /// A fresh set, all at zero.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let by_app =
            |name, help, second: &'static str| -> IntCounterVec { counters(&registry, name, help, &["app", second]) };
        Self {
            worker_restarts: by_app(
                "portreeve_worker_restarts_total",
                "Workers started again in their slot, by reason.",
                "reason",
            ),
            recycles: by_app("portreeve_recycles_total", "Workers replaced as planned, by what for.", "reason"),
            ends: Ends::new(&registry),
            worker_requests: by_app(
                "portreeve_worker_requests_total",
                "Exchanges that the workers of a slot have finished.",
                "slot",
            ),
            reloads: Reloads::new(&registry),
            jobs: Jobs::new(&registry),
            proxy_restarts: counter(
                &registry,
                "portreeve_proxy_restarts_total",
                "Proxies started in place of one that ended by itself.",
            ),
            log_failed: counters(
                &registry,
                "portreeve_log_failed_total",
                "Lines of workers that could not be written to their log file.",
                &["app"],
            ),
            channel_faults: by_app(
                "portreeve_channel_faults_total",
                "Lines on workers' channels that are no messages.",
                "kind",
            ),
            notify_faults: by_app(
                "portreeve_notify_faults_total",
                "Messages on workers' notify sockets that were not heard.",
                "kind",
            ),
            invariants: Invariants::new(&registry),
            registry,
        }
    }

    /// A worker is started again in its slot.
    pub fn worker_restarted(&self, app: &AppName, reason: &'static str) {
        self.worker_restarts.with_label_values(&[app.as_str(), reason]).inc();
    }

    /// A worker has ended; `for_memory`: the kernel killed it because memory ran out.
    pub fn worker_ended(&self, app: &AppName, cause: &'static str, for_memory: bool) {
        self.ends.by_cause.with_label_values(&[app.as_str(), cause]).inc();
        if for_memory {
            self.ends.for_memory.with_label_values(&[app.as_str()]).inc();
        }
    }

    /// Workers were replaced as planned.
    pub fn workers_recycled(&self, app: &AppName, reason: &'static str, count: u64) {
        self.recycles.with_label_values(&[app.as_str(), reason]).inc_by(count);
    }

    /// The worker in this slot has finished so many more exchanges.
    pub fn worker_finished(&self, app: &AppName, slot: Slot, count: u64) {
        self.worker_requests.with_label_values(&[app.as_str(), &slot.to_string()]).inc_by(count);
    }

    /// A reload put a new generation into service, so long after it was ordered.
    pub fn reload_live(&self, app: &AppName, outcome: &'static str, took: Duration) {
        self.reload_failed(app, outcome);
        self.reloads.seconds.observe(took.as_secs_f64());
    }

    /// A reload ended without a new generation in service.
    pub fn reload_failed(&self, app: &AppName, outcome: &'static str) {
        self.reloads.by_outcome.with_label_values(&[app.as_str(), outcome]).inc();
    }

    /// The generation from before serves again.
    pub fn rolled_back(&self, app: &AppName) {
        self.reloads.rollbacks.with_label_values(&[app.as_str()]).inc();
    }

    /// A proxy was started in place of one that ended by itself.
    pub fn proxy_restarted(&self) {
        self.proxy_restarts.inc();
    }

    /// Lines of an app's workers that could not be written to their log file.
    #[must_use]
    pub fn log_failed(&self, app: &AppName) -> IntCounter {
        self.log_failed.with_label_values(&[app.as_str()])
    }

    /// A worker's channel carried what is no message.
    pub fn channel_fault(&self, app: &AppName, kind: &'static str) {
        self.channel_faults.with_label_values(&[app.as_str(), kind]).inc();
    }

    /// What came on a worker's notify socket was not heard.
    pub fn notify_fault(&self, app: &AppName, kind: &'static str) {
        self.notify_faults.with_label_values(&[app.as_str(), kind]).inc();
    }

    /// Counters of tasks with a schedule.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// Counters of what must never happen.
    #[must_use]
    pub fn invariants(&self) -> &Invariants {
        &self.invariants
    }

    /// What was ever counted here, for whoever goes on counting.
    #[must_use]
    pub fn counters(&self) -> Vec<Family> {
        exposition::counters_only(exposition::gather(&self.registry))
    }

    /// Everything as of now.
    #[must_use]
    pub fn gather(&self, picture: &Picture<'_>) -> Vec<Family> {
        let mut families = exposition::gather(&self.registry);
        families.extend([
            worker_states(picture),
            worker_inflight(picture),
            app_states(picture),
            panics(picture),
            generations(picture),
            proxies(picture.proxies),
            build_info(env!("CARGO_PKG_VERSION")),
        ]);
        families.extend(jobs::families(&picture.jobs));
        families
    }
}

impl Default for SupervisorMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Invariants {
    fn new(registry: &Registry) -> Self {
        let never = |name, help| counter(registry, name, help);
        Self {
            drain_forced: counters(
                registry,
                "portreeve_drain_forced_total",
                "Stops that did not wait for all work in flight.",
                &["kind"],
            ),
            self_emptied: never(
                "portreeve_self_emptied_total",
                "Apps left without a serving worker by our own action (must stay 0).",
            ),
            promote_ungated: never(
                "portreeve_promote_ungated_total",
                "Generations promoted without having passed their gate (must stay 0).",
            ),
            fd_unclaimed: never(
                "portreeve_fd_unclaimed_total",
                "Descriptors passed on that nobody claimed (must stay 0).",
            ),
            generation_leaked: never(
                "portreeve_generation_leaked_total",
                "Generations forgotten before they had ended (must stay 0).",
            ),
        }
    }

    /// I2: a worker (`kind` "worker") or a proxy ("proxy") was stopped with work in flight, its drain deadline past.
    pub fn drain_forced(&self, kind: &'static str) {
        self.drain_forced.with_label_values(&[kind]).inc();
    }
}

/// For each slot one series per state: 1 when a worker of that slot is in that state, else 0.
fn worker_states(picture: &Picture<'_>) -> Family {
    let mut slots: Vec<_> = picture.workers.iter().map(|worker| (worker.app, worker.slot)).collect();
    slots.sort();
    slots.dedup();
    let is_in = |app: &AppName, slot: Slot, state: &str| {
        picture.workers.iter().any(|worker| worker.app == app && worker.slot == slot && worker.state == state)
    };
    let samples = slots.into_iter().flat_map(|(app, slot)| {
        picture.states.iter().map(move |state| {
            let labels = [("app", app.to_string()), ("slot", slot.to_string()), ("state", (*state).to_owned())];
            sample(&labels, f64::from(u8::from(is_in(app, slot, state))))
        })
    });
    gauge("portreeve_worker_state", "1 for the state that a slot's worker is in.", samples.collect())
}

/// For each slot the sum over its workers.
fn worker_inflight(picture: &Picture<'_>) -> Family {
    let mut slots = std::collections::BTreeMap::new();
    for worker in &picture.workers {
        *slots.entry((worker.app, worker.slot)).or_insert(0_u32) += worker.in_flight;
    }
    let samples = slots.into_iter().map(|((app, slot), in_flight)| {
        sample(&[("app", app.to_string()), ("slot", slot.to_string())], f64::from(in_flight))
    });
    gauge("portreeve_worker_inflight", "Exchanges that the workers of a slot are at work on.", samples.collect())
}

/// For each app one series per state: 1 for the one that it is in, else 0.
fn app_states(picture: &Picture<'_>) -> Family {
    let samples = picture.apps.iter().flat_map(|(app, current)| {
        picture.app_states.iter().map(move |state| {
            let labels = [("app", app.to_string()), ("state", (*state).to_owned())];
            sample(&labels, f64::from(u8::from(state == current)))
        })
    });
    gauge("portreeve_app_state", "1 for the state that an app is in.", samples.collect())
}

fn panics(picture: &Picture<'_>) -> Family {
    let sample = |(app, is_panicking): &(&AppName, bool)| {
        sample(&[("app", app.to_string())], f64::from(u8::from(*is_panicking)))
    };
    let help = "1 while most workers of an app fail their probes and get requests all the same.";
    gauge("portreeve_panic_routing", help, picture.panics.iter().map(sample).collect())
}

fn generations(picture: &Picture<'_>) -> Family {
    let samples =
        picture.generations.iter().map(|(app, generation)| sample(&[("app", app.to_string())], generation.0 as f64));
    gauge("portreeve_generation", "The generation that serves an app.", samples.collect())
}

fn proxies(count: usize) -> Family {
    gauge("portreeve_proxies", "Proxies alive, draining ones included.", vec![sample(&[], count as f64)])
}

fn build_info(version: &str) -> Family {
    let samples = vec![sample(&[("version", version.to_owned())], 1.0)];
    gauge("portreeve_build_info", "Always 1; the version is the label.", samples)
}

fn gauge(name: &str, help: &str, samples: Vec<Sample>) -> Family {
    Family { name: name.to_owned(), help: help.to_owned(), kind: Kind::Gauge, samples }
}

/// `labels` sorted by name.
fn sample(labels: &[(&str, String)], value: f64) -> Sample {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Sample { labels, value: Value::Number(value) }
}

#[cfg(test)]
mod tests;
