//! The primary's part of a Node cluster, for the workers of one app: they ask where to listen, and get sockets.
//!
//! Each worker gets a socket of its own on its own `PORT`, and accepts by itself; what the app calls that port makes no
//! difference. Its further ports are shared by all its workers. What each gets is decided in [`seat`]. Invariant: a
//! worker's own socket is kept by nobody but the worker, so with its process ends whatever could take a connection.

mod seat;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::Supervisor;
use super::channel::Channel;
use super::channel::cluster::{self, Errno, Query, Said, Wanted};
use super::site::{Site, Supervised};
use super::workers::Worker;
use crate::config::{NodeMode, Readiness, Server};
use crate::id::{Address, AppName, Serial};
use crate::sys::handout::{self, Options};
use seat::{Choice, Held, Refusal, Seat};
use shared::Shared;

pub(super) use seat::Terms;

/// EINVAL, for a failure without a number.
const INVALID: i32 = 22;

/// What the workers of an app have been given.
#[derive(Debug, Default)]
pub(super) struct Primary {
    seats: BTreeMap<Serial, Seat>,
    shared: Shared,
    /// Ports that were once taken for the main one and were not.
    others: BTreeSet<u16>,
    has_told_guess: bool,
}

/// What of it is written down. The sockets that are shared, by who has each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    seats: BTreeMap<Serial, Seat>,
    shared: Vec<(Wanted, BTreeSet<Serial>)>,
    others: BTreeSet<u16>,
}

impl Supervisor {
    /// Takes in what a worker says to its primary; of a worker that has none it is no news.
    pub(super) fn cluster_said(&mut self, app: &AppName, serial: Serial, said: Said) {
        let Some(Site::Supervised(site)) = self.sites.get_mut(app) else { return };
        let Some(terms) = site.terms(serial) else { return };
        let Some(Worker { channel: Some(channel), id, .. }) = site.workers.get(&serial) else { return };
        match said {
            Said::Query(query) => {
                if let Err(reason) = site.primary.answer(serial, terms, &query, channel) {
                    tracing::warn!(worker = %id, %reason, "a worker cannot listen");
                }
            }
            Said::Close { key } => site.primary.close(serial, key),
            Said::Leaving { number } => drop(channel.answer(&cluster::acknowledge(number))),
            Said::Listening { port } => {
                if site.primary.serves_on(serial, port) {
                    self.declared(app.clone(), serial, Readiness::Listening);
                }
            }
        }
    }

    /// A worker can no longer be spoken to: one that was asked to leave the channel has finished what it had in hand.
    pub(super) fn left_channel(&self, app: &AppName, serial: Serial) {
        if let Some(Site::Supervised(site)) = self.sites.get(app)
            && let Some(worker) = site.workers.get(&serial)
        {
            worker.left_channel();
        }
    }
}

impl Supervised {
    /// `None`: it is no worker of a cluster.
    fn terms(&self, serial: Serial) -> Option<Terms> {
        let worker = self.workers.get(&serial)?;
        let release = self.releases.get(worker.id.generation)?;
        let Server::Command(command) = &release.app.server else { return None };
        let Some(Address::Tcp(address)) = worker.berth.address() else { return None };
        let terms = Terms {
            port: address.port(),
            named: command.contract.node.port.map(std::num::NonZeroU16::get),
            is_another_user: release.is_another_user(),
        };
        (command.contract.node.mode == NodeMode::Cluster).then_some(terms)
    }
}

