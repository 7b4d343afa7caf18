//! More work than the workers can do: what is taken is done in time, the rest is told so at once, and it is over when the load is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Portreeve, SOON, Target, until, worker};

/// How long the worker takes for one request; it does one at a time.
const WORK: &str = "/slow?ms=40";

/// Asks again and again until told to stop; says how each went, and how long it took.
fn ask(target: &Target, stop: &AtomicBool) -> Vec<(u16, Duration)> {
    let mut answers = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let began = Instant::now();
        let reply = target.get(WORK);
        assert!(reply.status == 200 || reply.header("retry-after").is_some(), "{reply:?}");
        answers.push((reply.status, began.elapsed()));
    }
    answers
}

#[test]
fn too_much_work_is_turned_away_early_and_what_is_taken_is_done_in_time() {
    let hold = toml::Table::from_iter([("shed_after".to_owned(), "200ms".into())]);
    let app = worker().workers(1).set("max_inflight", 1).set("hold", hold);
    let running = Portreeve::new().app("web", app).start();
    let (target, stop) = (running.http(), AtomicBool::new(false));
    let answers = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..24).map(|_| scope.spawn(|| ask(&target, &stop))).collect();
        until(SOON, "requests are turned away", || {
            let shed = running.metrics().value("portreeve_held_total", &[("app", "web"), ("outcome", "shed")]);
            shed.is_some_and(|count| count > 50.0).then_some(())
        });
        // Those who watch are answered meanwhile.
        let began = Instant::now();
        assert_eq!(running.get_metrics("/readyz").status, 200);
        assert!(running.status().app("web").serving().len() == 1);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        stop.store(true, Ordering::SeqCst);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    // It is over at once.
    let began = Instant::now();
    assert_eq!(running.get(WORK).status, 200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let mut taken: Vec<_> = answers.iter().filter(|(status, _)| *status == 200).map(|(_, took)| *took).collect();
    taken.sort_unstable();
    let p99 = taken[taken.len() * 99 / 100];
    println!("overload: {} answered, p99 {p99:?}; {} turned away", taken.len(), answers.len() - taken.len());
    assert!(taken.len() > 10 && taken.len() < answers.len());
    // What had joined the line before it was late, and its turn at the worker: far below the 10 s of patience.
    assert!(p99 < Duration::from_secs(3), "{p99:?}");
}
