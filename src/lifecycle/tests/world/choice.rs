//! What may happen next in a world, and what would be kindest.

use std::fmt;
use std::rc::Rc;

use super::{MORE, Process, World};
use crate::id::{Generation, Serial};
use crate::lifecycle::generation::Generation as Generated;
use crate::lifecycle::{Plan, Version, Word};

/// No app is scaled to more.
const MOST_WORKERS: u32 = 3;

/// Something that may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Start,
    Reload,
    Resize(u32),
    Recycle(Serial),
    /// The retained generation is to serve again.
    GoBack,
    /// What the generation on trial answers is bad.
    Condemn,
    /// The generation that is tried on a few is good.
    Promote,
    /// Programs wait for memory, or do not any more.
    Squeeze,
    Ease,
    /// Somebody says whether this generation may take over.
    Cleared(Generation, bool),
    /// Nobody has asked for anything for long; somebody does.
    Doze,
    Rouse,
    Stop,
    Spawned(Serial),
    SpawnFailed(Serial),
    Passed(Serial),
    Failed(Serial),
    Declared(Serial),
    /// A worker is as warm as could be made of it.
    Warmed(Serial),
    Told(Serial, Says),
    /// A worker that serves answers well, or not, or not and leaves a request waiting for ages.
    Well(Serial),
    Ill(Serial),
    Hung(Serial),
    Exited(Serial),
    /// By itself, with this code.
    Ended(Serial, u8),
    Acknowledged(Version),
    Idle(Serial),
    /// The clock jumps to the deadline, or so many seconds too far.
    Wake(u64),
}

/// A word of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Leaves,
    Hopeless,
    Well,
    /// The same, when it is due.
    JustInTime,
    Ill,
    Extend,
}

impl Says {
    pub(super) fn spelt(self) -> Word {
        match self {
            Self::Leaves => Word::Leaves,
            Self::Hopeless => Word::Hopeless("it says so".to_owned()),
            Self::Well | Self::JustInTime => Word::Well,
            Self::Ill => Word::Ill,
            Self::Extend => Word::Extend(MORE),
        }
    }
}

/// How the world came to be as it is, latest first.
pub(super) struct Past {
    pub(super) choice: Choice,
    pub(super) before: Option<Rc<Past>>,
}

impl fmt::Debug for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut choices = vec![self.choice];
        let mut past = self;
        while let Some(before) = &past.before {
            choices.push(before.choice);
            past = before;
        }
        choices.reverse();
        choices.fmt(f)
    }
}

/// How much of what may go wrong, or be asked, still will.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Mischief {
    pub(crate) reloads: u32,
    pub(crate) recycles: u32,
    pub(crate) resizes: u32,
    /// Reasons to go back that are not seen in workers.
    pub(crate) doubts: u32,
    /// Times when programs wait for memory.
    pub(crate) squeezes: u32,
    /// Times when nobody has asked for anything for long, and when somebody asks an app that sleeps.
    pub(crate) dozes: u32,
    pub(crate) rouses: u32,
    pub(crate) stops: u32,
    pub(crate) starts: u32,
    /// Exits that nobody asked for.
    pub(crate) crashes: u32,
    /// Ends with exit code 0 or 78 that nobody asked for.
    pub(crate) endings: u32,
    pub(crate) spawn_failures: u32,
    /// Probes that a worker fails which serves.
    pub(crate) ills: u32,
    /// The same, with an old request waiting.
    pub(crate) hangs: u32,
    /// Things that a worker says, but that it is well.
    pub(crate) words: u32,
    /// Dice for the jitter.
    pub(crate) dice: u8,
    /// Do answers to probes still come after the worker was asked to stop?
    pub(crate) late_answers: bool,
    /// Does even a kind world never let an exchange end?
    pub(crate) busy: bool,
    /// Do even kind proxies acknowledge only when nothing else is left to happen?
    pub(crate) slow: bool,
}

impl Mischief {
    /// One start, and all goes well.
    pub(crate) const NONE: Self = Self {
        reloads: 0,
        recycles: 0,
        resizes: 0,
        doubts: 0,
        squeezes: 0,
        dozes: 0,
        rouses: 0,
        stops: 0,
        starts: 1,
        crashes: 0,
        endings: 0,
        spawn_failures: 0,
        ills: 0,
        hangs: 0,
        words: 0,
        dice: 255,
        late_answers: false,
        busy: false,
        slow: false,
    };
}

impl World {
    /// Everything that may happen now.
    pub(crate) fn choices(&self) -> Vec<Choice> {
        let mut choices = self.orders();
        for (serial, process) in &self.processes {
            self.choices_of(*serial, process, &mut choices);
        }
        let mut unacknowledged = self.sets.keys().skip(1);
        choices.extend(unacknowledged.next().map(|version| Choice::Acknowledged(*version)));
        choices.extend(unacknowledged.next_back().map(|version| Choice::Acknowledged(*version)));
        choices.extend(self.app.deadline().map(|_| Choice::Wake(0)));
        choices
    }

