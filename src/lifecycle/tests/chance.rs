//! Random worlds: processes that crash, hang and ignore signals, proxies that acknowledge late, clocks that oversleep.
//!
//! The world judges every step. When it turns kind, everybody has to serve; when asked to stop, nobody may be left.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::plan;
use super::world::{Choice, Mischief, World};
use crate::id::Serial;
use crate::lifecycle::{
    Backoff, Canary, Event, Liveness, OnLoop, Plan, Policy, Probing, Readiness, RecycleReason, Restart, Rollout,
    Timeouts, Trial, Version, Word,
};

pub(super) const WILD: Mischief = Mischief {
    reloads: 30,
    recycles: 60,
    resizes: 60,
    doubts: 60,
    squeezes: 30,
    dozes: 30,
    rouses: 60,
    stops: 3,
    starts: 4,
    crashes: 60,
    endings: 10,
    spawn_failures: 20,
    ills: 200,
    hangs: 50,
    words: 60,
    late_answers: true,
    ..Mischief::NONE
};

/// One turn of fate: what kind of thing, which of them, and how the dice fall.
type Turn = (u8, u8, u8);

prop_compose! {
    fn restarts()(
        policy in prop_oneof![3 => Just(Policy::Always), 2 => Just(Policy::OnFailure), 1 => Just(Policy::Never)],
        stops_with_78 in any::<bool>(),
        backoff_max in 0..=3_u64,
        reset in 1..=20_u64,
        delay in proptest::option::of(0..=3_u64),
        intensity in prop_oneof![1..=4_u32, Just(1_000)],
        period in 1..=60_u64,
        on_loop in prop_oneof![
            3 => (0..=30_u64).prop_map(|wait| OnLoop::Retry(Duration::from_secs(wait))),
            1 => Just(OnLoop::GiveUp),
        ],
    ) -> Restart {
        Restart {
            policy,
            stop_codes: stops_with_78.then_some(78).into_iter().collect(),
            backoff: Backoff {
                min: Duration::from_millis(500),
                max: Duration::from_secs(backoff_max),
                reset: Duration::from_secs(reset),
            },
            delay: delay.map(Duration::from_secs),
            intensity,
            period: Duration::from_secs(period),
            on_loop,
        }
    }
}

prop_compose! {
    fn liveness()(
        interval in 3..=10_u64,
        (failures, successes) in (1..=3_u32, 1..=3_u32),
        replace_after in proptest::option::of(0..=60_u64),
        hung_after in proptest::option::of(1..=60_u64),
        dumps in any::<bool>(),
    ) -> Liveness {
        let [replace_after, hung_after] = [replace_after, hung_after].map(|limit| limit.map(Duration::from_secs));
        Liveness { interval: Duration::from_secs(interval), failures, successes, replace_after, hung_after, dumps }
    }
}

fn readiness() -> impl Strategy<Value = Readiness> {
    prop_oneof![
        Just(Readiness::Declared),
        Just(Readiness::Probed),
        // Less than any worker of these worlds may take to start.
        (0..=9_u64).prop_map(|wait| Readiness::Lasting(Duration::from_millis(wait * 100))),
    ]
}

fn rollouts() -> impl Strategy<Value = Rollout> {
    prop_oneof![
        2 => Just(Rollout::AT_ONCE),
        3 => (1..=3_u32, 0..=1_u32).prop_map(|(surge, unavailable)| Rollout { surge, unavailable }),
        2 => Just(Rollout { surge: 0, unavailable: 1 }),
        1 => Just(Rollout::ONE_AFTER_THE_OTHER),
    ]
}

prop_compose! {
    fn canary()(share in 1..=5_000_u32, bake in 0..=20_u64) -> Canary {
        Canary { share, bake: Duration::from_secs(bake) }
    }
}

prop_compose! {
    pub(super) fn plans()(
        workers in 1..=4_u32,
        concurrent_starts in 1..=3_u32,
        successes in 1..=3_u32,
        start_timeout in 1..=60_u64,
        restart in restarts(),
        progress_deadline in 1..=90_u64,
        drain_timeout in 1..=600_u64,
        (readiness, warmup) in (readiness(), proptest::option::weighted(0.3, 1..=20_u64)),
        overlaps in any::<bool>(),
        liveness in proptest::option::of(liveness()),
        canary in proptest::option::weighted(0.3, canary()),
        (watchdog, rollout, gated) in (proptest::option::of(1..=60_u64), rollouts(), any::<bool>()),
    ) -> Plan {
        Plan {
            timeouts: Timeouts {
                start: Duration::from_secs(start_timeout),
                drain: Duration::from_secs(drain_timeout),
                progress: Duration::from_secs(progress_deadline),
                warmup: warmup.map(Duration::from_secs),
                ..plan(workers).timeouts
            },
            probing: Probing {
                readiness,
                successes,
                ..plan(workers).probing
            },
            restart,
            // Tasks cannot be asked.
            liveness: liveness.filter(|_| overlaps && !matches!(readiness, Readiness::Lasting(_))),
            watchdog: watchdog.map(Duration::from_secs),
            concurrent_starts,
            overlaps,
            trial: Trial { canary: canary.filter(|_| overlaps), ..plan(workers).trial },
            gated,
            // The last worker of an app goes first only where requests may wait; tasks come at once.
            rollout: match rollout {
                _ if !overlaps => Rollout::AT_ONCE,
                Rollout { surge: 0, .. } if workers == 1 => Rollout::ONE_AFTER_THE_OTHER,
                rollout => rollout,
            },
            ..plan(workers)
        }
    }
}

