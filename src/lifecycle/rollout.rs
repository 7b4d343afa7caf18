//! By how many workers at a time an app comes to another generation: as many as there is memory for.
//!
//! The arithmetic of a reload, pure: what workers need, what there is, and what the operator wants come in as numbers, and a
//! strategy comes out with a sentence that says why. How it is carried out is told in `lifecycle::rolling`. Invariant: where
//! nothing is known of memory, all new workers are started beside all old ones, as ever.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use super::report::named;

named! {
    /// How the workers of one generation take the place of those of another.
    Strategy {
        /// All new ones beside all old ones, then one swap.
        BlueGreen = "blue-green",
        /// A few new ones beside the old ones, as many old ones go, and so on.
        Rolling = "rolling",
        /// An old one goes first, a new one comes, and so on.
        ShrinkFirst = "shrink-first",
        /// The same with one worker alone: requests wait while it is replaced.
        Hold = "hold",
    }
}

/// How many workers of two generations there may be, and how few that serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// So many more processes than workers are wanted; [`u32::MAX`]: all at once.
    pub surge: u32,
    /// So many fewer that serve than are wanted, and at least one does; [`u32::MAX`]: for a while nobody need to.
    pub unavailable: u32,
}

impl Rollout {
    /// All new ones beside all old ones.
    pub const AT_ONCE: Self = Self { surge: u32::MAX, unavailable: 0 };
    /// One worker makes way for the next, and requests wait.
    pub const ONE_AFTER_THE_OTHER: Self = Self { surge: 0, unavailable: u32::MAX };

    /// Does a generation come in steps?
    #[must_use]
    pub fn is_stepwise(self) -> bool {
        self.surge != u32::MAX
    }

    /// May requests find nobody for a while?
    #[must_use]
    pub fn holds(self) -> bool {
        self.is_stepwise() && self.unavailable == u32::MAX
    }

    /// The same for a generation of this size: where all of it is allowed beside the old one, there are no steps.
    #[must_use]
    pub(super) fn of(self, size: usize) -> Self {
        if self.surge as usize >= size { Self::AT_ONCE } else { self }
    }

    /// So many workers serve at least, of so many, as far as it is our doing.
    #[must_use]
    pub(super) fn floor(self, size: usize) -> usize {
        match size {
            0 | 1 if self.holds() => 0,
            // It was one alone when that was decided, and is not any more.
            size if self.holds() => size - 1,
            size => size.saturating_sub(self.unavailable as usize).max(1),
        }
    }
}

impl Default for Rollout {
    fn default() -> Self {
        Self::AT_ONCE
    }
}

/// A number of workers, or a share of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Count(u32),
    /// In hundredths.
    Percent(u32),
}

impl Share {
    fn of(self, workers: u32, round: fn(u64, u64) -> u64) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                round(u64::from(workers) * u64::from(percent), 100).try_into().unwrap_or(u32::MAX)
            }
        }
    }
}

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// `None`: whatever memory allows.
    pub strategy: Option<Strategy>,
    /// `None`: all, or one where the strategy is to be rolling.
    pub max_surge: Option<Share>,
    pub max_unavailable: Share,
    /// May requests wait while one worker alone is replaced?
    pub holds: bool,
}

/// Memory, in bytes, as it is when a reload begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// What a worker needs; `None`: nobody knows.
    pub need: Option<u64>,
    /// What there is; `None`: nobody knows.
    pub available: Option<u64>,
    /// What is to be left of it.
    pub reserve: u64,
}

impl Room {
    /// Workers for which there is memory beside all that runs.
    fn fits(&self) -> Option<u64> {
        let need = self.need.filter(|need| *need > 0)?;
        Some(self.available?.saturating_sub(self.reserve) / need)
    }
}

/// How a reload goes, and why so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub strategy: Strategy,
    pub rollout: Rollout,
    /// A sentence without a full stop.
    pub why: String,
}

/// What is needed by 95 of 100 workers, with few of them by each; `None`: there is none.
#[must_use]
pub fn need_of(workers: impl IntoIterator<Item = u64>) -> Option<u64> {
    let mut all: Vec<u64> = workers.into_iter().collect();
    all.sort_unstable();
    all.get((all.len() * 95).div_ceil(100).saturating_sub(1)).copied()
}

