//! Which endpoint takes the next exchange: the less loaded of two drawn at random.
//!
//! Pure: dice and loads are given. It does not know what a load is, nor why a candidate has none.
//! Invariant: it finds a usable candidate whenever there is one.

/// The best of `candidates` as two throws of the dice have it; `None` when none is usable.
///
/// `load` is `None` for a candidate that must not be picked. Two are drawn and the less loaded wins, which keeps loads
/// nearly as even as comparing all ("power of two choices") at a cost that does not grow. Of few candidates all are
/// compared; so they are when both that were drawn are unusable.
pub(super) fn pick<T>(candidates: &[T], dice: (u32, u32), load: impl Fn(&T) -> Option<u32>) -> Option<&T> {
    let first = scale(dice.0, candidates.len());
    if candidates.len() <= 2 {
        return least_loaded(candidates, first, load);
    }
    let second = (first + 1 + scale(dice.1, candidates.len() - 1)) % candidates.len();
    let (first_load, second_load) = (load(&candidates[first]), load(&candidates[second]));
    match (first_load, second_load) {
        (None, None) => least_loaded(candidates, first, load),
        (Some(a), Some(b)) if b < a => Some(&candidates[second]),
        (None, Some(_)) => Some(&candidates[second]),
        (Some(_), _) => Some(&candidates[first]),
    }
}

/// The least loaded of all; of equals the first one at or after `start`, so that chance breaks ties.
fn least_loaded<T>(candidates: &[T], start: usize, load: impl Fn(&T) -> Option<u32>) -> Option<&T> {
    let (before, after) = candidates.split_at(start);
    let loads = after.iter().chain(before).filter_map(|candidate| Some((load(candidate)?, candidate)));
    loads.min_by_key(|(load, _)| *load).map(|(_, candidate)| candidate)
}

/// Maps a throw of 32 bits evenly onto `0..sides`; 0 when there is no side.
fn scale(throw: u32, sides: usize) -> usize {
    ((u64::from(throw) * sides as u64) >> 32) as usize
}
