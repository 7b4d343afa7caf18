//! `portreeve start` and its supervisor in the background: without ceremony, and without lies.

use std::net::TcpListener;

use rustix::process::Signal;

use crate::harness::{Failure, Home, SOON, Target, process, until};

#[test]
fn the_first_start_brings_up_a_supervisor_and_the_second_adds_to_it() {
    let home = Home::new();
    let said = home.start("web", &["-i", "2"]);
    assert!(said.contains("portreeve runs in the background, pid "), "{said}");
    let served = format!("web serves on http://{} with 2 workers (", home.address("web"));
    assert!(said.contains(&served), "{said}");
    assert_eq!(home.get("web", "/whoami").status, 200);
    let pid = home.status().pid;

    let said = home.start("api", &[]);
    assert!(!said.contains("background") && said.contains("api serves on http://"), "{said}");
    assert_eq!(home.status().pid, pid);
    assert_eq!(home.get("api", "/whoami").json()["app"], "api");
    assert_eq!(home.get("web", "/whoami").json()["app"], "web");

    // In a session of its own: no terminal's end is its end.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert_eq!(stat.rsplit_once(") ").unwrap().1.split(' ').nth(3), Some(pid.to_string().as_str()));
    let said = home.ok(&["kill"]);
    assert!(said.ends_with("gone\n"), "{said}");
    assert_eq!(home.cli(&["ping"]).code, 69);
}

#[test]
fn two_starts_at_once_bring_up_one_supervisor() {
    let home = Home::new();
    let names = ["a", "b", "c"];
    let words = |name| ["start", "./worker", "--name", name, "--port", "127.0.0.1:0"];
    let starts = names.map(|name| home.command(&words(name)).stdout(std::process::Stdio::null()).spawn().unwrap());
    for mut start in starts {
        assert_eq!(process::wait(&mut start, SOON).and_then(|status| status.code()), Some(0), "{}", home.log());
    }
    let pids: std::collections::BTreeSet<_> = names.map(|name| home.get(name, "/whoami").pid()).into_iter().collect();
    assert_eq!((home.status().apps.len(), pids.len()), (3, 3));
}

#[test]
fn a_supervisor_that_does_not_come_up_says_why() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _other = TcpListener::bind(taken).unwrap();
    std::fs::create_dir(home.path().join("home")).unwrap();
    home.write("home/apps.toml", &format!("[app.old]\ncommand = 'true'\nport = '{taken}'\n"));
    let said = home.cli(&["start", "./worker"]);
    assert_eq!(said.code, 70, "{}", said.text);
    assert!(
        said.text.contains(&format!("cannot listen on {taken}")) && said.text.contains("portreeve.log"),
        "{}",
        said.text
    );
    assert!(!home.list_text().contains("worker"), "nothing was added");
}

#[test]
fn an_app_that_does_not_come_up_is_told_with_its_last_lines() {
    let home = Home::new();
    let said = home.cli(&["start", "./worker", "--port", "127.0.0.1:0", "--", "say=no database", "exit=3"]);
    assert_eq!(said.code, 1, "{}", said.text);
    for text in ["worker did not come up", "exit code 3", "  | no database", "portreeve stop worker"] {
        assert!(said.text.contains(text), "no {text:?} in\n{}", said.text);
    }
    assert!(home.list_text().contains("[app.worker]"), "it stays known, and is tried again");
    home.ok(&["delete", "worker"]);
    assert!(home.status().apps.is_empty() && !home.list_text().contains("[app.worker]"));
}

#[test]
fn what_cannot_be_started_changes_nothing() {
    let home = Home::new();
    home.start("web", &[]);
    let list = home.list_text();
    let port = home.address("web");
    for (words, code, text) in [
        (&["start", "nothing.js"][..], 64, "there is no file"),
        (&["start", "./worker", "--name", "web", "--port", "1"], 64, "there is an app `web` already"),
        (&["start", "./worker", "--name", "a b"], 64, "an app name has"),
        (&["start", "./worker", "--port", "no"], 4, "`port` must be"),
        (&["start", "./worker", "--port", &port.to_string()], 4, "cannot listen on"),
        (&["start", "./worker", "--port", "127.0.0.1:0", "--kill-timeout", "9y"], 4, "kill_timeout"),
        (&["start", "./worker", "--env", "NO_SUCH_VARIABLE"], 64, "your shell has no such variable"),
        (&["start", "./worker", "-i", "many"], 64, "--instances many"),
        (&["start", "apps.config.js"], 64, "no file"),
    ] {
        let said = home.cli(words);
        assert!(said.code == code && said.text.contains(text), "{words:?}: {} {}", said.code, said.text);
    }
    assert_eq!(home.list_text(), list);
    assert_eq!(home.get("web", "/whoami").generation(), Some(1));
}

