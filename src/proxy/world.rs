//! The snapshot in force, in the form in which an exchange asks of it: routes, apps, limits.
//!
//! [`World`] is read by exchanges and never changes; [`Atlas`] makes the next one out of a snapshot and keeps what outlives
//! it: an app's endpoints with their counts and connections, its retry budget. Does not know sockets or requests.
//! Invariant: a snapshot is taken over whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::certs::{self, CertError, Parsed, Store, Tickets};
use crate::id::AppName;
use crate::link::{self, Condition, Crowd, Http2, Limits, Snapshot};
use crate::route::Table;
use crate::telemetry::exchange_metrics::{AppMetrics, ExchangeMetrics};
use crate::upstream::{Bounds, Budget, Endpoint, Ramp, Spec, Streams, Upstream};

use bytes::Bytes;

use super::notes::Notes;
use super::policy::Clients;
use super::versions::Versions;
use super::wire::Wire;

/// What exchanges are carried out under.
pub(crate) struct World {
    pub(crate) limits: Limits,
    pub(crate) clients: Clients,
    /// Whom each listener is for; `None`: whom the routes say.
    listeners: BTreeMap<SocketAddr, Option<Arc<App>>>,
    routes: Table<Arc<App>>,
    apps: Vec<Arc<App>>,
    /// Is a proxy of which nobody can take hold any more to go?
    pub(crate) ends_alone: bool,
}

/// One app as its exchanges see it.
pub(crate) struct App {
    pub(crate) name: AppName,
    pub(crate) upstream: Arc<Upstream<Wire>>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) metrics: AppMetrics,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Option<Duration>,
    /// Bytes that the body of a request may have.
    pub(crate) body_bytes: Option<u64>,
    /// Idle time of a connection to a worker that does not say how long it keeps one.
    pub(crate) keepalive: Duration,
    /// May a request with an `Idempotency-Key` be sent twice?
    pub(crate) retries_by_key: bool,
    /// Are its workers told when a request came in?
    pub(crate) tells_start: bool,
    /// Which generation is for whom, if that matters.
    pub(crate) versions: Option<Versions>,
    /// Answers every request, if it is there.
    pub(crate) maintenance: Option<Bytes>,
}

/// Makes worlds.
pub(crate) struct Atlas {
    known: HashMap<AppName, Known>,
    certificates: Vec<link::Certificate>,
    store: Arc<Store>,
    tickets: Arc<Tickets>,
    metrics: ExchangeMetrics,
    threads: usize,
    notes: Arc<Notes>,
}

/// What of an app outlives a snapshot.
struct Known {
    upstream: Arc<Upstream<Wire>>,
    budget: Arc<Budget>,
}

/// A world that has been checked and only needs to be put in force.
pub(crate) struct Draft {
    world: World,
    /// What each app's upstream is to list, in the order of the world's apps.
    listings: Vec<(Vec<Spec>, Bounds)>,
    /// `None`: those in force stay.
    certificates: Option<Certificates>,
    tickets: Vec<link::TicketKey>,
}

