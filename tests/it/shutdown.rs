//! An orderly end: what is in flight is finished, what runs is stopped, nothing is left behind.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::process::Process;
use crate::harness::{App, Portreeve, Running, SOON, Target, worker};

/// Starts the app, sends a request that stays in flight, then the signal.
fn busy(app: App, path: &str, signal: Signal) -> (Running, std::thread::JoinHandle<Option<u16>>) {
    let mut running = Portreeve::new().app("web", app).start();
    let request = running.http().get_meanwhile(path);
    let request = std::thread::spawn(move || request.join().unwrap().ok().map(|reply| reply.status));
    running.in_flight("web", 1.0);
    running.signal(signal);
    (running, request)
}

#[test]
fn the_end_waits_for_the_request_in_flight_and_leaves_nothing_behind() {
    for signal in [Signal::TERM, Signal::INT] {
        let (mut running, slow) = busy(worker().workers(2), "/slow?ms=1000", signal);
        let status = running.ended(SOON);
        assert_eq!(slow.join().unwrap(), Some(200), "{signal:?}");
        assert_eq!(status.code(), Some(0), "{signal:?}: {status}");
        running.assert_nothing_left();
    }
}

#[test]
fn nobody_is_accepted_any_more_once_it_has_ended() {
    let mut running = Portreeve::new().https().app("web", worker()).start();
    let addresses = [running.http().address(), running.https().address()];
    running.signal(Signal::TERM);
    assert_eq!(running.ended(SOON).code(), Some(0));
    for address in addresses {
        assert_eq!(Target::Plain(address).try_get("/").unwrap_err().kind(), "connect");
    }
}

#[test]
fn clients_without_a_request_do_not_hold_up_the_end() {
    let mut running = Portreeve::new().app("web", worker()).start();
    let mut idle = TcpStream::connect(running.http().address()).unwrap();
    idle.set_read_timeout(Some(SOON)).unwrap();
    idle.write_all(b"HEAD /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        idle.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    running.signal(Signal::TERM);
    assert_eq!(running.ended(Duration::from_secs(10)).code(), Some(0));
    assert_eq!(idle.read(&mut [0; 16]).unwrap(), 0, "the connection is closed, not reset");
}

#[test]
fn a_worker_that_ignores_the_stop_signal_is_killed_with_its_children() {
    let app = worker().workers(2).says("ignore-term").says("fork").set("kill_timeout", "300ms");
    let mut running = Portreeve::new().app("web", app).start();
    running.signal(Signal::TERM);
    assert_eq!(running.ended(SOON).code(), Some(0));
    running.assert_nothing_left();
}

#[test]
fn a_second_signal_hastens_the_end() {
    for second in [Signal::TERM, Signal::INT] {
        let app = worker().set("drain_timeout", "60s").set("kill_timeout", "60s");
        let (mut running, hanging) = busy(app, "/hang", Signal::TERM);
        let supervisor = Process::find(running.pid()).unwrap();
        assert!(!supervisor.ends_within(Duration::from_millis(300)), "it waits for the request");
        running.signal(second);
        running.ended(Duration::from_secs(10));
        running.assert_nothing_left();
        assert_ne!(hanging.join().unwrap(), Some(200));
    }
}

#[test]
fn a_request_that_never_ends_is_cut_off_at_the_deadline() {
    let app = worker().set("drain_timeout", "500ms").set("kill_timeout", "500ms");
    let settings = Portreeve::new().set("proxy.drain_timeout", "500ms");
    let mut running = settings.app("web", app).start();
    let hanging = running.http().get_meanwhile("/hang");
    running.in_flight("web", 1.0);
    running.signal(Signal::TERM);
    running.ended(Duration::from_secs(10));
    running.assert_nothing_left();
    assert_ne!(hanging.join().unwrap().ok().map(|reply| reply.status), Some(200));
}

#[test]
fn the_kill_command_ends_it() {
    let mut running = Portreeve::new().app("web", worker()).start();
    let said = running.cli(&["kill"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(running.ended(SOON).code(), Some(0));
    assert_eq!(running.cli(&["status"]).code, 69, "nobody answers any more");
}

#[test]
fn it_ends_also_while_its_only_worker_cannot_start() {
    let mut running = Portreeve::new().app("web", worker().says("late=60s")).launch();
    running.signal(Signal::TERM);
    assert_eq!(running.ended(SOON).code(), Some(0));
    running.assert_nothing_left();
}
