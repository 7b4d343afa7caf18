//! What tables have to do with each other: addresses wanted twice, certificates without use, apps in each other's way.
//!
//! Pure: looks at what is meant and says what cannot be; places come from the reader's table of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use super::dependencies;
use super::fault::Fault;
use super::places::Places;
use super::{App, Config, Server};
use crate::id::Address;

/// The host of an app that names none.
const ANY: &str = "every host";

/// All contradictions between tables.
pub(super) fn find(config: &Config, places: &Places) -> Vec<Fault> {
    let listeners = listeners(config, places);
    let mut faults = clashes(&listeners);
    faults.extend(certificates(config, places));
    faults.extend(shared_routes(config, places));
    faults.extend(loops(config, places, &listeners));
    faults.extend(shared_files(config, places));
    faults.extend(dependencies::find(config, places));
    faults
}

/// An address that portreeve would listen on.
struct Listener {
    address: SocketAddr,
    /// `None`: the file does not say it, it is the default.
    place: Option<Range<usize>>,
}

/// All listeners, in the order in which they take their address: those that nobody wrote, then as the file has them.
fn listeners(config: &Config, places: &Places) -> Vec<Listener> {
    let listener = |address: &SocketAddr, name: String| Listener {
        address: *address,
        place: places.has(&name).then(|| places.find(&name)),
    };
    let list = |key: &'static str, addresses: &[SocketAddr]| -> Vec<Listener> {
        let named = addresses.iter().enumerate();
        named.map(|(index, address)| listener(address, format!("listen.{key}[{index}]"))).collect()
    };
    let mut all = list("http", &config.listen.http);
    all.extend(list("https", &config.listen.https));
    for app in config.apps.values().filter(|app| app.enabled) {
        let named = app.ports.iter().enumerate();
        all.extend(named.map(|(index, address)| listener(address, format!("app.{}.port[{index}]", app.name))));
    }
    all.extend(config.metrics.listen.iter().map(|address| listener(address, "metrics.listen".to_owned())));
    all.sort_by_key(|listener| listener.place.as_ref().map(|place| place.start));
    all
}

fn clashes(listeners: &[Listener]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, late) in listeners.iter().enumerate() {
        let early = listeners[..index].iter().find(|early| is_taken(late.address, early.address));
        if let (Some(early), Some(place)) = (early, &late.place) {
            faults.push(clash(early, late.address, place.clone()));
        }
    }
    faults
}

fn clash(early: &Listener, address: SocketAddr, place: Range<usize>) -> Fault {
    let message = if address == early.address {
        format!("{address} is listened on twice")
    } else {
        format!("{address} and {} cannot be listened on both", early.address)
    };
    let fault = Fault::error(place, message).label("this address is taken");
    match &early.place {
        Some(early) => fault.related(early.clone(), "taken here"),
        None => fault.help(format!("{} is a default: give [metrics] or [listen] another address", early.address)),
    }
}

/// Would the system refuse one while the other is listened on? Port 0 is another one each time, and IPv6 listeners
/// take no IPv4 connections.
fn is_taken(one: SocketAddr, other: SocketAddr) -> bool {
    let overlaps = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && overlaps
}

fn certificates(config: &Config, places: &Places) -> Option<Fault> {
    let is_told = ["tls.cert", "tls.key", "tls.certificate"].into_iter().find(|name| places.has(name));
    match (config.listen.https.is_empty(), is_told) {
        (false, None) => Some(
            Fault::error(places.find("listen.https"), "`https` needs a certificate")
                .label("no certificate to show here")
                .help("name one: [tls] cert = \"cert.pem\", key = \"key.pem\"; certs/README.md shows how to make one"),
        ),
        (true, Some(name)) if !places.has("listen.https") => {
            let fault = Fault::warning(places.find(name), "the certificate is not used: there is no `https` listener");
            Some(fault.label("read by nobody").help("add one: [listen] https = \"0.0.0.0:8443\""))
        }
        _ => None,
    }
}

