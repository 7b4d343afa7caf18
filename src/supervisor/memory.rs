//! Measures memory and CPU time of all workers at their intervals, and tells their machines who needs too much memory.
//!
//! The measuring is done on a thread beside the loop, one look at a time; what a measurement means is judged by
//! `lifecycle::memory`, and what follows is the machine's affair. Invariant: of a worker that is gone nothing is kept.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::cpu::CpuMeter;
use super::event::Event;
use super::settings::bytes;
use super::site::{Site, Supervised};
use super::{Supervisor, clock};
use crate::config::{Memory, Server};
use crate::control::words;
use crate::id::{AppName, Serial};
use crate::lifecycle::{self, JobEvent, MemoryLimits, MemoryWatch, Pressure, RecycleReason};
use crate::sys::memory::{self, Measured, Metric, Survey};
use crate::sys::process;
use crate::sys::tree::Tree;

/// Workers whose look is due within so much of their interval are looked at together.
const TOGETHER: u32 = 5;

/// The measurement of one worker.
#[derive(Clone, Debug)]
pub(super) struct Measurement {
    app: AppName,
    serial: Serial,
    at: Instant,
    measured: Measured,
}

/// What is known of the memory of each worker.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    gauges: BTreeMap<Serial, Gauge>,
    is_busy: bool,
}

#[derive(Debug)]
pub(super) struct Gauge {
    pub(super) limits: MemoryLimits,
    pub(super) latest: Option<Measured>,
    pub(super) watch: MemoryWatch,
    cpu: CpuMeter,
    interval: Duration,
    next: Instant,
}

impl Gauge {
    fn cpu(&self) -> words::Cpu {
        // Tenths of a percent and milliseconds are more than can be measured.
        let percent = self.cpu.share().map(|share| (share * 1000.0).round() / 10.0);
        let seconds = self.latest.map(|latest| (latest.cpu.as_secs_f64() * 1000.0).round() / 1000.0);
        words::Cpu { percent, seconds }
    }
}

impl Gauges {
    /// A worker has been started.
    pub(super) fn add(&mut self, serial: Serial, memory: &Memory) {
        let limits = MemoryLimits { soft: memory.soft.and_then(bytes), hard: memory.hard.and_then(bytes) };
        let (now, interval) = (clock::now(), memory.interval);
        let (watch, cpu) = (MemoryWatch::default(), CpuMeter::begin(now));
        self.gauges.insert(serial, Gauge { limits, latest: None, watch, cpu, interval, next: now + interval });
    }

    /// A worker is gone.
    pub(super) fn remove(&mut self, serial: Serial) -> Option<Gauge> {
        self.gauges.remove(&serial)
    }

    pub(super) fn of(&self, serial: Serial) -> Option<&Gauge> {
        self.gauges.get(&serial)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.is_busy {
            return None;
        }
        self.gauges.values().map(|gauge| gauge.next).min()
    }

    /// Those to be looked at now, each with the number of bytes from which on it must be exact.
    fn due(&mut self, now: Instant) -> BTreeMap<Serial, Option<u64>> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return BTreeMap::new();
        }
        let due = self.gauges.iter_mut().filter(|(_, gauge)| gauge.next <= now + gauge.interval / TOGETHER);
        due.map(|(serial, gauge)| {
            gauge.next = now + gauge.interval;
            (*serial, gauge.limits.soft.into_iter().chain(gauge.limits.hard).min())
        })
        .collect()
    }
}

impl Supervisor {
    /// Begins a look if it is time for one.
    pub(super) fn look_at_memory(&mut self, now: Instant) {
        let due = self.chores.gauges.due(now);
        let subjects: Vec<(AppName, Serial, Tree, Option<u64>)> = self
            .supervised()
            .flat_map(|(app, site)| site.workers.iter().map(move |(serial, worker)| (app, serial, worker)))
            .filter_map(|(app, serial, worker)| Some((app.clone(), *serial, worker.tree.clone(), *due.get(serial)?)))
            .collect();
        if subjects.is_empty() {
            return;
        }
        self.chores.gauges.is_busy = true;
        let events = self.starter.events.clone();
        self.starter.tasks.spawn(async move {
            let measurements = tokio::task::spawn_blocking(move || measure(subjects)).await.unwrap_or_default();
            let _ = events.send(Event::Measured(measurements)).await;
        });
    }

