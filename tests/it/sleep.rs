//! An app that nobody asks for anything sleeps, and the next request wakes it: none fails, whatever meets what.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::process::{self, Process};
use crate::harness::{App, Load, Portreeve, Running, SOON, until, worker};

/// Sleeps after a second without requests.
fn sleepy(workers: usize) -> App {
    worker().workers(workers).set("idle_timeout", "1s")
}

impl Running {
    #[track_caller]
    fn has_state(&self, app: &str, state: &str) {
        until(SOON, &format!("{app} is {state}"), || (self.try_status().ok()?.app(app).state == state).then_some(()));
    }

    /// Waits until the app sleeps and its workers are gone.
    #[track_caller]
    fn sleeps(&self, app: &str) {
        until(SOON, &format!("{app} sleeps"), || {
            let status = self.try_status().ok()?;
            let app = status.app(app);
            (app.state == "asleep" && app.workers.iter().all(|worker| worker.pid.is_none())).then_some(())
        });
    }

    fn wakes(&self) -> usize {
        self.output().stderr().matches("a request wakes the app").count()
    }
}

#[test]
fn an_app_without_requests_has_no_processes_until_many_ask_at_once_and_all_are_served() {
    let running = Portreeve::new().app("web", sleepy(2)).start();
    assert_eq!(running.get("/whoami").status, 200);
    let processes: Vec<_> = running.pids("web", 2).into_iter().map(|pid| Process::find(pid).unwrap()).collect();
    running.sleeps("web");
    assert!(processes.iter().all(|process| !process.is_alive()), "their memory is free");
    let status = running.status();
    assert!(status.app("web").workers.iter().all(|worker| worker.state == "asleep"), "{:?}", status.app("web"));
    assert_eq!(running.get_metrics("/readyz").status, 200, "whoever asks is served");
    let sleeps = running.metrics().value("portreeve_app_state", &[("app", "web"), ("state", "asleep")]);
    assert_eq!(sleeps, Some(1.0));
    let info = running.cli(&["info", "web"]);
    assert!(info.stdout.contains("asleep"), "{}", info.text);

    let clients: Vec<_> = (0..48).map(|_| running.http().get_meanwhile("/whoami")).collect();
    for client in clients {
        assert_eq!(client.join().unwrap().unwrap().status, 200);
    }
    running.serving("web", 2);
    assert_eq!(running.wakes(), 1);
    let restarts = running.metrics().sum("portreeve_worker_restarts_total", &[("app", "web")]);
    assert!(restarts < 1.0, "to wake is no restart");
    running.sleeps("web");
    let status = running.status();
    let exits = &status.app("web").exits;
    assert!(exits.iter().all(|exit| exit.cause == "asleep"), "{exits:?}");
}

/// Clients whose pauses are as long as the time after which an app sleeps, more or less.
fn comes_and_goes(running: &Running, requests: u64) {
    let load = Load::new().clients(1, &running.http()).orders_only().think(Duration::from_secs(3)).start();
    let limit = Duration::from_secs(4 * requests).max(Duration::from_mins(3));
    until(limit, "so many requests have ended", || (load.ended() >= requests).then_some(()));
    let tally = load.finish();
    println!("{tally}, {} times woken", running.wakes());
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
}

#[test]
fn requests_around_the_moment_in_which_it_falls_asleep_are_all_served() {
    let running = Portreeve::new().app("web", sleepy(1)).start();
    comes_and_goes(&running, 12);
}

#[test]
#[ignore = "takes minutes; for the figures"]
fn hundreds_of_requests_around_the_moment_in_which_it_falls_asleep_are_all_served() {
    let running = Portreeve::new().app("web", sleepy(2)).start();
    comes_and_goes(&running, 150);
}