#[test]
fn a_stopped_app_has_no_port_stays_known_and_comes_back() {
    let home = Home::new();
    home.start("web", &[]);
    home.start("api", &[]);
    let target = Target::Plain(home.address("web"));
    let said = home.ok(&["stop", "web"]);
    assert!(said.starts_with("web: stopped"), "{said}");
    assert_eq!((home.state("web"), home.state("api")), ("stopped".to_owned(), "running".to_owned()));
    until(SOON, "its port is closed", || matches!(target.try_get("/"), Err(Failure::Connect(_))).then_some(()));
    assert!(home.ok(&["stop", "web"]).contains("stopped already"));

    home.ok(&["kill"]);
    let said = home.ok(&["resurrect"]);
    assert!(said.contains("api serves on http://") && !said.contains("web"), "{said}");
    assert_eq!(home.state("web"), "stopped");
    assert!(home.ok(&["resurrect"]).contains("runs already"));
    assert!(home.ok(&["start", "web"]).starts_with("web serves on http://"));
    assert_eq!(home.get("web", "/whoami").status, 200);
    assert!(!home.list_text().contains("enabled"));
}

#[test]
fn a_restart_loses_no_request_that_comes_in_between() {
    let home = Home::new();
    home.start("web", &["--", "stop-delay=300ms"]);
    let (before, target) = (home.pids("web"), Target::Plain(home.address("web")));
    let mut restart = home.command(&["restart", "web"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    // It is told to stop once every proxy knows.
    let is_stopping = || home.status().app("web").workers.iter().any(|worker| worker.state == "stopping");
    until(SOON, "the old worker goes", || is_stopping().then_some(()));
    let reply = target.get("/whoami");
    assert_eq!((reply.status, reply.generation()), (200, Some(2)), "it waited for the new worker");
    assert_eq!(process::wait(&mut restart, SOON).and_then(|status| status.code()), Some(0));
    assert_ne!(home.pids("web"), before);
    assert!(process::Process::find(before[0]).is_none(), "one was gone before the other came");
}

#[test]
fn a_damaged_list_is_set_aside_and_the_one_before_it_serves() {
    let home = Home::new();
    home.start("web", &[]);
    home.start("api", &[]);
    home.ok(&["kill"]);
    home.write("home/apps.toml", "[app.web\n");
    let said = home.ok(&["resurrect"]);
    assert!(said.contains("web serves on"), "{said}");
    assert!(home.log().contains("is damaged and was set aside"), "{}", home.log());
    let aside = std::fs::read_to_string(home.path().join("home/apps.toml.damaged")).unwrap();
    assert_eq!(aside, "[app.web\n");
}

#[test]
fn a_list_that_people_have_broken_is_not_edited() {
    let home = Home::new();
    home.start("web", &[]);
    let good = home.list_text();
    home.write("home/apps.toml", "[app.web\n");
    for words in [&["stop", "web"][..], &["delete", "web"], &["reload"], &["start", "./worker", "--name", "x"]] {
        assert_eq!(home.cli(words).code, 4, "{words:?}");
    }
    assert_eq!(home.list_text(), "[app.web\n");
    assert_eq!(home.get("web", "/whoami").status, 200);
    home.write("home/apps.toml", &good);
    home.ok(&["reload", "web"]);
    assert_eq!(home.get("web", "/whoami").generation(), Some(2));
}

#[test]
fn a_configuration_of_ones_own_has_a_supervisor_of_its_own() {
    let home = Home::new();
    home.start("web", &[]);
    let site = "[admin]\nsocket = 'site.sock'\n[metrics]\nlisten = 'off'\n\
                [app.site]\ncommand = './worker'\nport = '127.0.0.1:0'\nworkers = 1\n\
                [app.other]\ncommand = './worker'\nport = '127.0.0.1:0'\nworkers = 1\n";
    home.write("site.toml", site);
    let said = home.ok(&["start", "site.toml"]);
    assert!(said.contains("site serves on http://") && said.contains("other serves on"), "{said}");
    assert_eq!(home.status().apps.len(), 1, "the list is another one");
    let there = |words: &[&str]| home.cli(&[words, &["-c", "site.toml"]].concat());

    // What is stopped by hand stays so over reloads, and the file is not touched.
    assert_eq!(there(&["stop", "site"]).code, 0);
    assert_eq!(home.cli(&["start", "site.toml"]).code, 0);
    let status: serde_json::Value = serde_json::from_str(&there(&["status", "--json"]).stdout).unwrap();
    assert_eq!((&status["apps"][1]["name"], &status["apps"][1]["state"]), (&"site".into(), &"stopped".into()));
    let said = there(&["delete", "other"]);
    assert!(said.code == 64 && said.text.contains("take out the app there"), "{}", said.text);
    assert_eq!(there(&["start", "site"]).code, 0);
    assert_eq!(std::fs::read_to_string(home.path().join("site.toml")).unwrap(), site);
    assert_eq!(there(&["kill"]).code, 0);

    home.write("broken.toml", "[app.a]\nport = 1\n");
    assert_eq!(home.cli(&["start", "broken.toml"]).code, 78);
    home.write("second.toml", "[app.a]\ncommand = './worker'\nport = '127.0.0.1:0'\n");
    let said = home.cli(&["start", "second.toml"]);
    assert!(said.code == 64 && said.text.contains("give") && said.text.contains("[admin]"), "{}", said.text);
}

#[test]
fn apps_are_meant_by_name_id_and_pattern_and_a_slip_gets_advice() {
    let home = Home::new();
    for name in ["web-1", "web-2", "api"] {
        home.start(name, &[]);
    }
    let ids: Vec<_> = home.status().apps.iter().map(|app| (app.id, app.name.clone())).collect();
    assert_eq!(ids, [(2, "api".to_owned()), (0, "web-1".to_owned()), (1, "web-2".to_owned())]);
    let said = home.cli(&["restart", "wbe-1"]);
    assert!(said.code == 64 && said.text.contains("did you mean `web-1`?"), "{}", said.text);
    assert_eq!(home.cli(&["stop", "7"]).code, 64);
    assert_eq!(home.cli(&["stop"]).code, 64);
    let said = home.ok(&["stop", "web-*", "2", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&said).unwrap();
    let outcomes: Vec<_> = answer["apps"].as_array().unwrap().iter().map(|app| app["outcome"].clone()).collect();
    assert_eq!(outcomes, ["stopped", "stopped", "stopped"]);
    home.ok(&["delete", "all"]);
    assert!(home.ok(&["delete", "all"]).contains("no app"));
}

#[test]
fn what_a_worker_finds_in_its_environment_is_shown_without_secrets() {
    let home = Home::new();
    home.start("web", &["--env", "COLOUR=blue", "--env", "API_TOKEN=hush"]);
    let said = home.ok(&["env", "web"]);
    assert!(said.contains("COLOUR=blue\n") && said.contains("PORTREEVE_APP=web\n"), "{said}");
    assert!(said.contains("API_TOKEN=********\n") && !said.contains("hush"), "{said}");
    assert!(home.ok(&["env", "web", "--reveal"]).contains("API_TOKEN=hush\n"));
    assert!(home.ok(&["save"]).contains("1 app in "));
    let ping: serde_json::Value = serde_json::from_str(&home.ok(&["ping", "--json"])).unwrap();
    assert_eq!((&ping["is_list"], &ping["pid"]), (&true.into(), &home.status().pid.into()));
}

#[test]
fn a_supervisor_in_the_background_that_is_killed_is_there_again_and_nobody_notices() {
    let home = Home::new();
    home.start("web", &["-i", "2"]);
    // The start brought a listener, and with it a proxy that takes the place of the first.
    let before = until(SOON, "one proxy is left", || Some(home.status()).filter(|status| status.proxies.len() == 1));
    let pids = home.pids("web");
    process::kill(before.pid);
    // It answers as soon as it is there, and its proxy tells it in the next moment that it serves.
    let after = until(SOON, "another supervisor knows of a proxy that serves", || {
        home.try_status().ok().filter(|now| now.pid != before.pid && now.serving_proxy().is_some())
    });
    assert_eq!(after.serving_proxy(), before.serving_proxy());
    assert_eq!((home.pids("web"), home.get("web", "/whoami").status), (pids, 200));
    home.start("api", &[]);
    let said = home.ok(&["kill"]);
    assert!(said.ends_with("gone\n"), "{said}");
    assert_eq!(home.cli(&["ping"]).code, 69, "it was told to go, and stays away");
}

#[test]
fn a_supervisor_that_was_killed_leaves_nothing_in_the_way_of_the_next() {
    let home = Home::new();
    home.start("web", &["--no-keep"]);
    let status = until(SOON, "one proxy is left", || Some(home.status()).filter(|status| status.proxies.len() == 1));
    let (proxy, worker) = (status.serving_proxy().unwrap(), home.pids("web")[0]);
    process::kill(status.pid);
    // It could not clean up after itself.
    for pid in [proxy, worker] {
        process::send(pid, Signal::KILL);
    }
    let said = home.ok(&["resurrect"]);
    assert!(said.contains("web serves on"), "{said}");
    assert_ne!(home.status().pid, status.pid);
}
