//! Under a service manager: sockets that it hands down, and what it is told.

use rustix::process::Signal;

use crate::harness::{Failure, Portreeve, Reply, Running, SOON, Target, process, until, worker};
use crate::tools;
use crate::units::free_port;

/// The words that start a program once somebody connects to one of the ports; `None` without the tool.
fn activator(ports: &[u16], names: &str) -> Option<Vec<String>> {
    let tool = tools::find("systemd-socket-activate")?.display().to_string();
    let listens = ports.iter().flat_map(|port| ["-l".to_owned(), format!("127.0.0.1:{port}")]);
    let names = Some(format!("--fdname={names}")).filter(|_| !names.is_empty());
    Some([tool].into_iter().chain(listens).chain(names).collect())
}

/// The first request, whose connection starts the program and waits for it.
#[track_caller]
fn first(target: &Target) -> Reply {
    until(SOON, "the activator listens", || match target.try_get("/whoami") {
        Err(Failure::Connect(_)) => None,
        outcome => Some(outcome.expect("the connection that starts the program is answered")),
    })
}

/// Waits until it answers, and checks that every listener is one that was handed down.
#[track_caller]
fn assert_inherited(running: &Running, expected: &[(u16, bool)]) {
    let status = until(SOON, "it answers", || running.try_status().ok());
    let listeners: Vec<_> = status.listeners.iter().map(|one| (one.address.port(), one.tls)).collect();
    assert_eq!(listeners, expected);
    assert!(status.listeners.iter().all(|listener| listener.inherited), "{status:?}");
}

#[test]
fn a_socket_that_was_handed_down_is_found_by_its_address() {
    let port = free_port();
    let Some(activator) = activator(&[port], "") else { return };
    let address = format!("127.0.0.1:{port}");
    let running =
        Portreeve::new().set("listen.http", address.as_str()).app("web", worker()).launched_by(&activator).spawn();
    let target = Target::Plain(address.parse().unwrap());
    assert_eq!(first(&target).status, 200);
    assert_inherited(&running, &[(port, false)]);
    running.reload_live();
    assert_eq!(target.get("/whoami").generation(), Some(2));
}

#[test]
fn sockets_that_were_handed_down_outlive_supervisors_under_a_keeper() {
    let ports = [free_port(), free_port()];
    let Some(activator) = activator(&ports, "http:https") else { return };
    let running = Portreeve::new().kept().https().app("web", worker()).launched_by(&activator).spawn();
    let http = Target::Plain(([127, 0, 0, 1], ports[0]).into());
    assert_eq!(first(&http).status, 200);
    assert_inherited(&running, &[(ports[0], false), (ports[1], true)]);
    for _ in 0..2 {
        running.kill_supervisor();
        assert_inherited(&running, &[(ports[0], false), (ports[1], true)]);
        assert_eq!((http.get("/whoami").status, running.https().get("/whoami").status), (200, 200));
        running.reload_live();
    }
}

#[test]
fn sockets_that_were_handed_down_are_found_by_their_names() {
    let ports = [free_port(), free_port()];
    let Some(activator) = activator(&ports, "http:https") else { return };
    // The addresses say nothing: only the names can tell which is which.
    let running = Portreeve::new().https().app("web", worker()).launched_by(&activator).spawn();
    let http = Target::Plain(([127, 0, 0, 1], ports[0]).into());
    assert_eq!(first(&http).status, 200);
    assert_inherited(&running, &[(ports[0], false), (ports[1], true)]);
    assert_eq!(running.https().get("/whoami").status, 200);
    assert_eq!(running.h2().get("/whoami").status, 200);
    assert_eq!(running.https().address().port(), ports[1]);
}

#[test]
fn the_service_manager_is_told_of_start_reload_and_end() {
    let mut running = Portreeve::new().managed().app("web", worker()).start();
    running.notices().hear("READY", "1", SOON);

    running.signal(Signal::HUP);
    let reloading = running.notices().hear("RELOADING", "1", SOON);
    let since: u64 = reloading.get("MONOTONIC_USEC").expect("a reload carries its time").parse().unwrap();
    assert!(since > 0);
    running.notices().hear("READY", "1", SOON);
    assert_eq!(running.get("/whoami").generation(), Some(2), "ready means that the new generation serves");

    running.signal(Signal::TERM);
    running.notices().hear("STOPPING", "1", SOON);
    assert_eq!(running.ended(SOON).code(), Some(0));
}

#[test]
fn a_reload_that_is_aborted_ends_for_the_service_manager_too() {
    let mut running = Portreeve::new().managed().app("web", worker()).start();
    running.notices().hear("READY", "1", SOON);
    running.site("web").rewrite(&["exit=1"]);
    running.signal(Signal::HUP);
    running.notices().hear("RELOADING", "1", SOON);
    running.notices().hear("READY", "1", SOON);
    assert_eq!(running.get("/whoami").generation(), Some(1));
}

#[test]
fn workers_get_nothing_that_was_meant_for_the_supervisor() {
    let running = Portreeve::new().managed().app("web", worker()).start();
    let worker = &running.serving("web", 1)[0];
    let environment = process::environment(worker.pid.unwrap());
    let has = |name: &str| environment.iter().any(|entry| entry.starts_with(&format!("{name}=")));
    for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC"] {
        assert!(!has(name), "{name} in {environment:?}");
    }
    let port = format!("PORT={}", worker.port.unwrap());
    for entry in [&port, "HOST=127.0.0.1", "PORTREEVE_APP=web", "PORTREEVE_GENERATION=1", "NODE_APP_INSTANCE=0"] {
        assert!(environment.iter().any(|one| one == entry), "no {entry} in {environment:?}");
    }
    let leaked: Vec<_> =
        process::sockets(running.pid()).intersection(&process::sockets(worker.pid.unwrap())).cloned().collect();
    assert!(leaked.is_empty(), "sockets of the supervisor in a worker: {leaked:?}");
}
