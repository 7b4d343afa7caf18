//! Which endpoint takes the next exchange: the less loaded of two drawn at random.
//!
//! Pure: dice and loads are given. It does not know what a load is, nor why a candidate has none.
//! Invariant: it finds a usable candidate whenever there is one.

/// The best of `candidates` as two throws of the dice have it; `None` when none is usable.
///
/// `load` is `None` for a candidate that must not be picked. Two are drawn and the less loaded wins, which keeps loads
/// nearly as even as comparing all ("power of two choices") at a cost that does not grow. Of few candidates all are
/// compared; so they are when both that were drawn are unusable.
pub(super) fn pick<T, L>(candidates: &[T], dice: (u32, u32), load: impl Fn(&T) -> Option<L>) -> Option<&T>
where
    L: Ord,
{
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
fn least_loaded<T, L: Ord>(candidates: &[T], start: usize, load: impl Fn(&T) -> Option<L>) -> Option<&T> {
    let (before, after) = candidates.split_at(start);
    let loads = after.iter().chain(before).filter_map(|candidate| Some((load(candidate)?, candidate)));
    loads.min_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, candidate)| candidate)
}

/// Maps a throw of 32 bits evenly onto `0..sides`; 0 when there is no side.
fn scale(throw: u32, sides: usize) -> usize {
    ((u64::from(throw) * sides as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Picks among candidates that are their own loads.
    fn picked(loads: &[Option<u32>], dice: (u32, u32)) -> Option<usize> {
        let candidates: Vec<_> = loads.iter().copied().enumerate().collect();
        pick(&candidates, dice, |(_, load)| *load).map(|(place, _)| *place)
    }

    /// A throw that shows this side.
    fn side(side: u32, sides: u32) -> u32 {
        (side * (u32::MAX / sides)) + u32::MAX / sides / 2
    }

    #[test]
    fn of_two_the_less_loaded_is_picked_whatever_the_dice() {
        for throw in [0, u32::MAX / 2, u32::MAX] {
            assert_eq!(picked(&[Some(3), Some(2)], (throw, 0)), Some(1));
            assert_eq!(picked(&[Some(2), Some(3)], (throw, 0)), Some(0));
            assert_eq!(picked(&[None, Some(9)], (throw, 0)), Some(1));
            assert_eq!(picked(&[Some(9)], (throw, 0)), Some(0));
        }
    }

    #[test]
    fn chance_breaks_ties() {
        assert_eq!(picked(&[Some(1), Some(1)], (0, 0)), Some(0));
        assert_eq!(picked(&[Some(1), Some(1)], (u32::MAX, 0)), Some(1));
    }

    #[test]
    fn of_many_the_less_loaded_of_two_drawn_is_picked() {
        let loads = [Some(0), Some(5), Some(6), Some(7)];
        // The second throw counts from the one after the first.
        assert_eq!(picked(&loads, (side(1, 4), side(0, 3))), Some(1));
        assert_eq!(picked(&loads, (side(3, 4), side(2, 3))), Some(2));
        assert_eq!(picked(&loads, (side(3, 4), side(0, 3))), Some(0));
    }

    #[test]
    fn when_neither_drawn_is_usable_all_are_compared() {
        let loads = [Some(8), None, None, Some(7)];
        assert_eq!(picked(&loads, (side(1, 4), side(0, 3))), Some(3));
        assert_eq!(picked(&[None; 4], (0, 0)), None);
        assert_eq!(picked(&[], (7, 7)), None);
    }

    #[test]
    fn every_pair_can_be_drawn_and_nobody_is_drawn_twice() {
        let mut drawn = std::collections::BTreeSet::new();
        for first in 0..5 {
            for second in 0..4 {
                let asked = std::cell::RefCell::new(Vec::new());
                let load = |place: &usize| {
                    asked.borrow_mut().push(*place);
                    Some(0)
                };
                pick(&[0, 1, 2, 3, 4], (side(first, 5), side(second, 4)), load);
                drawn.insert(asked.into_inner());
            }
        }
        assert_eq!(drawn.len(), 5 * 4);
        assert!(drawn.iter().all(|pair| pair.len() == 2 && pair[0] != pair[1]));
    }

    proptest! {
        #[test]
        fn a_usable_candidate_is_found_whenever_there_is_one(
            loads in proptest::collection::vec(proptest::option::weighted(0.2, 0..4_u32), 0..12),
            dice in any::<(u32, u32)>(),
        ) {
            match picked(&loads, dice) {
                Some(place) => prop_assert!(loads[place].is_some()),
                None => prop_assert!(loads.iter().all(Option::is_none)),
            }
        }
    }
}