    /// Takes in what was measured.
    pub(super) fn measured(&mut self, measurements: Vec<Measurement>) {
        self.chores.gauges.is_busy = false;
        self.spare_memory();
        self.note_pressure();
        for Measurement { app, serial, at, measured } in measurements {
            let Some(gauge) = self.chores.gauges.gauges.get_mut(&serial) else { continue };
            gauge.latest = Some(measured);
            gauge.cpu.measured(at, measured.cpu);
            let pressure = gauge.watch.measured(measured.bytes, gauge.limits);
            if self.sites.get(&app).is_some_and(Site::is_job) {
                if pressure == Pressure::Hard {
                    self.drive_job(&app, JobEvent::Exceeded);
                }
                continue;
            }
            if pressure != Pressure::Fine {
                tracing::debug!(%app, %serial, bytes = measured.bytes, ?pressure, "a worker needs too much memory");
                self.machines
                    .queue
                    .push_back((app.clone(), lifecycle::Event::Recycle { serial, reason: RecycleReason::Memory }));
            }
            if pressure == Pressure::Hard {
                self.machines.queue.push_back((app, lifecycle::Event::Hasten { serial }));
            }
        }
    }

    /// Lets go of generations that are only kept, when memory is needed for those that serve.
    fn spare_memory(&mut self) {
        let keeps = self.supervised().filter(|(_, site)| site.has_retained()).map(|(app, _)| app.clone());
        let keeps: Vec<_> = keeps.collect();
        if keeps.is_empty() || !memory::is_scarce() {
            return;
        }
        for app in keeps {
            tracing::warn!(%app, "memory is scarce: the generation that is kept to go back to is let go");
            self.machines.queue.push_back((app, lifecycle::Event::Discard));
        }
    }

    /// Adds to the picture of an app what its workers need.
    pub(super) fn with_usage(&self, mut app: words::App) -> words::App {
        for worker in &mut app.workers {
            let gauge = self.chores.gauges.of(worker.serial);
            let latest = gauge.and_then(|gauge| gauge.latest);
            // Of one that was not looked at yet the kernel's own figure will do.
            let unmeasured = || Some((process::resident_bytes(worker.pid?).ok()?, Metric::Rss));
            let measured = latest.map(|latest| (latest.bytes, latest.metric)).or_else(unmeasured);
            let memory = words::Memory {
                bytes: measured.map(|(bytes, _)| bytes),
                metric: measured.map(|(_, metric)| metric.as_str().to_owned()),
                max: gauge.map(|gauge| gauge.watch.most()).filter(|most| *most > 0),
                soft: gauge.and_then(|gauge| gauge.limits.soft),
                hard: gauge.and_then(|gauge| gauge.limits.hard),
            };
            worker.usage = words::Usage { memory, cpu: gauge.map(Gauge::cpu).unwrap_or_default() };
        }
        app
    }

    pub(super) fn supervised(&self) -> impl Iterator<Item = (&AppName, &Supervised)> {
        self.sites.iter().filter_map(|(name, site)| match site {
            Site::Supervised(site) => Some((name, &**site)),
            Site::Fixed(_) => None,
        })
    }
}

/// What the operator says of the memory of a worker that has just been started.
pub(super) fn settings(site: &Supervised, serial: Serial) -> Memory {
    let generation = site.workers.get(&serial).map(|worker| worker.id.generation);
    let release = generation.and_then(|generation| site.releases.get(generation));
    match release.map(|release| &release.app.server) {
        Some(Server::Command(command)) => command.bounds.memory,
        _ => Memory::default(),
    }
}

fn measure(subjects: Vec<(AppName, Serial, Tree, Option<u64>)>) -> Vec<Measurement> {
    let survey = Survey::default();
    let measure = |(app, serial, tree, limit): (AppName, Serial, Tree, Option<u64>)| Measurement {
        app,
        serial,
        at: Instant::now(),
        measured: survey.measure(&tree, limit),
    };
    subjects.into_iter().map(measure).collect()
}
