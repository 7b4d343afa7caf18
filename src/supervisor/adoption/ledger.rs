//! The ledger: what lives under this supervisor, written down so that the next one can take over.
//!
//! Plain values. Whoever reads it may be another version of this program: what it does not know it ignores, what it misses
//! has a default, and a ledger of another [`VERSION`] is not read at all. Descriptors are named, not numbered: what number
//! one has is told beside the ledger. Times are relative to when it was written.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::id::{AppName, Generation, Serial, Slot};
use crate::lifecycle::AppRecord;
use crate::supervisor::loads::LoadsRecord;
use crate::supervisor::primary;
use crate::supervisor::roster::RosterRecord;
use crate::sys::handover;
use crate::telemetry::exposition::Family;

/// Of the form; another one is not read.
pub(in crate::supervisor) const VERSION: u32 = 1;

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::supervisor) struct Ledger {
    pub(in crate::supervisor) version: u32,
    pub(in crate::supervisor) written: Written,
    pub(in crate::supervisor) next: Next,
    pub(in crate::supervisor) settings: Settings,
    pub(in crate::supervisor) listeners: Vec<ListenerEntry>,
    pub(in crate::supervisor) proxies: Vec<ProxyEntry>,
    pub(in crate::supervisor) apps: BTreeMap<AppName, AppEntry>,
    /// Servers that something else runs.
    #[serde(default)]
    pub(in crate::supervisor) fixed: BTreeMap<AppName, Vec<ServerEntry>>,
    #[serde(default)]
    pub(in crate::supervisor) roster: RosterRecord,
    /// What was ever counted by whoever is not there any more.
    #[serde(default)]
    pub(in crate::supervisor) counters: Vec<Family>,
    #[serde(default)]
    pub(in crate::supervisor) loads: LoadsRecord,
    #[serde(default)]
    pub(in crate::supervisor) places: Places,
}

/// By whom it was written, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct Written {
    /// The version of the program.
    pub(in crate::supervisor) program: String,
    /// Names the start of the machine: after another one nothing of all this lives.
    pub(in crate::supervisor) boot: String,
    /// Nanoseconds of the machine's clock.
    pub(in crate::supervisor) at: u64,
}

impl Written {
    pub(super) fn now() -> Self {
        let program = env!("CARGO_PKG_VERSION").to_owned();
        Self { program, boot: handover::boot_id(), at: handover::monotonic() }
    }

    /// The same time on our clock.
    pub(in crate::supervisor) fn instant(&self, now: Instant) -> Instant {
        let age = Duration::from_nanos(handover::monotonic().saturating_sub(self.at));
        now.checked_sub(age).unwrap_or(now)
    }
}

/// The next numbers to be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct Next {
    pub(in crate::supervisor) serial: u64,
    /// The last epoch that was published.
    pub(in crate::supervisor) epoch: u64,
    pub(in crate::supervisor) proxy: u64,
}

/// The configuration in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct Settings {
    pub(in crate::supervisor) path: PathBuf,
    pub(in crate::supervisor) profile: Option<String>,
    /// Every text that any of it was read from.
    pub(in crate::supervisor) texts: Vec<String>,
    /// All that is not of an app is from this one.
    pub(in crate::supervisor) text: usize,
    pub(in crate::supervisor) apps: BTreeMap<AppName, AppSettings>,
}

/// The settings of an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct AppSettings {
    /// Which of the texts they are from.
    pub(in crate::supervisor) text: usize,
    /// What was said since of how many workers there are, and of whether it is to run.
    pub(in crate::supervisor) workers: Option<u32>,
    pub(in crate::supervisor) enabled: bool,
}

/// The sockets of one address; descriptors `listener.N.M`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct ListenerEntry {
    /// As the configuration names it.
    pub(in crate::supervisor) address: SocketAddr,
    pub(in crate::supervisor) tls: bool,
    pub(in crate::supervisor) chosen_for: Option<AppName>,
    pub(in crate::supervisor) app: Option<AppName>,
    pub(in crate::supervisor) inherited: bool,
    pub(in crate::supervisor) sockets: usize,
}

