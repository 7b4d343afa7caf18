//! How far a change has come, app by app, as lines.
//!
//! Pure: what the supervisor says of itself goes in, text comes out.

use std::collections::BTreeMap;

use crate::control::words::{App, GenerationProgress, Status};
use crate::id::{AppName, Generation};

/// Characters in a bar.
const BAR: usize = 20;

/// The newest generation that each app had before it all began.
#[derive(Debug, Default)]
pub(super) struct Before(BTreeMap<AppName, Generation>);

impl Before {
    pub(super) fn of(status: &Status) -> Self {
        let newest = |app: &App| Some((app.name.clone(), app.generations.last()?.number));
        Self(status.apps.iter().filter_map(newest).collect())
    }
}

/// How far one app has come.
#[derive(Debug)]
pub(super) struct Stand {
    app: AppName,
    generation: Generation,
    ready: usize,
    slots: usize,
    phase: Phase,
    /// Of a canary, in ten thousandths of all clients.
    share: Option<u32>,
    /// Workers that are on their way out, and the requests that they are at work on.
    leaving: usize,
    finishing: u32,
    /// Requests that all of its workers are at work on.
    inflight: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The new generation is on its way, or there.
    Comes,
    /// A few of the clients are served by it.
    Canary,
    /// It serves, and the one before it is kept until it has proved itself.
    Bakes,
    /// It is not to be.
    CalledOff,
    /// The old one goes, and there is no new one yet.
    Stops,
}

/// The apps that something goes on with.
pub(super) fn stands(status: &Status, meant: &[AppName], before: &Before) -> Vec<Stand> {
    let is_meant = |app: &&App| meant.is_empty() || meant.contains(&app.name);
    status.apps.iter().filter(is_meant).filter_map(|app| stand(app, before)).collect()
}

fn stand(app: &App, before: &Before) -> Option<Stand> {
    let newest = app.generations.last()?;
    let is_new = before.0.get(&app.name).is_none_or(|before| newest.number > *before);
    let leavers = || app.generations.iter().filter(|one| is_leaving(one));
    let leaving = leavers().map(|one| one.running).sum();
    if !is_new && leaving == 0 {
        return None;
    }
    Some(Stand {
        app: app.name.clone(),
        generation: newest.number,
        ready: newest.ready,
        slots: newest.slots,
        phase: match newest.state.as_str() {
            "canary" => Phase::Canary,
            "baking" => Phase::Bakes,
            "aborted" | "yielding" => Phase::CalledOff,
            "draining" => Phase::Stops,
            _ => Phase::Comes,
        },
        share: newest.share,
        leaving,
        finishing: leavers().map(|one| one.inflight).sum(),
        inflight: app.workers.iter().map(|worker| worker.load.inflight).sum(),
    })
}

fn is_leaving(generation: &GenerationProgress) -> bool {
    matches!(generation.state.as_str(), "draining" | "yielding" | "aborted")
}

impl Stand {
    /// What is drawn over the one before.
    pub(super) fn bar(&self) -> String {
        let full = (self.ready * BAR).checked_div(self.slots).unwrap_or(0).min(BAR);
        let bar = format!("{}{}", "#".repeat(full), "-".repeat(BAR - full));
        let Self { app, generation, ready, slots, leaving, inflight, .. } = self;
        let what = match self.phase {
            Phase::Comes => format!("[{bar}] {ready}/{slots} ready"),
            Phase::Canary => format!("[{bar}] {ready}/{slots} ready, a canary"),
            Phase::Bakes => format!("[{bar}] serves, on trial"),
            Phase::CalledOff => "called off".to_owned(),
            Phase::Stops => "stops".to_owned(),
        };
        format!("{app}  generation {generation}  {what}  {leaving} draining  {inflight} in flight")
    }

