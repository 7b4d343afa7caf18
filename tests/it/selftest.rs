//! The tests' own tools, tested without portreeve: a tool that cannot see a failure proves nothing.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use http::Method;
use http_body_util::BodyExt;
use rustix::process::Signal;

use crate::harness::process::{self, Process};
use crate::harness::{Direct, Exposition, Failure, Ledger, Load, Notices, SOON, Target, request, until, within};
use crate::pattern::{Checker, Pattern};

fn with_ledger(words: &[&str]) -> (tempfile::TempDir, Ledger, Direct) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::create(folder.path().join("ledger"));
    let direct = Direct::start(&[&[ledger.word().as_str()], words].concat());
    (folder, ledger, direct)
}

#[test]
fn load_without_trouble_has_no_failures_and_keeps_its_connections() {
    let (_folder, ledger, direct) = with_ledger(&[]);
    let load = Load::new().clients(6, &direct.http()).start();
    load.goes_on(200);
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(&ledger);
    assert_eq!(tally.connections, 6);
    assert!(tally.gets > 0 && !tally.orders.is_empty(), "{tally}");
    assert_eq!(tally.generations.keys().collect::<Vec<_>>(), [&1]);
}

#[test]
fn load_sees_a_worker_that_closes_idle_connections_unannounced() {
    let (_folder, ledger, direct) = with_ledger(&["close-idle=20ms"]);
    let load = Load::new().clients(8, &direct.http()).think(Duration::from_millis(60)).start();
    load.goes_on(100);
    let tally = load.finish();
    assert!(tally.failures.iter().any(|one| matches!(one.failure, Failure::Unannounced(_))), "{tally}");
    tally.assert_each_order_once(&ledger);
}

#[test]
fn load_takes_an_announced_close_for_what_it_is() {
    let (_folder, _ledger, direct) = with_ledger(&[]);
    let reply = direct.http().get("/close");
    assert!(reply.is_last() && reply.status == 200);
    assert!(!direct.http().get("/whoami").is_last());
}

#[test]
fn load_sees_a_server_that_stops_and_a_server_that_is_gone() {
    let (_folder, ledger, direct) = with_ledger(&[]);
    let load = Load::new().clients(8, &direct.http()).start();
    load.goes_on(50);
    direct.signal(Signal::TERM);
    assert!(direct.ended().success());
    until(SOON, "the load fails", || load.has_failed().then_some(()));
    let tally = load.finish();
    let kinds: BTreeSet<_> = tally.failures.iter().map(|one| one.failure.kind()).collect();
    assert!(kinds.contains("unannounced") || kinds.contains("unanswered"), "{tally}");
    tally.assert_each_order_once(&ledger);
}

#[test]
fn load_sees_an_answer_from_a_generation_that_should_be_gone() {
    let (_folder, _ledger, direct) = with_ledger(&[]);
    let load = Load::new().clients(2, &direct.http()).start();
    load.expect_generation(2);
    until(SOON, "the load fails", || load.has_failed().then_some(()));
    let tally = load.finish();
    assert!(tally.failures.iter().all(|one| one.failure.kind() == "wrong"), "{tally}");
}

#[test]
#[should_panic(expected = "handled more than once")]
fn an_order_that_is_handled_twice_is_noticed() {
    let (_folder, ledger, direct) = with_ledger(&[]);
    let load = Load::new().clients(2, &direct.http()).start();
    let tally = load.finish();
    let id = tally.orders.first().unwrap().clone();
    direct.http().post(&format!("/once?id={id}"), "");
    tally.assert_each_order_once(&ledger);
}

#[test]
#[should_panic(expected = "never handled")]
fn an_order_that_was_answered_but_not_handled_is_noticed() {
    let (_folder, ledger, direct) = with_ledger(&[]);
    let mut tally = Load::new().clients(2, &direct.http()).start().finish();
    tally.orders.insert("invented".to_owned());
    tally.assert_each_order_once(&ledger);
}

#[test]
fn every_way_to_break_an_exchange_is_told_apart() {
    let (_folder, _ledger, direct) = with_ledger(&[]);
    let target = direct.http();
    let kind = |path: &str| target.try_get(path).unwrap_err().kind();
    assert_eq!(kind("/drop"), "unanswered");
    assert_eq!(kind("/reset"), "unanswered");
    assert_eq!(kind("/cut?bytes=5000"), "broken");
    let Err(Failure::Unanswered(reset)) = target.try_get("/reset") else { panic!("not reset") };
    assert!(reset.contains("reset by peer"), "{reset}");
    let Err(Failure::Unanswered(dropped)) = target.try_get("/drop") else { panic!("not dropped") };
    assert!(!dropped.contains("reset by peer"), "{dropped}");
    assert_eq!(target.get("/status?code=418").status, 418);
    assert_eq!(target.get("/nowhere").status, 404);
    direct.signal(Signal::KILL);
    drop(direct);
    assert_eq!(kind("/whoami"), "connect");
}

#[test]
fn the_worker_boots_as_it_is_told() {
    let late = Instant::now();
    let direct = Direct::start(&["late=300ms", "ready-after=300ms"]);
    assert!(late.elapsed() >= Duration::from_millis(300));
    assert_eq!(direct.http().get("/health").status, 503);
    let healthy = within(SOON, || (direct.http().get("/health").status == 200).then_some(()));
    assert!(healthy.is_some());
    assert_eq!(Direct::start(&["health=500"]).http().get("/health").status, 500);
}

