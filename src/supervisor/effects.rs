//! What the driver does to the world outside: it starts workers and proxies, and asks whether one serves.
//!
//! The one seam between the driver and what it drives: behind it is this machine, or in tests a simulated world. What comes
//! of an effect comes back as an event, or through the [`Process`] and the link that it gives. Decides nothing.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::event::Event;
use super::hooks::Moment;
use super::launch::Starter;
use super::listeners::Listeners;
use super::output::{Files, Tail};
use super::probe;
use super::process::Process;
use super::proxies::{self, Recipe};
use super::release::Release;
use super::warmth;
use super::workers::Worker;
use crate::config::{App, Server};
use crate::id::{Address, AppName, Generation, Serial, WorkerId};
use crate::link::ToProxy;
use crate::sys::standstill::stand_still;
use crate::sys::tree::Tree;
use crate::sys::unread::{Unread, unread};

/// The hands of the driver.
pub(super) trait Effects: fmt::Debug {
    /// Starts a worker; its end is told by [`Event::Exited`].
    ///
    /// # Errors
    /// A sentence that names the step that failed; nothing is left behind then.
    fn start_worker(&self, starter: &Starter, birth: Birth<'_>) -> Result<Worker, String>;

    /// Starts a proxy; its end is told by [`Event::ProxyExited`].
    ///
    /// # Errors
    /// As of a worker.
    fn start_proxy(
        &self,
        starter: &Starter,
        number: u64,
        recipe: &Recipe,
        listeners: &Listeners,
    ) -> Result<Linked, String>;

    /// Starts a hook of a reload; its end is told by [`Event::HookEnded`].
    ///
    /// # Errors
    /// As of a worker.
    fn start_hook(&self, starter: &Starter, summons: Summons<'_>) -> Result<(Process, Tail), String>;

    /// Asks once; the answer comes as an event.
    fn ask(&self, starter: &Starter, question: Question);

    /// Stands a worker still that listens at this address, and looks what it has not read; that comes as [`Event::Stands`].
    fn stand_still(&self, starter: &Starter, worker: (AppName, Serial), tree: Tree, address: SocketAddr);
}

/// A worker to be started. `files` are those of its app, opened with the first worker that has any.
pub(super) struct Birth<'a> {
    pub(super) serial: Serial,
    pub(super) id: WorkerId,
    pub(super) release: &'a mut Release,
    pub(super) files: &'a mut Option<Files>,
}

/// A hook to be started, of the generation that runs this release.
pub(super) struct Summons<'a> {
    pub(super) serial: Serial,
    pub(super) generation: Generation,
    pub(super) moment: Moment,
    pub(super) release: &'a mut Release,
    pub(super) files: Option<&'a Files>,
}

/// A proxy that was started, and what is said to it.
pub(super) struct Linked {
    pub(super) process: Process,
    pub(super) to: mpsc::Sender<ToProxy>,
    /// Over which whoever takes over from us gives it another link.
    pub(super) relink: Option<OwnedFd>,
}

/// Whether a worker, or a server of a fixed upstream, serves; or what makes it serve well.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) app: AppName,
    pub(super) serial: Serial,
    pub(super) address: Address,
    pub(super) settings: Arc<App>,
    pub(super) about: About,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Is it ready? Answered by [`Event::Probed`].
    Readiness,
    /// Does it still serve? Answered by [`Event::Checked`].
    Liveness,
    /// What warms it. Answered by [`Event::Warmed`], unless that takes too long.
    Warmth,
}

/// This machine.
#[derive(Debug)]
pub(super) struct Machine;

/// How long a worker may take to stand still.
const STANDSTILL: Duration = Duration::from_millis(250);

/// Between two looks whether it does.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

impl Effects for Machine {
    fn start_worker(&self, starter: &Starter, birth: Birth<'_>) -> Result<Worker, String> {
        starter.start(birth)
    }

    fn start_proxy(
        &self,
        starter: &Starter,
        number: u64,
        recipe: &Recipe,
        listeners: &Listeners,
    ) -> Result<Linked, String> {
        proxies::start(starter, number, recipe, listeners)
    }

    fn start_hook(&self, starter: &Starter, summons: Summons<'_>) -> Result<(Process, Tail), String> {
        starter.start_hook(summons)
    }

    fn ask(&self, starter: &Starter, question: Question) {
        let events = starter.events.clone();
        starter.tasks.spawn(async move {
            let Question { app, serial, address, settings, about } = question;
            let through = settings.forwarding.proxy_protocol;
            let event = match (about, &settings.server) {
                (About::Readiness, _) => {
                    Event::Probed { app, serial, outcome: probe::ask(&address, &settings.probe, through).await }
                }
                (About::Liveness, Server::Command(command)) => {
                    let Some(live) = &command.live else { return };
                    Event::Checked { app, serial, outcome: probe::ask(&address, &live.probe, through).await }
                }
                (About::Warmth, Server::Command(command)) => {
                    match warmth::warm_up(&address, &command.deploy.warm, through).await {
                        Some(complaints) => Event::Warmed { app, serial, complaints },
                        None => return,
                    }
                }
                (About::Liveness | About::Warmth, Server::Fixed(_)) => return,
            };
            let _ = events.send(event).await;
        });
    }

    fn stand_still(&self, starter: &Starter, (app, serial): (AppName, Serial), tree: Tree, address: SocketAddr) {
        let events = starter.events.clone();
        starter.tasks.spawn(async move {
            let unread = timeout(STANDSTILL, unread_of(tree, address)).await.unwrap_or_default();
            let _ = events.send(Event::Stands { app, serial, unread }).await;
        });
    }
}

/// What a program has not read that listens at this address, once it stands still.
async fn unread_of(tree: Tree, address: SocketAddr) -> Vec<Unread> {
    loop {
        let tree = tree.clone();
        let look = move || stand_still(&tree).then(|| unread(address).unwrap_or_default());
        match spawn_blocking(look).await {
            Ok(Some(unread)) => return unread,
            Ok(None) => sleep(LOOK_AGAIN).await,
            Err(_) => return Vec::new(),
        }
    }
}