impl Primary {
    /// # Errors
    /// A sentence that says what the worker was refused and why.
    fn answer(&mut self, serial: Serial, terms: Terms, query: &Query, channel: &Channel) -> Result<(), String> {
        let wanted = &query.wanted;
        let seat = self.seats.entry(serial).or_insert_with(|| Seat::new(terms));
        let choice = seat.choose(wanted, &self.others);
        let key = seat.hold(wanted, choice);
        if let (Choice::Shared, Wanted::Tcp { port, .. }, Some(guess), false) =
            (choice, wanted, seat.guess(), self.has_told_guess)
        {
            self.has_told_guess = true;
            tracing::warn!(
                "requests go to port {guess} of the app, for which it asked first, and its workers share port {port}; \
                 node = {{ mode = \"cluster\", port = {port} }} would turn it round"
            );
        }
        let granted = match choice {
            Choice::Main => own(terms.port).map(|socket| channel.grant(query, key, &socket)),
            Choice::Shared => self.shared.share(wanted, serial).map(|socket| channel.grant(query, key, socket)),
            Choice::Private => shared::bind_private(wanted).map(|socket| channel.grant(query, key, &socket)),
            Choice::Refused(refusal) => {
                if let Refusal::Misjudged(port) = refusal {
                    self.others.insert(port);
                }
                channel.answer(&query.refuse(key, refusal.errno()));
                return Err(told(refusal, wanted));
            }
        };
        match granted {
            Ok(true) => Ok(()),
            // It is gone, or does not read: then it does not wait either.
            Ok(false) => {
                self.close(serial, key);
                Ok(())
            }
            Err(error) => {
                self.close(serial, key);
                channel.answer(&query.refuse(key, Errno(error.raw_os_error().unwrap_or(INVALID))));
                Err(format!("{}: {error}", place(wanted)))
            }
        }
    }

    fn close(&mut self, serial: Serial, key: u64) {
        let held = self.seats.get_mut(&serial).and_then(|seat| seat.release(key));
        if let Some(Held::Shared(wanted)) = held {
            self.shared.give_back(&wanted, serial);
        }
    }

    /// As it is written down for whoever takes over from us.
    pub(super) fn record(&self) -> Record {
        Record { seats: self.seats.clone(), shared: self.shared.record(), others: self.others.clone() }
    }

    /// The shared sockets, in the order of the record.
    pub(super) fn ends(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.shared.ends()
    }

    /// That of a supervisor before us; `take` gives the socket of this number.
    pub(super) fn adopt(record: &Record, take: impl Fn(usize) -> Option<OwnedFd>) -> Self {
        let shared = Shared::adopt(&record.shared, take);
        Self { seats: record.seats.clone(), shared, others: record.others.clone(), has_told_guess: true }
    }

    fn serves_on(&self, serial: Serial, port: u16) -> bool {
        self.seats.get(&serial).is_some_and(|seat| seat.serves_on(port))
    }

    /// A worker has ended.
    pub(super) fn forget(&mut self, serial: Serial) {
        self.seats.remove(&serial);
        self.shared.forget(serial);
    }
}

/// A socket at the worker's own place, which is reserved: beside the reservation it can be bound again and again.
fn own(port: u16) -> io::Result<OwnedFd> {
    handout::bind_tcp(SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port)), Options::default())
}

fn told(refusal: Refusal, wanted: &Wanted) -> String {
    let place = place(wanted);
    match refusal {
        Refusal::Twice => format!("{place}: it listens there already"),
        Refusal::Misjudged(port) => format!(
            "{place}: this is its PORT, but port {port}, which it asked for first, was taken for the one of its requests; \
             from now on it is not"
        ),
        Refusal::NotPermitted => format!("{place}: its user may not, and portreeve does not do it for him"),
        Refusal::TooMany => format!("{place}: it has {} listeners already", seat::MOST_LISTENERS),
        Refusal::Unknown => "it asks for a descriptor of another process, or for an address with a scope".to_owned(),
    }
}

fn place(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Tcp { address: None, port, .. } => format!("port {port}"),
        Wanted::Tcp { address: Some(address), port, .. } => SocketAddr::new(*address, *port).to_string(),
        Wanted::Udp { address, port, .. } => format!("udp {}", SocketAddr::new(*address, *port)),
        Wanted::Path(path) => path.display().to_string(),
        Wanted::Unknown => "?".to_owned(),
    }
}