#[test]
fn two_proxies_at_once_wake_one_app() {
    let running = Portreeve::new().app("web", sleepy(1)).start();
    running.sleeps("web");
    let mut old = TcpStream::connect(running.http().address()).unwrap();
    old.set_read_timeout(Some(SOON)).unwrap();
    write!(old, "GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut byte = [0; 1];
    old.read_exact(&mut byte).unwrap();
    running.upgrade();
    running.sleeps("web");
    // On a connection to the proxy that retires, if it is open still, and to the new one.
    let sent = write!(old, "GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(running.get("/whoami").status, 200);
    let mut rest = String::new();
    if sent.is_ok() && old.read_to_string(&mut rest).is_ok() {
        assert!(rest.matches("HTTP/1.1 200").count() == rest.matches("HTTP/1.1").count(), "{rest}");
    }
}

#[test]
fn what_goes_on_keeps_it_awake() {
    let running = Portreeve::new().app("web", sleepy(1)).start();
    let pid = running.pids("web", 1)[0];
    let mut events = TcpStream::connect(running.http().address()).unwrap();
    events.set_read_timeout(Some(SOON)).unwrap();
    write!(events, "GET /events?ms=200 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    running.in_flight("web", 1.0);
    let began = Instant::now();
    let mut buffer = [0; 4096];
    while began.elapsed() < Duration::from_secs(4) {
        assert!(events.read(&mut buffer).unwrap() > 0, "the stream goes on");
    }
    assert_eq!(running.pids("web", 1), [pid]);
    drop(events);
    running.sleeps("web");
}

#[test]
fn a_worker_that_fails_to_start_when_it_is_woken_is_a_crash_loop_as_any_other() {
    let restart = toml::toml! { intensity = 1
    backoff_min = "10ms"
    backoff_max = "20ms"
    retry = "60s" };
    let running = Portreeve::new().app("web", sleepy(1).set("restart", restart)).start();
    running.sleeps("web");
    running.site("web").rewrite(&["exit=1"]);
    let reply = running.get("/whoami");
    assert_eq!(reply.status, 503);
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    running.has_state("web", "crash-looping");
}

#[test]
fn a_reload_starts_what_is_new_and_proves_it_and_a_bad_one_leaves_the_app_asleep() {
    let mut running = Portreeve::new().app("web", sleepy(1)).start();
    running.sleeps("web");
    running.site("web").rewrite(&["exit=1"]);
    assert_eq!(running.reload().apps[0].outcome, "aborted");
    running.sleeps("web");
    running.site("web").rewrite(&[]);
    assert_eq!(running.get("/whoami").status, 200);
    running.sleeps("web");
    assert_eq!(running.reload_live(), 3);
    running.sleeps("web");
    // Another setting of another kind does not wake it.
    running.configure("limits.h2_streams", 100);
    assert_eq!(running.get("/whoami").generation(), Some(3));
}

#[test]
fn orders_to_an_app_that_sleeps_do_what_they_say() {
    let running = Portreeve::new().app("web", sleepy(1)).start();
    running.sleeps("web");
    let scaled = running.cli(&["scale", "web", "2"]);
    assert_eq!(scaled.code, 0, "{}", scaled.text);
    assert_eq!(running.status().app("web").state, "asleep");
    let started = running.cli(&["start", "web"]);
    assert_eq!(started.code, 0, "{}", started.text);
    running.serving("web", 2);
    running.sleeps("web");
    assert_eq!(running.cli(&["restart", "web"]).code, 0);
    running.sleeps("web");
    assert_eq!(running.cli(&["pause", "web"]).code, 0);
    let paused = running.http().get_meanwhile("/whoami");
    running.held("web", 1.0);
    assert_eq!(running.status().app("web").workers.iter().filter(|one| one.pid.is_some()).count(), 0);
    assert_eq!(running.cli(&["resume", "web"]).code, 0);
    assert_eq!(paused.join().unwrap().unwrap().status, 200);
    running.sleeps("web");
    assert_eq!(running.cli(&["stop", "web"]).code, 0);
    assert_eq!(running.get("/whoami").status, 503);
    assert_eq!(running.status().app("web").state, "stopped");
}

#[test]
fn whoever_takes_over_lets_it_sleep_and_wakes_it() {
    let running = Portreeve::new().app("web", sleepy(2)).kept().start();
    running.sleeps("web");
    running.upgrade();
    running.sleeps("web");
    assert_eq!(running.get("/whoami").status, 200);
    running.serving("web", 2);
    running.sleeps("web");
    let supervisor = running.status().pid;
    process::kill(supervisor);
    until(SOON, "another supervisor", || (running.try_status().ok()?.pid != supervisor).then_some(()));
    running.sleeps("web");
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn a_proxy_that_dies_while_an_app_sleeps_is_replaced_by_one_that_wakes_it() {
    let running = Portreeve::new().app("web", sleepy(1)).start();
    running.sleeps("web");
    let dead = running.kill_proxy();
    running.proxy_after(dead);
    assert_eq!(running.status().app("web").state, "asleep");
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn whoever_starts_slowly_is_waited_for_longer_than_other_requests_are() {
    let hold = toml::toml! { time = "100ms" };
    let running = Portreeve::new().app("web", sleepy(1).set("hold", hold)).start();
    running.sleeps("web");
    running.site("web").rewrite(&["late=1s"]);
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn a_task_and_an_app_for_which_no_request_may_wait_cannot_sleep() {
    let running = Portreeve::new().app("web", worker()).start();
    let path = running.config();
    for (lines, said) in [
        ("command = 'x'\nidle_timeout = '5m'\nhold = { requests = 0 }", "nothing could wake it"),
        ("command = 'x'\nkind = 'task'\nidle_timeout = '5m'", "`idle_timeout` has no meaning for a task"),
        ("upstream = '127.0.0.1:1'\nidle_timeout = '5m'", "`idle_timeout` has no meaning for an app with `upstream`"),
    ] {
        let other = path.with_file_name("other.toml");
        std::fs::write(&other, format!("[app.a]\n{lines}\n")).unwrap();
        let mut check = std::process::Command::new(crate::harness::portreeve());
        let output = check.args(["check", "-c"]).arg(&other).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && text.contains(said), "{text}");
    }
}
