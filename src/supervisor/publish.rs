//! Makes the snapshot: what the proxies are to know of the configuration and of what runs now.
//!
//! A translation of what is so at this moment; who receives it and when is the driver's affair.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::clock;
use super::idle::idle_timeout;
use super::listeners::{Group, Listeners};
use super::site::{Site, Supervised};
use crate::config::{App, Clients, Config, Crowd, Limits, OnDeath, Rate, Server, Streams};
use crate::id::{AppName, Serial};
use crate::lifecycle;
use crate::link::{self, Certificate, Condition, Epoch, Snapshot};

/// The world at this moment.
pub(super) fn snapshot(
    epoch: Epoch,
    sites: &BTreeMap<AppName, Site>,
    listeners: &Listeners,
    certificates: &[Certificate],
    config: &Config,
) -> Snapshot {
    let apps = sites.iter().filter(|(_, site)| !site.is_task()).map(|(name, site)| app(name, site, &config.limits));
    let apps = apps.collect();
    let listeners = listeners.iter().filter_map(listener).collect();
    let (clients, limits) = (told(&config.clients), translate(&config.limits));
    Snapshot {
        epoch,
        listeners,
        apps,
        certificates: certificates.to_vec(),
        tickets: Vec::new(),
        ends_alone: ends_alone(sites),
        clients,
        limits,
    }
}

/// A proxy has nobody to serve for when all workers have gone with their supervisor.
fn ends_alone(sites: &BTreeMap<AppName, Site>) -> bool {
    let stops = |site: &Site| match &site.app().server {
        Server::Command(command) => command.bounds.on_supervisor_death == OnDeath::Stop,
        Server::Fixed(_) => false,
    };
    let mut web = sites.values().filter(|site| !site.is_task()).peekable();
    web.peek().is_some() && web.all(stops)
}

fn listener(group: &Group) -> Option<link::Listener> {
    Some(link::Listener { address: group.sockets.first()?.address, app: group.app.clone() })
}

fn app(name: &AppName, site: &Site, common: &Limits) -> link::App {
    let app = site.app();
    let forwarding = &app.forwarding;
    link::App {
        name: name.clone(),
        hosts: app.is_routed().then(|| app.hosts.clone()),
        path: app.path.clone(),
        condition: if site.is_expected() { Condition::Expected } else { Condition::Down },
        endpoints: site.endpoints(),
        max_inflight: forwarding.max_inflight,
        requests: link::Requests {
            body_bytes: forwarding.body_bytes.or(common.body_bytes),
            retry_idempotency_key: forwarding.retry_idempotency_key,
            request_start: forwarding.request_start,
            canary: site.canary(),
            consistent: is_consistent(app),
        },
        hold: hold(site),
        connect_timeout: forwarding.connect_timeout,
        response_timeout: forwarding.response_timeout,
        keepalive: forwarding.keepalive,
        maintenance: None,
    }
}

/// Requests that wake an app, or wait while it wakes, wait for as long as its workers may take to start.
fn hold(site: &Site) -> link::Hold {
    let app = site.app();
    let start = match &app.server {
        Server::Command(command) if idle_timeout(&app.server).is_some() && !site.is_open() => {
            let warm = &command.deploy.warm;
            command.timeouts.start + if warm.requests.is_empty() { Duration::ZERO } else { warm.timeout }
        }
        _ => Duration::ZERO,
    };
    link::Hold {
        requests: app.forwarding.hold_requests,
        time: app.forwarding.hold_time.max(start),
        shed_after: app.forwarding.shed_after,
        wakes: site.is_dormant(),
    }
}

/// Where the workers of an app are reached; these leave for good.
pub(super) fn endpoints(site: &Supervised, leaving: &BTreeSet<Serial>) -> Vec<link::Endpoint> {
    let endpoint = |view: lifecycle::EndpointView| {
        let lifecycle::EndpointView { serial, slot, generation, open } = view;
        let address = site.workers.get(&serial)?.berth.address()?;
        let app = site.releases.get(generation).map(|release| &*release.app);
        Some(link::Endpoint {
            serial,
            slot,
            generation,
            address,
            open,
            proxy_protocol: app.is_some_and(|app| app.forwarding.proxy_protocol),
            leaving: leaving.contains(&serial),
            streams: app.map(streams).unwrap_or_default(),
            slow_start: app.and_then(|app| slow_start(app, site.machine.serves_since(serial)?)),
        })
    };
    site.machine.endpoints().into_iter().filter_map(endpoint).collect()
}

fn is_consistent(app: &App) -> bool {
    matches!(&app.server, Server::Command(command) if command.deploy.consistent)
}

/// How far the share of a worker has grown that serves since then; `None`: it has its full one.
fn slow_start(app: &App, since: Instant) -> Option<link::SlowStart> {
    let Server::Command(command) = &app.server else { return None };
    let (age, whole) = (clock::since(since), command.deploy.warm.slow_start);
    (age < whole).then_some(link::SlowStart { age, whole })
}

/// What becomes of streams of the app's workers. Whoever is told in time has also time to answer before the drain is over.
pub(super) fn streams(app: &App) -> link::Streams {
    match (app.forwarding.streams, &app.server) {
        (Streams::Notify { spread }, Server::Command(command)) => {
            let drain = command.timeouts.drain;
            link::Streams::Notify { spread: spread.min(drain.saturating_sub(link::FAREWELL.min(drain / 4))) }
        }
        (Streams::Cut, _) => link::Streams::Cut,
        (Streams::Wait | Streams::Notify { .. }, _) => link::Streams::Wait,
    }
}

fn told(clients: &Clients) -> link::Clients {
    link::Clients {
        trusted: clients.trusted_proxies.clone(),
        proxy_protocol: clients.proxy_protocol.clone(),
        forwarded: clients.forwarded,
        start_traces: clients.start_traces,
        allow_headers: clients.allow_headers.clone(),
    }
}

fn translate(limits: &Limits) -> link::Limits {
    link::Limits {
        connections: limits.connections,
        header_bytes: limits.header_bytes,
        header_count: limits.header_count,
        handshake_timeout: limits.handshake_timeout,
        header_timeout: limits.header_timeout,
        body_idle: limits.body_idle,
        body_rate: limits.body_rate,
        write_stall: limits.write_stall,
        keepalive_idle: limits.keepalive_idle,
        http2: link::Http2 { streams: limits.http2.streams, requests: limits.http2.requests },
        crowd: crowd(&limits.crowd),
    }
}

fn crowd(crowd: &Crowd) -> link::Crowd {
    let rate = |rate: Rate| link::Rate { count: rate.count, period: rate.period, burst: rate.burst };
    link::Crowd {
        handshakes: crowd.handshakes,
        connections_per_ip: crowd.connections_per_ip,
        connects_per_ip: crowd.connects_per_ip.map(rate),
        requests_per_ip: crowd.requests_per_ip.map(rate),
        exempt: crowd.exempt.clone(),
    }
}