/// How so many workers are to take the place of those that run.
///
/// # Errors
/// Why they cannot, as a sentence without a full stop.
pub fn decide(workers: u32, wishes: &Wishes, room: &Room) -> Result<Decision, String> {
    let workers = workers.max(1);
    let most = wishes.max_surge.map(|most| most.of(workers, u64::div_ceil));
    let (surge, why) = match (wishes.strategy, room.fits()) {
        (Some(Strategy::BlueGreen), _) => (workers, "as configured".to_owned()),
        (Some(Strategy::Rolling), _) => (most.unwrap_or(1).clamp(1, (workers - 1).max(1)), "as configured".to_owned()),
        (Some(Strategy::ShrinkFirst | Strategy::Hold), _) => (0, "as configured".to_owned()),
        (None, None) => (most.unwrap_or(workers), "how much memory the workers need is not known".to_owned()),
        (None, Some(fits)) => {
            let surge = fits.min(u64::from(most.unwrap_or(workers))).try_into().unwrap_or(u32::MAX);
            (surge, arithmetic(workers, room, fits))
        }
    };
    let why = most.map_or_else(|| why.clone(), |most| format!("{why}; `max_surge` is {most}"));
    let away = wishes.max_unavailable.of(workers, |product, hundred| product / hundred).min(workers - 1);
    let holds = wishes.holds || wishes.strategy == Some(Strategy::Hold);
    let (strategy, rollout) = match surge {
        surge if surge >= workers => (Strategy::BlueGreen, Rollout::AT_ONCE),
        0 if workers == 1 && holds => (Strategy::Hold, Rollout::ONE_AFTER_THE_OTHER),
        0 if workers == 1 => return Err(refusal(&why)),
        0 => (Strategy::ShrinkFirst, Rollout { surge, unavailable: away.max(1) }),
        _ => (Strategy::Rolling, Rollout { surge, unavailable: away }),
    };
    let at_a_time = match strategy {
        Strategy::Rolling => format!(", {surge} at a time"),
        _ => String::new(),
    };
    Ok(Decision { strategy, rollout, why: format!("{strategy}{at_a_time}: {why}") })
}

fn arithmetic(workers: u32, room: &Room, fits: u64) -> String {
    let [need, available] = [room.need, room.available].map(|bytes| size(bytes.unwrap_or_default()));
    let mut text = format!("{workers} worker{} of {need}", if workers == 1 { "" } else { "s" });
    let _ = write!(text, ", {available} available of which {} are kept free: room for ", size(room.reserve));
    let _ = match fits {
        0 => write!(text, "none more"),
        fits => write!(text, "{fits} more"),
    };
    text
}

fn refusal(why: &str) -> String {
    format!(
        "there is no room for a second worker beside the one that serves ({why}); with `on_no_room = \"hold\"` requests wait \
         while it is replaced"
    )
}

