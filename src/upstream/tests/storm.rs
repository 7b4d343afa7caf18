//! Many clients at once, in threads, on a clock that runs.

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
    shed_after: None,
    expected: true,
    wakes: false,
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