/// A process; a number alone may be another's by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct Identity {
    pub(in crate::supervisor) pid: u32,
    /// Clock ticks since the machine's start.
    pub(in crate::supervisor) started: u64,
}

/// A proxy; descriptor `proxy.N.relink`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct ProxyEntry {
    pub(in crate::supervisor) number: u64,
    pub(in crate::supervisor) process: Identity,
    /// It was told to finish and go.
    pub(in crate::supervisor) retires: bool,
}

/// An app whose workers we start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::supervisor) struct AppEntry {
    pub(in crate::supervisor) machine: AppRecord,
    pub(in crate::supervisor) workers: BTreeMap<Serial, WorkerEntry>,
    /// Those of each generation, and of the next.
    pub(in crate::supervisor) settings: BTreeMap<Generation, AppSettings>,
    /// Where each generation runs, as it was found: a link may lead elsewhere by now.
    #[serde(default)]
    pub(in crate::supervisor) directories: BTreeMap<Generation, PathBuf>,
    pub(in crate::supervisor) upcoming: AppSettings,
    pub(in crate::supervisor) held: bool,
    pub(in crate::supervisor) comes_again: bool,
    /// How long a run of it has been on, if it is a job and one is.
    #[serde(default)]
    pub(in crate::supervisor) run: Option<Duration>,
    #[serde(default)]
    pub(in crate::supervisor) primary: primary::Record,
}

/// A worker; descriptors `worker.N.KIND`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::supervisor) struct WorkerEntry {
    pub(in crate::supervisor) generation: Generation,
    pub(in crate::supervisor) slot: Slot,
    pub(in crate::supervisor) process: Identity,
    /// As the clock on the wall had it.
    pub(in crate::supervisor) started_at: String,
    pub(in crate::supervisor) place: PlaceEntry,
    /// Of its sockets.
    pub(in crate::supervisor) folder: Option<PathBuf>,
    pub(in crate::supervisor) control_group: Option<PathBuf>,
    /// It was asked to end; if it was by a message, then so much later the signal follows.
    pub(in crate::supervisor) asked: bool,
    pub(in crate::supervisor) signal_in: Option<Duration>,
    /// What was read of its output and ends in no line yet.
    #[serde(default)]
    pub(in crate::supervisor) half_lines: [Vec<u8>; 2],
}

/// Where it listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::supervisor) enum PlaceEntry {
    /// At the port of `worker.N.port`.
    Port,
    Path(PathBuf),
    Nowhere,
}

/// A server that something else runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct ServerEntry {
    pub(in crate::supervisor) serial: Serial,
    pub(in crate::supervisor) address: crate::id::Address,
    pub(in crate::supervisor) is_open: bool,
}

/// Where things are that have no entry of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct Places {
    /// Under which processes of workers are marked: the process ID of the first supervisor in the line.
    pub(in crate::supervisor) mark: u32,
    /// The folder of all workers' sockets.
    pub(in crate::supervisor) sockets: PathBuf,
    /// The folder of the module that Node loads.
    pub(in crate::supervisor) preload: Option<PathBuf>,
    pub(in crate::supervisor) metrics: Option<SocketAddr>,
}

impl Ledger {
    /// # Errors
    /// A sentence, when it cannot be understood.
    pub(in crate::supervisor) fn read(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Cover {
            version: u32,
        }
        let not_one = |error: serde_json::Error| format!("it is no ledger: {error}");
        let Cover { version } = serde_json::from_str(text).map_err(not_one)?;
        if version != VERSION {
            return Err(format!(
                "the running supervisor keeps a ledger of version {version}, and this portreeve knows {VERSION}: stop it \
                 and start it anew"
            ));
        }
        serde_json::from_str(text).map_err(not_one)
    }

    pub(in crate::supervisor) fn text(&self) -> String {
        serde_json::to_string(self).expect("a ledger of plain values always serialises")
    }
}
