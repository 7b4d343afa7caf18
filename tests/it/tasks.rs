//! Apps that no request is for: workers of queues, supervised by the rules of all others, and jobs that run at their times.
//!
//! They are shell scripts that leave a line in a file for whatever they do.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use toml::{Table, Value};

use crate::harness::{Home, Job, Portreeve, Running, SOON, until, worker};

/// A task in the folder of its portreeve, as `/bin/sh` runs it.
fn task<const N: usize>(portreeve: Portreeve, name: &str, script: &str, settings: [(&str, Value); N]) -> Portreeve {
    let path = portreeve.path().join(format!("{name}.sh"));
    fs::write(&path, script).expect("a script can be written");
    let command = vec!["/bin/sh".to_owned(), path.display().to_string()];
    let own = [("kind".to_owned(), "task".into()), ("command".to_owned(), Value::from(command))];
    let table: Table = own.into_iter().chain(settings.map(|(key, value)| (key.to_owned(), value))).collect();
    portreeve.set(&format!("app.{name}"), table)
}

/// No listener: there is nothing to be served.
fn alone() -> Portreeve {
    Portreeve::new().set("listen", Table::new())
}

/// Says when it begins and when it is told to end, and takes its time for that.
const QUEUE: &str = "\
echo \"begin $$ $PORTREEVE_SLOT ${PORT:-none}\" >> seen
trap 'echo \"told $$\" >> seen; sleep 0.3; echo \"end $$\" >> seen; exit 0' TERM
while :; do sleep 0.05; done
";

