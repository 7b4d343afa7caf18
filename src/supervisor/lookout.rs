//! Looks after a worker that does not get ready: it may listen, only not where it was told to.
//!
//! Says what it sees, and what the operator can do about it; a worker's fate is not decided here. Invariant: nobody is
//! looked at any more once it is ready, gone, or late.

use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::Supervisor;
use super::channel::Subject;
use super::event::Event;
use super::site::Site;
use crate::config::{Command, Readiness, Server};
use crate::id::{Address, AppName, Serial};
use crate::lifecycle;
use crate::sys::listening;
use crate::sys::tree::Tree;

/// From the start of a worker to the first look; each further one comes after twice the time.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Of a worker that has not opened a socket: it may be on its way, or it never will.
const NOWHERE: &str = "it listens nowhere; an app that serves nobody is a task: `start --task`, or kind = \"task\"";

/// Addresses that are named.
const MOST_NAMED: usize = 3;

/// The watch over one worker, and what it has brought.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    task: Option<AbortOnDropHandle<()>>,
    /// Where it listens instead, and what can be done.
    elsewhere: Option<String>,
}

/// What was seen of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// It listens where it was told to.
    Home,
    /// It listens, but only here.
    Elsewhere(Vec<SocketAddr>),
    /// It does not listen at all.
    Nowhere,
}

impl Lookout {
    /// Looks again and again, until it listens at home or the time is over. A worker without a port is not looked at.
    pub(super) fn post(tree: &Tree, home: Option<&Address>, subject: Subject, limit: Duration) -> Self {
        let Some(&Address::Tcp(home)) = home else { return Self::default() };
        let tree = tree.clone();
        let watch = async move {
            let (app, serial) = (subject.worker.app.clone(), subject.serial);
            let (mut pause, mut waited) = (FIRST_LOOK, Duration::ZERO);
            while waited + pause < limit {
                tokio::time::sleep(pause).await;
                waited += pause;
                pause *= 2;
                let tree = tree.clone();
                let look = tokio::task::spawn_blocking(move || listening::addresses(&tree));
                let Ok(sight) = look.await.map(|addresses| judge(addresses, home)) else { continue };
                let is_home = sight == Sight::Home;
                let _ = subject.events.send(Event::Sighted { app: app.clone(), serial, sight }).await;
                if is_home {
                    return;
                }
            }
        };
        Self { task: Some(AbortOnDropHandle::new(tokio::spawn(watch))), elsewhere: None }
    }

    /// Is it still to be waited for?
    pub(super) fn is_posted(&self) -> bool {
        self.task.is_some()
    }

    /// A failed probe, with what else is known.
    pub(super) fn explain(&self, complaint: String) -> String {
        match &self.elsewhere {
            Some(elsewhere) => format!("{complaint}; {elsewhere}"),
            None => complaint,
        }
    }
}

fn judge(addresses: Vec<SocketAddr>, home: SocketAddr) -> Sight {
    let is_home = |address: &SocketAddr| {
        address.port() == home.port() && (address.ip() == home.ip() || address.ip().is_unspecified())
    };
    match addresses {
        addresses if addresses.iter().any(is_home) => Sight::Home,
        addresses if addresses.is_empty() => Sight::Nowhere,
        addresses => Sight::Elsewhere(addresses),
    }
}

impl Supervisor {
    /// Takes in what was seen of a worker that is not ready.
    pub(super) fn sighted(&mut self, app: &AppName, serial: Serial, sight: Sight) {
        let Some(Site::Supervised(site)) = self.sites.get_mut(app) else { return };
        let readiness = site.readiness(serial);
        let Some(worker) = site.workers.get_mut(&serial) else { return };
        let addresses = match sight {
            Sight::Elsewhere(addresses) => addresses,
            Sight::Nowhere => return worker.lookout.elsewhere = Some(NOWHERE.to_owned()),
            Sight::Home => {
                worker.lookout.elsewhere = None;
                // It may have bound its port by itself: nobody was asked for a socket then, nor told that it listens.
                if readiness == Some(Readiness::Listening) {
                    self.declared(app.clone(), serial, Readiness::Listening);
                }
                return;
            }
        };
        let Some(Server::Command(command)) = site.releases.get(worker.id.generation).map(|release| &release.app.server)
        else {
            return;
        };
        let Some(home) = worker.berth.address() else { return };
        let sentence = elsewhere(&addresses, &home, command);
        let told = worker.lookout.elsewhere.replace(sentence.clone());
        if told.as_ref() != Some(&sentence) {
            tracing::warn!(worker = %worker.id, "a worker is not ready: {sentence}");
        }
        if readiness != Some(Readiness::Probe) {
            self.machines.queue.push_back((app.clone(), lifecycle::Event::Probed { serial, outcome: Err(sentence) }));
        }
    }

    /// A worker that can serve needs no watch.
    pub(super) fn dismiss_lookout(&mut self, app: &AppName, serial: Serial) {
        if let Some(Site::Supervised(site)) = self.sites.get_mut(app)
            && let Some(worker) = site.workers.get_mut(&serial)
        {
            worker.lookout = Lookout::default();
        }
    }
}

fn elsewhere(addresses: &[SocketAddr], home: &Address, command: &Command) -> String {
    let mut named: Vec<String> = addresses.iter().take(MOST_NAMED).map(SocketAddr::to_string).collect();
    if addresses.len() > MOST_NAMED {
        named.push("others".to_owned());
    }
    let places = named.join(" and ");
    let advice = command.node_remedy().map_or_else(
        || "let it listen on HOST:PORT as the environment has them".to_owned(),
        |remedy| format!("`{remedy}` moves an app that has a port of its own"),
    );
    format!("it listens on {places} and not on {home}, its HOST and PORT: {advice}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_worker_is_at_home_if_connections_to_its_place_arrive() {
        let home = "127.0.0.1:41234".parse().unwrap();
        for (seen, sight) in [
            (&["127.0.0.1:41234"][..], Sight::Home),
            (&["0.0.0.0:9100", "[::]:41234"], Sight::Home),
            (&["[::1]:41234"], Sight::Elsewhere(addresses(&["[::1]:41234"]))),
            (&["[::]:3000"], Sight::Elsewhere(addresses(&["[::]:3000"]))),
            (&[], Sight::Nowhere),
        ] {
            assert_eq!(judge(addresses(seen), home), sight, "{seen:?}");
        }
    }

    #[test]
    fn the_sentence_names_the_places_and_a_cure_that_fits_the_command() {
        let home = Address::Tcp("127.0.0.1:41234".parse().unwrap());
        for (command, cure) in [
            ("'node x.js'", "`node = \"cluster\"` moves"),
            ("'npm start'", "`node = \"preload\"` moves"),
            ("'python3 x.py'", "let it listen on HOST:PORT"),
        ] {
            let text = format!("[app.web]\ncommand = {command}\n");
            let mut config = crate::config::parse(&text, Path::new("/portreeve.toml")).unwrap().config;
            let Server::Command(command) = config.apps.pop_first().unwrap().1.server else { panic!("a command") };
            let said = elsewhere(&addresses(&["[::]:3000", "[::]:1", "[::]:2", "[::]:3"]), &home, &command);
            assert!(said.starts_with("it listens on [::]:3000 and [::]:1 and [::]:2 and others and not on"), "{said}");
            assert!(said.contains("127.0.0.1:41234") && said.contains(cure), "{said}");
        }
    }
}
