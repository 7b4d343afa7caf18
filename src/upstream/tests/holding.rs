//! Who waits, for how long, and who comes next.

use super::*;

#[tokio::test(start_paused = true)]
async fn nobody_waits_when_nothing_is_to_come() {
    let (upstream, _) = upstream();
    assert_eq!(upstream.claim(&[]).await.err(), Some(Refused::Down));
    upstream.set(&[closed(1)], TIGHT);
    assert_eq!(upstream.claim(&[]).await.err(), Some(Refused::Down));
    upstream.set(&[open(1)], TIGHT);
    assert_eq!(upstream.claim(&[Serial(1)]).await.err(), Some(Refused::Down));
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_a_worker_that_comes_up_and_are_served_in_order() {
    let (upstream, _) = upstream();
    upstream.set(&[], EXPECTED);
    let (mut first, mut second) = (claim(&upstream, &[]), claim(&upstream, &[]));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    assert_eq!(upstream.held(), 2);
    upstream.set(&[open(1)], TIGHT);
    assert!(poll(&mut second).is_pending(), "the older one comes first");
    let Poll::Ready(Ok(lease)) = poll(&mut first) else { panic!("not served") };
    assert!(upstream.try_claim(&[]).is_none());
    drop(lease);
    assert!(upstream.try_claim(&[]).is_none(), "the place went to the second, not to a newcomer");
    assert_eq!(serial(poll(&mut second)), 1);
    assert_eq!((upstream.held(), upstream.endpoints()[0].in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_full_line_takes_nobody() {
    let (upstream, _) = upstream();
    upstream.set(&[], EXPECTED);
    let mut waiting = [claim(&upstream, &[]), claim(&upstream, &[])];
    assert!(waiting.iter_mut().all(|claim| poll(claim).is_pending()));
    assert_eq!(upstream.claim(&[]).await.err(), Some(Refused::Full));
    drop(waiting);
    assert!(poll(&mut claim(&upstream, &[])).is_pending(), "there is room again");
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_in_time() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1)], TIGHT);
    let _lease = upstream.try_claim(&[]).unwrap();
    let mut claim = claim(&upstream, &[]);
    assert!(poll(&mut claim).is_pending());
    advance(9 * SECOND).await;
    assert!(poll(&mut claim).is_pending());
    advance(SECOND).await;
    assert_eq!(refusal(poll(&mut claim)), Some(Refused::TimedOut));
    assert_eq!(upstream.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_was_served_at_the_last_moment_is_not_sent_away() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1)], TIGHT);
    let lease = upstream.try_claim(&[]).unwrap();
    let mut claim = claim(&upstream, &[]);
    assert!(poll(&mut claim).is_pending());
    drop(lease);
    advance(11 * SECOND).await;
    assert_eq!(serial(poll(&mut claim)), 1);
}

#[tokio::test(start_paused = true)]
async fn all_are_sent_away_once_nothing_is_to_come_any_more() {
    let (upstream, _) = upstream();
    upstream.set(&[], EXPECTED);
    let mut waiting = [claim(&upstream, &[]), claim(&upstream, &[])];
    assert!(waiting.iter_mut().all(|claim| poll(claim).is_pending()));
    upstream.retire();
    assert!(waiting.iter_mut().all(|claim| refusal(poll(claim)) == Some(Refused::Down)));
    assert_eq!(upstream.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_leaves_the_line() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1)], TIGHT);
    let lease = upstream.try_claim(&[]).unwrap();
    let (mut first, mut second) = (claim(&upstream, &[]), claim(&upstream, &[]));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(first);
    assert_eq!(upstream.held(), 1);
    drop(lease);
    assert_eq!(serial(poll(&mut second)), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_to_one_who_goes_away_goes_to_the_next_and_then_back() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1)], TIGHT);
    let lease = upstream.try_claim(&[]).unwrap();
    let (mut first, mut second) = (claim(&upstream, &[]), claim(&upstream, &[]));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(lease);
    drop(first);
    assert_eq!((upstream.held(), upstream.endpoints()[0].in_flight()), (0, 1));
    drop(second);
    assert_eq!(upstream.endpoints()[0].in_flight(), 0);
    assert!(upstream.try_claim(&[]).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_meant_for_one_who_has_been_served_already_is_given_back() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1)], WIDE);
    let waiter = upstream.hold.join((Span::Any, &[]), 1).unwrap();
    for _ in 0..2 {
        waiter.tell(upstream.world.load().answer(Span::Any, &[]).unwrap());
    }
    assert_eq!(upstream.endpoints()[0].in_flight(), 1);
    drop(waiter);
    assert_eq!(upstream.endpoints()[0].in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_who_avoids_an_endpoint_lets_others_have_it() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1)], EXPECTED);
    let lease = upstream.try_claim(&[]).unwrap();
    let avoid = [Serial(1)];
    let (mut avoiding, mut other) = (claim(&upstream, &avoid), claim(&upstream, &[]));
    assert!(poll(&mut avoiding).is_pending() && poll(&mut other).is_pending());
    drop(lease);
    assert!(poll(&mut avoiding).is_pending());
    assert_eq!(serial(poll(&mut other)), 1);
    assert_eq!(upstream.endpoints()[0].in_flight(), 0, "nobody in line wants it");
    upstream.set(&[open(1), open(2)], EXPECTED);
    assert_eq!(serial(poll(&mut avoiding)), 2);
}

