//! Node apps with a port of their own behind other programs (`node = "preload"`), and what is told of apps that nobody moves.

use crate::harness::{App, Portreeve, SOON, program, until};
use crate::node_cluster::{Own, are_there, env, folder, free_port};
use crate::tools;

fn preload(words: &[&str]) -> App {
    let app = program(words).set("directory", folder().display().to_string()).set("node", "preload");
    app.set("start_timeout", "30s")
}

fn in_fixed(words: &[&str]) -> App {
    program(words).set("directory", folder().display().to_string())
}

#[test]
fn an_app_behind_npm_with_a_port_of_its_own_serves_through_reloads() {
    if !are_there() || !tools::need("npm") {
        return;
    }
    let (own, portreeve) = (Own::take(), Portreeve::new());
    let env = env(&[
        ("APP_PORT", own.port().to_string()),
        ("LEDGER", portreeve.path().join("ledger").display().to_string()),
        ("NODE_OPTIONS", "--no-warnings".to_owned()),
    ]);
    let running = portreeve.app("web", preload(&["npm", "start", "--silent"]).workers(2).set("env", env)).start();
    running.reloads_without_a_loss(2, || ());
}

#[track_caller]
fn is_moved(file: &str) {
    if !are_there() {
        return;
    }
    let own = Own::take();
    let line = format!("node {file}");
    let app = program(&[]).set("command", line).set("shell", true).set("directory", folder().display().to_string());
    let env = env(&[("APP_PORT", own.port().to_string())]);
    let app = app.set("node", "preload").set("env", env).set("start_timeout", "20s").workers(2);
    let running = Portreeve::new().app("web", app).start();
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn a_fastify_app_in_a_line_of_shell_is_moved() {
    is_moved("fastify.js");
}

#[test]
fn an_app_of_modules_in_a_line_of_shell_is_moved() {
    is_moved("esm.mjs");
}

#[test]
fn a_websocket_server_in_a_line_of_shell_is_moved() {
    is_moved("websocket.js");
}

#[test]
fn only_the_process_that_listens_is_touched_and_it_leaves_no_trace() {
    if !are_there() {
        return;
    }
    let own = Own::take();
    let env = env(&[("APP_PORT", own.port().to_string()), ("NODE_OPTIONS", "--no-warnings".to_owned())]);
    let running = Portreeve::new().app("web", preload(&["node", "habits.js"]).set("env", env)).start();
    let told = running.get("/cluster").json();
    assert_eq!((&told["worker"], &told["address"]), (&false.into(), &"127.0.0.1".into()));
    assert_eq!(told["left"], serde_json::json!(["NODE_OPTIONS"]), "what is the app's own stays");
    assert_eq!(running.get("/child").json()["app"], "child");
    assert_eq!(running.get("/thread").json()["address"], "127.0.0.1");
}

#[test]
fn an_app_that_listens_on_its_port_is_left_alone() {
    if !are_there() {
        return;
    }
    let metrics = free_port();
    let node = toml::Table::from_iter([
        ("mode".to_owned(), "preload".into()),
        ("port".to_owned(), i64::from(free_port()).into()),
    ]);
    let env = env(&[("HABIT", "metrics_first".to_owned()), ("METRICS_PORT", metrics.to_string())]);
    let app = preload(&["node", "habits.js"]).set("node", node).set("env", env);
    let running = Portreeve::new().app("web", app).start();
    assert_eq!(running.get("/whoami").status, 200);
    std::net::TcpStream::connect(("127.0.0.1", metrics)).unwrap();
}

#[test]
fn of_a_worker_that_listens_elsewhere_is_told_where_and_what_helps() {
    if !are_there() {
        return;
    }
    let port = free_port();
    let env = env(&[("APP_PORT", port.to_string())]);
    let app = in_fixed(&["node", "habits.js"]).set("env", env).set("start_timeout", "4s");
    let running = Portreeve::new().app("web", app).launch();
    let failure = until(SOON, "it is given up", || running.status().app("web").last_failure.clone());
    let place = format!("it listens on [::]:{port} and not on 127.0.0.1:");
    assert!(failure.contains(&place) && failure.contains("`node = \"cluster\"` moves"), "{failure}");
    assert!(running.output().stderr().contains(&place));
}

#[test]
fn of_a_worker_of_a_cluster_that_binds_elsewhere_by_itself_is_told_where() {
    if !are_there() {
        return;
    }
    let port = free_port();
    let env = env(&[("APP_PORT", port.to_string()), ("HABIT", "exclusive_elsewhere".to_owned())]);
    let app = in_fixed(&["node", "habits.js"]).set("node", "cluster").set("env", env).set("start_timeout", "4s");
    let running = Portreeve::new().app("web", app).launch();
    let failure = until(SOON, "it is given up", || running.status().app("web").last_failure.clone());
    assert!(failure.contains(&format!("it never said that it is; it listens on [::]:{port}")), "{failure}");
}

#[test]
fn of_a_second_worker_whose_port_is_taken_is_told_by_whom_and_what_helps() {
    if !are_there() {
        return;
    }
    let port = free_port();
    let env = env(&[("APP_PORT", port.to_string())]);
    let app = in_fixed(&["node", "habits.js"]).workers(2).set("env", env).set("start_timeout", "20s");
    let running = Portreeve::new().app("web", app).launch();
    let failure = until(SOON, "one has failed", || running.status().app("web").last_failure.clone());
    let said = format!("exit code 1 (port {port} is taken by worker web 1.");
    assert!(failure.contains(&said) && failure.contains("`node = \"cluster\"` lets several"), "{failure}");
}

#[test]
fn of_a_program_with_a_fixed_port_is_told_that_it_is_taken() {
    let own = Own::take();
    let words = format!("echo 'listen tcp :{}: bind: address already in use' >&2; exit 1", own.port());
    let app = program(&["sh", "-c", &words]);
    let running = Portreeve::new().app("web", app).launch();
    let failure = until(SOON, "it has failed", || running.status().app("web").last_failure.clone());
    let said = format!("(port {} is taken by another program: let each worker listen on its own PORT)", own.port());
    assert!(failure.contains(&said), "{failure}");
}
