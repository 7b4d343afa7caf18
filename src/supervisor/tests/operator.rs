//! The simulated operator: edits the file, gives orders, and remembers what is to be there in the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::sync::oneshot;

use super::town::{CALM, Kind, Spec, Town, name};
use crate::control::words::{Diversion, Order, Reached, Refusal, Reloaded};
use crate::control::{Call, Scaling, Scope};
use crate::id::AppName;
use crate::supervisor::event::{Event, Signal};

/// An answer that is waited for.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) what: String,
    pub(super) reply: Answer,
}

#[derive(Debug)]
pub(super) enum Answer {
    Change(oneshot::Receiver<Result<Reloaded, Refusal>>),
    Diversion(oneshot::Receiver<Result<Reached, Refusal>>),
}

/// What is to be, once an order is taken.
#[derive(Clone, Debug)]
enum Change {
    Reload(Vec<AppName>),
    Switch(Vec<AppName>, bool),
    Scale(AppName, u32),
}

#[derive(Debug)]
pub(super) struct Operator {
    pub(super) path: PathBuf,
    /// What stands in the file.
    file: Town,
    /// What was read of it, app by app.
    pub(super) in_force: Town,
    switched: BTreeMap<AppName, bool>,
    /// The number asked for, and the one in the file at that time.
    scaled: BTreeMap<AppName, (u32, u32)>,
    pub(super) waiting: Vec<Waiting>,
    /// What the latest order comes to, if it is taken.
    due: Option<Change>,
    /// The file cannot be read.
    is_broken: bool,
}

impl Operator {
    pub(super) fn new(path: &Path, town: Town) -> Self {
        std::fs::write(path, town.text()).unwrap();
        Self {
            path: path.to_owned(),
            file: town.clone(),
            in_force: town,
            switched: BTreeMap::new(),
            scaled: BTreeMap::new(),
            waiting: Vec::new(),
            due: None,
            is_broken: false,
        }
    }

    pub(super) fn is_on(&self, app: &AppName) -> bool {
        self.in_force.0.contains_key(app) && self.switched.get(app).copied().unwrap_or(true)
    }

    /// The workers that an app is to have.
    pub(super) fn workers(&self, app: &AppName) -> u32 {
        self.scaled.get(app).map_or_else(|| self.in_force.0[app].workers, |(number, _)| *number)
    }

    /// One more order, as chance has it. `note_order` says afterwards whether it was taken.
    pub(super) fn order(&mut self, chance: &mut fastrand::Rng) -> (String, Event) {
        if chance.u32(0..3) == 0 {
            self.edit(chance);
        }
        let known = self.subjects();
        let Some(app) = (!known.is_empty()).then(|| known[chance.usize(0..known.len())].clone()) else {
            return self.reload(Vec::new());
        };
        match chance.u32(0..20) {
            0..2 => self.reload(Vec::new()),
            2..6 => self.reload(vec![app]),
            6..8 => self.switch(Order::Restart, vec![app]),
            8..10 => self.switch(Order::Start, vec![app]),
            10..12 => self.switch(Order::Stop, vec![app]),
            12..16 => self.scale(app, chance.u32(1..6)),
            16 => {
                self.take_unanswered();
                ("SIGHUP".to_owned(), Event::Signal(Signal::Reload))
            }
            17 => self.switch([Order::Restart, Order::Start, Order::Stop][chance.usize(0..3)], known),
            _ => self.divert(&app, chance),
        }
    }

    /// The apps that are ordered about.
    pub(super) fn subjects(&self) -> Vec<AppName> {
        self.in_force.0.keys().filter(|app| app.as_str() != CALM).cloned().collect()
    }

    /// The file is mended, and everything is as it says.
    pub(super) fn mend(&mut self) -> (String, Event) {
        self.is_broken = false;
        std::fs::write(&self.path, self.file.text()).unwrap();
        self.reload(Vec::new())
    }

    /// The order that was given last was handled; gives why, if it was refused.
    pub(super) fn note_order(&mut self) -> Option<String> {
        let change = self.due.take()?;
        let last = self.waiting.last_mut().expect("what is due is answered");
        let Answer::Change(reply) = &mut last.reply else { return None };
        if let Ok(answer) = reply.try_recv() {
            self.waiting.pop();
            if let Err(refusal) = answer {
                return Some(refusal.error);
            }
        }
        self.take(change);
        None
    }

