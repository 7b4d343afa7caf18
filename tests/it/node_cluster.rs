//! Node apps with a port of their own in their code, as they ran in PM2's cluster mode: every worker is moved to its place by
//! Node's own means (`node = "cluster"`), and nobody ever listens on that port.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use tokio_tungstenite::tungstenite::{self, Message};

use crate::harness::process::Process;
use crate::harness::{App, Portreeve, Running, SOON, Target, program, until};
use crate::tools;

/// A kill that no test waits for, nor for half of the time before it.
const NEVER: &str = "10m";

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps/fixed")
}

/// Node, and the packages of the apps?
pub(crate) fn are_there() -> bool {
    if !tools::need("node") {
        return false;
    }
    let is_installed = folder().join("node_modules/fastify").is_dir();
    let cure = "`npm ci --prefix tests/apps/fixed` installs express, fastify and ws";
    assert!(is_installed || std::env::var_os("CI").is_none(), "with CI set no test is skipped: {cure}");
    if !is_installed {
        eprintln!("skipped: {cure}");
    }
    is_installed
}

/// The port in an app's code: this test listens there itself, so that no worker ever can.
pub(crate) struct Own(TcpListener);

impl Own {
    pub(crate) fn take() -> Self {
        Self(TcpListener::bind("[::]:0").unwrap())
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Variables that apps of the folder know.
pub(crate) fn env(pairs: &[(&str, String)]) -> toml::Table {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect()
}

fn cluster(file: &str) -> App {
    let app = program(&["node", file]).set("directory", folder().display().to_string()).set("node", "cluster");
    app.set("start_timeout", "20s")
}

fn habit(word: &str, own: &Own, more: &[(&str, String)]) -> App {
    let first = [("HABIT", word.to_owned()), ("APP_PORT", own.port().to_string())];
    cluster("habits.js").set("env", env(&[&first[..], more].concat()))
}

fn first_worker(running: &Running) -> Process {
    Process::find(running.pids("web", 1)[0]).unwrap()
}

/// One answer on a port of this machine, asked for on a connection of its own.
fn asked_at(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(SOON)).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /whoami HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Two workers, three reloads under load; then one is killed.
#[track_caller]
fn serves_through_reloads(file: &str) {
    serves_with(file, |_| "cluster".into());
}

/// The mode, and the name of the main port.
fn named(port: i64) -> toml::Value {
    toml::Table::from_iter([("mode".to_owned(), "cluster".into()), ("port".to_owned(), port.into())]).into()
}

#[track_caller]
fn serves_with(file: &str, node: impl FnOnce(&Own) -> toml::Value) {
    if !are_there() {
        return;
    }
    let (own, metrics, portreeve) = (Own::take(), free_port(), Portreeve::new());
    let node = node(&own);
    let env = env(&[
        ("APP_PORT", own.port().to_string()),
        ("METRICS_PORT", metrics.to_string()),
        ("LEDGER", portreeve.path().join("ledger").display().to_string()),
    ]);
    let running = portreeve.app("web", cluster(file).workers(2).set("env", env).set("node", node)).start();
    running.reloads_without_a_loss(3, || {
        until(SOON, "the metrics are there", || asked_at(metrics).filter(|answer| answer.contains("200 OK")));
    });

    let dead = running.pids("web", 2)[0];
    crate::harness::process::kill(dead);
    until(SOON, "another one serves in its place", || {
        let pids = running.pids("web", 2);
        (!pids.contains(&dead)).then_some(())
    });
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn an_express_app_with_a_port_of_its_own_serves_through_reloads() {
    serves_through_reloads("express.js");
}

#[test]
fn a_fastify_app_with_a_port_of_its_own_serves_through_reloads() {
    serves_through_reloads("fastify.js");
}

#[test]
fn an_app_of_modules_with_a_port_of_its_own_serves_through_reloads() {
    serves_through_reloads("esm.mjs");
}

#[test]
fn a_custom_server_that_prepares_first_serves_through_reloads() {
    serves_through_reloads("custom.js");
}

#[test]
fn a_websocket_server_with_a_port_of_its_own_serves_through_reloads() {
    // With an address in the call Node looks that up first, and so asks for the port of the metrics before it.
    serves_with("websocket.js", |own| named(own.port().into()));
}

fn socket(target: &Target) -> tungstenite::WebSocket<TcpStream> {
    let stream = TcpStream::connect(target.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    tungstenite::client("ws://localhost/ws", stream).unwrap().0
}

#[test]
fn a_websocket_of_such_a_worker_outlives_a_reload() {
    if !are_there() {
        return;
    }
    let own = Own::take();
    let app = cluster("websocket.js").set("env", env(&[("APP_PORT", own.port().to_string())]));
    let running = Portreeve::new().app("web", app).start();
    let (mut socket, old) = (socket(&running.http()), first_worker(&running));
    running.reload_live();
    socket.send(Message::text("still there?")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text(format!("{} still there?", old.pid)));
    assert_ne!(running.pids("web", 1)[0], old.pid);
    drop(socket);
    assert!(old.ends_within(SOON), "nothing holds the old worker any more");
}

#[test]
fn an_app_finds_itself_in_a_cluster_and_knows_nothing_else() {
    if !are_there() {
        return;
    }
    let own = Own::take();
    let running = Portreeve::new().app("web", habit("", &own, &[])).start();
    let told = running.get("/cluster").json();
    assert_eq!((&told["worker"], &told["primary"], &told["send"]), (&true.into(), &false.into(), &"function".into()));
    assert!(told["id"].as_u64().is_some_and(|id| id > 0), "{told}");
    assert_eq!(told["left"], serde_json::json!([]), "children inherit nothing");
    assert_eq!((&told["peer"], &told["address"]), (&"127.0.0.1".into(), &"127.0.0.1".into()));
    // What it starts is no worker of ours, and what it may not do as a worker it is told.
    assert_eq!(running.get("/child").json()["app"], "child");
    assert_eq!(running.get("/thread").json()["address"], "127.0.0.1");
    assert_eq!(running.get("/fork").json(), serde_json::json!({ "fork": "undefined" }));
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn whatever_an_app_listens_on_it_gets_an_answer() {
    if !are_there() {
        return;
    }
    let (own, taken, portreeve) = (Own::take(), TcpListener::bind("127.0.0.1:0").unwrap(), Portreeve::new());
    let path = portreeve.path().join("app.sock");
    let more = [
        ("SOCKET", path.display().to_string()),
        ("TAKEN_PORT", taken.local_addr().unwrap().port().to_string()),
        ("METRICS_PORT", free_port().to_string()),
    ];
    let running = portreeve.app("web", habit("everywhere", &own, &more).workers(2)).start();
    for worker in ["web 1.0 ", "web 1.1 "] {
        let line = running.output().line(&[worker, "said "]);
        let said: serde_json::Value = serde_json::from_str(line.split_once("said ").unwrap().1).unwrap();
        let expected = serde_json::json!({
            "zero": "listens", "path": "listens", "again": "EADDRINUSE", "descriptor": "EINVAL", "taken": "EADDRINUSE",
            "udp": "listens",
        });
        assert_eq!(said, expected);
    }
    assert!(path.exists());
    let told = running.output().stderr();
    assert!(told.contains("cannot listen") && told.contains("Address already in use"), "{told}");
    running.reload_live();
    assert!(path.exists(), "the new ones have it too");
    drop(running);
    assert!(!path.exists(), "nobody has it any more");
}

#[test]
fn an_app_that_listens_on_port_after_another_one_is_understood_at_its_second_start() {
    if !are_there() {
        return;
    }
    let (own, metrics) = (Own::take(), free_port());
    let app = habit("metrics_first", &own, &[("METRICS_PORT", metrics.to_string())]).workers(2);
    let running = Portreeve::new().app("web", app).launch();
    until(SOON, "the mistake is noticed", || {
        running.output().stderr().contains("which it asked for first").then_some(())
    });
    // Until then its metrics may have been taken for its requests.
    until(SOON, "it serves", || (running.http().try_get("/whoami").ok()?.status == 200).then_some(()));
    running.serving("web", 2);
    TcpStream::connect(("127.0.0.1", metrics)).unwrap();
    assert_eq!(running.reload_live(), 2, "from then on it is known");
}

#[test]
fn the_main_port_can_be_named() {
    if !are_there() {
        return;
    }
    let (own, metrics) = (Own::take(), free_port());
    let app = habit("metrics_first", &own, &[("METRICS_PORT", metrics.to_string())]);
    let app = app.set("node", named(own.port().into()));
    let running = Portreeve::new().app("web", app).start();
    assert!(!running.output().stderr().contains("cannot listen"), "nothing had to be guessed");
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn a_server_that_is_closed_can_listen_again() {
    if !are_there() {
        return;
    }
    let own = Own::take();
    let running = Portreeve::new().app("web", habit("close_and_again", &own, &[])).start();
    running.output().line(&["listens again"]);
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn an_app_that_binds_its_port_by_itself_serves_too() {
    if !are_there() {
        return;
    }
    let own = Own::take();
    let running = Portreeve::new().app("web", habit("exclusive", &own, &[])).start();
    assert_eq!(running.get("/whoami").status, 200);
    assert_eq!(running.reload_live(), 2);
}

#[test]
fn an_uncaught_exception_is_told_as_what_it_is() {
    if !are_there() {
        return;
    }
    let own = Own::take();
    let running = Portreeve::new().app("web", habit("", &own, &[])).start();
    let dead = running.pids("web", 1)[0];
    let _ = running.http().try_get("/crash");
    let exit = until(SOON, "its end is told", || running.status().app("web").exits.first().cloned());
    assert_eq!((exit.pid, exit.code, exit.cause.as_str()), (dead, Some(1), "crashed"));
    assert!(exit.lines.iter().any(|line| line.contains("caught by nobody")), "{:?}", exit.lines);
    until(SOON, "it is started again", || (running.pids("web", 1)[0] != dead).then_some(()));
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn an_app_without_shutdown_code_finishes_what_it_has_in_hand() {
    if !are_there() {
        return;
    }
    let (own, portreeve) = (Own::take(), Portreeve::new());
    let gate = portreeve.path().join("gate");
    let node = toml::Table::from_iter([("mode".to_owned(), "cluster".into()), ("disconnect".to_owned(), true.into())]);
    let app = habit("", &own, &[("GATE", gate.display().to_string())]).set("node", node).set("kill_timeout", NEVER);
    let running = portreeve.app("web", app).start();
    let old = first_worker(&running);
    // Not by way of the proxy, which would wait for it anyway.
    let port = running.get("/cluster").json()["port"].as_u64().unwrap();
    let address = format!("127.0.0.1:{port}");
    let mut direct = TcpStream::connect(address.as_str()).unwrap();
    direct.set_read_timeout(Some(SOON)).unwrap();
    std::io::Write::write_all(&mut direct, b"GET /slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    until(SOON, "the answer has begun", || {
        let mut piece = [0; 1024];
        let length = direct.read(&mut piece).unwrap();
        answer.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        answer.contains("begun").then_some(())
    });
    running.reload_live();
    until(SOON, "it listens no more", || TcpStream::connect(address.as_str()).is_err().then_some(()));
    assert!(old.is_alive());
    std::fs::write(&gate, "").unwrap();
    direct.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("and done"), "{answer}");
    assert!(old.ends_within(SOON), "once it has left the channel the signal comes at once");
    let exit = until(SOON, "its end is told", || running.status().app("web").exits.first().cloned());
    // Without anything left to do Node may end before the signal is there.
    assert!((exit.signal == Some(15) || exit.code == Some(0)) && !exit.killed, "{exit:?}");
}

#[test]
fn an_app_that_leaves_the_cluster_by_itself_gets_its_acknowledgement() {
    if !are_there() {
        return;
    }
    let own = Own::take();
    let running = Portreeve::new().app("web", habit("disconnect", &own, &[])).launch();
    running.output().line(&["left of its own will"]);
}

#[test]
fn garbage_on_the_channel_of_a_cluster_hurts_nobody() {
    if !are_there() {
        return;
    }
    let own = Own::take();
    let running = Portreeve::new().app("web", habit("garbage", &own, &[])).start();
    assert_eq!(running.get("/whoami").status, 200);
    let counted = running.metrics().sum("portreeve_channel_faults_total", &[("app", "web"), ("kind", "garbage")]);
    assert!(counted >= 40.0, "{counted}");
    assert_eq!(running.reload_live(), 2);
}