#[tokio::test(start_paused = true)]
async fn a_higher_limit_serves_those_who_wait() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1)], TIGHT);
    let _lease = upstream.try_claim(&[]).unwrap();
    let mut waiting = claim(&upstream, &[]);
    assert!(poll(&mut waiting).is_pending());
    upstream.set(&[open(1)], Bounds { max_inflight: NonZeroU32::new(2), ..TIGHT });
    assert_eq!(serial(poll(&mut waiting)), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_serves_nobody_until_it_is_reached() {
    let (upstream, _) = upstream();
    upstream.set(&[open(1)], WIDE);
    let leases = [(); 3].map(|()| upstream.try_claim(&[]).unwrap());
    upstream.set(&[open(1)], TIGHT);
    let mut waiting = claim(&upstream, &[]);
    assert!(poll(&mut waiting).is_pending());
    let [first, second, last] = leases;
    drop((first, second));
    assert!(poll(&mut waiting).is_pending());
    drop(last);
    assert_eq!(serial(poll(&mut waiting)), 1);
}

#[tokio::test(start_paused = true)]
async fn the_place_at_a_closed_endpoint_is_handed_to_nobody() {
    let (upstream, reports) = upstream();
    upstream.set(&[open(1)], EXPECTED);
    let lease = upstream.try_claim(&[]).unwrap();
    let mut waiting = claim(&upstream, &[]);
    assert!(poll(&mut waiting).is_pending());
    upstream.set(&[closed(1)], EXPECTED);
    drop(lease);
    assert!(poll(&mut waiting).is_pending());
    assert_eq!(reports.of(1), 1);
    upstream.set(&[closed(1), open(2)], EXPECTED);
    assert_eq!(serial(poll(&mut waiting)), 2);
}

#[tokio::test(start_paused = true)]
async fn those_who_waited_are_spread_over_the_new_endpoints() {
    let (upstream, _) = upstream();
    let bounds = Bounds { hold_requests: 100, max_inflight: None, ..EXPECTED };
    upstream.set(&[], bounds);
    let mut waiting: Vec<_> = (0..10).map(|_| claim(&upstream, &[])).collect();
    assert!(waiting.iter_mut().all(|claim| poll(claim).is_pending()));
    upstream.set(&[open(1), open(2)], bounds);
    assert_eq!(upstream.endpoints().iter().map(|it| it.in_flight()).collect::<Vec<_>>(), [5, 5]);
}

#[tokio::test(start_paused = true)]
async fn when_the_oldest_has_waited_for_too_long_others_are_refused_until_it_is_served() {
    let (upstream, _) = upstream();
    let shedding = Bounds { hold_requests: 10, shed_after: Some(SECOND), ..TIGHT };
    upstream.set(&[open(1)], shedding);
    let lease = upstream.try_claim(&[]).unwrap();
    let mut first = claim(&upstream, &[]);
    assert!(poll(&mut first).is_pending());
    advance(SECOND / 2).await;
    let mut second = claim(&upstream, &[]);
    assert!(poll(&mut second).is_pending());
    advance(SECOND / 2).await;
    assert_eq!(upstream.claim(&[]).await.err(), Some(Refused::Overloaded));
    drop(lease);
    let Poll::Ready(Ok(lease)) = poll(&mut first) else { panic!("not served") };
    let mut third = claim(&upstream, &[]);
    assert!(poll(&mut third).is_pending(), "the line moves on, so there is hope again");
    drop(lease);
    assert_eq!([serial(poll(&mut second)), serial(poll(&mut third))], [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_for_lateness_while_no_worker_is_up() {
    let (upstream, _) = upstream();
    upstream.set(&[closed(1)], Bounds { hold_requests: 10, shed_after: Some(SECOND), ..EXPECTED });
    let mut first = claim(&upstream, &[]);
    assert!(poll(&mut first).is_pending());
    advance(5 * SECOND).await;
    assert!(poll(&mut claim(&upstream, &[])).is_pending());
}