    /// What is said once of each step.
    pub(super) fn line(&self) -> String {
        let Self { app, generation, ready, slots, .. } = self;
        let mut line = match self.phase {
            Phase::Comes => format!("{app}: generation {generation}: {ready} of {slots} workers ready"),
            Phase::Canary => {
                let share = self.share.map_or_else(String::new, |share| format!("{}% ", f64::from(share) / 100.0));
                format!("{app}: generation {generation} serves {share}of the clients with {ready} of {slots} workers")
            }
            Phase::Bakes => {
                format!("{app}: generation {generation} serves, on trial: the one before it is kept meanwhile")
            }
            Phase::CalledOff => format!("{app}: generation {generation} is called off"),
            Phase::Stops => format!("{app}: generation {generation} stops"),
        };
        if self.leaving > 0 {
            let (workers, requests) = (counted(self.leaving, "worker"), counted(self.finishing as usize, "request"));
            line.extend(["; draining: ", &workers, ", ", &requests, " in flight"]);
        }
        line
    }

    /// Two stands are the same step when only numbers of requests differ.
    pub(super) fn step(&self) -> String {
        format!("{} {} {} {:?} {}", self.app, self.generation, self.ready, self.phase, self.leaving)
    }
}

fn counted(number: usize, what: &str) -> String {
    crate::cli::count(number, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::words::{ByHand, Purpose};

    fn generation(number: u64, state: &str, ready: usize, running: usize) -> GenerationProgress {
        let number = Generation(number);
        GenerationProgress { number, state: state.to_owned(), slots: 4, ready, running, inflight: 3, share: None }
    }

    fn stand(generations: Vec<GenerationProgress>, before: u64) -> Option<Stand> {
        let app = App {
            id: 0,
            name: "web".parse().unwrap(),
            purpose: Purpose::default(),
            state: String::new(),
            by_hand: ByHand::default(),
            panic_routing: false,
            generation: None,
            generations,
            workers: Vec::new(),
            last_failure: None,
            exits: Vec::new(),
            recycling: Vec::new(),
        };
        super::stand(&app, &Before([("web".parse().unwrap(), Generation(before))].into()))
    }

    #[test]
    fn a_reload_is_told_from_the_first_new_worker_to_the_last_old_one() {
        let line = |generations: Vec<_>| stand(generations, 1).map(|stand| stand.line());
        assert_eq!(line(vec![generation(1, "live", 4, 4)]), None, "nothing goes on");
        let steps = [
            (
                vec![generation(1, "live", 4, 4), generation(2, "staging", 0, 1)],
                "web: generation 2: 0 of 4 workers ready",
            ),
            (
                vec![generation(1, "draining", 0, 2), generation(2, "live", 4, 4)],
                "web: generation 2: 4 of 4 workers ready; draining: 2 workers, 3 requests in flight",
            ),
            (
                vec![generation(1, "retained", 0, 4), generation(2, "baking", 4, 4)],
                "web: generation 2 serves, on trial: the one before it is kept meanwhile",
            ),
            (
                vec![
                    generation(1, "live", 4, 4),
                    GenerationProgress { share: Some(250), ..generation(2, "canary", 1, 1) },
                ],
                "web: generation 2 serves 2.5% of the clients with 1 of 4 workers",
            ),
            (vec![generation(2, "live", 4, 4)], "web: generation 2: 4 of 4 workers ready"),
            (
                vec![generation(1, "live", 4, 4), generation(2, "aborted", 0, 1)],
                "web: generation 2 is called off; draining: 1 worker, 3 requests in flight",
            ),
            (
                vec![generation(1, "draining", 0, 4)],
                "web: generation 1 stops; draining: 4 workers, 3 requests in flight",
            ),
        ];
        for (generations, expected) in steps {
            assert_eq!(line(generations).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_bar_is_as_full_as_workers_are_ready() {
        let bar = |ready| stand(vec![generation(2, "verified", ready, 4)], 1).unwrap().bar();
        assert_eq!(bar(0), "web  generation 2  [--------------------] 0/4 ready  0 draining  0 in flight");
        assert!(bar(1).contains("[#####---------------] 1/4"));
        assert!(bar(4).contains("[####################] 4/4"));
    }

    #[test]
    fn other_numbers_of_requests_are_no_step() {
        let mut busy = generation(1, "draining", 0, 2);
        busy.inflight = 99;
        let (one, other) = (stand(vec![generation(1, "draining", 0, 2)], 1).unwrap(), stand(vec![busy], 1).unwrap());
        assert_eq!(one.step(), other.step());
        assert_ne!(one.step(), stand(vec![generation(1, "draining", 0, 1)], 1).unwrap().step());
    }
}