/// What may happen to such an app. A reload of one whose workers may not run beside each other is a stop and a start.
pub(super) fn mischief(plan: &Plan) -> Mischief {
    Mischief { reloads: if plan.overlaps { WILD.reloads } else { 0 }, ..WILD }
}

/// One thing happens; the kinder the world, the more often it is the kindest.
pub(super) fn turn(world: &mut World, kindness: u8, (kind, which, dice): Turn) {
    world.mischief.dice = dice;
    if kind < kindness {
        world.kindest().into_iter().for_each(|choice| world.apply(choice));
        return;
    }
    let choices = world.choices();
    let any = choices.get(usize::from(which) % choices.len().max(1)).copied();
    match kind % 10 {
        0 | 1 if world.mischief.reloads > 0 => world.apply(Choice::Reload),
        2 if world.app.deadline().is_some() => world.apply(Choice::Wake(u64::from(which % 64))),
        3 => noise(world, which),
        4 => recycle(world, which),
        5 if world.mischief.resizes > 0 => world.apply(Choice::Resize(1 + u32::from(which % 5))),
        _ => any.into_iter().for_each(|choice| world.apply(choice)),
    }
}

/// Somebody wants another worker in place of one that serves.
fn recycle(world: &mut World, which: u8) {
    let wishable = |choice: &Choice| matches!(choice, Choice::Recycle(_));
    let choices: Vec<_> = world.choices().into_iter().filter(wishable).collect();
    if let Some(choice) = choices.get(usize::from(which) % choices.len().max(1)) {
        world.apply(*choice);
    }
}

/// Something that cannot be meant: it must change nothing and be counted.
fn noise(world: &mut World, which: u8) {
    let serial = Serial(u64::from(which) + 1_000_000);
    let event = match which % 11 {
        0 => Event::Spawned { serial },
        1 => Event::SpawnFailed { serial, reason: "no such file".into() },
        2 => Event::Probed { serial, outcome: Ok(()) },
        3 => Event::Exited { serial, how: "exit code 1".into(), code: Some(1) },
        4 => Event::Idle { serial },
        5 => Event::Declared { serial },
        6 => Event::Checked { serial, outcome: Err("no answer".into()), oldest: None },
        7 => Event::Recycle { serial, reason: RecycleReason::Asked },
        8 => Event::Hasten { serial },
        9 => Event::Told { serial, word: Word::Leaves },
        _ => Event::Published { version: Version(world.version().0 + 1 + u64::from(which)) },
    };
    let before = world.app.report();
    world.feed(event);
    let after = world.app.report();
    world.require(world.actions.is_empty(), "noise leads to something");
    world.require(after.ignored == before.ignored + 1, "noise is not counted");
    world.require(after.generations == before.generations, "noise changes something");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn when_the_world_turns_kind_all_serve_and_when_asked_to_all_stop(
        first in plans(),
        second in plans(),
        script in vec(any::<Turn>(), 0..400),
        kindness in 120..=250_u8,
        (busy, slow) in any::<(bool, bool)>(),
    ) {
        // An app does not become a task, nor does a task become another app.
        let is_alike = first.probing.is_lasting() == second.probing.is_lasting() && first.overlaps == second.overlaps;
        let Plan { probing, liveness, overlaps, .. } = first;
        let rollout = if first.overlaps { second.rollout } else { Rollout::AT_ONCE };
        let second = if is_alike { second } else { Plan { probing, liveness, overlaps, rollout, ..second } };
        let mut world = World::new(first, Mischief { busy, slow, ..mischief(&first) });
        world.apply(Choice::Start);
        for (index, one) in script.iter().enumerate() {
            world.plan = if index % 2 == 0 { first } else { second };
            turn(&mut world, kindness, *one);
        }
        world.mischief = Mischief { busy: false, slow: false, ..world.mischief };
        if !world.app.is_wanted() {
            world.apply(Choice::Start);
        }
        world.settle();
        prop_assert!(world.app.is_wanted() && world.is_at_rest());
        if world.app.is_dormant() {
            world.apply(Choice::Rouse);
            world.settle();
            prop_assert!(world.app.is_wanted() && world.is_at_rest() && !world.app.is_dormant());
        }
        prop_assert!(world.app.endpoints().iter().all(|endpoint| endpoint.open));
        world.apply(Choice::Stop);
        world.settle();
        prop_assert!(world.is_at_rest() && !world.stop_owed);
        prop_assert!(world.processes.is_empty());
        prop_assert_eq!(world.app.deadline(), None);
    }
}