    fn orders(&self) -> Vec<Choice> {
        let mut orders = Vec::new();
        if self.mischief.starts > 0 && !self.app.is_wanted() {
            orders.push(Choice::Start);
        }
        if self.mischief.reloads > 0 {
            orders.push(Choice::Reload);
        }
        if self.mischief.stops > 0 {
            orders.push(Choice::Stop);
        }
        if let Some(size) = self.size().filter(|_| self.mischief.resizes > 0) {
            let is_near = |workers: &u32| (*workers as usize).abs_diff(size) == 1;
            orders.extend((1..=MOST_WORKERS).filter(is_near).map(Choice::Resize));
        }
        if self.mischief.doubts > 0 && self.app.generations.iter().any(Generated::could_serve_again) {
            orders.push(Choice::GoBack);
            orders.extend(self.app.generations.iter().any(Generated::is_on_trial).then_some(Choice::Condemn));
        }
        if self.mischief.doubts > 0 && self.app.generations.iter().any(Generated::is_canary) {
            orders.extend([Choice::GoBack, Choice::Condemn, Choice::Promote]);
        }
        let is_watched = |one: &Generated| one.is_rolling() && !one.plan.trial.bake.is_zero();
        if self.mischief.doubts > 0 && self.app.generations.iter().any(is_watched) {
            orders.push(Choice::Condemn);
        }
        orders.extend(self.unanswered().flat_map(|asked| [true, false].map(|may| Choice::Cleared(asked, may))));
        if self.is_pressed {
            orders.push(Choice::Ease);
        } else if self.mischief.squeezes > 0 && self.app.generations.iter().any(Generated::is_coming) {
            orders.push(Choice::Squeeze);
        }
        orders.extend((self.mischief.dozes > 0 && self.app.may_doze()).then_some(Choice::Doze));
        orders.extend((self.mischief.rouses > 0 && self.app.is_dormant()).then_some(Choice::Rouse));
        if self.mischief.recycles > 0 {
            let wishable = self.processes.keys().filter(|serial| self.may_be_recycled(**serial));
            orders.extend(wishable.map(|serial| Choice::Recycle(*serial)));
        }
        orders
    }

    fn choices_of(&self, serial: Serial, process: &Process, choices: &mut Vec<Choice>) {
        if process.runs {
            if process.is_told_to_end() || self.mischief.crashes > 0 {
                choices.push(Choice::Exited(serial));
            }
            if !process.is_told_to_end() && self.mischief.endings > 0 {
                choices.extend([0, 78].map(|code| Choice::Ended(serial, code)));
            }
        } else {
            choices.push(Choice::Spawned(serial));
            if self.mischief.spawn_failures > 0 {
                choices.push(Choice::SpawnFailed(serial));
            }
        }
        if process.probed {
            choices.extend([Choice::Passed(serial), Choice::Failed(serial)]);
        }
        if process.warms {
            choices.push(Choice::Warmed(serial));
        }
        if process.health.asked {
            choices.push(Choice::Well(serial));
            choices.extend((self.mischief.ills > 0).then_some(Choice::Ill(serial)));
            choices.extend((self.mischief.hangs > 0).then_some(Choice::Hung(serial)));
        }
        let may_speak = !process.is_told_to_end() || self.mischief.late_answers;
        if process.runs && !process.declared && may_speak && self.is_declarer(process) {
            choices.push(Choice::Declared(serial));
        }
        if process.health.due.is_some() {
            choices.push(Choice::Told(serial, Says::Well));
        }
        if process.runs && !process.is_told_to_end() && self.mischief.words > 0 {
            let all = [Says::Leaves, Says::Hopeless, Says::Ill, Says::Extend];
            choices.extend(all.map(|word| Choice::Told(serial, word)));
        }
        if !process.idle && self.is_closed(serial) {
            choices.push(Choice::Idle(serial));
        }
    }

    /// Does it serve, and has nobody wished for another one yet?
    fn may_be_recycled(&self, serial: Serial) -> bool {
        let live = self.app.generations.iter().filter(|generation| generation.is_live());
        let mut places = live.flat_map(|generation| &generation.places);
        places.any(|place| {
            place.is_in_service()
                && place.relay.wish.is_none()
                && place.worker().is_some_and(|one| one.serial == serial)
        })
    }

    /// The kindest thing that may happen now; `None` when all is well and nothing is waited for.
    pub(crate) fn kindest(&self) -> Option<Choice> {
        // Those who are watched are asked for ever.
        let is_watched = |plan: &Plan| plan.liveness.is_some() || plan.watchdog.is_some();
        let watches = self.app.generations.iter().any(|generation| is_watched(&generation.plan));
        if watches && self.is_at_rest() {
            return None;
        }
        if self.is_pressed {
            return Some(Choice::Ease);
        }
        if let Some(asked) = self.unanswered().next() {
            return Some(Choice::Cleared(asked, true));
        }
        let acknowledgement = (self.sets.len() > 1).then(|| Choice::Acknowledged(self.version()));
        let processes = || self.processes.iter().find_map(|(serial, process)| self.kindest_of(*serial, process));
        let next =
            if self.mischief.slow { processes().or(acknowledgement) } else { acknowledgement.or_else(processes) };
        let awaited = |(_, process): &(&Serial, &Process)| {
            process.health.due.is_some() && process.health.due == self.app.deadline()
        };
        let word = || self.processes.iter().find(awaited).map(|(serial, _)| Choice::Told(*serial, Says::JustInTime));
        next.or_else(word).or_else(|| self.app.deadline().map(|_| Choice::Wake(0)))
    }

    fn kindest_of(&self, serial: Serial, process: &Process) -> Option<Choice> {
        match process {
            Process { runs: false, .. } => Some(Choice::Spawned(serial)),
            process if process.is_told_to_end() => Some(Choice::Exited(serial)),
            Process { probed: true, .. } => Some(Choice::Passed(serial)),
            Process { warms: true, .. } => Some(Choice::Warmed(serial)),
            process if process.health.asked => Some(Choice::Well(serial)),
            process if !process.declared && self.is_declarer(process) => Some(Choice::Declared(serial)),
            Process { idle: false, .. } if !self.mischief.busy && self.is_closed(serial) => Some(Choice::Idle(serial)),
            _ => None,
        }
    }

    pub(super) fn is_closed(&self, serial: Serial) -> bool {
        self.latest().iter().any(|one| one.serial == serial && !one.open)
    }
}
