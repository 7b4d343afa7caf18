//! What the operator is shown: status, and the workers' output.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Portreeve, SOON, Terminal, portreeve, until, worker};

#[test]
fn status_shows_every_worker_to_people_and_to_programs() {
    let running =
        Portreeve::new().https().app("web", worker().workers(2)).app("api", worker().set("path", "/api")).start();
    let (pids, status) = (running.pids("web", 2), running.status());
    assert_eq!((status.pid, status.version.as_str()), (running.pid(), env!("CARGO_PKG_VERSION")));

    let table = running.cli(&["status"]);
    assert_eq!(table.code, 0, "{}", table.text);
    for text in ["ID  NAME  GEN  SLOT", "web", "api", "serving", &pids[0].to_string(), &pids[1].to_string()] {
        assert!(table.stdout.contains(text), "no {text:?} in\n{}", table.stdout);
    }

    let json = running.cli(&["status", "--json"]);
    assert_eq!(json.code, 0, "{}", json.text);
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(value["pid"], running.pid());
    assert_eq!(value["listeners"].as_array().unwrap().len(), 2);
    let ids: Vec<_> = running.serving("web", 2).into_iter().map(|worker| worker.id).collect();
    assert_eq!(ids, ["web 1.0", "web 1.1"]);
}

#[test]
fn a_finished_reload_is_reported_with_generation_and_time() {
    let running = Portreeve::new().app("web", worker()).start();
    let reloaded = running.reload();
    let [app] = &reloaded.apps[..] else { panic!("{reloaded:?}") };
    assert_eq!((app.app.as_str(), app.outcome.as_str(), app.generation), ("web", "live", Some(2)));
    assert!(app.millis < 20_000 && app.reason.is_none() && app.lines.is_empty(), "{app:?}");

    running.site("web").rewrite(&["say=the last word", "exit=9"]);
    let reloaded = running.reload();
    let [app] = &reloaded.apps[..] else { panic!("{reloaded:?}") };
    assert_eq!(app.outcome, "aborted");
    assert!(app.reason.as_ref().is_some_and(|reason| reason.contains("exit code 9")), "{app:?}");
    assert!(app.lines.iter().any(|line| line.contains("the last word")), "{app:?}");

    let said = running.cli(&["reload", "ghost"]);
    assert!(said.code != 0 && said.text.contains("ghost"), "{}", said.text);
}

#[test]
fn every_line_of_a_worker_is_passed_on_with_its_name() {
    let running = Portreeve::new().app("web", worker().workers(2).says("say=good morning")).start();
    let port = running.serving("web", 2)[1].port.unwrap();
    running.output().line(&["web 1.0 ", "good morning"]);
    running.output().line(&["web 1.1 ", &format!("listening on 127.0.0.1:{port}")]);
    running.reload_live();
    running.output().line(&["web 2.0 ", "good morning"]);
}

#[test]
fn lines_may_be_passed_on_as_json() {
    let app = worker().says("say=a \"quoted\" word");
    let running = Portreeve::new().set("log.format", "json").app("web", app).start();
    let line = running.output().line(&["quoted"]);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    for (key, value) in [("app", "web"), ("stream", "stderr"), ("line", "a \"quoted\" word")] {
        assert_eq!(line[key], value, "{line}");
    }
    assert_eq!((&line["generation"], &line["slot"]), (&1.into(), &0.into()), "{line}");
}

#[test]
fn every_exchange_leaves_a_line_in_the_access_log() {
    let portreeve = Portreeve::new().https().app("web", worker());
    let path = portreeve.path().join("access.log");
    // The proxy of a supervisor that is root is somebody else, and writes to this file.
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let running = portreeve.set("log.access", path.display().to_string()).start();
    running.get("/status?code=418");
    running.h2().get("/whoami");
    for (target, status) in [("/status", "418"), ("/whoami", "200")] {
        until(SOON, &format!("a line for {target}"), || {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            log.lines().any(|line| line.contains(target) && line.contains(status) && line.contains("web")).then_some(())
        });
    }
}

