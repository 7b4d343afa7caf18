//! The world's own account of sleep: nobody starts for nobody, and whoever asks is served.

use super::World;
use crate::id::Generation;
use crate::lifecycle::Event;
use crate::lifecycle::generation::Generation as Generated;
use crate::lifecycle::place::Place;

impl World {
    pub(super) fn doze_or_rouse(&mut self, dozes: bool) -> Event {
        if dozes {
            self.mischief.dozes = self.mischief.dozes.saturating_sub(1);
            return Event::Doze;
        }
        self.mischief.rouses = self.mischief.rouses.saturating_sub(1);
        self.is_asked = self.app.is_dormant();
        if self.app.is_asleep() {
            self.note_seats_of_sleepers();
        }
        Event::Rouse
    }

    /// Whoever is still on its way to sleep makes room for another one: that is no restart.
    fn note_seats_of_sleepers(&mut self) {
        let live = self.app.generations.iter().find(|one| one.is_live());
        let places = live.iter().flat_map(|one| &one.places).filter(|place| place.is_let_go());
        let seats: Vec<_> = places.filter_map(Place::worker).map(|sitter| sitter.id.clone()).collect();
        for seat in seats {
            self.note_vacated(seat);
        }
    }

    /// A process is about to be started in this generation.
    pub(super) fn require_asked(&self, number: Generation) {
        let sleeps = self.app.generations.iter().any(|one| one.number == number && one.is_dormant());
        self.require(!sleeps, "a process is started for an app that sleeps");
    }

    pub(super) fn judge_sleep(&mut self) {
        let is_open = self.app.endpoints().iter().any(|one| one.open);
        // In a crash loop, or when all have ended for good, requests do not wait.
        self.is_asked &= self.app.is_wanted() && self.app.is_expected() && !is_open;
        self.require(!(self.is_asked && self.app.is_dormant()), "it sleeps on although somebody asks");
        let dozing: Vec<_> = self.app.generations.iter().filter(|one| one.is_dormant()).collect();
        self.require(dozing.len() <= 1 && dozing.iter().all(|one| one.is_live()), "only one that is live sleeps");
        let is_open = |one: &&Generated| one.is_routed();
        self.require(!dozing.iter().any(is_open), "requests go to one that sleeps");
    }
}
