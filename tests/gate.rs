//! The gate, and the queue in front of it, under every interleaving (loom).
//!
//! The files under test are the ones that the proxy runs; only the words that they are built from are loom's. A model
//! is run once for every order in which its threads can take their steps with at most [`PREEMPTIONS`] forced switches.

#[expect(dead_code, reason = "the models need less of it than the proxy")]
#[path = "../src/upstream/gate.rs"]
mod gate;
#[expect(dead_code, reason = "the models need less of it than the proxy")]
#[path = "../src/upstream/queue.rs"]
mod queue;

mod atomic {
    pub(super) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
    pub(super) use loom::sync::{Mutex, MutexGuard};
    pub(super) use std::sync::PoisonError;
}

use std::num::NonZeroU32;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU32};
use loom::thread;

use atomic::SeqCst;
use gate::{Gate, Left};
use queue::Queue;

fn limit(limit: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(limit)
}

/// Faults of this kind show with two; every further one multiplies the time.
const PREEMPTIONS: usize = 3;

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(run);
}

#[test]
fn what_is_closed_and_seen_empty_stays_empty() {
    model(|| {
        let gate = Arc::new(Gate::new(None));
        let may_stop = Arc::new(AtomicBool::new(false));
        let claimers: Vec<_> = (0..2)
            .map(|_| {
                let (gate, may_stop) = (Arc::clone(&gate), Arc::clone(&may_stop));
                thread::spawn(move || {
                    if gate.try_enter() {
                        assert!(!may_stop.load(SeqCst), "entered after the worker was told to stop");
                        let _ = gate.try_leave().unwrap();
                    }
                })
            })
            .collect();
        let _ = gate.close();
        if gate.in_flight() == 0 {
            assert!(gate.is_drained());
            may_stop.store(true, SeqCst);
            assert!(!gate.try_enter());
        }
        for claimer in claimers {
            claimer.join().unwrap();
        }
        assert!(gate.is_drained());
    });
}

#[test]
fn the_limit_is_never_exceeded() {
    model(|| {
        let gate = Arc::new(Gate::new(limit(1)));
        let inside = Arc::new(AtomicU32::new(0));
        let visit = |gate: Arc<Gate>, inside: Arc<AtomicU32>| {
            if gate.try_enter() {
                assert_eq!(inside.fetch_add(1, SeqCst), 0, "two inside");
                inside.fetch_sub(1, SeqCst);
                let _ = gate.try_leave().unwrap();
            }
        };
        let visitors = [(); 2].map(|()| {
            let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
            thread::spawn(move || visit(gate, inside))
        });
        visit(Arc::clone(&gate), inside);
        for visitor in visitors {
            visitor.join().unwrap();
        }
        assert_eq!(gate.load(), Some(0), "a place was lost");
    });
}

#[test]
fn idle_is_said_exactly_once() {
    model(|| {
        let gate = Arc::new(Gate::new(None));
        let said = Arc::new(AtomicU32::new(0));
        let visitors = [(); 2].map(|()| {
            let (gate, said) = (Arc::clone(&gate), Arc::clone(&said));
            thread::spawn(move || {
                if gate.try_enter() {
                    count(&said, gate.try_leave().unwrap());
                }
            })
        });
        count(&said, gate.close());
        count(&said, gate.close());
        for visitor in visitors {
            visitor.join().unwrap();
        }
        assert_eq!(said.load(SeqCst), 1);
        gate.open();
        count(&said, gate.close());
        assert_eq!(said.load(SeqCst), 2, "each closing is told");
    });
}

fn count(said: &AtomicU32, left: Left) {
    if left.now_idle {
        said.fetch_add(1, SeqCst);
    }
}

/// A held request: told by setting its flag, unless it has gone away.
#[derive(Clone)]
struct Waiter {
    /// 0: waits, [`SERVED`] or [`GONE`]; set once.
    fate: Arc<AtomicU32>,
}

const SERVED: u32 = 1;
const GONE: u32 = 2;

impl Waiter {
    fn new() -> Self {
        Self { fate: Arc::new(AtomicU32::new(0)) }
    }

    fn settle(&self, fate: u32) -> bool {
        self.fate.compare_exchange(0, fate, SeqCst, SeqCst).is_ok()
    }

    fn is_served(&self) -> bool {
        self.fate.load(SeqCst) == SERVED
    }
}

/// One endpoint that takes one exchange, and its line.
struct Scene {
    gate: Gate,
    queue: Queue<Waiter>,
}

impl Scene {
    /// The only place is taken.
    fn full() -> Arc<Self> {
        let scene = Self { gate: Gate::new(limit(1)), queue: Queue::new() };
        assert!(scene.gate.try_enter());
        Arc::new(scene)
    }

    fn release(&self) -> Left {
        queue::release(&self.gate, &self.queue, |_| true, |waiter| waiter.settle(SERVED))
    }