/// Certificates as they came and as they are used.
type Certificates = (Vec<link::Certificate>, Vec<Parsed>);

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Rejected {
    #[error(transparent)]
    Certificate(#[from] CertError),
    #[error("{0}")]
    Routes(String),
    #[error("{0} is for the app {1}, which is not there")]
    Listener(SocketAddr, AppName),
}

impl World {
    /// A world in which nothing is served.
    pub(crate) fn empty() -> Self {
        let limits = Limits {
            connections: 0,
            header_bytes: 8 * 1024,
            header_count: 100,
            handshake_timeout: Duration::ZERO,
            header_timeout: Duration::ZERO,
            body_idle: Duration::ZERO,
            body_rate: None,
            write_stall: Duration::ZERO,
            keepalive_idle: Duration::ZERO,
            http2: Http2 { streams: 1, requests: 1 },
            crowd: Crowd {
                handshakes: 1,
                connections_per_ip: None,
                connects_per_ip: None,
                requests_per_ip: None,
                exempt: Vec::new(),
            },
        };
        let routes = Table::build(Vec::new()).unwrap_or_else(|_| unreachable!("nothing conflicts with nothing"));
        Self {
            limits,
            clients: Clients::default(),
            listeners: BTreeMap::new(),
            routes,
            apps: Vec::new(),
            ends_alone: false,
        }
    }

    /// The app that serves a host and a path on this listener.
    pub(crate) fn find(&self, listener: SocketAddr, host: &[u8], path: &str) -> Option<&Arc<App>> {
        match self.listeners.get(&listener)? {
            Some(owner) => Some(owner),
            // `OPTIONS *` is about the server, and so for whoever serves its root.
            None => self.routes.find(host, if path == "*" { "/" } else { path }),
        }
    }

    /// Has this client no bounds of its own, for being exempt or a front of many others?
    pub(crate) fn is_exempt(&self, client: IpAddr) -> bool {
        let exempt = &self.limits.crowd.exempt;
        exempt.iter().any(|network| network.contains(&client))
            || self.clients.trusts(client)
            || self.clients.is_introduced_by(client)
    }

    /// The endpoints of all apps, open and closed.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = Arc<Endpoint<Wire>>> {
        self.apps.iter().flat_map(|app| app.upstream.endpoints())
    }

    /// Drops the idle connections of `thread` that have expired, or that their workers have closed.
    pub(crate) fn sweep(&self, thread: usize, now: Instant) {
        self.apps.iter().for_each(|app| app.upstream.sweep(thread, now, |wire| wire.is_idle()));
    }
}

impl Atlas {
    /// `threads` is how many serve; `notes` takes what the supervisor is to be told of them.
    pub(crate) fn new(
        (store, tickets): (Arc<Store>, Arc<Tickets>),
        metrics: ExchangeMetrics,
        threads: usize,
        notes: Arc<Notes>,
    ) -> Self {
        Self { known: HashMap::new(), certificates: Vec::new(), store, tickets, metrics, threads, notes }
    }

    /// Checks a snapshot and makes a world of it. Nothing has changed yet.
    ///
    /// # Errors
    /// When a certificate cannot be used, or two apps serve the same place.
    pub(crate) fn draft(&self, snapshot: Snapshot) -> Result<Draft, Rejected> {
        let certificates = self.parse_new(snapshot.certificates)?;
        let listings = snapshot.apps.iter().map(|app| listing(app, Instant::now())).collect();
        let apps: Vec<_> = snapshot.apps.iter().map(|app| Arc::new(self.app(app))).collect();
        let entries = snapshot.apps.iter().zip(&apps).filter_map(|(said, app)| Some((said, said.hosts.as_ref()?, app)));
        let entries = entries.map(|(said, hosts, app)| (&hosts[..], said.path.as_str(), Arc::clone(app))).collect();
        let routes = Table::build(entries).map_err(|conflict| Rejected::Routes(told(&conflict)))?;
        let listeners =
            snapshot.listeners.into_iter().map(|listener| owned(listener, &apps)).collect::<Result<_, _>>()?;
        let clients = Clients::new(&snapshot.clients);
        let world =
            World { limits: snapshot.limits, clients, listeners, routes, apps, ends_alone: snapshot.ends_alone };
        Ok(Draft { world, listings, certificates, tickets: snapshot.tickets })
    }

