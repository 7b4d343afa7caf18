//! Keeps the ledger current with whoever keeps descriptors for us, so that another supervisor can take over if we are killed.
//!
//! That is the service manager (`FDSTORE=1`, `sd_notify(3)`) or a keeper of our own. Each descriptor is known by its name and
//! by what it is of. Invariant: what the ledger names is with the manager before the ledger says so, and is forgotten only
//! after it no longer does.

use std::collections::BTreeMap;
use std::io;

use super::estate::{Estate, Will};
use crate::supervisor::Supervisor;
use crate::sys::handover;
use crate::sys::journal::Journal;

/// Before the names of what is ours, among what a manager may keep.
pub(in crate::supervisor) const PREFIX: &str = "portreeve.";

/// The files of the ledger.
pub(super) const LEDGER: [&str; 2] = ["ledger.0", "ledger.1"];

/// What the manager keeps.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Store {
    /// `None`: nobody keeps anything.
    journal: Option<Journal>,
    kept: BTreeMap<String, u64>,
    is_due: bool,
    has_failed: bool,
}

impl Store {
    /// One that begins empty.
    pub(in crate::supervisor) fn open(room: usize) -> io::Result<Self> {
        let journal = (room > 0).then(|| Journal::new("portreeve-ledger")).transpose()?;
        Ok(Self { journal, ..Self::default() })
    }

    /// That of whoever was before us.
    pub(in crate::supervisor) fn adopt(estate: &Estate, room: usize) -> io::Result<Self> {
        let [first, second] = LEDGER.map(|name| estate.take(name));
        match (first, second) {
            (Some(first), Some(second)) if room > 0 => {
                let journal = Some(Journal::adopt([first, second]));
                Ok(Self { journal, kept: estate.kept.clone(), is_due: true, has_failed: false })
            }
            _ => Self::open(room),
        }
    }

    /// Does anybody keep anything?
    pub(in crate::supervisor) fn is_open(&self) -> bool {
        self.journal.is_some()
    }

    /// Something has happened that the next in line should know, unless it is told of it anyway.
    pub(in crate::supervisor) fn note(&mut self, is_of_figures: bool) {
        self.is_due |= !is_of_figures;
    }

    pub(super) fn kept(&self) -> &BTreeMap<String, u64> {
        &self.kept
    }

    /// The files of the ledger, by their names.
    pub(super) fn ends(&self) -> impl Iterator<Item = (String, std::os::fd::BorrowedFd<'_>)> {
        let ends = self.journal.iter().flat_map(|journal| LEDGER.into_iter().zip(journal.ends()));
        ends.map(|(name, end)| (name.to_owned(), end))
    }
}

impl Supervisor {
    /// Writes down what has changed, for whoever comes if we are killed now.
    pub(in crate::supervisor) fn keep_current(&mut self) {
        if !std::mem::take(&mut self.outlook.store.is_due) || self.outlook.store.journal.is_none() {
            return;
        }
        let mut store = std::mem::take(&mut self.outlook.store);
        let kept = self.keep(&mut store);
        if let (Err(error), false) = (&kept, store.has_failed) {
            tracing::error!(%error, "what is needed to take over cannot be kept: a supervisor that is killed takes its workers along");
        }
        store.has_failed = kept.is_err();
        self.outlook.store = store;
    }

    /// Nobody is to take over: all has ended. A service that is started again at once (`systemctl restart`) would find it all.
    /// The ledger goes first, as it names the others.
    pub(in crate::supervisor) fn leave_nothing(&mut self) {
        let kept = std::mem::take(&mut self.outlook.store).kept.into_keys();
        let (ledger, others): (Vec<_>, Vec<_>) = kept.partition(|name| LEDGER.contains(&name.as_str()));
        for name in ledger.into_iter().chain(others) {
            if let Err(error) = self.outlook.notifier.forget(&format!("{PREFIX}{name}")) {
                return tracing::warn!(%error, "the service manager goes on keeping what has ended");
            }
        }
    }

    fn keep(&self, store: &mut Store) -> io::Result<()> {
        let Store { journal: Some(journal), kept, .. } = store else { return Ok(()) };
        let mut present = BTreeMap::new();
        let files = LEDGER.into_iter().map(str::to_owned).zip(journal.ends());
        for (name, end) in files.chain(self.ends()) {
            let is = handover::inode(end)?;
            if kept.get(&name) != Some(&is) {
                if kept.contains_key(&name) {
                    self.outlook.notifier.forget(&format!("{PREFIX}{name}"))?;
                }
                self.outlook.notifier.keep(&format!("{PREFIX}{name}"), end)?;
                kept.insert(name.clone(), is);
            }
            present.insert(name, is);
        }
        let text = serde_json::to_vec(&self.will(&BTreeMap::new()))?;
        journal.write(&text)?;
        for name in kept.extract_if(.., |name, _| !present.contains_key(name)).map(|(name, _)| name) {
            self.outlook.notifier.forget(&format!("{PREFIX}{name}"))?;
        }
        Ok(())
    }
}

impl Will {
    /// What an earlier supervisor has written that was killed.
    pub(super) fn of(journal: &Journal) -> Result<Self, String> {
        let text = journal.read().ok_or("there is no whole ledger")?;
        serde_json::from_slice(&text).map_err(|error| format!("it is no ledger: {error}"))
    }
}
