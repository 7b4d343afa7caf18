//! The world's own account of how many workers each generation is to have, and of who goes because they are too many.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use crate::id::{Generation, Serial};
use crate::lifecycle::generation::Generation as Generated;
use crate::lifecycle::place::Place;
use crate::lifecycle::state::State;
use crate::lifecycle::{EndpointView, Event, Size};

#[derive(Clone, Debug, Default)]
pub(super) struct Sizes {
    pub(super) wanted: BTreeMap<Generation, usize>,
    /// Workers that served and were let go of because they are surplus.
    let_go: BTreeSet<Serial>,
}

impl World {
    /// Another number of workers from now on, also for generations to come.
    pub(super) fn resize(&mut self, workers: u32) -> Event {
        self.mischief.resizes = self.mischief.resizes.saturating_sub(1);
        self.plan.workers = workers;
        let live = self.app.generations.iter().find(|one| one.is_live());
        Event::Resize(Size { workers, intensity: live.map_or(self.plan, |live| live.plan).restart.intensity })
    }

    /// How many workers the app is to have, if it is to run.
    pub(in crate::lifecycle::tests) fn size(&self) -> Option<usize> {
        self.app.generations.iter().find(|one| one.is_live()).map(|live| self.sizes.wanted[&live.number])
    }

    pub(super) fn note_size(&mut self, event: &Event) {
        let Event::Resize(size) = event else { return };
        for generation in self.app.generations.iter().filter(|one| one.is_live() || one.is_coming()) {
            let before = self.sizes.wanted.insert(generation.number, size.workers as usize);
            // Slots that come, come anew, whatever became of those of their number.
            self.books.renew(generation.number, before.unwrap_or_default());
        }
    }

    /// A worker that serves is closed, and not for its health: so many must serve without it, and it is the only one.
    pub(super) fn let_go(&mut self, lost: EndpointView, set: &[EndpointView]) {
        let wanted = self.sizes.wanted[&lost.generation];
        self.require(lost.slot.0 as usize >= wanted, "a slot is closed whose worker serves");
        let is_well = |one: &&EndpointView| one.open && !self.processes[&one.serial].health.is_ill;
        let serving = set.iter().filter(|one| one.generation == lost.generation).filter(is_well).count();
        self.require(serving >= wanted, "a worker is let go of that is needed");
        self.sizes.let_go.insert(lost.serial);
    }

    pub(super) fn judge_sizes(&mut self) {
        let Self { sizes, app, processes, .. } = self;
        for generation in &app.generations {
            sizes.wanted.entry(generation.number).or_insert(generation.plan.size());
        }
        sizes.let_go.retain(|serial| processes.contains_key(serial));
        for generation in self.app.generations.iter().filter(|one| one.is_live() || one.is_coming()) {
            self.judge_size(generation);
        }
    }

    fn judge_size(&self, generation: &Generated) {
        let wanted = self.sizes.wanted[&generation.number];
        self.require(generation.plan.size() == wanted, "it wants another number than it was told");
        self.require(generation.places.len() >= wanted, "a slot is missing");
        let in_order = (0..).zip(&generation.places).all(|(slot, place)| place.slot() == slot);
        self.require(in_order, "slots are numbered from 0 on");
        let ended = generation.places[..wanted].iter().filter(|place| place.is_empty()).count();
        self.require(generation.kept() == wanted || ended > 0, "more slots are kept than are wanted");
        self.require(generation.kept() >= wanted, "a slot that is wanted is not kept");
        let surplus = &generation.places[generation.kept()..];
        self.require(
            generation.places[wanted..].last().is_none_or(|last| !last.is_vacant()),
            "a surplus slot is kept for nobody",
        );
        let is_seated = |place: &Place| place.is_taken() || place.is_empty();
        self.require(surplus.iter().all(is_seated), "somebody is to come to a surplus slot");
        let goes = |place: &&Place| self.is_going(place);
        let going = self.sizes.let_go.iter().filter(|serial| self.is_there(**serial, generation.number)).count();
        let permits = (generation.places.len() / 10).max(1);
        self.require(going <= permits, "more workers are let go of at once than there are permits");
        let in_service = surplus.iter().filter(|place| place.is_in_service());
        let left: Vec<_> = in_service.filter_map(Place::worker).map(|worker| worker.state).collect();
        let all_go = surplus.iter().filter(|place| place.is_taken() && !place.is_in_service()).all(|one| goes(&one));
        self.require(all_go, "a surplus worker that does not serve is kept");
        let is_quiet = generation.changing() == 0;
        let is_free = left.contains(&State::Serving) && generation.serving() > wanted && is_quiet;
        self.require(!is_free, "a surplus worker is kept that may go");
    }

    fn is_going(&self, place: &Place) -> bool {
        place.worker().is_some_and(|sitter| sitter.state.is_leaving() && self.processes.contains_key(&sitter.serial))
    }

    fn is_there(&self, serial: Serial, number: Generation) -> bool {
        self.processes[&serial].worker.generation == number && self.state(serial) != Some(State::Unkillable)
    }
}
