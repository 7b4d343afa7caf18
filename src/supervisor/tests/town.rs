//! What is configured: a few apps of all kinds, as the text of a file and as what an operator may change of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::nature::Character;
use crate::id::AppName;

/// One app nothing is wrong with, and that nobody touches.
pub(super) const CALM: &str = "calm";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Web,
    Task,
    /// A task whose workers never meet.
    Alone,
    Job,
}

/// One app as its file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) kind: Kind,
    pub(super) workers: u32,
    pub(super) depends_on: Vec<String>,
    /// Further keys, as lines.
    keys: String,
    /// Changed to make its settings other ones.
    pub(super) edition: u32,
}

/// The apps of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Town(pub(super) BTreeMap<AppName, Spec>);

pub(super) fn name(text: &str) -> AppName {
    text.parse().expect("a name of an app")
}

impl Town {
    /// A town as chance has it, and what its people are like.
    pub(super) fn found(chance: &mut fastrand::Rng) -> (Self, BTreeMap<AppName, Character>) {
        let mut town = Self::default();
        let mut characters = BTreeMap::from([(name(CALM), Character::Calm)]);
        let keys = "start_timeout = '8s'\n".to_owned();
        let calm = Spec { kind: Kind::Web, workers: 2, depends_on: Vec::new(), keys, edition: 0 };
        town.0.insert(name(CALM), calm);
        for index in 0..chance.usize(1..4) {
            let app = name(["ada", "bob", "cy"][index]);
            let others: Vec<_> = town.0.keys().map(ToString::to_string).collect();
            let spec = Spec::draw(chance, &others);
            let character = if chance.u32(0..6) == 0 { Character::Doomed } else { Character::Human };
            characters.insert(app.clone(), character);
            town.0.insert(app, spec);
        }
        (town, characters)
    }

    /// The text of the file.
    pub(super) fn text(&self) -> String {
        let mut text = String::from(
            "[listen]\nhttp = '127.0.0.1:0'\n[metrics]\nlisten = 'off'\n[admin]\nsocket = '/nowhere/sim.sock'\n\
             [proxy]\nthreads = 1\ndrain_timeout = '5s'\n",
        );
        for (name, spec) in &self.0 {
            let _ = write!(text, "[app.{name}]\ncommand = 'serve {}'\n{}", spec.edition, spec.keys);
            let _ = match spec.kind {
                Kind::Web => writeln!(text, "path = '/{name}'\nworkers = {}", spec.workers),
                Kind::Task => writeln!(text, "kind = 'task'\nworkers = {}", spec.workers),
                Kind::Alone => writeln!(text, "kind = 'task'\noverlap = false\nworkers = {}", spec.workers),
                Kind::Job => writeln!(text, "kind = 'task'\nschedule = '0 0 1 1 *'"),
            };
            let on: Vec<_> = spec.depends_on.iter().map(|app| format!("'{app}'")).collect();
            let _ = writeln!(text, "depends_on = [{}]", on.join(", "));
        }
        text
    }
}

/// How the workers of an app are replaced; where one alone has to make way, requests wait.
const DEPLOYS: [&str; 8] = [
    "",
    "deploy = { pre_promote = 'migrate', post_promote = 'tell', hook_timeout = '2s' }\n",
    "deploy = { pre_promote = ['migrate'], max_surge = 1, hook_timeout = '5s' }\n",
    "deploy = { strategy = 'rolling' }\n",
    "deploy = { strategy = 'rolling', max_surge = '50%', max_unavailable = 1 }\n",
    "deploy = { strategy = 'hold' }\n",
    "deploy = { max_surge = 1, bake = '3s', progress_deadline = '20s' }\n",
    "deploy = { max_surge = 0, on_no_room = 'hold', progress_deadline = '30s' }\n",
];

impl Spec {
    /// As chance has it; it may depend on these.
    pub(super) fn draw(chance: &mut fastrand::Rng, others: &[String]) -> Self {
        let kind = match chance.u32(0..10) {
            0..6 => Kind::Web,
            6 => Kind::Task,
            7..9 => Kind::Alone,
            _ => Kind::Job,
        };
        let workers = if kind == Kind::Job { 1 } else { chance.u32(1..4) };
        let workers = if kind == Kind::Web && chance.u32(0..40) == 0 { 20 } else { workers };
        let depends_on = others.iter().filter(|_| chance.u32(0..3) == 0).cloned().collect();
        let mut keys = String::from("kill_timeout = '3s'\n");
        let give_up = chance.u32(0..8) == 0;
        let intensity = if chance.bool() { "'auto'" } else { "3" };
        let policy = if kind == Kind::Job { ["on-failure", "never"][chance.usize(0..2)] } else { "always" };
        let end = if give_up { "give_up = true" } else { "retry = '5s'" };
        let pauses = "backoff_min = '100ms', backoff_max = '4s', reset = '5s', period = '20s'";
        let _ = match policy {
            "never" => writeln!(keys, "restart = 'never'"),
            _ => writeln!(keys, "restart = {{ policy = '{policy}', {pauses}, intensity = {intensity}, {end} }}"),
        };
        keys += if kind == Kind::Job { "" } else { "start_timeout = '8s'\n" };
        let ages = chance.u32(0..3) == 0;
        match kind {
            Kind::Web => {
                keys += "drain_timeout = '6s'\n";
                keys += ["", "live = 'off'\n", "live = { interval = '2s', failures = 2, replace_after = '6s' }\n"]
                    [chance.usize(0..3)];
                keys += if !ages && chance.bool() { "recycle = { max_requests = 200 }\n" } else { "" };
                keys += ["", "warmup = ['/']\nwarmup_timeout = '50ms'\nslow_start = '5s'\n"][chance.usize(0..2)];
                keys += if chance.u32(0..3) == 0 { "idle_timeout = '2s'\n" } else { "" };
                keys += DEPLOYS[chance.usize(0..DEPLOYS.len())];
            }
            Kind::Task | Kind::Alone => keys += "ready = { uptime = '1s' }\n",
            Kind::Job => {
                keys += ["overlap = 'skip'\n", "overlap = 'replace'\n", "overlap = 'queue'\n"][chance.usize(0..3)];
                keys += ["", "run_timeout = '10s'\n"][chance.usize(0..2)];
            }
        }
        if ages && kind != Kind::Job {
            keys += "recycle = { max_age = '20s', jitter = '50%' }\n";
        }
        Self { kind, workers, depends_on, keys, edition: 0 }
    }
}