    /// A reload of everything that nobody is answered: it is refused if the file cannot be read.
    fn take_unanswered(&mut self) {
        if !self.is_broken {
            self.read(&[]);
        }
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Reload(apps) => self.read(&apps),
            Change::Switch(apps, on) => {
                if on {
                    self.read(&apps);
                }
                self.switched.extend(apps.into_iter().map(|app| (app, on)));
            }
            Change::Scale(app, number) => {
                let written = self.in_force.0[&app].workers;
                self.scaled.insert(app, (number, written));
            }
        }
    }

    fn read(&mut self, apps: &[AppName]) {
        if apps.is_empty() {
            self.in_force = self.file.clone();
        }
        for app in apps {
            self.in_force.0.insert(app.clone(), self.file.0[app].clone());
        }
        let in_force = &self.in_force;
        self.scaled.retain(|app, (_, written)| in_force.0.get(app).is_some_and(|spec| spec.workers == *written));
    }

    fn edit(&mut self, chance: &mut fastrand::Rng) {
        let names: Vec<_> = self.file.0.keys().filter(|app| app.as_str() != CALM).cloned().collect();
        let newcomer = ["dee", "eli"].map(name)[chance.usize(0..2)].clone();
        match chance.u32(0..6) {
            0 if !self.file.0.contains_key(&newcomer) => {
                let others: Vec<_> = names.iter().map(ToString::to_string).collect();
                // What it once was, an app stays for as long as it is known.
                let spec = self.in_force.0.get(&newcomer).cloned().unwrap_or_else(|| Spec::draw(chance, &others));
                self.file.0.insert(newcomer, spec);
            }
            1 if names.len() > 1 => {
                let gone = &names[chance.usize(0..names.len())];
                self.file.0.remove(gone);
                for spec in self.file.0.values_mut() {
                    spec.depends_on.retain(|app| app != gone.as_str());
                }
            }
            _ if !names.is_empty() => {
                let spec = self.file.0.get_mut(&names[chance.usize(0..names.len())]).expect("it is there");
                spec.edition += 1;
                if spec.kind != Kind::Job && chance.bool() {
                    spec.workers = chance.u32(1..5);
                }
            }
            _ => {}
        }
        self.is_broken = chance.u32(0..8) == 0;
        let text = if self.is_broken { "not = [toml".to_owned() } else { self.file.text() };
        std::fs::write(&self.path, text).unwrap();
    }

    fn reload(&mut self, apps: Vec<AppName>) -> (String, Event) {
        self.due = Some(Change::Reload(apps.clone()));
        self.change(Order::Reload, apps)
    }

    fn switch(&mut self, order: Order, apps: Vec<AppName>) -> (String, Event) {
        self.due = Some(Change::Switch(apps.clone(), order != Order::Stop));
        self.change(order, apps)
    }

    fn change(&mut self, order: Order, apps: Vec<AppName>) -> (String, Event) {
        let (reply, answer) = oneshot::channel();
        let what = format!("{} {apps:?}", order.word());
        self.waiting.push(Waiting { what: what.clone(), reply: Answer::Change(answer) });
        (what, Event::Call(Call::Order { order, scope: Scope { apps, profile: None }, reply }))
    }

    fn scale(&mut self, app: AppName, number: u32) -> (String, Event) {
        self.due = Some(Change::Scale(app.clone(), number));
        let (reply, answer) = oneshot::channel();
        let what = format!("scale {app} to {number}");
        self.waiting.push(Waiting { what: what.clone(), reply: Answer::Change(answer) });
        (what, Event::Call(Call::Scale { apps: vec![app], scaling: Scaling::To(number), reply }))
    }

    fn divert(&mut self, app: &AppName, chance: &mut fastrand::Rng) -> (String, Event) {
        let diversion = match chance.u32(0..4) {
            0 => Diversion::Drain(Vec::new()),
            1 => Diversion::Undrain(Vec::new()),
            2 => Diversion::Pause,
            _ => Diversion::Resume,
        };
        self.diversion(app, diversion)
    }

    pub(super) fn diversion(&mut self, app: &AppName, diversion: Diversion) -> (String, Event) {
        let (reply, answer) = oneshot::channel();
        let what = format!("{app}: {diversion:?}");
        self.due = None;
        self.waiting.push(Waiting { what: what.clone(), reply: Answer::Diversion(answer) });
        (what, Event::Call(Call::Divert { apps: vec![app.clone()], diversion, reply }))
    }
}