#[test]
fn the_worker_crashes_on_the_request_that_it_is_told() {
    let direct = Direct::start(&["crash-on=3"]);
    let target = direct.http();
    target.get("/health");
    assert_eq!(target.get("/whoami").status, 200);
    assert_eq!(target.get("/whoami").status, 200);
    assert_eq!(target.try_get("/whoami").unwrap_err().kind(), "unanswered");
    assert_eq!(direct.ended().code(), Some(1));
    let direct = Direct::start(&[]);
    assert!(direct.http().try_post("/crash?code=7", "").is_err());
    assert_eq!(direct.ended().code(), Some(7));
}

#[test]
fn the_worker_finishes_what_is_in_flight_before_it_ends() {
    let (_folder, ledger, direct) = with_ledger(&["stop-delay=100ms"]);
    let slow = direct.http().get_meanwhile("/once?id=slow&ms=400");
    until(SOON, "the request is in flight", || (ledger.count("slow") == 1).then_some(()));
    direct.signal(Signal::TERM);
    assert!(direct.ended().success());
    assert_eq!(slow.join().unwrap().unwrap().status, 200);
}

#[test]
fn the_worker_may_ignore_the_signal_to_stop_and_leave_children_behind() {
    let direct = Direct::start(&["ignore-term"]);
    let child = direct.http().get("/fork").json()["pid"].as_u64().unwrap();
    let child = Process::find(u32::try_from(child).unwrap()).unwrap();
    assert!(process::family(direct.pid()).contains(&child));
    direct.signal(Signal::TERM);
    let worker = Process::find(direct.pid()).unwrap();
    assert!(!worker.ends_within(Duration::from_millis(200)));
    direct.signal(Signal::KILL);
    assert!(worker.ends_within(SOON) && child.is_alive());
    process::kill(child.pid);
}

#[test]
fn bodies_arrive_as_they_were_sent() {
    let direct = Direct::start(&[]);
    let target = direct.http();
    let mut checker = Checker::new();
    checker.take(&target.get("/stream?bytes=1000000").body);
    assert!(checker.intact && checker.bytes == 1_000_000);
    let upload = request(Method::POST, "/sink", "").map(|_| Pattern::new(3_000_000).boxed());
    let sunk = target.send(upload).unwrap().json();
    assert_eq!(sunk, serde_json::json!({ "bytes": 3_000_000, "intact": true }));
    let spoilt = target.post("/sink", vec![0; 1000]).json();
    assert_eq!(spoilt, serde_json::json!({ "bytes": 1000, "intact": false }));
    assert_eq!(target.post("/echo", "as it was").text(), "as it was");
    assert_eq!(target.get("/events?count=2").text(), "id: 0\ndata: tick 0\n\nid: 1\ndata: tick 1\n\n");
}

#[test]
fn the_worker_serves_on_a_unix_socket_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("worker.sock");
    let _direct = Direct::start(&[&format!("listen=unix:{}", path.display())]);
    assert_eq!(Target::Unix(path).get("/whoami").json()["app"], "direct");
}

#[test]
fn notices_to_a_service_manager_are_heard_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let notices = Notices::bind(folder.path().join("notify.sock"));
    let sender = UnixDatagram::unbound().unwrap();
    sender.send_to(b"STATUS=starting", notices.path()).unwrap();
    sender.send_to(b"RELOADING=1\nMONOTONIC_USEC=17", notices.path()).unwrap();
    let notice = notices.hear("RELOADING", "1", SOON);
    assert_eq!(notice.get("MONOTONIC_USEC"), Some("17"));
    assert_eq!(notice.get("READY"), None);
}

#[test]
fn an_exposition_is_read_and_summed() {
    let text = "# HELP a Counts \"a\".\n# TYPE a counter\na{x=\"1\"} 2\na{x=\"q\\\"\\\\\\n\",y=\"2\"} 3\n\
                # HELP h H.\n# TYPE h histogram\nh_bucket{le=\"0.1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 0.5\nh_count 2\n";
    let exposition = Exposition::parse(text).unwrap();
    assert_eq!(exposition.value("a", &[("x", "1")]), Some(2.0));
    assert_eq!(exposition.value("a", &[("x", "q\"\\\n"), ("y", "2")]), Some(3.0));
    assert_eq!((exposition.value("a", &[]), exposition.sum("a", &[])), (None, 5.0));
    assert!(exposition.is_announced("h", "histogram") && !exposition.is_announced("b", "counter"));
}

#[test]
fn an_exposition_that_a_scraper_might_misread_is_refused() {
    for (text, fault) in [
        ("a 1\n", "without a TYPE"),
        ("# TYPE a counter\na 1", "does not end"),
        ("# TYPE a counter\na one\n", "not a number"),
        ("# TYPE a counter\na -1\n", "negative"),
        ("# TYPE a counter\na 1\na 2\n", "second sample"),
        ("# TYPE a counter\n# TYPE a gauge\n", "second TYPE"),
        ("# TYPE a histogram\na_bucket{le=\"1\"} 2\na_count 2\n", "does not add up"),
        ("# TYPE a histogram\na_bucket{le=\"1\"} 3\na_bucket{le=\"+Inf\"} 2\na_count 2\n", "does not add up"),
        ("# TYPE a counter\na{x=\"1} 2\n", "without an end"),
    ] {
        let error = Exposition::parse(text).unwrap_err();
        assert!(error.contains(fault), "{text:?}: {error}");
    }
}
