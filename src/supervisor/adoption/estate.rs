//! What an earlier supervisor has left: its ledger, and the descriptors that are named there, with their numbers here.
//!
//! Invariants: a descriptor stays where it was handed over until [`Heritage::close`]; until then [`Heritage::give_back`] hands
//! everything to the program that was there before.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use serde::{Deserialize, Serialize};

use super::ledger::Ledger;
use super::store::{LEDGER, PREFIX};
use crate::config::{self, Loaded};
use crate::link::Certificate;
use crate::supervisor::tickets;
use crate::sys::handover;
use crate::sys::journal::Journal;

/// Names the descriptor on which an earlier image of this program tells of its estate.
pub(super) const VARIABLE: &str = "PORTREEVE_HANDOVER";

/// More numbers than are given between two writings of the ledger.
const LEAP: u64 = 1000;

/// Set by a keeper for whom it has started.
pub(in crate::supervisor) const KEPT: &str = "PORTREEVE_KEPT";

/// What stands in that descriptor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Will {
    pub(super) ledger: serde_json::Value,
    /// The number of each descriptor, by its name.
    pub(super) descriptors: BTreeMap<String, RawFd>,
    /// What a manager keeps of ours, by what it is of.
    #[serde(default)]
    pub(super) kept: BTreeMap<String, u64>,
    /// In force; they stand nowhere else but in their files, which may be others by now, or gone.
    #[serde(default)]
    pub(super) certificates: Vec<Certificate>,
    /// Keys of session tickets, which stand nowhere else.
    #[serde(default)]
    pub(super) tickets: Vec<tickets::Record>,
    /// The program that was there before, as long as one can go back to it.
    pub(super) program: Option<RawFd>,
    /// How many supervisors there were.
    pub(super) before: u64,
    /// Why the one that was to take over has not.
    pub(super) refused: Option<String>,
}

/// What is there to be taken over.
#[derive(Debug)]
pub(in crate::supervisor) struct Estate {
    pub(in crate::supervisor) ledger: Ledger,
    pub(in crate::supervisor) certificates: Vec<Certificate>,
    pub(in crate::supervisor) tickets: Vec<tickets::Record>,
    pub(super) kept: BTreeMap<String, u64>,
    /// Whoever wrote the ledger was killed: what it did in its last moment may not be in there.
    pub(in crate::supervisor) is_of_a_crash: bool,
    numbers: BTreeMap<String, RawFd>,
}

/// An estate that nobody has taken yet, and the way back.
#[derive(Debug)]
pub struct Heritage {
    pub(in crate::supervisor) estate: Estate,
    /// The descriptor that tells of it, if an earlier image of this process has made one.
    memory: Option<RawFd>,
    program: Option<RawFd>,
    pub(in crate::supervisor) line: super::Line,
}

impl Heritage {
    /// What an earlier image of this process has left, if it has; otherwise this is the first.
    ///
    /// # Errors
    /// A sentence; the program that was there before is back then, unless there is no way back.
    pub fn find() -> Result<Option<Self>, String> {
        let Some(value) = std::env::var_os(VARIABLE) else { return Ok(Self::kept()) };
        let memory = value.to_str().and_then(|text| text.parse().ok()).ok_or(format!("{VARIABLE} is no number"))?;
        let failed = |error: &dyn std::fmt::Display| format!("what was handed over cannot be read: {error}");
        let text = handover::read(memory).map_err(|error| failed(&error))?;
        let will: Will = serde_json::from_str(&text).map_err(|error| failed(&error))?;
        let line = super::Line { before: will.before, refused: will.refused.clone() };
        match Ledger::read(&will.ledger.to_string()) {
            Ok(ledger) => {
                let Will { certificates, tickets, kept, descriptors: numbers, program, .. } = will;
                let estate = Estate { ledger, certificates, tickets, kept, is_of_a_crash: false, numbers };
                Ok(Some(Self { estate, memory: Some(memory), program, line }))
            }
            Err(reason) => Err(go_back(will, memory, &reason)),
        }
    }

    /// What a manager has kept for us of a supervisor that was killed. Where that cannot be read, nothing of it is to be left.
    fn kept() -> Option<Self> {
        let passed = handover::passed().into_iter();
        let numbers: BTreeMap<String, RawFd> =
            passed.filter_map(|(number, name)| Some((name.strip_prefix(PREFIX)?.to_owned(), number))).collect();
        let [first, second] = LEDGER.map(|name| handover::duplicate(*numbers.get(name)?).ok());
        let will = Will::of(&Journal::adopt([first?, second?]));
        let read = will.and_then(|will| Ok((Ledger::read(&will.ledger.to_string())?, will)));
        match read {
            Ok((ledger, Will { certificates, tickets, before, .. })) => {
                let ends = numbers.iter().filter_map(|(name, number)| Some((name, handover::duplicate(*number).ok()?)));
                let kept = ends.filter_map(|(name, end)| Some((name.clone(), handover::inode(end.as_fd()).ok()?)));
                let kept = kept.collect();
                let estate = Estate { ledger, certificates, tickets, kept, is_of_a_crash: true, numbers };
                Some(Self {
                    estate,
                    memory: None,
                    program: None,
                    line: super::Line { before: before + 1, refused: None },
                })
            }
            Err(reason) => {
                eprintln!("portreeve: what an earlier supervisor has left cannot be taken over: {reason}");
                None
            }
        }
    }

