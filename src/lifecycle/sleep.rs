//! An app that nobody asks for anything sleeps: it has no workers until somebody does.
//!
//! How long nobody has asked is counted elsewhere and comes in as [`Event::Doze`](super::Event::Doze); that somebody does, as
//! [`Event::Rouse`](super::Event::Rouse). Invariant: only an app that serves, with no other generation that could, goes to sleep.

use super::app::App;
use super::generation::Generation;
use super::todo::Step;

impl App {
    /// Could it go to sleep now, if nobody asks for anything?
    #[must_use]
    pub fn may_doze(&self) -> bool {
        let could_serve = |one: &Generation| one.is_coming() || one.is_yielding() || one.is_retained();
        self.generations.iter().any(Generation::may_doze) && !self.generations.iter().any(could_serve)
    }

    /// Is it to be told at once when somebody asks for it?
    #[must_use]
    pub fn is_dormant(&self) -> bool {
        self.generations.iter().any(Generation::is_dormant)
    }

    /// Has it gone to sleep, so that its workers are gone or go?
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        self.generations.iter().any(Generation::is_asleep)
    }

    pub(super) fn doze(&mut self, step: &mut Step<'_>) -> bool {
        let may = self.may_doze();
        self.generations.iter_mut().filter(|one| may && one.is_live()).for_each(|one| one.doze(step));
        may
    }

    pub(super) fn rouse(&mut self, step: &mut Step<'_>) -> bool {
        self.generations.iter_mut().any(|one| one.rouse(step))
    }

    /// Whoever dozes serves again while another one is on its way; whoever sleeps sleeps on.
    pub(super) fn rouse_the_dozing(&mut self, step: &mut Step<'_>) {
        self.generations.iter_mut().filter(|one| !one.is_asleep()).for_each(|one| {
            one.rouse(step);
        });
    }

    pub(super) fn fall_asleep_or_wake(&mut self, step: &mut Step<'_>) {
        self.generations.iter_mut().for_each(|one| one.fall_asleep_or_wake(step));
    }
}