    /// Takes a draft over, up to the routes: `publish` is to put the world in force.
    ///
    /// New endpoints are there before a route leads to them, and old ones go only when no route leads to them any more.
    pub(crate) fn apply(&mut self, draft: Draft, publish: impl FnOnce(World)) {
        if let Some((texts, parsed)) = draft.certificates {
            self.store.swap(parsed);
            self.certificates = texts;
        }
        self.tickets.swap(draft.tickets.iter().map(|key| (&key.name, &key.secret)));
        for (app, (specs, bounds)) in draft.world.apps.iter().zip(draft.listings) {
            app.upstream.set(&specs, bounds);
        }
        let current = draft.world.apps.iter().map(|app| (app.name.clone(), Known::of(app))).collect();
        publish(draft.world);
        let before = std::mem::replace(&mut self.known, current);
        before.iter().filter(|(name, _)| !self.known.contains_key(name)).for_each(|(_, gone)| gone.upstream.retire());
    }

    /// Parses the certificates unless they are the ones in force.
    fn parse_new(&self, certificates: Vec<link::Certificate>) -> Result<Option<Certificates>, CertError> {
        if certificates == self.certificates {
            return Ok(None);
        }
        let parsed = certificates.iter().map(|pem| certs::parse(&pem.chain, &pem.key)).collect::<Result<_, _>>()?;
        Ok(Some((certificates, parsed)))
    }

    fn app(&self, said: &link::App) -> App {
        let known = self.known.get(&said.name).map(|known| (Arc::clone(&known.upstream), Arc::clone(&known.budget)));
        let (upstream, budget) = known.unwrap_or_else(|| {
            let (notes, name) = (Arc::clone(&self.notes), said.name.clone());
            let upstream = Upstream::new(self.threads, Notes::on_idle(&notes));
            let upstream = upstream.waking(Arc::new(move || notes.want(&name)));
            (Arc::new(upstream), Arc::new(Budget::new(Instant::now())))
        });
        App {
            name: said.name.clone(),
            upstream,
            budget,
            metrics: self.metrics.app(&said.name),
            connect_timeout: said.connect_timeout,
            response_timeout: said.response_timeout,
            body_bytes: said.requests.body_bytes,
            keepalive: said.keepalive,
            retries_by_key: said.requests.retry_idempotency_key,
            tells_start: said.requests.request_start,
            versions: Versions::of(said),
            maintenance: said.maintenance.clone().map(Bytes::from),
        }
    }
}

impl Known {
    fn of(app: &App) -> Self {
        Self { upstream: Arc::clone(&app.upstream), budget: Arc::clone(&app.budget) }
    }
}

/// The listener with the app that owns it.
fn owned(said: link::Listener, apps: &[Arc<App>]) -> Result<(SocketAddr, Option<Arc<App>>), Rejected> {
    let link::Listener { address, app } = said;
    let Some(name) = app else { return Ok((address, None)) };
    match apps.iter().find(|app| app.name == name) {
        Some(app) => Ok((address, Some(Arc::clone(app)))),
        None => Err(Rejected::Listener(address, name)),
    }
}

/// What an app's upstream is to list.
fn listing(app: &link::App, now: Instant) -> (Vec<Spec>, Bounds) {
    let specs = app.endpoints.iter().map(|endpoint| Spec {
        serial: endpoint.serial,
        slot: endpoint.slot,
        generation: endpoint.generation,
        address: endpoint.address.clone(),
        open: endpoint.open,
        introduced: endpoint.proxy_protocol,
        leaving: endpoint.leaving,
        ramp: endpoint.slow_start.map(|slow| Ramp::since(now, slow.age, slow.whole)),
        streams: match endpoint.streams {
            link::Streams::Wait => Streams::Wait,
            link::Streams::Notify { spread } => Streams::Notify { spread },
            link::Streams::Cut => Streams::Cut,
        },
    });
    let bounds = Bounds {
        max_inflight: app.max_inflight,
        hold_requests: app.hold.requests,
        hold_time: app.hold.time,
        shed_after: app.hold.shed_after,
        expected: app.condition == Condition::Expected,
        wakes: app.hold.wakes,
    };
    (specs.collect(), bounds)
}

fn told(conflict: &crate::route::Conflict<Arc<App>>) -> String {
    format!("the apps {} and {} both serve {}", conflict.first.name, conflict.second.name, conflict.place())
}