fn seen(running: &Running) -> Vec<String> {
    let text = fs::read_to_string(file(running, "seen")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn file(running: &Running, name: &str) -> PathBuf {
    running.config().with_file_name(name)
}

fn begun(running: &Running) -> usize {
    seen(running).iter().filter(|line| line.starts_with("begin")).count()
}

#[track_caller]
fn job(running: &Running, app: &str) -> Job {
    running.status().app(app).job.clone().unwrap_or_else(|| panic!("{app} is no job"))
}

#[test]
fn a_worker_of_a_queue_has_no_port_and_a_reload_replaces_it_the_next_one_first() {
    let running = task(alone(), "mail", QUEUE, []).launch();
    let [first] = running.serving("mail", 1).try_into().expect("one worker");
    assert_eq!((first.port, first.address), (None, None));
    let status = running.status();
    assert!(status.listeners.is_empty(), "there is nothing to be served: {status:?}");
    assert_eq!((status.app("mail").kind.as_str(), status.app("mail").state.as_str()), ("task", "running"));
    assert_eq!(running.get_metrics("/readyz").status, 200);

    assert_eq!(running.reload_live(), 2);
    running.serving("mail", 1);
    until(SOON, "the first one has ended", || seen(&running).iter().any(|line| line.starts_with("end")).then_some(()));
    let seen = seen(&running);
    let words: Vec<_> = seen.iter().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(words, ["begin", "begin", "told", "end"], "{seen:?}");
    assert!(seen[0].ends_with(" 0 none"), "no PORT: {seen:?}");
}

#[test]
fn a_worker_that_must_be_alone_ends_before_the_next_one_begins() {
    let settings =
        [("overlap", false.into()), ("recycle", Table::from_iter([("max_age".to_owned(), Value::from("2s"))]).into())];
    let running = task(alone(), "mail", QUEUE, settings).launch();
    running.serving("mail", 1);
    let reloaded = running.reload();
    assert_eq!((reloaded.apps[0].outcome.as_str(), reloaded.apps[0].generation), ("started", Some(2)));
    until(SOON, "it is replaced for its age as well", || (begun(&running) >= 4).then_some(()));
    let mut on = None;
    for line in seen(&running) {
        let [word, pid] = [0, 1].map(|index| line.split(' ').nth(index).expect("two words").to_owned());
        match (word.as_str(), &on) {
            ("begin", None) => on = Some(pid),
            ("end", Some(before)) if *before == pid => on = None,
            ("told", Some(before)) if *before == pid => {}
            _ => panic!("{line} while {on:?} runs: {:?}", seen(&running)),
        }
    }
    let recycled = running.metrics().sum("portreeve_recycles_total", &[("app", "mail"), ("reason", "max-age")]);
    assert!(recycled >= 1.0);
    let status = running.status();
    let exits = &status.app("mail").exits;
    assert!(
        exits.iter().any(|exit| exit.cause == "recycled" && exit.reason.as_deref() == Some("max-age")),
        "{exits:?}"
    );
}

#[test]
fn workers_that_must_be_alone_in_their_slots_are_scaled_and_a_reload_ends_all_of_them_first() {
    let running = task(alone(), "mail", QUEUE, [("overlap", false.into())]).launch();
    let first = running.pids("mail", 1);
    for (size, count) in [("3", 3), ("2", 2)] {
        let said = running.cli(&["scale", "mail", size]);
        assert_eq!(said.code, 0, "{}", said.text);
        assert_eq!(running.pids("mail", count)[0], first[0], "the lowest slot is left alone");
    }
    let count = |word: &str| seen(&running).iter().filter(|line| line.starts_with(word)).count();
    assert_eq!((count("begin"), count("end")), (3, 1), "{:?}", seen(&running));
    assert_eq!(running.reload().apps[0].outcome, "started");
    running.serving("mail", 2);
    let lines = seen(&running);
    let third = lines.iter().rposition(|line| line.starts_with("end")).expect("some have ended");
    let fourth =
        lines.iter().enumerate().filter(|(_, line)| line.starts_with("begin")).nth(3).expect("two more came").0;
    assert!(third < fourth && count("end") == 3, "the old ones are gone before the next ones come: {lines:?}");
}

#[test]
fn a_worker_that_must_be_alone_is_waited_for_also_when_it_is_on_its_way_out_already() {
    let slow = QUEUE.replace("sleep 0.3", "sleep 1");
    let running = task(alone(), "mail", &slow, [("overlap", false.into())]).launch();
    running.serving("mail", 1);
    let told = |count: usize| {
        let count_now = || seen(&running).iter().filter(|line| line.starts_with("told")).count();
        until(SOON, "it is told to end", || (count_now() == count).then_some(()));
    };
    for (round, (first, second)) in [("reload", "reload"), ("stop", "start")].into_iter().enumerate() {
        let mut first = running.command(&[first, "mail"]);
        let first = std::thread::spawn(move || crate::harness::said(&mut first));
        told(round + 1);
        let said = running.cli(&[second, "mail"]);
        assert_eq!(said.code, 0, "{}", said.text);
        first.join().expect("it does not panic");
        running.serving("mail", 1);
    }
    let seen = seen(&running);
    let words: Vec<_> = seen.iter().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(words, ["begin", "told", "end", "begin", "told", "end", "begin"], "{seen:?}");
}

#[test]
fn a_job_is_not_scaled() {
    let running = task(alone(), "report", "exit 0", [("schedule", NEVER.into())]).launch();
    let said = running.cli(&["scale", "report", "2"]);
    let why = "report is a job: each of its runs has one worker; to run it now: portreeve restart report";
    assert!(said.code == 64 && said.text.contains(why), "{}", said.text);
}

#[test]
fn what_is_counted_of_a_job_outlives_portreeve() {
    let home = Home::new();
    home.start("web", &[]);
    home.ok(&["kill"]);
    let command = r#"command = ["/bin/sh", "-c", "exit 3"]"#;
    let report = format!("{}\n[app.report]\nkind = \"task\"\n{command}\nschedule = \"{NEVER}\"\n", home.list_text());
    fs::write(home.list(), report).expect("the list can be written");
    home.ok(&["resurrect"]);
    let job = || home.status().app("report").job.clone().expect("it is a job");
    let fails = |count: u64| {
        home.cli(&["restart", "report"]);
        until(SOON, "a run has failed", || Some(job()).filter(|job| job.failures == count && job.last.is_some()))
    };
    let before = fails(1);
    home.ok(&["kill"]);
    home.ok(&["resurrect"]);
    let after = job();
    assert_eq!((after.runs, after.failures, after.missed), (1, 1, 0));
    assert_eq!(after.last.map(|run| run.result), before.last.map(|run| run.result));
    assert_eq!(fails(2).runs, 2);
}

#[test]
fn a_new_version_that_must_be_alone_and_fails_is_said_to_fail() {
    let running = task(alone(), "mail", QUEUE, [("overlap", false.into())]).launch();
    running.serving("mail", 1);
    fs::write(file(&running, "mail.sh"), "echo boom >&2; exit 3").expect("the script can be written");
    let reloaded = running.reload();
    assert_eq!(reloaded.apps[0].outcome, "failed");
    assert_eq!(reloaded.apps[0].lines, ["boom"]);
    fs::write(file(&running, "mail.sh"), QUEUE).expect("the script can be written");
    running.serving("mail", 1);
}

#[test]
fn a_worker_of_a_queue_that_crashes_comes_back_and_in_a_loop_now_and_then() {
    let restart = [("backoff_min", "10ms"), ("backoff_max", "50ms"), ("retry", "300ms")];
    let mut restart: Table = restart.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    restart.insert("intensity".to_owned(), 2.into());
    let script = "echo begin >> seen; test -e good || exit 7; while :; do sleep 0.05; done";
    let running = task(alone(), "mail", script, [("restart", restart.into())]).launch();
    until(SOON, "it is in a crash loop", || (running.status().app("mail").state == "crash-looping").then_some(()));
    let failure = running.status().app("mail").last_failure.clone();
    assert!(failure.is_some_and(|failure| failure.contains("exit code 7")));
    fs::write(file(&running, "good"), "").expect("a file can be written");
    running.serving("mail", 1);
    assert!(running.metrics().sum("portreeve_worker_restarts_total", &[("app", "mail")]) >= 2.0);
    assert!(running.status().app("mail").exits.iter().all(|exit| exit.cause == "crashed"));
}

#[test]
fn a_task_and_a_web_app_live_side_by_side_and_only_one_is_served() {
    let portreeve = Portreeve::new().app("web", worker());
    let running = task(portreeve, "mail", "while :; do sleep 0.05; done", [("depends_on", "web".into())]).start();
    running.serving("mail", 1);
    assert_eq!(running.get("/whoami").status, 200);
    let said = running.cli(&["stop", "mail"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(running.get_metrics("/readyz").status, 200);
    let said = running.cli(&["start", "mail"]);
    assert!(said.code == 0 && said.text.contains("mail runs with 1 worker"), "{}", said.text);
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn a_job_runs_at_its_times_and_each_run_is_recorded() {
    let running = task(alone(), "report", "echo begin >> seen", [("schedule", "* * * * * *".into())]).launch();
    until(SOON, "it has run twice", || (begun(&running) >= 2).then_some(()));
    let last = until(SOON, "it is between two runs", || {
        let status = running.status();
        let app = status.app("report");
        (app.state == "scheduled").then(|| app.job.clone().expect("a job"))
    });
    let run = last.last.clone().expect("a run is over");
    assert_eq!((run.result.as_str(), run.reason), ("succeeded", None));
    assert!(last.runs >= 2 && last.failures == 0 && last.last_success.is_some() && last.next.is_some(), "{last:?}");
    assert_eq!(last.schedule, "* * * * * *");
    let status = running.status();
    let exits = &status.app("report").exits;
    assert!(exits.iter().all(|exit| exit.cause == "finished" && exit.code == Some(0)), "{exits:?}");
    assert_eq!(running.get_metrics("/readyz").status, 200);
    let metrics = running.metrics();
    assert!(metrics.sum("portreeve_job_runs_total", &[("app", "report"), ("result", "succeeded")]) >= 2.0);
    assert!(metrics.sum("portreeve_job_last_success_timestamp_seconds", &[("app", "report")]) > 1e9);
    assert!(metrics.sum("portreeve_job_next_run_timestamp_seconds", &[("app", "report")]) > 1e9);
    let shown = running.cli(&["status"]).stdout;
    assert!(shown.contains("last run succeeded at "), "{shown}");

    assert_eq!(running.cli(&["stop", "report"]).code, 0);
    let (state, runs) = (running.status().app("report").state.clone(), begun(&running));
    assert_eq!((state.as_str(), job(&running, "report").next), ("stopped", None));
    let said = running.cli(&["start", "report"]);
    assert!(said.code == 0 && said.text.contains("report runs next at "), "{}", said.text);
    until(SOON, "it runs again", || (begun(&running) > runs).then_some(()));
}

/// Once in a thousand years.
const NEVER: &str = "0 0 29 2 MON";

#[test]
fn a_job_is_run_now_by_a_restart_and_a_reload_leaves_a_run_alone() {
    let script = "echo begin >> seen; while test ! -e done; do sleep 0.02; done; test ! -e bad";
    let running = task(alone(), "report", script, [("schedule", NEVER.into())]).launch();
    until(SOON, "it is scheduled", || (running.status().app("report").state == "scheduled").then_some(()));
    let said = running.cli(&["restart", "report"]);
    assert!(said.code == 0 && said.text.contains("report runs"), "{}", said.text);
    until(SOON, "it begins", || (begun(&running) == 1).then_some(()));
    assert_eq!(running.reload().apps[0].outcome, "scheduled");
    let on = job(&running, "report");
    assert!(on.running_since.is_some() && on.last.is_none(), "the run goes on: {on:?}");
    assert_eq!(running.cli(&["restart", "report"]).code, 0);
    until(SOON, "another one begins", || (begun(&running) == 2).then_some(()));
    assert_eq!(job(&running, "report").last.map(|run| run.result), Some("replaced".to_owned()));
    fs::write(file(&running, "bad"), "").expect("a file can be written");
    fs::write(file(&running, "done"), "").expect("a file can be written");
    let failed = until(SOON, "it fails", || job(&running, "report").last.filter(|run| run.result == "failed"));
    assert!(failed.reason.is_some_and(|reason| reason.contains("exit code 1 while it ran")), "and is not tried again");
    assert_eq!((begun(&running), job(&running, "report").failures), (2, 1));
    assert!(running.metrics().sum("portreeve_job_runs_total", &[("app", "report"), ("result", "failed")]) > 0.5);
}

#[test]
fn a_time_that_meets_a_run_is_left_out_and_a_run_that_takes_too_long_is_ended() {
    let script = "echo begin >> seen; trap 'echo told >> seen; exit 0' TERM; while :; do sleep 0.05; done";
    let settings = [("schedule", "* * * * * *".into()), ("run_timeout", "2500ms".into())];
    let running = task(alone(), "report", script, settings).launch();
    let timed_out = until(SOON, "a run is over", || job(&running, "report").last);
    assert_eq!(timed_out.result, "timed-out");
    assert!(timed_out.reason.is_some_and(|reason| reason.contains("run_timeout")));
    let after = job(&running, "report");
    assert!(after.missed >= 1 && after.failures >= 1, "{after:?}");
    assert!(seen(&running).starts_with(&["begin".to_owned(), "told".to_owned()]), "never two at once");
    assert!(running.metrics().sum("portreeve_job_missed_total", &[("app", "report")]) >= 1.0);
    assert!(running.output().stderr().contains("a run goes on at the time of the next one"));
}

#[test]
fn a_job_that_replaces_ends_the_run_before() {
    let script = "echo begin >> seen; trap 'echo told >> seen; exit 0' TERM; while :; do sleep 0.05; done";
    let settings = [("schedule", "* * * * * *".into()), ("overlap", "replace".into())];
    let running = task(alone(), "report", script, settings).launch();
    until(SOON, "three runs have begun", || (begun(&running) >= 3).then_some(()));
    let alternates = |(index, line): (usize, &String)| line == if index % 2 == 0 { "begin" } else { "told" };
    assert!(seen(&running).iter().enumerate().all(alternates), "{:?}", seen(&running));
    assert_eq!(job(&running, "report").last.map(|run| run.result), Some("replaced".to_owned()));
}

#[test]
fn a_job_that_fails_is_tried_again_if_that_is_said() {
    let restart = [("policy", "on-failure"), ("delay", "50ms")];
    let restart: Table = restart.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let script = "echo begin >> seen; test $(wc -l < seen) -ge 3";
    let settings = [("schedule", NEVER.into()), ("restart", restart.into())];
    let running = task(alone(), "report", script, settings).launch();
    running.cli(&["restart", "report"]);
    let run = until(SOON, "the run is over", || job(&running, "report").last);
    assert_eq!((run.result.as_str(), begun(&running)), ("succeeded", 3), "the third attempt went well");
    assert_eq!(job(&running, "report").runs, 1, "of one run");
}

#[test]
fn a_run_is_ended_with_portreeve_and_a_job_whose_program_is_missing_is_said_to_fail() {
    let script = "echo begin >> seen; trap 'echo told >> seen; exit 0' TERM; while :; do sleep 0.05; done";
    let portreeve = task(alone(), "report", script, [("schedule", NEVER.into())]);
    let lost = [("kind", "task"), ("command", "/no/such/program"), ("schedule", NEVER)];
    let lost: Table = lost.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let mut running = portreeve.set("app.lost", lost).launch();
    let said = running.cli(&["restart", "lost"]);
    assert!(said.code == 1 && said.text.contains("/no/such/program"), "{}", said.text);
    running.cli(&["restart", "report"]);
    until(SOON, "it begins", || (begun(&running) == 1).then_some(()));
    running.signal(rustix::process::Signal::TERM);
    assert!(running.ended(Duration::from_secs(20)).success());
    assert_eq!(seen(&running), ["begin", "told"]);
}
