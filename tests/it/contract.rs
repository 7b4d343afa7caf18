//! How a worker listens and how it says that it is ready: every way that an app may know already.

use std::path::Path;

use crate::harness::{App, Load, Portreeve, Running, SOON, program, until};
use crate::tools;

fn folder(app: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps").join(app).display().to_string()
}

fn python() -> App {
    program(&["python3", "contract.py"]).set("directory", folder("python")).set("start_timeout", "20s")
}

fn env(pairs: &[(&str, &str)]) -> toml::Table {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
}

/// Reloads under load, in which nothing fails and nothing is done twice.
#[track_caller]
fn reloads_without_a_loss(app: App, variables: &[(&str, &str)]) -> Running {
    let portreeve = Portreeve::new();
    let ledger = portreeve.path().join("ledger").display().to_string();
    let app = app.workers(2).set("env", env(&[variables, &[("LEDGER", &ledger)]].concat()));
    let running = portreeve.app("web", app).start();
    running.reloads_without_a_loss(5, || ());
    running
}

#[test]
fn workers_that_inherit_their_socket_are_reloaded_without_a_loss() {
    if tools::need("python3") {
        let running = reloads_without_a_loss(python().set("listen", "inherit").ready_http("/health"), &[]);
        let environment = running.get("/environment").json();
        assert_eq!((&environment["LISTEN_FDS"], &environment["LISTEN_FDNAMES"]), (&"1".into(), &"http".into()));
    }
}

#[test]
fn workers_that_inherit_their_socket_and_say_when_they_are_ready_are_reloaded_without_a_loss() {
    if tools::need("python3") {
        let app = python().set("listen", "inherit").set("ready", "notify");
        let running = reloads_without_a_loss(app, &[("TELLS", "STATUS=warm\nREADY=1")]);
        let said = running.cli(&["status"]).text;
        assert!(said.contains("says: warm"), "{said}");
    }
}

#[test]
fn workers_at_a_path_are_reloaded_without_a_loss_and_leave_no_socket_behind() {
    if tools::need("python3") {
        let running = reloads_without_a_loss(python().set("listen", "unix").ready_http("/health"), &[]);
        let worker = running.serving("web", 2).remove(0);
        let path = worker.address.as_ref().unwrap()["unix"].as_str().unwrap().to_owned();
        let [own, all] = [1, 3].map(|up| Path::new(&path).ancestors().nth(up).unwrap().to_owned());
        assert!(own.exists());
        running.reload_live();
        until(SOON, "its folder is gone", || (!own.exists()).then_some(()));
        drop(running);
        let left = std::fs::read_dir(&all).into_iter().flatten().flatten().map(|entry| entry.file_name());
        assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with("workers-")));
    }
}

#[test]
fn a_node_app_listens_at_the_path_that_its_port_is() {
    if tools::need("node") {
        let app = program(&["node", "server.js"]).set("directory", folder("http")).set("start_timeout", "20s");
        reloads_without_a_loss(app.set("listen", "unix").set("ready", "ipc"), &[]);
    }
}

#[test]
fn an_app_that_takes_its_address_as_an_argument_is_given_it_there() {
    if tools::need("python3") {
        let app = program(&["python3", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]);
        let running = Portreeve::new().app("web", app.set("start_timeout", "20s")).start();
        assert_eq!(running.get("/").status, 200);
    }
}

#[test]
fn a_line_on_the_agreed_descriptor_makes_a_worker_ready() {
    if tools::need("python3") {
        let ready: toml::Table = [("fd".to_owned(), 4.into())].into_iter().collect();
        reloads_without_a_loss(python().set("ready", ready), &[("READY_FD", "4")]);
    }
}

#[test]
fn a_childs_word_counts_and_a_strangers_does_not() {
    if !tools::need("python3") {
        return;
    }
    let app = python().set("ready", "notify").set("env", env(&[("TELLS", "READY=1")]));
    let running = Portreeve::new().app("web", app).start();
    let says = || running.serving("web", 1)[0].says.clone();
    until(SOON, "the child is heard", || {
        // One that is gone before its word is read is taken for a stranger: nobody can tell any more.
        assert_eq!(running.get("/tell-by-a-child?STATUS=from%20a%20child").json()["code"], 0);
        (says().as_deref() == Some("from a child")).then_some(())
    });

    let socket = running.get("/environment").json()["NOTIFY_SOCKET"].as_str().unwrap().to_owned();
    let stranger = std::os::unix::net::UnixDatagram::unbound().unwrap();
    let refused = || running.metrics().sum("portreeve_notify_faults_total", &[("app", "web"), ("kind", "stranger")]);
    let before = refused();
    stranger.send_to(b"STATUS=from a stranger", socket).unwrap();
    until(SOON, "the stranger is counted", || (refused() > before).then_some(()));
    assert_eq!(says().as_deref(), Some("from a child"));
}

#[test]
fn as_root_a_proxy_of_another_user_reaches_a_worker_at_a_path() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give up privileges");
        return;
    }
    if !tools::need("node") {
        return;
    }
    let portreeve = Portreeve::new().set("proxy.user", "nobody");
    std::fs::copy(Path::new(&folder("http")).join("server.js"), portreeve.path().join("server.js")).unwrap();
    let directory = portreeve.path().display().to_string();
    let app = program(&["/usr/bin/env", "node", "server.js"]).set("directory", directory).set("start_timeout", "20s");
    let app = app.set("user", "daemon").set("listen", "unix").set("notify", true).ready_http("/health");
    let running = portreeve.app("web", app.workers(2)).start();
    let load = Load::new().clients(2, &running.http()).start();
    running.reload_live();
    load.goes_on(20);
    load.finish().assert_nothing_failed();
    running.kill_proxy();
    assert_eq!(running.get("/whoami").status, 200);
}
