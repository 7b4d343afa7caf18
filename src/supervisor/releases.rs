//! The releases of one app: of each generation that there is, and of the one to go back to.
//!
//! Remembers, and decides nothing. Invariant: the one to go back to has served, and was replaced by one that did not turn
//! out bad.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::release::Release;
use crate::config::App;
use crate::id::Generation;
use crate::lifecycle::{Answers, Record};

#[derive(Debug, Default)]
pub(super) struct Releases {
    running: BTreeMap<Generation, Run>,
    /// Which serves.
    live: Option<Generation>,
    /// Which has served before that.
    former: Option<Generation>,
    /// What the former one ran, once it is gone.
    kept: Option<Release>,
    /// What the next generation runs in place of what is upcoming.
    next: Option<Release>,
}

/// One generation.
#[derive(Debug)]
struct Run {
    release: Release,
    answers: Record,
}

impl Releases {
    /// There is this generation; if it is new, it runs what was set aside for it, or else these settings.
    pub(super) fn declare(&mut self, generation: Generation, upcoming: &Arc<App>) {
        let next = &mut self.next;
        let mut release = || next.take().unwrap_or_else(|| Release::new(Arc::clone(upcoming)));
        self.running.entry(generation).or_insert_with(|| Run { release: release(), answers: Record::default() });
    }

    /// There is this generation, from before our time.
    pub(super) fn adopt(&mut self, generation: Generation, release: Release) {
        self.running.insert(generation, Run { release, answers: Record::default() });
    }

    /// Which of those from before our time serves, and which could again.
    pub(super) fn note_adopted(&mut self, live: Option<Generation>, kept: Option<Generation>) {
        (self.live, self.former) = (live, kept);
    }

    /// This generation serves, if one does.
    pub(super) fn note_live(&mut self, live: Option<Generation>) {
        if live.is_some() && live != self.live {
            self.former = self.live;
        }
        self.live = live.or(self.live);
    }

    /// This generation was bad: nobody goes back to it.
    pub(super) fn note_rolled_back(&mut self, bad: Generation, to: Generation) {
        (self.live, self.former) = (Some(to), self.former.filter(|former| ![bad, to].contains(former)));
    }

    /// Nothing is left of this generation.
    pub(super) fn retire(&mut self, generation: Generation) {
        let run = self.running.remove(&generation);
        let is_former = self.former.take_if(|former| *former == generation).is_some();
        // Of an app that was stopped, the one that served last is the one to go back to.
        let is_next = is_former && self.live.is_none_or(|live| self.running.contains_key(&live));
        if is_next || self.live == Some(generation) {
            self.kept = run.map(|run| run.release);
        }
    }

    /// Sets aside for the next generation what ran before the one that serves; gives its settings. `None`: that is not
    /// known, or nothing else than what runs now.
    pub(super) fn recall(&mut self) -> Option<Arc<App>> {
        let former = self.former.and_then(|former| self.get(former)).or(self.kept.as_ref())?;
        let live = self.live.and_then(|live| self.get(live));
        if live.is_some_and(|live| live.is_same(former)) {
            return None;
        }
        let (release, app) = (former.clone(), Arc::clone(&former.app));
        self.next = Some(release);
        Some(app)
    }

    /// The next generation runs what is upcoming after all.
    pub(super) fn forget_recalled(&mut self) {
        self.next = None;
    }

    /// Workers of this generation have answered so.
    pub(super) fn note_answers(&mut self, generation: Generation, now: Instant, answers: Answers) {
        if let Some(run) = self.running.get_mut(&generation) {
            run.answers.note(now, answers);
        }
    }

    /// Why this generation is worse than the one before it, if it is.
    pub(super) fn fault(&self, generation: Generation) -> Option<String> {
        let answers = |generation: Generation| self.running.get(&generation).map(|run| run.answers.recent());
        // One that is only coming is measured by the one that serves.
        let before = if self.live == Some(generation) { self.former } else { self.live };
        let before = before.filter(|before| *before != generation).and_then(answers)?;
        answers(generation)?.fault(before)
    }

    pub(super) fn get(&self, generation: Generation) -> Option<&Release> {
        self.running.get(&generation).map(|run| &run.release)
    }

    pub(super) fn get_mut(&mut self, generation: Generation) -> Option<&mut Release> {
        self.running.get_mut(&generation).map(|run| &mut run.release)
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = &Generation> {
        self.running.keys()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Generation, &Release)> {
        self.running.iter().map(|(generation, run)| (generation, &run.release))
    }

    /// Of all generations that there are, oldest first.
    pub(super) fn values(&self) -> impl DoubleEndedIterator<Item = &Release> + ExactSizeIterator {
        self.running.values().map(|run| &run.release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(path: &str) -> Arc<App> {
        let text = format!("[app.web]\ncommand = '{path}'\n");
        let mut config = crate::config::parse(&text, std::path::Path::new("/portreeve.toml")).unwrap().config;
        Arc::new(config.apps.pop_first().unwrap().1)
    }

    /// Each in its turn serves, and the one before it is gone.
    fn after(programs: &[&str]) -> Releases {
        let mut releases = Releases::default();
        for (number, program) in (1..).zip(programs) {
            releases.declare(Generation(number), &app(program));
            releases.note_live(Some(Generation(number)));
            releases.retire(Generation(number - 1));
        }
        releases
    }

    #[test]
    fn what_served_before_is_what_there_is_to_go_back_to() {
        assert_eq!(after(&["a"]).recall(), None);
        assert_eq!(after(&["a", "b"]).recall(), Some(app("a")));
        assert_eq!(after(&["a", "b", "c"]).recall(), Some(app("b")));
        assert_eq!(after(&["a", "a"]).recall(), None, "it ran the same");
    }

    #[test]
    fn a_stop_in_between_changes_nothing_about_that() {
        let mut releases = after(&["a", "b"]);
        releases.note_live(None);
        releases.retire(Generation(2));
        releases.declare(Generation(3), &app("c"));
        releases.note_live(Some(Generation(3)));
        assert_eq!(releases.recall(), Some(app("b")));
    }

    #[test]
    fn nobody_goes_back_to_what_was_bad() {
        let mut releases = after(&["a", "b"]);
        releases.declare(Generation(3), &app("c"));
        releases.note_live(Some(Generation(3)));
        releases.note_rolled_back(Generation(3), Generation(2));
        releases.note_live(Some(Generation(2)));
        releases.retire(Generation(3));
        assert_eq!(releases.recall(), Some(app("a")));
    }

    #[test]
    fn what_is_recalled_runs_next_and_once() {
        let mut releases = after(&["a", "b"]);
        releases.recall().unwrap();
        for (number, program) in [(3, "a"), (4, "d")] {
            releases.declare(Generation(number), &app("d"));
            assert_eq!(releases.get(Generation(number)).map(|release| &release.app), Some(&app(program)));
        }
    }
}
