//! Endpoints whose share of the claims grows.

use super::*;

/// One that has served for so long of the twenty seconds in which its share grows.
fn young(serial: u64, age: Duration) -> Spec {
    Spec { ramp: Some(Ramp::since(Instant::now(), age, 20 * SECOND)), ..open(serial) }
}

/// Claims so many times, with so many exchanges in flight at a time; gives in hundredths how often this endpoint was claimed.
fn share(upstream: &Upstream<Connection>, serial: u64, in_flight: usize) -> usize {
    let (mut leases, mut claimed) = (std::collections::VecDeque::new(), 0);
    for _ in 0..20_000 {
        let lease = upstream.try_claim(&[]).unwrap();
        claimed += usize::from(lease.serial == Serial(serial));
        leases.push_back(lease);
        if leases.len() > in_flight {
            // Those that are old and those that are young are equally fast.
            leases.swap_remove_back(fastrand::usize(..leases.len()));
        }
    }
    claimed / 200
}

#[test]
fn a_young_one_gets_little_whether_there_is_much_or_nothing_to_do() {
    for in_flight in [0, 3, 100] {
        let (upstream, _) = upstream();
        upstream.set(&[open(1), young(2, Duration::ZERO)], WIDE);
        let share = share(&upstream, 2, in_flight);
        assert!((3..=22).contains(&share), "{share} % with {in_flight} in flight");
    }
}

#[test]
fn of_many_too() {
    let (upstream, _) = upstream();
    let specs: Vec<_> = (1..10).map(open).chain([young(10, Duration::ZERO)]).collect();
    upstream.set(&specs, WIDE);
    let share = share(&upstream, 10, 50);
    assert!((1..=4).contains(&share), "{share} %");
}

#[test]
fn half_way_it_gets_half_of_what_another_one_gets() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1), young(2, 10 * SECOND)], WIDE);
    let share = share(&upstream, 2, 60);
    assert!((27..=40).contains(&share), "{share} %");
}

#[test]
fn in_the_end_and_among_equally_young_ones_all_get_the_same() {
    let (upstream, _) = upstream();
    upstream.set(&[young(1, Duration::ZERO), young(2, Duration::ZERO)], WIDE);
    let equal = |share: usize| (45..=55).contains(&share);
    assert!(equal(share(&upstream, 2, 30)));
    upstream.set(&[open(1), young(2, 20 * SECOND)], WIDE);
    assert!(equal(share(&upstream, 2, 30)));
}

#[test]
fn a_young_one_takes_everything_when_nobody_else_can() {
    let (upstream, _) = upstream();
    upstream.set(&[closed(1), young(2, Duration::ZERO)], WIDE);
    assert_eq!(share(&upstream, 2, 10), 100);
    upstream.set(&[open(1), young(2, Duration::ZERO)], TIGHT);
    let leases = [(); 2].map(|()| upstream.try_claim(&[]));
    assert!(leases.iter().all(Option::is_some), "each has its place");
}