#[test]
fn the_load_on_a_worker_is_shown_while_it_works_and_summed_up_afterwards() {
    let running = Portreeve::new().app("web", worker()).start();
    for _ in 0..20 {
        running.get("/whoami");
    }
    assert_eq!(running.http().post("/drop", "").status, 502);
    let worker = || running.serving("web", 1).remove(0);
    let shown = until(SOON, "21 requests", || Some(worker()).filter(|worker| worker.requests >= 21));
    assert!(shown.inflight == 0 && shown.failed >= 1 && shown.oldest_ms.is_none(), "{shown:?}");
    assert!(shown.req_per_second > 0.0, "{shown:?}");
    let finished = running.metrics().value("portreeve_worker_requests_total", &[("app", "web"), ("slot", "0")]);
    assert!(finished.is_some_and(|finished| finished >= 21.0), "{finished:?}");

    let slow = running.http().get_meanwhile("/slow?ms=4000");
    until(SOON, "an old request", || worker().oldest_ms.filter(|oldest| *oldest >= 1000));
    assert_eq!(worker().inflight, 1);
    let table = running.cli(&["status"]).stdout;
    assert!(table.contains("BUSY  REQ/S"), "{table}");
    assert_eq!(running.metrics().value("portreeve_worker_inflight", &[("app", "web"), ("slot", "0")]), Some(1.0));
    assert_eq!(slow.join().unwrap().unwrap().status, 200);
    until(SOON, "nothing in flight", || Some(worker()).filter(|worker| worker.inflight == 0));
}

#[test]
fn cpu_time_is_that_of_the_worker_and_a_share_of_what_has_passed_since_the_look_before() {
    let memory = toml::Table::from_iter([("interval".to_owned(), "200ms".into())]);
    let running = Portreeve::new().app("web", worker().set("memory", memory)).start();
    running.serving("web", 1);
    let told = || {
        let reply = running.admin(http::Method::GET, "/v1/status").unwrap();
        let status: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        let worker = &status["apps"][0]["workers"][0];
        Some((worker["cpu"].as_f64()?, worker["cpu_seconds"].as_f64()?))
    };
    let (_, before) = until(SOON, "it is looked at", told);
    let busy = running.http().get_meanwhile("/spin?ms=1500");
    until(SOON, "it is seen to be busy", || told().filter(|(percent, _)| *percent >= 10.0));
    assert_eq!(busy.join().unwrap().unwrap().status, 200);
    until(SOON, "it is idle again", || told().filter(|(percent, _)| *percent < 10.0));
    let (_, after) = told().unwrap();
    assert!(after - before >= 0.3 && after - before < 3.0, "{before} {after}");
}

#[test]
fn a_watched_status_is_drawn_anew_until_a_key_is_pressed_and_leaves_the_terminal_clean() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    running.serving("web", 2);
    let config = running.config();
    let words = [portreeve().to_str().unwrap(), "ls", "--watch", "-c", config.to_str().unwrap()];
    let Some(terminal) = Terminal::open((80, 24), &words) else { return };
    terminal.shows(&["ID  NAME  GEN  SLOT", "BUSY", "serving"]);
    running.reload_live();
    let screen = terminal.shows(&["web     2     1"]);
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    terminal.press("q");
    let clean = terminal.shows(&["ended with 0"]);
    assert!(!clean.contains("serving"), "{clean}");
    drop(terminal);

    let Some(terminal) = Terminal::open((60, 10), &words) else { return };
    terminal.shows(&["NAME", "serving"]);
    terminal.press("C-c");
    terminal.shows(&["ended with 0"]);
    drop(terminal);

    // It ends with its terminal; the harness sees to that.
    let Some(terminal) = Terminal::open((80, 24), &words) else { return };
    terminal.shows(&["serving"]);
    drop(terminal);
    let said = running.cli(&["status", "--watch"]);
    assert!(said.code == 64 && said.text.contains("needs a terminal"), "{}", said.text);
}