    /// Claims as `Upstream::claim` does: goes in, or joins and tries again. `None` when it went in and out by itself.
    fn claim(&self, waiter: &Waiter) -> Option<u64> {
        if self.gate.try_enter() {
            waiter.settle(SERVED);
            let _ = self.release();
            return None;
        }
        let ticket = self.queue.join(waiter.clone(), 2).expect("the line has room for two");
        if self.gate.try_enter_or_want() {
            // For ourselves, unless we have been served meanwhile, as `Hold::tell` does.
            let is_ours = self.queue.remove(ticket).is_some_and(|waiter| waiter.settle(SERVED));
            if !is_ours {
                let _ = self.release();
            }
        }
        Some(ticket)
    }

    /// Goes away as `Waiter::drop` does: leaves the line and passes on what was handed over meanwhile.
    fn go_away(&self, waiter: &Waiter, ticket: u64) {
        self.queue.remove(ticket);
        if !waiter.settle(GONE) {
            let _ = self.release();
        }
    }
}

#[test]
fn no_wake_up_is_lost_between_a_release_and_an_arrival() {
    model(|| arrive_at_a_release(&Scene::full()));
}

#[test]
fn nor_is_it_when_the_word_of_one_who_went_away_is_taken_back() {
    model(|| {
        let (scene, gone) = (Scene::full(), Waiter::new());
        let ticket = scene.claim(&gone).unwrap();
        scene.go_away(&gone, ticket);
        arrive_at_a_release(&scene);
    });
}

fn arrive_at_a_release(scene: &Arc<Scene>) {
    let waiter = Waiter::new();
    let claiming = {
        let (scene, waiter) = (Arc::clone(scene), waiter.clone());
        thread::spawn(move || scene.claim(&waiter).is_some())
    };
    let _ = scene.release();
    let queued = claiming.join().expect("a claim does not panic");
    assert!(waiter.is_served(), "waits beside a free place");
    // Who waited is still inside; who went in at once has left.
    assert_eq!(scene.gate.in_flight(), u32::from(queued));
    assert_eq!(scene.queue.len(), 0);
}

#[test]
fn two_that_wait_are_both_served_in_turn() {
    model(|| {
        let scene = Scene::full();
        let waiters = [Waiter::new(), Waiter::new()];
        let claiming = waiters.clone().map(|waiter| {
            let scene = Arc::clone(&scene);
            thread::spawn(move || scene.claim(&waiter).is_some())
        });
        let _ = scene.release();
        let queued = claiming.map(|claiming| claiming.join().unwrap());
        // Each of those that waited ends its claim; the second one's is a gift of the first.
        for _ in queued.iter().filter(|queued| **queued) {
            assert_eq!(scene.gate.in_flight(), 1, "one waits and nobody is inside");
            let _ = scene.release();
        }
        assert!(waiters.iter().all(Waiter::is_served));
        assert_eq!(scene.gate.load(), Some(0), "a place was lost");
    });
}

#[test]
fn a_lease_for_one_who_goes_away_reaches_the_next() {
    model(|| {
        let scene = Scene::full();
        let (leaves, stays) = (Waiter::new(), Waiter::new());
        let ticket = scene.claim(&leaves).unwrap();
        scene.claim(&stays).unwrap();
        let releasing = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || {
                let _ = scene.release();
            })
        };
        scene.go_away(&leaves, ticket);
        releasing.join().unwrap();
        assert!(stays.is_served(), "the lease ended with the one who went away");
        assert_eq!(scene.gate.in_flight(), 1);
    });
}

#[test]
fn a_place_given_up_after_the_closing_is_handed_to_nobody() {
    model(|| {
        let (scene, waiter) = (Scene::full(), Waiter::new());
        let ticket = scene.claim(&waiter).unwrap();
        let said = Arc::new(AtomicU32::new(0));
        let is_closed = Arc::new(AtomicBool::new(false));
        let releasing = {
            let (scene, said, is_closed) = (Arc::clone(&scene), Arc::clone(&said), Arc::clone(&is_closed));
            thread::spawn(move || {
                let was_closed = is_closed.load(SeqCst);
                count(&said, scene.release());
                was_closed
            })
        };
        count(&said, scene.gate.close());
        let was_drained = scene.gate.is_drained();
        is_closed.store(true, SeqCst);
        let was_closed = releasing.join().unwrap();
        if waiter.is_served() {
            assert!(!was_closed, "claimed after the closing");
            assert!(!was_drained, "inside a gate that was reported idle");
            count(&said, scene.release());
        } else {
            assert!(scene.queue.remove(ticket).is_some());
        }
        assert!(scene.gate.is_drained());
        assert_eq!(said.load(SeqCst), 1, "idle is said once");
    });
}
