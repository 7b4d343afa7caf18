//! What a configuration means for those who act on it: plans for machines, a recipe for proxies, files read and made ready.
//!
//! Translations, and the few looks at the machine that they need. Nothing here is started, and nothing is remembered.

use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use super::proxies::Recipe;
use crate::certs::{self, CertError};
use crate::config::{self, App, Config, LogFormat};
use crate::lifecycle::{Backoff, Plan, Readiness};
use crate::link::Certificate;
use crate::sys::spawn::Identity;

/// A reload in which no worker becomes ready for so long, beyond a worker's own start timeout, is given up.
const PROGRESS_MARGIN: Duration = Duration::from_secs(5);

/// How the machine is to run an app with these settings.
pub(super) fn plan(app: &App) -> Plan {
    let cpus = cpus();
    let config::Server::Command(command) = &app.server else {
        unreachable!("only apps with a command have a plan");
    };
    Plan {
        workers: command.workers.map_or(cpus, std::num::NonZeroU32::get),
        start_timeout: command.start_timeout,
        drain_timeout: command.drain_timeout,
        kill_timeout: command.kill_timeout,
        probe_interval: app.probe.interval,
        readiness: match command.readiness() {
            config::Readiness::Probe => Readiness::Probed,
            config::Readiness::Ipc => Readiness::Declared,
        },
        successes: app.probe.successes.get(),
        backoff: Backoff { min: command.backoff.min, max: command.backoff.max, reset: command.backoff.reset },
        concurrent_starts: cpus,
        progress_deadline: command.start_timeout + PROGRESS_MARGIN,
    }
}

/// How proxies are started under this configuration.
pub(super) fn recipe(config: &Config, identity: Option<Identity>) -> Recipe {
    let access = config.log.access.as_ref();
    Recipe {
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
