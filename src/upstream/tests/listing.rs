//! What a new list of endpoints means for those that were listed before.

use super::*;

#[test]
fn a_swap_leaves_the_old_ones_to_their_leases() {
    let (upstream, reports) = upstream();
    upstream.set(&[open(1), open(2)], WIDE);
    let old = upstream.try_claim(&[Serial(2)]).unwrap();
    upstream.set(&[closed(1), closed(2), open(3)], WIDE);
    assert!((0..20).all(|_| upstream.try_claim(&[]).unwrap().serial == Serial(3)));
    assert_eq!((reports.of(1), reports.of(2), reports.of(3)), (0, 1, 0), "2 was idle when it was closed");
    assert!(old.is_closed() && !old.is_drained() && !old.gone().is_cancelled());
    let endpoint = Arc::clone(old.endpoint());
    drop(old);
    assert_eq!(reports.of(1), 1);
    assert!(endpoint.is_drained());
    upstream.set(&[closed(1), closed(2), open(3)], WIDE);
    assert_eq!((reports.of(1), reports.of(2)), (1, 1), "an endpoint that stays closed is not reported again");
}

#[test]
fn an_endpoint_that_is_listed_again_is_the_same_one() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1)], WIDE);
    let before = upstream.endpoints();
    upstream.set(&[open(2), open(1)], WIDE);
    assert!(Arc::ptr_eq(&before[0], &upstream.endpoints()[1]));
}

#[test]
fn an_endpoint_that_is_closed_from_the_first_is_reported_idle() {
    let (upstream, reports) = upstream();
    upstream.set(&[closed(1)], WIDE);
    assert_eq!(reports.of(1), 1);
    assert!(upstream.try_claim(&[]).is_none());
}

#[test]
fn a_closed_endpoint_may_be_opened_again_and_each_closing_is_reported() {
    let (upstream, reports) = upstream();
    for closings in 1..=3 {
        upstream.set(&[open(1)], WIDE);
        let lease = upstream.try_claim(&[]).unwrap();
        upstream.set(&[closed(1)], WIDE);
        assert_eq!(reports.of(1), closings - 1);
        drop(lease);
        assert_eq!(reports.of(1), closings);
    }
}

#[test]
fn opening_before_the_last_lease_ends_leaves_nothing_to_report() {
    let (upstream, reports) = upstream();
    upstream.set(&[open(1)], WIDE);
    let lease = upstream.try_claim(&[]).unwrap();
    upstream.set(&[closed(1)], WIDE);
    upstream.set(&[open(1)], WIDE);
    drop(lease);
    assert_eq!(reports.of(1), 0);
}

#[test]
fn what_is_no_longer_listed_is_gone_with_its_connections() {
    let (upstream, reports) = upstream();
    upstream.set(&[open(1), open(2)], WIDE);
    let lease = upstream.try_claim(&[Serial(2)]).unwrap();
    let (connection, later) = (Connection::default(), Instant::now() + SECOND);
    lease.put_idle(0, Arc::clone(&connection), later);
    lease.put_idle(1, Arc::clone(&connection), later);
    assert_eq!((lease.idle(), Arc::strong_count(&connection)), (2, 3));
    upstream.set(&[open(2)], WIDE);
    assert!(lease.gone().is_cancelled() && lease.is_closed());
    assert_eq!(Arc::strong_count(&connection), 1, "idle connections are dropped");
    lease.put_idle(0, Arc::clone(&connection), later);
    assert_eq!(Arc::strong_count(&connection), 1, "one that comes back late is dropped");
    drop(lease);
    assert_eq!(reports.of(1), 1);
    assert!(!upstream.endpoints()[0].gone().is_cancelled());
}

#[test]
fn connections_are_kept_per_thread_and_swept() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1)], WIDE);
    let (endpoint, now) = (Arc::clone(&upstream.endpoints()[0]), Instant::now());
    endpoint.put_idle(0, Connection::default(), now + SECOND);
    assert!(endpoint.take_idle(1, now, |_| true).is_none());
    assert!(endpoint.take_idle(0, now, |_| true).is_some());
    endpoint.put_idle(0, Connection::default(), now + SECOND);
    upstream.sweep(0, now + SECOND, |_| true);
    assert_eq!(endpoint.idle(), 0);
    endpoint.put_idle(0, Connection::default(), now + SECOND);
    endpoint.drop_idle();
    assert_eq!(endpoint.idle(), 0);
}

#[test]
fn an_app_that_is_retired_has_nothing_left() {
    let (upstream, reports) = upstream();
    upstream.set(&[open(1)], WIDE);
    let endpoint = Arc::clone(&upstream.endpoints()[0]);
    upstream.retire();
    assert!(upstream.endpoints().is_empty() && endpoint.gone().is_cancelled());
    assert_eq!(reports.of(1), 1);
}
