//! What there is to tell the supervisor that comes up on any thread: endpoints that have become idle, apps that are to wake.
//!
//! Keeps it until it is said. As much at most as there are endpoints and apps. Invariant: that a request waits for an app which
//! sleeps is said before what has become idle meanwhile, so that nobody is sent away whom a request waits for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::id::{AppName, Serial};
use crate::upstream::OnIdle;

#[derive(Default)]
pub(crate) struct Notes {
    noted: Mutex<Noted>,
    pub(super) changed: Notify,
}

/// What the supervisor has not been told of.
#[derive(Default)]
pub(super) struct Noted {
    pub(super) idle: Vec<Serial>,
    pub(super) wanted: BTreeSet<AppName>,
}

impl Notes {
    /// Notes whatever endpoint becomes idle.
    pub(crate) fn on_idle(notes: &Arc<Self>) -> OnIdle {
        let notes = Arc::clone(notes);
        Arc::new(move |serial| notes.note(|noted| noted.idle.push(serial)))
    }

    /// A request waits for an app that sleeps.
    pub(crate) fn want(&self, app: &AppName) {
        self.note(|noted| {
            noted.wanted.insert(app.clone());
        });
    }

    pub(super) fn take(&self) -> Noted {
        std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, add: impl FnOnce(&mut Noted)) {
        add(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }
}
