//! Apps that nobody connects to, as a user of PM2 starts them: workers of queues, cron jobs, `--cron-restart`.
//!
//! They are shell scripts that leave a line in a file for each time that they begin.

use toml::{Table, Value};

use crate::harness::{Home, Portreeve, SOON, until};

/// Goes on until it is told to end.
const QUEUE: &str = "echo \"begin ${PORT:-none}\" >> seen\ntrap 'exit 0' TERM INT\nwhile :; do sleep 0.05; done\n";
/// Does something, and ends.
const JOB: &str = "echo \"begin ${PORT:-none}\" >> seen\n";
/// Not while a test runs.
const SELDOM: &str = "0 3 29 2 *";
const EACH_SECOND: &str = "* * * * * *";

fn seen(home: &Home) -> Vec<String> {
    let text = std::fs::read_to_string(home.path().join("seen")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn begun(home: &Home, times: usize) {
    until(SOON, &format!("it has begun {times} times"), || (seen(home).len() >= times).then_some(()));
}

#[test]
fn a_script_that_serves_nobody_is_started_as_a_task_and_has_no_port() {
    let home = Home::new();
    home.write("queue.sh", QUEUE);
    let said = home.say(home.command(&["start", "queue.sh", "--task", "-i", "2"]).env("PORT", "1"));
    assert!(said.code == 0 && said.text.contains("queue runs with 2 workers ("), "{}", said.text);
    let status = home.status();
    assert_eq!((status.app("queue").kind.as_str(), status.listeners.len()), ("task", 0));
    assert_eq!(seen(&home), ["begin none", "begin none"]);
    home.ok(&["reload", "queue"]);
    begun(&home, 4);
    assert!(home.ok(&["stop", "queue"]).contains("queue: stopped"));
}

#[test]
fn a_cron_job_runs_at_its_times_and_when_it_is_told_to() {
    let home = Home::new();
    home.write("report.sh", JOB);
    let said = home.ok(&["start", "report.sh", "--cron", SELDOM]);
    assert!(said.contains("report runs next at ") && said.contains("portreeve restart report"), "{said}");
    assert_eq!(seen(&home).len(), 0, "its time has not come");
    home.ok(&["restart", "report"]);
    begun(&home, 1);
    assert_eq!(seen(&home), ["begin none"]);
    home.ok(&["start", "report.sh", "--name", "often", "--cron", EACH_SECOND]);
    begun(&home, 3);
    home.ok(&["delete", "all"]);

    for (words, code, text) in [
        (&["--cron", "99 * * * *"][..], 4, "is no schedule"),
        (&["--cron", SELDOM, "--port", "3000"], 64, "cannot be used with"),
        (&["--cron", SELDOM, "-i", "2"], 4, "for workers that go on"),
        (&["--task", "--ready", "/health"], 64, "cannot be used with"),
    ] {
        let said = home.cli(&[&["start", "report.sh"], words].concat());
        assert!(said.code == code && said.text.contains(text), "{words:?}: {} {}", said.code, said.text);
    }
    assert!(home.status().apps.is_empty());
}

#[test]
fn pm2s_cron_restart_renews_the_workers_and_without_autorestart_it_is_a_job() {
    let home = Home::new();
    home.write("job.sh", JOB);
    home.start("web", &["--cron-restart", EACH_SECOND]);
    let first = home.pids("web");
    until(SOON, "it is replaced", || {
        let pids = home.pids("web");
        (!pids.is_empty() && pids != first).then_some(())
    });
    assert_eq!(home.get("web", "/whoami").status, 200);
    home.ok(&["start", "job.sh", "--cron-restart", EACH_SECOND, "--no-autorestart"]);
    assert_eq!(home.status().app("job").kind, "task");
    begun(&home, 2);
    // PM2's word for never.
    home.start("api", &["--cron-restart", "0"]);
    let list = home.list_text();
    let api = &list[list.find("[app.api]").unwrap()..];
    assert!(list.contains("schedule") && !api.contains("schedule"), "{list}");
}

#[test]
fn the_tasks_and_cron_jobs_of_a_pm2_configuration_are_started_without_a_port() {
    let home = Home::new();
    home.write("queue.sh", QUEUE);
    home.write("job.sh", JOB);
    let apps = serde_json::json!({ "apps": [
        { "name": "mail", "script": "./queue.sh", "kind": "task", "instances": 2 },
        { "name": "nightly", "script": "./job.sh", "autorestart": false, "cron_restart": EACH_SECOND },
    ] });
    home.write("process.json", &apps.to_string());
    let said = home.ok(&["start", "process.json"]);
    assert!(said.contains("mail runs with 2 workers") && said.contains("nightly runs next at "), "{said}");
    let status = home.status();
    assert_eq!(["mail", "nightly"].map(|app| status.app(app).kind.clone()), ["task", "task"]);
    assert_eq!(status.listeners.len(), 0);
    begun(&home, 4);
}

#[test]
fn an_app_that_listens_nowhere_fails_with_the_word_that_it_may_be_a_task() {
    let portreeve = Portreeve::new();
    let script = portreeve.path().join("queue.sh");
    std::fs::write(&script, "while :; do sleep 0.05; done\n").unwrap();
    let command = Value::from(vec!["/bin/sh".to_owned(), script.display().to_string()]);
    let app = Table::from_iter([("command".to_owned(), command), ("start_timeout".to_owned(), "4s".into())]);
    let running = portreeve.set("app.web", app).launch();
    until(SOON, "it has failed, and why", || {
        let info = running.cli(&["info", "web"]).stdout;
        (info.contains("it listens nowhere") && info.contains("`start --task`")).then_some(())
    });
}

#[test]
fn a_verb_that_only_pm2_has_is_told_what_it_is_here() {
    let home = Home::new();
    let said = home.cli(&["jlist"]);
    assert_eq!((said.code, said.stdout.as_str()), (64, ""));
    assert!(said.text.contains("portreeve status --json"), "{}", said.text);
    let said = home.cli(&["show", "web"]);
    assert!(said.code == 78 && said.text.contains("portreeve info web"), "{}", said.text);
}
