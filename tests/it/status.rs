//! What the operator is shown: status, and the workers' output.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Portreeve, SOON, until, worker};

#[test]
fn status_shows_every_worker_to_people_and_to_programs() {
    let running =
        Portreeve::new().https().app("web", worker().workers(2)).app("api", worker().set("path", "/api")).start();
    let (pids, status) = (running.pids("web", 2), running.status());
    assert_eq!((status.pid, status.version.as_str()), (running.pid(), env!("CARGO_PKG_VERSION")));

    let table = running.cli(&["status"]);
    assert_eq!(table.code, 0, "{}", table.text);
    for text in ["web", "api", "serving", &pids[0].to_string(), &pids[1].to_string()] {
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
    assert!(table.contains("INFLIGHT  REQ/S"), "{table}");
    assert_eq!(running.metrics().value("portreeve_worker_inflight", &[("app", "web"), ("slot", "0")]), Some(1.0));
    assert_eq!(slow.join().unwrap().unwrap().status, 200);
    until(SOON, "nothing in flight", || Some(worker()).filter(|worker| worker.inflight == 0));
}
