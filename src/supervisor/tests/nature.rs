//! What workers are like: how long they take, what they die of, what they do when they are asked to stop.

use std::time::Duration;

use super::world::World;
use crate::id::AppName;
use crate::sys::spawn::Exit;

/// What the workers of one app have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Character {
    /// They do all that they should.
    Calm,
    /// Now and then one does not.
    Human,
    /// They end as soon as they have begun.
    Doomed,
}

/// What one worker will do.
#[derive(Clone, Debug)]
pub(super) struct Nature {
    /// From its start to its first good answer; `None`: it has none.
    pub(super) ready: Option<Duration>,
    pub(super) dies: Option<(Duration, Exit)>,
    /// From the stop signal to its end; `None`: it does not listen.
    pub(super) stops: Option<Duration>,
    /// From the kill to its end.
    pub(super) lingers: Duration,
    /// While it serves it fails its probes from the first moment of its life to the second.
    pub(super) ill: Option<(Duration, Duration)>,
}

impl World {
    /// `None`: it does not even start.
    pub(super) fn nature(&mut self, app: &AppName, is_of_job: bool) -> Option<Nature> {
        let character = self.characters.get(app).copied().unwrap_or(Character::Human);
        let mut nature = match character {
            _ if self.is_kind => self.good(),
            Character::Calm => self.good(),
            Character::Human => self.human()?,
            Character::Doomed => Nature { dies: Some((self.millis(0..300), Exit::Code(1))), ..self.human()? },
        };
        if is_of_job && nature.dies.is_none() && (self.is_kind || self.chance(80)) {
            nature.dies = Some((self.millis(100..5_000), Exit::Code(0)));
        }
        Some(nature)
    }

    fn good(&mut self) -> Nature {
        let (ready, stops) = (Some(self.millis(10..500)), Some(self.millis(0..500)));
        Nature { ready, dies: None, stops, lingers: Duration::ZERO, ill: None }
    }

    fn human(&mut self) -> Option<Nature> {
        if self.chance(6) {
            return None;
        }
        let ready = match self.chance.u32(0..100) {
            0..75 => Some(self.millis(0..2_000)),
            75..90 => Some(self.millis(2_000..12_000)),
            _ => None,
        };
        let exit = match self.chance.u32(0..6) {
            0 => Exit::Code(0),
            1 => Exit::Code(78),
            2 => Exit::Signal { signal: 9, core: false },
            _ => Exit::Code(1),
        };
        let dies = match self.chance.u32(0..100) {
            0..12 => Some((self.millis(0..300), exit)),
            12..45 => Some((self.millis(300..30_000), exit)),
            _ => None,
        };
        let stops = match self.chance.u32(0..100) {
            0..60 => Some(self.millis(0..1_000)),
            60..80 => Some(self.millis(1_000..6_000)),
            _ => None,
        };
        let lingers = if self.chance(8) { self.millis(4_000..20_000) } else { self.millis(0..50) };
        let ill = self.chance(25).then(|| {
            let from = self.millis(0..20_000);
            (from, from + self.millis(1_000..20_000))
        });
        Some(Nature { ready, dies, stops, lingers, ill })
    }
}
