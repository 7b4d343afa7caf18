//! portreeve becomes another program: nobody outside notices, and what was under way goes on.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};
use serde::Deserialize;

use crate::harness::process::{self, Process};
use crate::harness::{Load, Portreeve, Running, SOON, Target, example, until, worker};

/// The part of `GET /v1/status` that tells of those who took over from each other.
#[derive(Debug, Deserialize)]
struct Line {
    before: u64,
    refused: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    line: Line,
}

impl Running {
    fn line(&self) -> Line {
        let reply = self.admin(http::Method::GET, "/v1/status").and_then(crate::harness::Reply::ok).unwrap();
        serde_json::from_slice::<Status>(&reply.body).unwrap().line
    }

    #[track_caller]
    pub(crate) fn upgrade(&self) {
        let said = self.cli(&["upgrade"]);
        assert_eq!(said.code, 0, "{}", said.text);
        assert!(said.stdout.starts_with("upgraded: portreeve"), "{}", said.text);
    }

    /// Tries another program, which does not take over; gives what is said of that.
    #[track_caller]
    fn upgrade_fails(&self, program: &std::path::Path) -> String {
        let said = self.cli(&["upgrade", "--binary", program.to_str().unwrap()]);
        assert_eq!(said.code, 1, "{}", said.text);
        said.text
    }
}

/// Upgrades so many times under load.
#[track_caller]
fn upgrades_without_a_loss(times: usize) {
    let running = Portreeve::new().https().app("web", worker().workers(2)).start();
    let (pid, pids) = (running.pid(), running.pids("web", 2));
    let load = Load::new().clients(4, &running.http()).clients(2, &running.https()).clients(2, &running.h2()).start();
    let began = Instant::now();
    for _ in 0..times {
        running.upgrade();
        load.goes_on(20);
    }
    let took = began.elapsed();
    let tally = load.finish();
    println!("{times} upgrades in {took:?}: {tally}");
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    assert_eq!(running.pids("web", 2), pids, "no worker was touched");
    assert_eq!(running.status().pid, pid, "the process stays");
    assert_eq!(running.line().before, times as u64);
    assert!(running.metrics().sum("portreeve_proxy_restarts_total", &[]) < 1.0, "each proxy retired in peace");
}

#[test]
fn ten_upgrades_under_load_lose_no_request_and_touch_no_worker() {
    upgrades_without_a_loss(10);
}

#[test]
#[ignore = "takes a minute; for the figures"]
fn fifty_upgrades_under_load_lose_no_request() {
    upgrades_without_a_loss(50);
}

