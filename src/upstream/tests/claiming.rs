//! What is claimed, and what is not.

use super::*;

#[test]
fn open_endpoints_are_claimed_up_to_their_limit() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1), open(2), closed(3)], Bounds { max_inflight: NonZeroU32::new(2), ..TIGHT });
    let leases: Vec<_> = (0..4).map(|_| upstream.try_claim(&[]).unwrap()).collect();
    assert!(upstream.try_claim(&[]).is_none());
    assert_eq!(upstream.endpoints().iter().map(|it| it.in_flight()).collect::<Vec<_>>(), [2, 2, 0]);
    drop(leases);
    assert_eq!(upstream.endpoints().iter().map(|it| it.in_flight()).sum::<u32>(), 0);
}

#[test]
fn what_is_to_be_avoided_is_not_claimed_even_when_nothing_else_is_there() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1), open(2)], WIDE);
    for _ in 0..20 {
        assert_eq!(upstream.try_claim(&[Serial(1)]).unwrap().serial, Serial(2));
    }
    assert!(upstream.try_claim(&[Serial(1), Serial(2)]).is_none());
}

#[test]
fn the_less_loaded_is_claimed() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1), open(2)], WIDE);
    let leases: Vec<_> = (0..10).map(|_| upstream.try_claim(&[]).unwrap()).collect();
    assert_eq!(leases.iter().filter(|lease| lease.serial == Serial(1)).count(), 5);
}

#[test]
fn a_place_is_found_however_full_the_rest_is() {
    let (upstream, _) = upstream();
    upstream.set(&(0..100).map(open).collect::<Vec<_>>(), TIGHT);
    let leases: Vec<_> = (0..100).map(|_| upstream.try_claim(&[]).unwrap()).collect();
    assert!(upstream.try_claim(&[]).is_none());
    drop(leases);
}

#[test]
fn claims_and_leases_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let (upstream, _) = upstream();
    upstream.set(&[open(1)], WIDE);
    is_send(&upstream.claim(&[]));
    is_send(&upstream.try_claim(&[]));
    is_send(&Arc::new(upstream));
}
