//! What the operator means: every value resolved, every default filled in, every path absolute.
//!
//! [`load()`] turns a file into a [`Config`] or into all that is wrong with it, each problem with its place: text →
//! TOML tree (`toml`) → values (`reader`, `sections`, `app`) → contradictions (`conflicts`). There are no serde
//! structs between file and meaning: a derived reader stops at its first error. [`verify()`] asks the machine.
//! Nothing here knows processes, sockets or HTTP. Invariants: no field is an `Option` that has a default,
//! and no value needs checking again by its reader.

mod app;
mod bounds;
mod clients;
mod command;
mod conflicts;
mod contract;
mod crowd;
pub mod defaults;
mod dependencies;
mod deploy;
mod dotenv;
mod environment;
mod fault;
mod format;
pub mod home;
mod limits;
pub mod list;
mod liveness;
mod load;
mod masked;
mod names;
mod node;
mod output;
mod permits;
mod places;
mod problem;
mod reader;
mod readiness;
mod recycle;
mod reference;
mod render;
mod restart;
mod said;
mod schema;
mod sections;
mod settings;
mod shown;
mod streams;
mod task;
mod units;
mod unknown;
mod value;
mod values;
mod verify;
mod warm;
mod watch;
mod worker;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

pub use bounds::{Bounds, Limit, Limited, Memory, OnDeath};
pub use clients::Clients;
pub use contract::{Channel, Contract, Readiness, Socket};
pub use crowd::{Crowd, Rate};
pub use deploy::{Deploy, Part, Strategy, Trial};
pub use environment::{EnvFile, Environment, Inherit, Secret, SecretSource, is_ours, profile_name};
pub use format::format;
pub use limits::{Http2, Limits};
pub use load::{Loaded, admin_socket, load, load_with, parse, parse_with};
pub use node::{Node, NodeMode};
pub use output::{Output, Rotate};
pub use permits::{Machine, permits};
pub use problem::{Place, Problem, Problems, Severity};
pub use recycle::Schedule;
pub use restart::{Backoff, Restart, RestartPolicy};
pub use said::{Changed, Said, Text};
pub use schema::schema;
pub use settings::{settings, shown_words};
pub use shown::{Origin, Shown, shown};
pub use streams::Streams;
pub use task::{Job, Kind, Overlap};
pub use units::{Amount, format_duration, format_size};
pub use values::{CREDENTIALS, Values};
pub use verify::verify;
pub use warm::Warm;
pub use watch::{NEVER_WATCHED, Watch};

use crate::id::{Address, AppName};

/// A whole configuration, ready to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file it came from, absolute.
    pub path: PathBuf,
    /// The profile that the apps' variables are those of.
    pub profile: Option<String>,
    pub listen: Listen,
    /// Certificates for the `https` listeners; empty exactly when there are none.
    pub certificates: Vec<CertificateFiles>,
    pub admin: Admin,
    pub metrics: Metrics,
    pub proxy: Proxy,
    pub clients: Clients,
    pub limits: Limits,
    pub log: Log,
    pub apps: BTreeMap<AppName, App>,
    /// All that was read.
    pub text: Text,
}

/// The public addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub http: Vec<SocketAddr>,
    pub https: Vec<SocketAddr>,
}

/// One certificate chain with its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Where the supervisor takes orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    pub socket: PathBuf,
}

/// Where `/metrics`, `/healthz` and `/readyz` answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// `None`: switched off (`listen = "off"`).
    pub listen: Option<SocketAddr>,
}

/// The data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// `None`: as many as the process may use CPUs (affinity and cgroup quota respected).
    pub threads: Option<NonZeroU32>,
    /// Whom the proxy runs as when the supervisor is root.
    pub user: Option<String>,
    /// How long a retiring proxy may go on with what is in flight.
    pub drain_timeout: Duration,
}

/// What portreeve writes about itself and its exchanges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A filter as `tracing_subscriber::EnvFilter` reads it.
    pub level: String,
    pub format: LogFormat,
    pub access: Option<AccessLog>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// One line per exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// `None`: standard output.
    pub path: Option<PathBuf>,
    pub format: LogFormat,
}

/// One configured program, or a set of servers that something else runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    pub name: AppName,
    pub kind: Kind,
    /// Host names served, lower case, a leading `*.` standing for one label; empty: any host.
    pub hosts: Vec<String>,
    /// Path prefix served, on whole segments; begins with `/` and ends without one, unless that is all.
    pub path: String,
    /// Addresses of its own: what comes in there is for this app, whatever host and path.
    pub ports: Vec<SocketAddr>,
    /// Is it to run? If not, it keeps its place and its routes, and nothing is started.
    pub enabled: bool,
    /// Apps that are started before this one, and stopped after it.
    pub depends_on: Vec<AppName>,
    pub server: Server,
    pub probe: Probe,
    pub forwarding: Forwarding,
    /// Files whose change reloads it; `None`: none.
    pub watch: Option<Watch>,
    pub said: Said,
}

