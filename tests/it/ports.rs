//! Apps with a port of their own.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::harness::{Failure, Portreeve, SOON, Target, until, worker};

#[test]
fn what_comes_in_on_an_apps_own_port_is_for_that_app_whatever_the_host() {
    let own = || worker().set("port", "127.0.0.1:0");
    let running = Portreeve::new().app("a", own()).app("b", own()).app("web", worker()).start();
    let status = running.status();
    for (app, target) in [("a", status.own("a")), ("b", status.own("b")), ("web", status.listener(false))] {
        assert_eq!(app_of(target), app);
    }
    running.reload();
    assert_eq!(app_of(running.status().own("b")), "b", "and still so with another generation");
}

/// Which app answers there.
fn app_of(target: std::net::SocketAddr) -> String {
    let reply = Target::Plain(target).get("/whoami");
    let value: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    value["app"].as_str().unwrap().to_owned()
}

#[test]
fn a_port_comes_with_a_reload_and_stays_as_long_as_it_is_named() {
    let mut running = Portreeve::new().app("a", worker()).app("b", worker().set("path", "/b")).start();
    assert!(running.status().listeners.iter().all(|listener| listener.app.is_none()));
    running.configure("app.b.port", "127.0.0.1:0");
    running.reload();
    let own = running.status().own("b");
    assert_eq!(app_of(own), "b");
    assert_eq!(app_of(running.status().listener(false)), "a");

    running.configure("app.a.port", "127.0.0.1:0");
    running.configure("app.a.path", "/");
    running.reload();
    let (a, b) = (running.status().own("a"), running.status().own("b"));
    assert_eq!((app_of(a), app_of(b), b), ("a".to_owned(), "b".to_owned(), own));
    assert_eq!(app_of(running.status().listener(false)), "a", "it names a path, and so is on [listen] as well");
}

#[test]
fn a_fixed_port_passes_from_app_to_app_without_being_closed() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut running =
        Portreeve::new().app("a", worker().set("port", address.clone())).app("b", worker().set("path", "/b")).start();
    let target = running.status().own("a");
    assert_eq!(app_of(target), "a");
    running.configure("app.a.port", "127.0.0.1:0");
    running.configure("app.b.port", address);
    running.reload();
    until(SOON, "the port is b's", || (app_of(target) == "b").then_some(()));
}

#[test]
fn a_port_that_two_apps_want_is_an_error_unless_one_is_switched_off() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut running = Portreeve::new().app("a", worker().set("port", address.clone())).start();
    running.configure("app.b.command", "true");
    running.configure("app.b.port", address.clone());
    let said = running.cli(&["reload"]);
    assert!(said.code == 4 && said.text.contains(&format!("{address} is listened on twice")), "{}", said.text);
    running.configure("app.b.enabled", false);
    assert_eq!(running.cli(&["reload"]).code, 0);
    assert_eq!(running.status().app("b").state, "stopped");
}

#[test]
fn an_app_that_is_switched_off_answers_503_where_it_is_routed_and_nothing_on_its_port() {
    let app = worker().set("port", "127.0.0.1:0").set("path", "/");
    let mut running = Portreeve::new().app("a", app).start();
    let own = Target::Plain(running.status().own("a"));
    assert_eq!(own.get("/whoami").status, 200);
    running.configure("app.a.enabled", false);
    running.reload();
    until(SOON, "its port is closed", || matches!(own.try_get("/whoami"), Err(Failure::Connect(_))).then_some(()));
    assert_eq!(running.get("/whoami").status, 503);
    until(SOON, "its workers are gone", || running.status().app("a").workers.is_empty().then_some(()));
    running.configure("app.a.enabled", true);
    running.reload();
    running.serving("a", 1);
    assert_eq!(running.get("/whoami").status, 200);
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Cannot have the first PORT that it is given, and leaves a note of which that was.
const TAKEN: &str = "test -e taken || { echo $PORT >taken; echo \"Error: listen EADDRINUSE: address already in use \
                     :::$PORT\" >&2; exit 1; }";

#[test]
fn a_worker_whose_port_is_taken_gets_another_one_at_its_next_start() {
    let app = worker().set("restart", toml::Table::from_iter([("delay".to_owned(), "1s".into())])).after(TAKEN);
    let running = Portreeve::new().app("web", app).launch();
    let failure = until(SOON, "it has failed", || running.status().app("web").last_failure.clone());
    let note = std::fs::read_to_string(running.site("web").release().join("taken")).unwrap();
    let taken: u16 = note.trim().parse().unwrap();
    let said = format!("(port {taken} is taken by another program: its next start gets another PORT)");
    assert!(failure.contains(&said), "{failure}");
    let worker = running.serving("web", 1).swap_remove(0);
    assert!(worker.port.is_some_and(|port| port != taken), "{worker:?}");
    assert_eq!(running.get("/whoami").status, 200);
    // It is nobody's for now: without SO_REUSEADDR nobody can have a port that is reserved.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let bound = socket.bind(&SocketAddr::from(([127, 0, 0, 1], taken)).into());
    assert_eq!(bound.map_err(|error| error.kind()), Err(std::io::ErrorKind::AddrInUse));
}
