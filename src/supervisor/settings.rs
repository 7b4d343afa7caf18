//! What a configuration means for those who act on it: plans for machines, a recipe for proxies, files read and made ready.
//!
//! Translations, and the few looks at the machine that they need. Nothing here is started, and nothing is remembered.

use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use super::proxies::Recipe;
use crate::certs::{self, CertError};
use crate::config::{self, Amount, App, Config, LogFormat};
use crate::lifecycle::{
    Backoff, Canary, Liveness, OnLoop, Overlap, Plan, Policy, Probing, Readiness, Recycling, Restart, Rollout, Terms,
    Timeouts, Trial,
};
use crate::link::Certificate;
use crate::sys::memory;
use crate::sys::spawn::Identity;

/// A reload is given up no sooner than so long after a worker's own start timeout, which says more of what is wrong.
const PROGRESS_MARGIN: Duration = Duration::from_secs(5);

/// A worker that has just been started is asked again no sooner than so long after it was not ready.
const SOONEST_PROBE: Duration = Duration::from_millis(2);

/// So many unexpected ends in a period are no crash loop, however few workers there are.
const LEAST_INTENSITY: u32 = 5;

/// How the machine is to run an app with these settings, and with another number of workers if it was scaled.
pub(super) fn plan(app: &App, scaled: Option<NonZeroU32>) -> Plan {
    let cpus = cpus();
    let config::Server::Command(command) = &app.server else {
        unreachable!("only apps with a command have a plan");
    };
    let workers = scaled.or(command.workers).map_or(cpus, NonZeroU32::get);
    Plan {
        workers,
        timeouts: timeouts(command),
        probing: Probing {
            readiness: match command.contract.ready {
                config::Readiness::Probe => Readiness::Probed,
                config::Readiness::Ipc
                | config::Readiness::Listening
                | config::Readiness::Notify
                | config::Readiness::Descriptor(_) => Readiness::Declared,
                config::Readiness::Lasting(uptime) => Readiness::Lasting(uptime),
            },
            interval: app.probe.interval,
            soonest: SOONEST_PROBE,
            successes: app.probe.successes.get(),
        },
        restart: restart(&command.restart, workers),
        liveness: command.live.as_ref().map(liveness),
        watchdog: command.contract.watchdog,
        recycling: Recycling {
            max_age: command.recycle.max_age,
            max_exchanges: command.recycle.max_requests.map(NonZeroU32::get),
            jitter: command.recycle.jitter,
        },
        concurrent_starts: cpus,
        overlaps: app.kind != config::Kind::Task { overlaps: false },
        trial: trial(&command.deploy.trial),
        // How a reload goes is decided when it begins.
        rollout: Rollout::AT_ONCE,
        gated: command.deploy.pre_promote.is_some(),
    }
}

fn trial(trial: &config::Trial) -> Trial {
    let canary = trial.canary.map(|share| Canary { share, bake: trial.canary_bake });
    Trial { bake: trial.bake, retain: trial.retain, canary }
}

/// The number of workers that the settings of an app ask for; `None`: they are not ours.
pub(super) fn configured_workers(app: &App) -> Option<u32> {
    match &app.server {
        config::Server::Command(command) => Some(command.workers.map_or_else(cpus, NonZeroU32::get)),
        config::Server::Fixed(_) => None,
    }
}

fn timeouts(command: &config::Command) -> Timeouts {
    let config::Timeouts { start, drain, kill, .. } = command.timeouts;
    let warmup = Some(command.deploy.warm.timeout).filter(|_| !command.deploy.warm.requests.is_empty());
    let progress = command.deploy.progress.max(start + warmup.unwrap_or_default() + PROGRESS_MARGIN);
    Timeouts { start, drain, kill, progress, warmup }
}

fn liveness(live: &config::Live) -> Liveness {
    Liveness {
        interval: live.probe.interval,
        failures: live.probe.failures.get(),
        successes: live.probe.successes.get(),
        replace_after: live.replace_after,
        hung_after: live.hung_after,
        dumps: live.dump_signal.is_some(),
    }
}

fn restart(restart: &config::Restart, workers: u32) -> Restart {
    let backoff = &restart.backoff;
    Restart {
        policy: match restart.policy {
            config::RestartPolicy::Always => Policy::Always,
            config::RestartPolicy::OnFailure => Policy::OnFailure,
            config::RestartPolicy::Never => Policy::Never,
        },
        stop_codes: restart.stop_exit_codes.iter().copied().collect(),
        backoff: Backoff { min: backoff.min, max: backoff.max, reset: backoff.reset },
        delay: restart.delay,
        intensity: restart.intensity.map_or_else(|| LEAST_INTENSITY.max(workers.saturating_mul(2)), NonZeroU32::get),
        period: restart.period,
        on_loop: if restart.give_up { OnLoop::GiveUp } else { OnLoop::Retry(restart.retry) },
    }
}

/// How the runs of a job begin and end.
pub(super) fn terms(job: &config::Job) -> Terms {
    let overlap = match job.overlap {
        config::Overlap::Skip => Overlap::Skip,
        config::Overlap::Replace => Overlap::Replace,
        config::Overlap::Queue => Overlap::Queue,
    };
    Terms { overlap, timeout: job.timeout }
}

/// Bytes of memory; `None` when it is a share and nobody knows of what.
pub(super) fn bytes(amount: Amount) -> Option<u64> {
    match amount {
        Amount::Bytes(bytes) => Some(bytes),
        Amount::Percent(percent) => Some(memory::total().ok()? / 100 * u64::from(percent)),
    }
}

/// How proxies are started under this configuration.
pub(super) fn recipe(config: &Config, identity: Option<Identity>, line: u32) -> Recipe {
    let access = config.log.access.as_ref();
    Recipe {
        line,
        threads: config.proxy.threads.map_or_else(cpus, NonZeroU32::get),
        identity,
        log_level: config.log.level.clone(),
        log_json: config.log.format == LogFormat::Json,
        access_log: access.map(|access| access.path.clone().unwrap_or_default()),
        access_json: access.is_some_and(|access| access.format == LogFormat::Json),
    }
}

/// Makes the access log's file, if there is to be one, and gives it to the user that the proxy runs as.
///
/// # Errors
/// A sentence that names the file.
pub(super) fn prepare_access_log(recipe: &Recipe) -> Result<(), String> {
    let Some(path) = recipe.access_log.as_ref().filter(|path| !path.as_os_str().is_empty()) else { return Ok(()) };
    let failed = |error| format!("access log {}: {error}", path.display());
    std::fs::OpenOptions::new().create(true).append(true).mode(0o640).open(path).map_err(failed)?;
    let Some(identity) = &recipe.identity else { return Ok(()) };
    std::os::unix::fs::chown(path, Some(identity.uid), Some(identity.gid)).map_err(failed)
}

/// Reads every certificate with its key and proves that they fit.
pub(super) fn read_certificates(config: &Config) -> Result<Vec<Certificate>, CertError> {
    let read = |files: &config::CertificateFiles| {
        let (chain, key) = certs::load(&files.cert, &files.key)?;
        certs::parse(&chain, &key)?;
        Ok(Certificate { chain, key })
    };
    config.certificates.iter().map(read).collect()
}

/// CPUs that this process may use: affinity and cgroup quota are respected.
fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |cpus| cpus.get().try_into().unwrap_or(u32::MAX))
}