/// Who answers for an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// Workers that the supervisor starts.
    Command(Box<Command>),
    /// Servers that something else runs (`upstream = [...]`); never empty.
    Fixed(Vec<Address>),
}

/// How workers of an app are started and stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub program: Program,
    /// Working directory as configured, absolute; symlinks are resolved once per generation.
    pub directory: PathBuf,
    pub environment: Environment,
    pub bounds: Bounds,
    /// `None`: one per CPU (affinity and cgroup quota respected).
    pub workers: Option<NonZeroU32>,
    pub contract: Contract,
    pub timeouts: Timeouts,
    pub deploy: Deploy,
    pub restart: Restart,
    /// `None`: whoever serves is not asked again.
    pub live: Option<Live>,
    pub recycle: Recycle,
    pub output: Output,
}

/// How long the steps in a worker's life may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the start of a process to its readiness; it fails closed.
    pub start: Duration,
    /// From the end of new claims to the stop signal, at most.
    pub drain: Duration,
    /// From the stop signal to the kill.
    pub kill: Duration,
    /// Without a request for so long, no worker is kept until one comes; `None`: they are.
    pub idle: Option<Duration>,
}

/// What is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A program with its arguments, no shell in between; never empty.
    Direct(Vec<String>),
    /// A line for `/bin/sh -c` (`shell = true`).
    Shell(String),
}

/// The signal that asks a worker to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    Term,
    Int,
    Quit,
    Hup,
    Usr1,
    Usr2,
}

/// When workers are replaced although nothing is wrong with them, each after its successor serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recycle {
    /// No worker is to grow older.
    pub max_age: Option<Duration>,
    /// No worker is to answer many more exchanges.
    pub max_requests: Option<NonZeroU32>,
    /// Hundredths by which both may be smaller, drawn for each worker.
    pub jitter: u32,
    /// All workers, one after another, at these times.
    pub schedule: Option<Schedule>,
}

/// How readiness is asked for, where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub kind: ProbeKind,
    pub interval: Duration,
    pub timeout: Duration,
    /// Successes in a row that replacing a live worker needs.
    pub successes: NonZeroU32,
    /// Failures in a row after which a server is out of routing.
    pub failures: NonZeroU32,
}

/// How workers that serve are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// `failures` in a row take a worker out of routing, `successes` in a row bring it back.
    pub probe: Probe,
    /// Out of routing for so long, it is replaced; `None`: never for that.
    pub replace_after: Option<Duration>,
    /// Out of routing with a request that has waited for so long, it is hung, and replaced; `None`: no such thing.
    pub hung_after: Option<Duration>,
    /// Sent to a hung worker before.
    pub dump_signal: Option<StopSignal>,
}

/// What counts as an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// A connection is accepted.
    Tcp,
    /// `GET path` answers with a status below 400.
    Http {
        path: String,
        /// The `Host` header sent.
        host: String,
    },
}

/// How many bytes the bodies of an app's requests may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyBytes {
    /// As those of all apps: [`Limits::body_bytes`].
    Common,
    Unlimited,
    Most(u64),
}

impl BodyBytes {
    /// The bytes; `None`: unlimited.
    #[must_use]
    pub fn or(self, common: Option<u64>) -> Option<u64> {
        match self {
            Self::Common => common,
            Self::Unlimited => None,
            Self::Most(bytes) => Some(bytes),
        }
    }
}

/// How exchanges are forwarded to an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// Exchanges that one worker may have in flight; `None`: unlimited.
    pub max_inflight: Option<NonZeroU32>,
    pub body_bytes: BodyBytes,
    pub hold_requests: u32,
    pub hold_time: Duration,
    /// When the oldest held request has waited for so long, others are turned away at once; `None`: they are not.
    pub shed_after: Option<Duration>,
    pub connect_timeout: Duration,
    /// From the last byte of the request to the head of the response; `None`: unlimited.
    pub response_timeout: Option<Duration>,
    /// Idle time of a pooled connection when the worker gives no `Keep-Alive: timeout=`.
    pub keepalive: Duration,
    /// Does each connection begin with a PROXY protocol header that names the client?
    pub proxy_protocol: bool,
    /// A request with an `Idempotency-Key` header may be sent twice whatever its method.
    pub retry_idempotency_key: bool,
    /// Is a worker told when a request came in (`X-Request-Start`)?
    pub request_start: bool,
    pub streams: Streams,
}

#[cfg(test)]
mod environment_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod sample_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
