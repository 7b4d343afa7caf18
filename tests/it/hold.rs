//! A request waits when no worker can take it, within bounds.

use std::time::{Duration, Instant};

use crate::harness::{App, Portreeve, Running, SOON, process, until, worker};

fn holding(requests: i64, time: &str) -> App {
    let hold = toml::Table::from_iter([("requests".to_owned(), requests.into()), ("time".to_owned(), time.into())]);
    worker().set("hold", hold).set("max_inflight", 1)
}

#[track_caller]
fn held_total(running: &Running, outcome: &str) -> f64 {
    running.metrics().sum("portreeve_held_total", &[("app", "web"), ("outcome", outcome)])
}

#[test]
fn requests_while_the_only_worker_is_restarted_are_held_not_failed() {
    let running = Portreeve::new().app("web", worker()).start();
    let first = running.pids("web", 1)[0];
    running.site("web").rewrite(&["late=500ms"]);
    process::kill(first);
    until(SOON, "the death is noticed", || running.status().app("web").serving().is_empty().then_some(()));
    let gets: Vec<_> = (0..8).map(|_| running.http().get_meanwhile("/whoami")).collect();
    assert_eq!(running.http().post("/once?id=held", "x").status, 200);
    for get in gets {
        let reply = get.join().unwrap().unwrap();
        assert_eq!(reply.status, 200);
        assert_ne!(reply.pid(), Some(first));
    }
    assert_eq!(running.ledger().count("held"), 1);
    assert!(held_total(&running, "served") >= 9.0);
}

#[test]
fn requests_before_the_first_worker_is_ready_are_held() {
    let running = Portreeve::new().app("web", worker().says("late=500ms")).launch();
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn requests_beyond_what_the_workers_may_have_in_flight_take_turns() {
    let running = Portreeve::new().app("web", holding(100, "10s")).start();
    let began = Instant::now();
    let slow: Vec<_> = (0..4).map(|_| running.http().get_meanwhile("/slow?ms=200")).collect();
    for request in slow {
        assert_eq!(request.join().unwrap().unwrap().status, 200);
    }
    assert!(began.elapsed() >= Duration::from_millis(800), "one at a time");
    assert!(held_total(&running, "served") >= 3.0);
}

#[test]
fn a_request_too_many_is_turned_away_at_once() {
    let running = Portreeve::new().app("web", holding(1, "10s")).start();
    let first = running.http().get_meanwhile("/slow?ms=2000");
    running.in_flight("web", 1.0);
    let second = running.http().get_meanwhile("/whoami");
    running.held("web", 1.0);
    let third = running.get("/whoami");
    assert_eq!(third.status, 503);
    assert!(third.header("retry-after").is_some_and(|value| value.parse::<u32>().is_ok()), "{third:?}");
    assert!(!first.is_finished(), "it did not wait");
    assert_eq!(held_total(&running, "overflow").to_bits(), 1f64.to_bits());
    for request in [first, second] {
        assert_eq!(request.join().unwrap().unwrap().status, 200);
    }
}

#[test]
fn a_request_that_waits_too_long_is_turned_away() {
    let running = Portreeve::new().app("web", holding(10, "300ms")).start();
    let first = running.http().get_meanwhile("/slow?ms=2000");
    running.in_flight("web", 1.0);
    let began = Instant::now();
    let second = running.get("/whoami");
    assert_eq!(second.status, 503);
    assert!(second.header("retry-after").is_some());
    assert!(began.elapsed() >= Duration::from_millis(300) && !first.is_finished());
    assert!(held_total(&running, "timeout") >= 1.0);
    assert_eq!(first.join().unwrap().unwrap().status, 200);
}

#[test]
fn a_client_that_gives_up_leaves_the_queue() {
    let running = Portreeve::new().app("web", holding(1, "30s")).start();
    let first = running.http().get_meanwhile("/slow?ms=3000");
    running.in_flight("web", 1.0);
    let mut impatient = std::net::TcpStream::connect(running.http().address()).unwrap();
    std::io::Write::write_all(&mut impatient, b"GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    running.held("web", 1.0);
    drop(impatient);
    running.held("web", 0.0);
    assert!(!first.is_finished(), "it left before its turn came");
    assert_eq!(first.join().unwrap().unwrap().status, 200);
}
