//! Claims, leases, the hold queue and the listing, one step at a time on a paused clock; and all at once, in threads.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::time::advance;

use super::*;
use crate::id::{Address, Generation, Slot};

/// Counts the connections of a test that exist.
type Connection = Arc<()>;

/// How often each endpoint was reported idle.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<BTreeMap<Serial, usize>>>);

impl Reports {
    fn of(&self, serial: u64) -> usize {
        self.0.lock().unwrap().get(&Serial(serial)).copied().unwrap_or(0)
    }
}

fn upstream() -> (Upstream<Connection>, Reports) {
    let reports = Reports::default();
    let counting = reports.clone();
    let on_idle = move |serial| *counting.0.lock().unwrap().entry(serial).or_default() += 1;
    (Upstream::new(2, Arc::new(on_idle)), reports)
}

fn spec(serial: u64, open: bool) -> Spec {
    let address = Address::Unix(format!("/run/{serial}.sock").into());
    Spec { serial: Serial(serial), slot: Slot(0), generation: Generation(serial), address, open }
}

fn open(serial: u64) -> Spec {
    spec(serial, true)
}

fn closed(serial: u64) -> Spec {
    spec(serial, false)
}

const SECOND: Duration = Duration::from_secs(1);

/// One exchange for each endpoint, two requests on hold, for ten seconds.
const TIGHT: Bounds =
    Bounds { max_inflight: NonZeroU32::new(1), hold_requests: 2, hold_time: Duration::from_secs(10), expected: false };

/// The same while a worker is to come up.
const EXPECTED: Bounds = Bounds { expected: true, ..TIGHT };

/// The same without a limit on exchanges.
const WIDE: Bounds = Bounds { max_inflight: None, ..TIGHT };

type Claim<'a> = Pin<Box<dyn Future<Output = Result<Lease<Connection>, Refused>> + Send + 'a>>;

fn claim<'a>(upstream: &'a Upstream<Connection>, avoid: &'a [Serial]) -> Claim<'a> {
    Box::pin(upstream.claim(avoid))
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The serial of what was claimed; the lease ends at once.
fn serial(claimed: Poll<Result<Lease<Connection>, Refused>>) -> u64 {
    match claimed {
        Poll::Ready(Ok(lease)) => lease.serial.0,
        Poll::Ready(Err(refused)) => panic!("refused: {refused}"),
        Poll::Pending => panic!("still waits"),
    }
}

fn refusal(claimed: Poll<Result<Lease<Connection>, Refused>>) -> Option<Refused> {
    match claimed {
        Poll::Ready(claimed) => claimed.err(),
        Poll::Pending => None,
    }
}

mod claiming {
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
}

mod holding {
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
        let waiter = upstream.hold.join(&[], 1).unwrap();
        for _ in 0..2 {
            waiter.tell(upstream.world.load().answer(&[]).unwrap());
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
}

mod listing {
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
        assert!(endpoint.take_idle(1, now).is_none());
        assert!(endpoint.take_idle(0, now).is_some());
        endpoint.put_idle(0, Connection::default(), now + SECOND);
        upstream.sweep(0, now + SECOND);
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
}

mod storm {
    use super::*;

    const CLAIMS: usize = 3_000;
    /// The most swaps; they end with the clients.
    const SWAPS: u64 = 1_000_000;

    /// Two places at each endpoint. A wake-up that is lost shows as a time-out: the time is more than a whole test
    /// takes.
    const BOUNDS: Bounds = Bounds {
        max_inflight: NonZeroU32::new(2),
        hold_requests: 100,
        hold_time: Duration::from_secs(20),
        expected: true,
    };

    /// Claims and gives up, now and then going away while on hold, and checks what every holder of a lease may rely on.
    async fn exchanges(upstream: &Upstream<Connection>) {
        for turn in 0..CLAIMS {
            let mut claim = claim(upstream, &[]);
            if turn % 7 == 0 {
                let _gone_away = poll(&mut claim);
                continue;
            }
            let lease = claim.await.unwrap_or_else(|refused| panic!("turn {turn}: {refused}"));
            assert!(!lease.is_drained(), "claimed after it was reported idle");
            assert!(lease.in_flight() <= 2, "more than the limit");
            tokio::task::yield_now().await;
            assert!(!lease.is_drained(), "reported idle while in flight");
        }
    }

    fn four_clients(upstream: &Upstream<Connection>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let exchanges = || exchanges(upstream);
        runtime.block_on(async { tokio::join!(exchanges(), exchanges(), exchanges(), exchanges()) });
    }

    fn assert_nothing_is_left_of(upstream: &Upstream<Connection>) {
        let in_flight: u32 = upstream.endpoints().iter().map(|endpoint| endpoint.in_flight()).sum();
        assert_eq!((in_flight, upstream.held()), (0, 0), "a place or a waiter was forgotten");
    }

    #[test]
    fn in_front_of_two_places_nobody_waits_for_ever() {
        let (upstream, _) = upstream();
        upstream.set(&[open(1)], BOUNDS);
        std::thread::scope(|scope| {
            scope.spawn(|| four_clients(&upstream));
            four_clients(&upstream);
        });
        assert_nothing_is_left_of(&upstream);
    }

    #[test]
    fn under_swaps_no_endpoint_is_claimed_too_late_or_forgotten() {
        let (upstream, reports) = upstream();
        upstream.set(&[open(0)], BOUNDS);
        let clients = AtomicUsize::new(2);
        let swap = |generation: &u64| {
            upstream.set(&[closed(generation - 1), open(*generation)], BOUNDS);
            std::thread::yield_now();
            clients.load(Ordering::Relaxed) > 0
        };
        let swaps = std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    four_clients(&upstream);
                    clients.fetch_sub(1, Ordering::Relaxed);
                });
            }
            (1..SWAPS).take_while(swap).count()
        });
        assert_nothing_is_left_of(&upstream);
        upstream.retire();
        let reports = reports.0.lock().unwrap();
        assert!(reports.len() > swaps && reports.values().all(|times| *times == 1), "each closing is reported once");
    }
}