/// A host and a path that an app wants to serve.
struct Claim<'a> {
    host: &'a str,
    app: &'a App,
    place: Range<usize>,
}

/// Every pair of host and path belongs to one app: the one that the file names first.
fn shared_routes(config: &Config, places: &Places) -> Vec<Fault> {
    let mut claims: Vec<Claim> =
        config.apps.values().filter(|app| app.is_routed()).flat_map(|app| claims(app, places)).collect();
    claims.sort_by_key(|claim| claim.place.start);
    let mut owners: BTreeMap<(&str, &str), &Claim> = BTreeMap::new();
    let mut faults = Vec::new();
    for claim in &claims {
        let route = (claim.host, claim.app.path.as_str());
        match owners.get(&route) {
            Some(owner) => faults.push(route_fault(claim, owner)),
            None => drop(owners.insert(route, claim)),
        }
    }
    faults
}

fn claims<'a>(app: &'a App, places: &Places) -> Vec<Claim<'a>> {
    let place = |key: String| places.find(&format!("app.{}.{key}", app.name));
    let hosts = app.hosts.iter().enumerate();
    let named = hosts.map(|(index, host)| Claim { host, app, place: place(format!("hosts[{index}]")) });
    let any = app.hosts.is_empty().then(|| Claim { host: ANY, app, place: place("path".to_owned()) });
    named.chain(any).collect()
}

fn route_fault(claim: &Claim, owner: &Claim) -> Fault {
    let (host, path, owning) = (claim.host, &claim.app.path, &owner.app.name);
    let fault = if claim.app.name == *owning {
        Fault::error(claim.place.clone(), format!("{host} is listed twice in `hosts`")).label("again")
    } else {
        Fault::error(claim.place.clone(), format!("[app.{owning}] serves {host} with path {path} already"))
            .label("which app is to answer?")
            .help("give the apps different `hosts`, or different values of `path`")
    };
    fault.related(owner.place.clone(), "claimed here")
}

/// A file is written and rotated by one app, or by the access log.
fn shared_files(config: &Config, places: &Places) -> Vec<Fault> {
    let access = config.log.access.as_ref().and_then(|access| access.path.as_deref());
    let mut owners: BTreeMap<&Path, (&str, Range<usize>)> = BTreeMap::new();
    owners.extend(access.map(|path| (path, ("the access log", places.find("log.access")))));
    let mut faults = Vec::new();
    for app in config.apps.values() {
        let Server::Command(command) = &app.server else { continue };
        for (key, path) in command.output.files().filter(|(_, path)| *path != Path::new("/dev/null")) {
            let place = places.find(&format!("app.{}.log.{key}", app.name));
            let (owner, taken) = owners.entry(path).or_insert_with(|| (app.name.as_str(), place.clone()));
            if *owner != app.name.as_str() {
                let fault = Fault::error(place, format!("{} is written by {owner} already", path.display()));
                faults.push(fault.label("give it a file of its own").related(taken.clone(), "written here"));
            }
        }
    }
    faults
}

/// An app that forwards to one of our own listeners would ask itself for ever.
fn loops(config: &Config, places: &Places, listeners: &[Listener]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for app in config.apps.values() {
        let Server::Fixed(servers) = &app.server else { continue };
        for (index, server) in servers.iter().enumerate() {
            if let Some(listener) = listeners.iter().find(|listener| reaches(server, listener.address)) {
                let place = places.find(&format!("app.{}.upstream[{index}]", app.name));
                let fault =
                    Fault::error(place, format!("{server} is portreeve itself")).label("would ask itself for ever");
                let related = listener.place.clone();
                faults.push(related.into_iter().fold(fault, |fault, place| fault.related(place, "listens here")));
            }
        }
    }
    faults
}

/// Would a connection to `server` arrive at `listener`? Of other addresses of this machine nothing is known.
fn reaches(server: &Address, listener: SocketAddr) -> bool {
    let Address::Tcp(server) = server else { return false };
    is_taken(*server, listener) && (server.ip() == listener.ip() || server.ip().is_loopback())
}
