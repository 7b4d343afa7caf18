//! A service of systemd, as the units in `config/` and those of `portreeve startup` have it: whoever kills the supervisor
//! takes nobody along, and whoever stops the service stops all of it.

use crate::harness::{Ledger, Load, Reply, SOON, Systemd, Target, example, portreeve, until};
use crate::units;

/// A service and its socket, both started.
struct Service {
    systemd: Systemd,
    http: Target,
    ledger: Ledger,
}

fn serving(of_the_app: &str, of_the_service: &str) -> Option<Service> {
    let systemd = Systemd::start()?;
    let port = units::free_port();
    let config = systemd.path().join("portreeve.toml");
    let ledger = Ledger::create(systemd.path().join("ledger"));
    let (folder, worker, word) = (systemd.path().display(), example("scripted-worker"), ledger.word());
    let worker = worker.display();
    let text = format!(
        "[listen]\nhttp = '127.0.0.1:{port}'\n[metrics]\nlisten = 'off'\n\
         [app.web]\ncommand = ['{worker}', '{word}']\ndirectory = '{folder}'\nworkers = 2\n{of_the_app}"
    );
    std::fs::write(&config, text).unwrap();
    for (name, text) in units::texts(portreeve(), &config) {
        let text = text.replace("ListenStream=80\n", &format!("ListenStream=127.0.0.1:{port}\n"));
        if name != "portreeve-https.socket" {
            systemd.unit(&name, &text);
        }
    }
    systemd.unit("portreeve.service.d/output.conf", &output(&systemd));
    systemd.unit("portreeve.service.d/more.conf", &format!("[Service]\n{of_the_service}"));
    systemd.ok(&["daemon-reload"]);
    systemd.ok(&["start", "portreeve.socket", "portreeve.service"]);
    Some(Service { systemd, http: Target::Plain(([127, 0, 0, 1], port).into()), ledger })
}

/// There is no journal.
fn output(systemd: &Systemd) -> String {
    let log = systemd.path().join("log");
    format!("[Service]\nStandardOutput=append:{0}\nStandardError=append:{0}\n", log.display())
}

/// Kills the supervisor of a service, and waits for the next one.
#[track_caller]
fn kill_supervisor(systemd: &Systemd, service: &str) {
    let main = || systemd.ok(&["show", service, "-p", "MainPID", "--value"]);
    let before = main();
    systemd.ok(&["kill", "-s", "KILL", "--kill-who=main", service]);
    until(SOON, "another supervisor serves", || {
        // In this order: what is not there any more may be active still.
        let is_another = ![before.as_str(), "0"].contains(&main().as_str());
        (is_another && systemd.ask(&["is-active", service]).code == 0).then_some(())
    });
}

#[track_caller]
fn pid(reply: &Reply) -> u64 {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["pid"].as_u64().expect("a worker says who it is")
}

/// Who serves, once each of two workers has answered.
#[track_caller]
fn two_workers(target: &Target) -> Vec<u64> {
    let mut pids = std::collections::BTreeSet::new();
    until(SOON, "two workers answer", || {
        pids.insert(pid(&target.get("/whoami")));
        (pids.len() == 2).then_some(())
    });
    pids.into_iter().collect()
}

