//! A worker's end is the end of all that it has started, wherever that has gone; and as PID 1 portreeve reaps what is left to it.

use rustix::process::Signal;

use crate::harness::process::{self, Process};
use crate::harness::{App, Load, Portreeve, Running, SOON, until, worker};
use crate::tools;

/// Leaves a process that has left the worker's group, session and parent, and says its number.
const STRAY: &str = "setsid sh -c 'sleep 3600 >/dev/null 2>&1 & echo \"stray $!\"'";

/// Starts what follows where no control group can be seen.
const WITHOUT_GROUPS: &str = "for folder in $(grep ' - cgroup2 ' /proc/self/mountinfo | cut -d' ' -f5); do \
                              umount -l \"$folder\" || exit 1; done; exec \"$@\"";

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn without_groups() -> Portreeve {
    Portreeve::new().launched_by(&words(&["unshare", "--mount", "sh", "-c", WITHOUT_GROUPS, "sh"]))
}

/// The latest stray that a worker of this generation has told of.
fn stray(running: &Running, generation: u64, count: usize) -> Process {
    let strays = until(SOON, "the stray is told of", || {
        let all = running.output().stdout();
        let ours = all.lines().filter(|line| line.contains(&format!("web {generation}.0")));
        let pids: Vec<u32> = ours.filter_map(|line| line.split_once("stray ")?.1.trim().parse().ok()).collect();
        (pids.len() == count).then_some(pids)
    });
    until(SOON, "the stray lives", || Process::find(strays[count - 1]))
}

fn ends_with_its_worker(portreeve: Portreeve) {
    let mut running = portreeve.app("web", worker().after(STRAY)).start();
    let first = stray(&running, 1, 1);
    running.reload_live();
    assert!(first.ends_within(SOON), "reload: {first:?}");

    let second = stray(&running, 2, 1);
    assert_eq!(running.http().post("/crash?code=3", "").status, 502);
    assert!(second.ends_within(SOON), "crash: {second:?}");
    running.serving("web", 1);

    let third = stray(&running, 2, 2);
    process::kill(running.pids("web", 1)[0]);
    assert!(third.ends_within(SOON), "kill: {third:?}");
    running.serving("web", 1);

    let fourth = stray(&running, 2, 3);
    running.signal(Signal::TERM);
    assert_eq!(running.ended(SOON).code(), Some(0));
    assert!(!fourth.is_alive(), "stop: {fourth:?}");
    running.assert_nothing_left();
}

#[test]
fn what_has_left_group_session_and_parent_ends_with_its_worker() {
    ends_with_its_worker(Portreeve::new());
}

#[test]
fn without_control_groups_it_ends_with_its_worker_too() {
    if tools::may_unshare() {
        ends_with_its_worker(without_groups());
    }
}

#[test]
fn without_control_groups_what_has_cleared_its_environment_ends_with_portreeve_at_the_latest() {
    if !tools::may_unshare() {
        return;
    }
    let nameless = STRAY.replacen("setsid", "env -i \"$(command -v setsid)\"", 1);
    let mut running = without_groups().app("web", worker().after(&nameless)).start();
    let nameless = stray(&running, 1, 1);
    running.signal(Signal::TERM);
    assert_eq!(running.ended(SOON).code(), Some(0));
    assert!(!nameless.is_alive(), "{nameless:?}");
}

#[test]
fn what_left_the_group_is_asked_to_end_before_it_is_killed() {
    let polite = "setsid sh -c 'trap \"echo bye; exit\" TERM; echo hello; while :; do sleep 0.02; done' &";
    let running = Portreeve::new().app("web", worker().after(polite).set("kill_timeout", "10m")).start();
    running.output().line(&["web 1.0", "hello"]);
    running.reload_live();
    running.output().line(&["web 1.0", "bye"]);
}

/// Portreeve as the first process of a container; the second value is that process, as seen from outside.
fn as_first_process(portreeve: Portreeve, app: App) -> (Running, Process) {
    let launcher = words(&["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]);
    let running = portreeve.launched_by(&launcher).app("web", app).start();
    let children = children(running.pid());
    (running, Process::find(children[0]).unwrap())
}

#[test]
fn as_pid_1_it_ends_in_order_on_each_signal_that_container_engines_send() {
    if !tools::may_unshare() {
        return;
    }
    for (signal, portreeve) in [
        (Signal::TERM, Portreeve::new()),
        (Signal::INT, Portreeve::new().unkept()),
        (Signal::QUIT, Portreeve::new()),
        (Signal::TERM, Portreeve::new().unkept()),
    ] {
        let (mut running, first) = as_first_process(portreeve, worker());
        let slow = running.http().get_meanwhile("/slow?ms=700");
        running.in_flight("web", 1.0);
        process::send(first.pid, signal);
        assert_eq!(running.ended(SOON).code(), Some(0), "{signal:?}");
        assert_eq!(slow.join().unwrap().unwrap().status, 200, "{signal:?}: what is in flight is finished");
    }
}

#[test]
fn as_pid_1_it_is_the_keeper_of_a_supervisor_that_may_be_killed() {
    if !tools::may_unshare() {
        return;
    }
    let (mut running, first) = as_first_process(Portreeve::new(), worker().workers(2));
    let before = running.status();
    assert_ne!(before.pid, 1);
    let (pids, proxy, supervisor) = (running.pids("web", 2), running.proxy(), children(first.pid)[0]);
    let load = Load::new().clients(4, &running.http()).start();
    for _ in 0..3 {
        let old = running.status().pid;
        let supervisors = children(first.pid);
        let supervisor = supervisors.iter().find(|pid| is_supervisor(**pid)).unwrap();
        process::kill(*supervisor);
        until(SOON, "another supervisor answers", || (running.try_status().ok()?.pid != old).then_some(()));
        load.goes_on(20);
    }
    load.finish().assert_nothing_failed();
    assert_eq!((running.pids("web", 2), running.proxy()), (pids, proxy), "nobody else was touched");
    assert!(Process::find(supervisor).is_none());
    process::send(first.pid, Signal::TERM);
    assert_eq!(running.ended(SOON).code(), Some(0));
}

/// Is it a supervisor, and no worker or proxy that has lost its own?
fn is_supervisor(pid: u32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|word| word == b"run")
}

#[test]
fn as_pid_1_it_reaps_what_is_left_to_it() {
    if !tools::may_unshare() {
        return;
    }
    let orphans = "for i in 1 2 3 4 5; do env -i \"$(command -v setsid)\" sh -c 'sh -c \"sleep 0.1; :\" &'; done";
    for (portreeve, others) in [(Portreeve::new(), 1), (Portreeve::new().unkept(), 2)] {
        let (mut running, first) = as_first_process(portreeve, worker().after(orphans));
        running.reload_live();
        until(SOON, "no zombie is left", || zombies(first.pid).is_empty().then_some(()));
        until(SOON, "the orphans are gone", || (children(first.pid).len() == others).then_some(()));
        process::send(first.pid, Signal::TERM);
        assert_eq!(running.ended(SOON).code(), Some(0));
    }
}

fn children(parent: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Children that are dead and not reaped.
fn zombies(parent: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter(|pid| Process::find(*pid).is_none()).collect()
}