    /// The configuration that was in force.
    ///
    /// # Errors
    /// A sentence, when this program does not take it.
    pub fn config(&self) -> Result<Loaded, String> {
        self.estate.ledger.settings.read()
    }

    /// Is the configuration the list that `start`, `stop` and `delete` edit?
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.estate.ledger.roster.is_list
    }

    /// Becomes the program again that was there before, with all that it had left. Returns only if there is none, or it
    /// cannot be run; gives the reason for both then.
    #[must_use]
    pub fn give_back(self, reason: &str) -> String {
        let Some(memory) = self.memory else { return reason.to_owned() };
        let text = handover::read(memory).unwrap_or_default();
        match serde_json::from_str::<Will>(&text) {
            Ok(will) => go_back(will, memory, reason),
            Err(_) => reason.to_owned(),
        }
    }

    /// It is taken: nothing of it is where it was handed over any more.
    pub(in crate::supervisor) fn close(self) {
        if self.estate.is_of_a_crash {
            // Sockets of a service manager: those that were in use are among what was kept, and the others are nobody's.
            handover::passed()
                .iter()
                .filter(|(_, name)| !name.starts_with(PREFIX))
                .for_each(|(number, _)| handover::close(*number));
        }
        let others = self.program.iter().chain(&self.memory);
        self.estate.numbers.values().chain(others).for_each(|number| handover::close(*number));
    }
}

impl Estate {
    /// The next serial that is nobody's: what began in the last moment before a crash may have had some.
    pub(in crate::supervisor) fn next_serial(&self) -> u64 {
        self.ledger.next.serial + if self.is_of_a_crash { LEAP } else { 0 }
    }

    /// The last epoch that any proxy can have.
    pub(in crate::supervisor) fn epoch(&self) -> u64 {
        self.ledger.next.epoch + if self.is_of_a_crash { LEAP } else { 0 }
    }

    /// Another descriptor for what has this name, if it was left.
    pub(in crate::supervisor) fn take(&self, name: &str) -> Option<OwnedFd> {
        handover::duplicate(*self.numbers.get(name)?).ok()
    }
}

impl super::ledger::Settings {
    /// # Errors
    /// A sentence, when this program does not take it.
    pub(in crate::supervisor) fn read(&self) -> Result<Loaded, String> {
        let mut loaded = self.parse(self.text)?;
        let mut read = BTreeMap::from([(self.text, loaded.config.clone())]);
        let mut apps = BTreeMap::new();
        for (name, settings) in &self.apps {
            let config = match read.entry(settings.text) {
                Entry::Occupied(read) => read.into_mut(),
                Entry::Vacant(place) => place.insert(self.parse(settings.text)?.config),
            };
            let app = config.apps.get(name);
            let app = app.ok_or_else(|| format!("app {name} is not where it was read"))?;
            apps.insert(name.clone(), settings.apply(app.clone()));
        }
        loaded.config.apps = apps;
        Ok(loaded)
    }

    pub(super) fn parse(&self, text: usize) -> Result<Loaded, String> {
        let text = self.texts.get(text).ok_or("a text of the configuration is missing")?;
        let parsed = config::parse_with(text, &self.path, self.profile.as_deref());
        // Another app may have the profile, and not this one.
        let parsed = parsed.or_else(|errors| config::parse(text, &self.path).map_err(|_| errors));
        parsed.map_err(|errors| format!("the configuration in force is not what it takes:\n{}", errors.render(false)))
    }
}

/// Becomes the program of the will, without a further way back; gives the reason if that cannot be.
fn go_back(will: Will, memory: RawFd, reason: &str) -> String {
    let Some(program) = will.program else { return reason.to_owned() };
    let back = || -> io::Result<io::Error> {
        let (before, refused) = (will.before + 1, Some(reason.to_owned()));
        let text = serde_json::to_vec(&Will { program: None, before, refused, ..will })?;
        let (told, program) = (handover::memory("portreeve-handover", &text)?, handover::duplicate(program)?);
        handover::close(memory);
        Ok(become_next(&program, &told, &[]))
    };
    match back() {
        Ok(error) | Err(error) => format!("{reason}; and the program that was there before cannot be run: {error}"),
    }
}

/// Becomes a program that is told of an estate by `told`, and keeps these descriptors too. Returns only if that fails.
pub(super) fn become_next(program: &OwnedFd, told: &OwnedFd, keep: &[BorrowedFd<'_>]) -> io::Error {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let others = std::env::vars_os().filter(|(name, _)| name != VARIABLE);
    let ours = (VARIABLE.into(), told.as_raw_fd().to_string().into());
    let keep: Vec<_> = keep.iter().copied().chain([told.as_fd()]).collect();
    handover::become_program(program.as_fd(), &arguments, others.chain([ours]), &keep)
}