fn supervisors_are_killed(of_the_app: &str, of_the_service: &str) {
    let Some(Service { systemd, http, ledger }) = serving(of_the_app, of_the_service) else { return };
    let workers = two_workers(&http);
    let load = Load::new().clients(6, &http).start();
    for _ in 0..5 {
        kill_supervisor(&systemd, "portreeve.service");
        load.goes_on(20);
    }
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(&ledger);
    assert_eq!(tally.connections, 6, "no client's connection ended: {tally}");
    assert_eq!(two_workers(&http), workers, "no worker was touched");
    let config = systemd.path().join("portreeve.toml");
    let said = systemd.run(portreeve(), &["upgrade", "-c", config.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{}\n{}", said.text, systemd.log());
    kill_supervisor(&systemd, "portreeve.service");
    assert_eq!(two_workers(&http), workers, "nor by an upgrade");
    systemd.ok(&["reload", "portreeve.service"]);
    assert_eq!(http.get("/whoami").generation(), Some(2), "the new supervisor does what it is told");
    let before = systemd.processes();
    systemd.ok(&["restart", "portreeve.service"]);
    assert_eq!(http.get("/whoami").generation(), Some(1), "the socket stayed open, and all began anew");
    let left: Vec<_> = before.iter().filter(|process| process.is_alive()).collect();
    assert!(left.is_empty(), "{left:?}");
    systemd.ok(&["stop", "portreeve.socket", "portreeve.service"]);
    assert_eq!(systemd.processes(), [], "{}", systemd.log());
}

#[test]
fn a_service_goes_on_when_its_supervisor_is_killed() {
    supervisors_are_killed("", "");
}

#[test]
fn a_service_whose_workers_listen_on_unix_sockets_goes_on_too() {
    supervisors_are_killed("listen = 'unix'\n", "");
}

#[test]
fn a_service_that_is_not_root_goes_on_too() {
    // So that root's commands find it.
    supervisors_are_killed("[admin]\nsocket = '/run/portreeve/portreeve.sock'\n", "User=nobody\n");
}

#[test]
fn what_a_stop_has_left_ends_with_the_next_start() {
    let Some(Service { systemd, http, .. }) = serving("", "") else { return };
    systemd.unit("portreeve.service.d/late.conf", "[Service]\nRestartSec=1h\n");
    systemd.ok(&["daemon-reload"]);
    let workers = two_workers(&http);
    // In the moment between the death of a supervisor and the start of the next one.
    systemd.ok(&["kill", "-s", "KILL", "--kill-who=main", "portreeve.service"]);
    until(SOON, "the supervisor has died", || {
        (systemd.ok(&["show", "portreeve.service", "-p", "SubState", "--value"]) == "auto-restart").then_some(())
    });
    systemd.ok(&["stop", "portreeve.service"]);
    let left = systemd.processes();
    assert_eq!(left.len(), 3, "a proxy and two workers: {left:?}");
    systemd.ok(&["start", "portreeve.service"]);
    for process in &left {
        assert!(process.ends_within(SOON), "{process:?} goes on");
    }
    let others = two_workers(&http);
    assert!(others.iter().all(|pid| !workers.contains(pid)), "{workers:?} {others:?}");
    systemd.ok(&["stop", "portreeve.socket", "portreeve.service"]);
    assert_eq!(systemd.processes(), []);
}

#[test]
fn the_service_of_a_list_goes_on_when_its_supervisor_is_killed() {
    let Some(systemd) = Systemd::start() else { return };
    let root = systemd.path().join("root");
    let words = ["startup", "systemd", "--name", "list", "--root", root.to_str().unwrap()];
    let said = systemd.run(portreeve(), &words);
    assert_eq!(said.code, 0, "{}", said.text);
    let unit = std::fs::read_to_string(root.join("etc/systemd/system/list.service")).unwrap();
    systemd.unit("list.service", &unit);
    systemd.unit("list.service.d/output.conf", &output(&systemd));
    systemd.ok(&["daemon-reload"]);
    systemd.ok(&["start", "list.service"]);
    let (worker, port) = (example("scripted-worker"), units::free_port());
    let address = format!("127.0.0.1:{port}");
    let cwd = systemd.path().to_str().unwrap();
    let ledger = Ledger::create(systemd.path().join("ledger"));
    let (worker, word) = (worker.to_str().unwrap(), ledger.word());
    let start = ["start", worker, "--name", "web", "--port", &address, "-i", "2", "--cwd", cwd, "--", &word];
    let said = systemd.run(portreeve(), &start);
    assert_eq!(said.code, 0, "{}\n{}", said.text, systemd.log());
    let http = Target::Plain(address.parse().unwrap());
    let workers = two_workers(&http);
    let load = Load::new().clients(4, &http).start();
    for _ in 0..3 {
        kill_supervisor(&systemd, "list.service");
        load.goes_on(20);
    }
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(&ledger);
    assert_eq!(two_workers(&http), workers, "no worker was touched");
    systemd.ok(&["stop", "list.service"]);
    assert_eq!(systemd.processes(), [], "{}", systemd.log());
}