/// `1.5 GiB`, `120 MiB`.
fn size(bytes: u64) -> String {
    const MEBI: u64 = 1 << 20;
    match bytes {
        bytes if bytes >= 10 * 1024 * MEBI => format!("{} GiB", bytes / (1024 * MEBI)),
        bytes if bytes >= 1024 * MEBI => format!("{:.1} GiB", bytes as f64 / (1024 * MEBI) as f64),
        bytes => format!("{} MiB", bytes.div_ceil(MEBI)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    const MEBI: u64 = 1 << 20;

    const NOTHING: Wishes = Wishes { strategy: None, max_surge: None, max_unavailable: Share::Count(0), holds: false };

    /// Workers of 100 MiB, 256 MiB in reserve, and room for so many more.
    fn room(fits: u64) -> Room {
        Room { need: Some(100 * MEBI), available: Some((256 + 100 * fits + 99) * MEBI), reserve: 256 * MEBI }
    }

    fn decided(workers: u32, wishes: Wishes, room: Room) -> (Strategy, u32, u32) {
        let Decision { strategy, rollout, why } = decide(workers, &wishes, &room).unwrap();
        assert!(why.starts_with(strategy.as_str()), "{why}");
        (strategy, rollout.surge, rollout.unavailable)
    }

    #[test]
    fn the_strategy_follows_from_the_memory_that_there_is() {
        let all = u32::MAX;
        for (workers, fits, expected) in [
            (4, 9, (Strategy::BlueGreen, all, 0)),
            (4, 4, (Strategy::BlueGreen, all, 0)),
            (4, 3, (Strategy::Rolling, 3, 0)),
            (4, 1, (Strategy::Rolling, 1, 0)),
            (4, 0, (Strategy::ShrinkFirst, 0, 1)),
            (2, 0, (Strategy::ShrinkFirst, 0, 1)),
            (1, 1, (Strategy::BlueGreen, all, 0)),
        ] {
            assert_eq!(decided(workers, NOTHING, room(fits)), expected, "{workers} workers, room for {fits}");
        }
    }

    #[test]
    fn one_worker_without_room_is_refused_with_the_arithmetic_unless_requests_may_wait() {
        let why = decide(1, &NOTHING, &room(0)).unwrap_err();
        let arithmetic = "1 worker of 100 MiB, 355 MiB available of which 256 MiB are kept free: room for none more";
        assert!(why.contains(arithmetic) && why.contains("`on_no_room = \"hold\"`"), "{why}");
        let held = decided(1, Wishes { holds: true, ..NOTHING }, room(0));
        assert_eq!(held, (Strategy::Hold, 0, u32::MAX));
        let by_name = decided(1, Wishes { strategy: Some(Strategy::Hold), ..NOTHING }, room(9));
        assert_eq!(by_name, held);
        assert!(decide(1, &Wishes { strategy: Some(Strategy::ShrinkFirst), ..NOTHING }, &room(9)).is_err());
    }

    #[test]
    fn what_is_not_known_changes_nothing() {
        for room in [
            Room::default(),
            Room { need: None, ..room(0) },
            Room { available: None, ..room(0) },
            Room { need: Some(0), ..room(0) },
        ] {
            assert_eq!(decided(3, NOTHING, room).0, Strategy::BlueGreen);
            assert_eq!(decided(1, NOTHING, room).0, Strategy::BlueGreen);
        }
    }

    #[test]
    fn a_strategy_that_is_asked_for_is_taken_whatever_the_memory() {
        let wish = |strategy| Wishes { strategy: Some(strategy), ..NOTHING };
        assert_eq!(decided(4, wish(Strategy::BlueGreen), room(0)).0, Strategy::BlueGreen);
        assert_eq!(decided(4, wish(Strategy::Rolling), room(0)), (Strategy::Rolling, 1, 0));
        assert_eq!(decided(4, wish(Strategy::ShrinkFirst), room(9)), (Strategy::ShrinkFirst, 0, 1));
        assert_eq!(decided(4, wish(Strategy::Hold), room(9)), (Strategy::ShrinkFirst, 0, 1));
        // One beside one is all beside all.
        assert_eq!(decided(1, wish(Strategy::Rolling), room(0)).0, Strategy::BlueGreen);
        let wide = Wishes { max_surge: Some(Share::Percent(100)), ..wish(Strategy::Rolling) };
        assert_eq!(decided(4, wide, room(0)), (Strategy::Rolling, 3, 0));
    }

    #[test]
    fn shares_are_rounded_so_that_a_reload_can_go_on_and_nobody_is_missing_by_it() {
        let wishes = |surge, away| Wishes { max_surge: Some(surge), max_unavailable: away, ..NOTHING };
        let quarter = Share::Percent(25);
        assert_eq!(decided(5, wishes(quarter, quarter), room(9)), (Strategy::Rolling, 2, 1));
        assert_eq!(decided(3, wishes(quarter, quarter), room(9)), (Strategy::Rolling, 1, 0));
        assert_eq!(decided(3, wishes(Share::Count(1), Share::Count(9)), room(9)), (Strategy::Rolling, 1, 2));
        assert_eq!(decided(3, wishes(Share::Count(0), Share::Count(0)), room(9)), (Strategy::ShrinkFirst, 0, 1));
        assert_eq!(decided(3, wishes(Share::Count(1), Share::Count(0)), Room::default()).0, Strategy::Rolling);
    }

    #[test]
    fn what_most_workers_need_is_what_counts_and_with_few_the_most() {
        assert_eq!(need_of([]), None);
        assert_eq!(need_of([7]), Some(7));
        assert_eq!(need_of([1, 9, 3]), Some(9));
        assert_eq!(need_of(1..=19), Some(19));
        assert_eq!(need_of(1..=20), Some(19), "one of twenty may be an outlier");
        assert_eq!(need_of(1..=100), Some(95));
    }

    #[test]
    fn sizes_are_told_as_people_say_them() {
        let told = [0, 1, 120 * MEBI, 1536 * MEBI, 20 * 1024 * MEBI].map(size);
        assert_eq!(told, ["0 MiB", "1 MiB", "120 MiB", "1.5 GiB", "20 GiB"]);
    }

    proptest! {
        #[test]
        fn whatever_comes_in_a_reload_can_go_on(
            workers in 1..=64_u32,
            fits in 0..=100_u64,
            surge in proptest::option::of(0..=70_u32),
            away in 0..=70_u32,
            strategy in proptest::sample::select(&[
                None, Some(Strategy::BlueGreen), Some(Strategy::Rolling), Some(Strategy::ShrinkFirst), Some(Strategy::Hold),
            ]),
            holds in any::<bool>(),
        ) {
            let max_surge = surge.map(Share::Count);
            let wishes = Wishes { strategy, max_surge, max_unavailable: Share::Count(away), holds };
            let Ok(Decision { rollout, strategy, .. }) = decide(workers, &wishes, &room(fits)) else {
                prop_assert!(workers == 1 && !holds);
                return Ok(());
            };
            let size = workers as usize;
            prop_assert_eq!(rollout.of(size), rollout);
            prop_assert!(rollout.surge > 0 || rollout.floor(size) < size, "nobody could come or go");
            prop_assert!(rollout.floor(size) >= 1 || workers == 1, "somebody serves");
            prop_assert_eq!(rollout.is_stepwise(), strategy != Strategy::BlueGreen);
            if wishes.strategy.is_none() && rollout.is_stepwise() {
                prop_assert!(u64::from(rollout.surge) <= fits, "more than there is room for");
            }
        }
    }
}