#[test]
fn a_signal_upgrades_and_the_old_proxy_finishes_what_it_has() {
    let mut running = Portreeve::new().app("web", worker()).start();
    let slow = running.http().get_meanwhile("/slow?ms=1500");
    running.in_flight("web", 1.0);
    let proxy = running.proxy();
    running.signal(Signal::USR2);
    running.proxy_after(proxy);
    assert!(!slow.is_finished());
    assert_eq!(slow.join().unwrap().unwrap().status, 200);
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn after_an_upgrade_everything_can_be_done_that_could_be_before() {
    let mut running = Portreeve::new().app("web", worker().workers(2)).start();
    process::kill(running.pids("web", 2)[0]);
    running.serving("web", 2);
    running.upgrade();
    running.upgrade();
    let before = running.pids("web", 2);
    process::kill(before[1]);
    until(SOON, "a worker that dies is replaced", || (running.pids("web", 2)[1] != before[1]).then_some(()));
    let exits = running.status().app("web").exits.clone();
    assert_eq!(exits.last().and_then(|exit| exit.signal), Some(9), "its end is known: {exits:?}");
    let restarts = running.metrics().sum("portreeve_worker_restarts_total", &[("app", "web")]);
    assert!((2.0..3.0).contains(&restarts), "counters go on: {restarts}");
    assert_eq!(running.reload_live(), 2);
    running.configure("app.web.workers", 3);
    running.reload_live();
    running.serving("web", 3);
    assert_eq!(running.cli(&["scale", "web", "1"]).code, 0);
    running.upgrade();
    running.serving("web", 1);
}

/// An upgrade that is asked for while this hook runs waits for it; gives what the hooks have left.
#[track_caller]
fn upgrade_during(hook: &str, is_before: bool) -> (Running, String) {
    let command = format!(
        "echo $PORTREEVE_GENERATION >> hooks; until [ -e go ]; do sleep 0.05; done; echo done >> hooks; {hook}"
    );
    let deploy = toml::Table::from_iter([
        (if is_before { "pre_promote" } else { "post_promote" }.to_owned(), command.into()),
        ("hook_timeout".to_owned(), "60s".into()),
    ]);
    let running = Portreeve::new().app("web", worker().set("deploy", deploy)).start();
    let folder = running.site("web").release();
    let left = || fs::read_to_string(folder.join("hooks")).unwrap_or_default();
    let load = Load::new().clients(2, &running.http()).start();
    let mut reload = running.command(&["reload"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    until(SOON, "the hook runs", || (left() == "2\n").then_some(()));
    let mut upgrade = running.command(&["upgrade"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    until(SOON, "the upgrade waits", || running.output().stderr().contains("the upgrade waits").then_some(()));
    load.goes_on(20);
    assert_eq!((running.line().before, left().as_str()), (0, "2\n"), "it waits");
    fs::write(folder.join("go"), "").unwrap();
    assert!(process::wait(&mut upgrade, SOON).is_some_and(|status| status.success()));
    assert!(process::wait(&mut reload, SOON).is_some());
    assert_eq!(running.line().before, 1);
    load.goes_on(20);
    load.finish().assert_nothing_failed();
    let left = left();
    (running, left)
}

#[test]
fn an_upgrade_waits_for_a_hook_before_a_reload_and_the_reload_goes_to_its_end() {
    let (running, left) = upgrade_during("true", true);
    assert_eq!(left, "2\ndone\n", "it has run once, to its end");
    assert_eq!(running.get("/whoami").generation(), Some(2));
}

#[test]
fn an_upgrade_waits_for_a_hook_that_fails_and_the_old_workers_serve_on() {
    let (running, left) = upgrade_during("exit 3", true);
    assert_eq!(left, "2\ndone\n");
    assert_eq!(running.get("/whoami").generation(), Some(1));
}

#[test]
fn an_upgrade_waits_for_a_hook_after_a_reload() {
    let (running, left) = upgrade_during("true", false);
    assert_eq!(left, "2\ndone\n");
    assert_eq!(running.get("/whoami").generation(), Some(2));
}

/// A supervisor that is killed while this hook runs: another one comes, the hook ends, and who waits for the reload hears of it.
/// Gives the workers from before.
#[track_caller]
fn kill_during(hook: &str) -> (Running, Vec<u32>) {
    let deploy = toml::Table::from_iter([(hook.to_owned(), "echo $$ > pid; exec sleep 3600".into())]);
    let running = Portreeve::new().app("web", worker().set("deploy", deploy)).kept().start();
    let folder = running.site("web").release();
    let pids = running.pids("web", 1);
    let mut reload = running.command(&["reload"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let pid = until(SOON, "the hook runs", || fs::read_to_string(folder.join("pid")).ok()?.trim().parse::<u32>().ok());
    let hook = Process::find(pid).unwrap();
    let supervisor = running.status().pid;
    process::kill(supervisor);
    until(SOON, "another supervisor", || (running.try_status().ok()?.pid != supervisor).then_some(()));
    assert!(hook.ends_within(SOON), "nobody would hear of its end");
    assert!(process::wait(&mut reload, SOON).is_some_and(|status| !status.success()));
    until(SOON, "one generation is left", || (running.try_status().ok()?.app("web").workers.len() == 1).then_some(()));
    (running, pids)
}

#[test]
fn a_hook_of_a_supervisor_that_was_killed_is_ended_and_its_reload_given_up() {
    let (running, pids) = kill_during("pre_promote");
    assert_eq!(running.pids("web", 1), pids, "the old worker serves on");
}

#[test]
fn a_hook_after_a_reload_is_ended_with_its_supervisor_and_the_new_workers_serve_on() {
    let (running, pids) = kill_during("post_promote");
    assert_ne!(running.pids("web", 1), pids);
    assert_eq!(running.get("/whoami").generation(), Some(2));
}

#[test]
fn a_file_that_was_edited_is_read_by_the_next_reload_and_not_by_an_upgrade() {
    let mut running = Portreeve::new().app("web", worker().workers(1)).start();
    let pids = running.pids("web", 1);
    running.configure("app.web.workers", 2);
    running.upgrade();
    assert_eq!(running.pids("web", 1), pids);
    running.write_config("this is no configuration");
    assert_eq!(running.cli_by_socket(&["upgrade"]).code, 0);
    assert_eq!(running.pids("web", 1), pids);
    assert_eq!(running.line().before, 2);
}

#[test]
fn a_program_that_cannot_take_over_is_refused_with_the_reason_and_nothing_has_changed() {
    let running = Portreeve::new().app("web", worker()).start();
    let (pids, proxy) = (running.pids("web", 1), running.proxy());
    let text = running.upgrade_fails(std::path::Path::new("/bin/false"));
    assert!(text.contains("not upgraded") && text.contains("everything stays as it is"), "{text}");
    let text = running.upgrade_fails(std::path::Path::new("/etc/passwd"));
    assert!(text.contains("cannot take over"), "{text}");
    assert_eq!(running.line().before, 0);
    assert_eq!((running.pids("web", 1), running.proxy()), (pids, proxy));
}

/// Says yes when it is asked, and is no program that can be become: its interpreter finds no descriptor to read it from.
fn script(folder: &std::path::Path) -> PathBuf {
    let path = folder.join("script");
    fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_program_that_does_not_come_up_gives_everything_back() {
    let portreeve = Portreeve::new().https();
    let script = script(portreeve.path());
    let running = portreeve.app("web", worker().workers(2)).start();
    let pids = running.pids("web", 2);
    let load = Load::new().clients(4, &running.http()).clients(2, &running.h2()).start();
    let text = running.upgrade_fails(&example("no-successor"));
    assert!(text.contains("it was built to fail"), "{text}");
    assert_eq!(running.line().before, 2);
    load.goes_on(20);
    let text = running.upgrade_fails(&script);
    assert!(text.contains("it cannot be run"), "{text}");
    load.goes_on(20);
    running.upgrade();
    assert_eq!(running.line().refused, None);
    load.goes_on(20);
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    assert_eq!(running.pids("web", 2), pids);
}

/// Does this while a worker drains that has 3 s for that: it goes at its time, which lies between these bounds from here on.
#[track_caller]
pub(crate) fn a_drain_keeps_its_deadline(running: &mut Running, bounds: [Duration; 2], happens: impl FnOnce(&Running)) {
    let old = Process::find(running.pids("web", 1)[0]).unwrap();
    let target = running.http();
    // A GET would be repeated on the new worker, and hang there.
    let hanging = std::thread::spawn(move || target.try_post("/hang", ""));
    running.in_flight("web", 1.0);
    running.reload_live();
    let began = Instant::now();
    happens(running);
    assert!(old.is_alive(), "it still has a request");
    let is_forced = || running.metrics().sum("portreeve_drain_forced_total", &[]) >= 1.0;
    until(SOON, "the drain is forced", || is_forced().then_some(()));
    let took = began.elapsed();
    assert!(took > bounds[0], "not before its time: {took:?}");
    assert!(took < bounds[1], "and no later: {took:?}");
    assert_eq!(hanging.join().unwrap().unwrap().status, 502);
    assert!(old.ends_within(SOON));
    running.excuse("portreeve_drain_forced_total");
    running.excuse("portreeve_upstream_reset_stopping_total");
}

#[test]
fn a_drain_goes_on_over_an_upgrade_until_the_deadline_that_it_had() {
    let mut running = Portreeve::new().app("web", worker().set("drain_timeout", "3s")).start();
    a_drain_keeps_its_deadline(&mut running, [2, 5].map(Duration::from_secs), |running| {
        running.upgrade();
        running.upgrade();
    });
}

#[test]
fn no_line_of_a_worker_is_lost_or_told_twice_over_upgrades() {
    let script = "i=0; while :; do printf 'line %s of many\\n' $i; i=$((i+1)); printf 'ha'; printf 'lf %s\\n' $i; done";
    let portreeve = Portreeve::new().set("listen", toml::Table::new());
    let log = portreeve.path().join("all.log");
    let settings = toml::Table::from_iter([
        ("file".to_owned(), log.display().to_string().into()),
        ("stdout".to_owned(), false.into()),
        // All in one file, however fast it talks.
        ("rotate".to_owned(), "off".into()),
    ]);
    let command = ["sh", "-c", script].map(toml::Value::from).to_vec();
    let task = [("kind", "task".into()), ("command", command.into()), ("log", settings.into())];
    let task: toml::Table = task.into_iter().map(|(key, value): (_, toml::Value)| (key.to_owned(), value)).collect();
    let running = portreeve.set("app.talker", task).launch();
    let lines = || fs::read_to_string(&log).unwrap_or_default().lines().count();
    until(SOON, "it talks", || (lines() > 100).then_some(()));
    for _ in 0..5 {
        let before = lines();
        running.upgrade();
        until(SOON, "it goes on talking", || (lines() > before + 100).then_some(()));
    }
    let text = fs::read_to_string(&log).unwrap();
    let whole = &text[..=text.rfind('\n').unwrap()];
    for (number, pair) in whole.lines().collect::<Vec<_>>().chunks_exact(2).enumerate() {
        assert_eq!(pair, [format!("line {number} of many"), format!("half {}", number + 1)]);
    }
}

/// Shakes hands, and stays until a ticket has come; says whether a session was resumed.
fn is_resumed(target: &Target, client: &Arc<ClientConfig>) -> bool {
    let stream = std::net::TcpStream::connect(target.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(client), name).unwrap(), stream);
    stream.write_all(b"GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", answer.escape_ascii());
    stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
}

#[test]
fn a_tls_session_is_resumed_by_every_thread_and_after_an_upgrade_a_kill_of_the_proxy_and_one_of_the_supervisor() {
    let running = Portreeve::new().kept().https().set("proxy.threads", 2).app("web", worker()).start();
    let target = running.https();
    let clients = [&TLS12, &TLS13].map(|version| running.certificate().client_of(&["http/1.1"], &[version]));
    for client in &clients {
        assert!(!is_resumed(&target, client), "the first time");
        for _ in 0..8 {
            assert!(is_resumed(&target, client), "whichever thread it meets");
        }
    }
    let resumed = |after: &str| {
        for client in &clients {
            assert!(is_resumed(&target, client), "{after}");
        }
    };
    let proxy = running.proxy();
    running.upgrade();
    running.proxy_after(proxy);
    resumed("after an upgrade");
    running.upgrade();
    running.upgrade();
    resumed("after two more");
    let proxy = running.kill_proxy();
    running.proxy_after(proxy);
    resumed("after the proxy was killed");
    running.kill_supervisor();
    let proxy = running.kill_proxy();
    running.proxy_after(proxy);
    resumed("after both were killed");
}

#[test]
fn what_was_said_by_hand_holds_over_an_upgrade() {
    let running = Portreeve::new().app("web", worker().workers(2)).app("other", worker().set("path", "/other")).start();
    assert_eq!(running.cli(&["drain", "web:0"]).code, 0);
    assert_eq!(running.cli(&["maintenance", "on", "other"]).code, 0);
    running.upgrade();
    let states: Vec<_> = running.status().app("web").workers.iter().map(|worker| worker.state.clone()).collect();
    assert_eq!(states, ["drained", "serving"]);
    assert_eq!(running.cli(&["undrain", "web"]).code, 0);
    running.serving("web", 2);
}
