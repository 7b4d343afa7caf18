//! The whole story of an app, and its log files emptied.

use crate::harness::{Home, Portreeve, SOON, Target, until, worker};

#[test]
fn info_tells_settings_workers_changes_and_ends_and_no_secret() {
    let app = worker().workers(2).set("kill_timeout", "7s");
    let app = app.set("env", toml::Table::from_iter([("DB_PASSWORD".to_owned(), "hush-hush".into())]));
    let running = Portreeve::new().app("web", app).start();
    running.serving("web", 2);
    running.reload_live();
    running.site("web").rewrite(&["say=the last word", "exit=9"]);
    assert_eq!(running.reload().apps[0].outcome, "aborted");

    let reported = || running.cli(&["info", "web"]).stdout.matches("requests meanwhile: ").count();
    until(SOON, "both have their report", || (reported() == 2).then_some(()));
    let said = running.cli(&["info", "web"]);
    assert_eq!(said.code, 0, "{}", said.text);
    for text in [
        " forced, 0 failed; all done after ",
        "0 web: running, generation 2",
        "env.DB_PASSWORD",
        "(hidden)",
        "the last word",
        "exit code 9",
    ] {
        assert!(said.stdout.contains(text), "no {text:?} in\n{}", said.stdout);
    }
    let is_set = |line: &str| line.split_whitespace().eq(["kill_timeout", "7s"]);
    assert!(said.stdout.lines().any(is_set), "no kill_timeout in\n{}", said.stdout);
    assert!(!said.text.contains("hush-hush"), "{}", said.text);

    let said = running.cli(&["describe", "0", "--json"]);
    let info: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(!said.text.contains("hush-hush"), "{}", said.text);
    let changes: Vec<_> =
        info["changes"].as_array().unwrap().iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(changes, ["live", "aborted"]);
    let report = &info["changes"][0]["report"];
    assert_eq!((&report["apps"][0]["app"], &report["apps"][0]["failed"]), (&"web".into(), &0.into()), "{info}");
    assert_eq!((&info["changes"][0]["order"], &info["changes"][0]["generation"]), (&"reload".into(), &2.into()));
    assert!(info["changes"][1]["reason"].as_str().is_some_and(|reason| reason.contains("exit code 9")), "{info}");
    assert_eq!(info["workers"].as_array().map(Vec::len), Some(2));
    assert_eq!(info["settings"]["kill_timeout"], "7s");
    assert_eq!(info["variables"], serde_json::json!(["DB_PASSWORD"]));
    assert!(info["process"]["program"].as_str().is_some_and(|path| path.starts_with('/')), "{info}");
    assert_eq!(running.cli(&["info", "ghost"]).code, 64);
}

#[test]
fn flush_empties_files_and_history_and_no_line_of_a_busy_app_is_torn_or_lost_afterwards() {
    let home = Home::new();
    home.start("web", &["-i", "2"]);
    home.start("api", &[]);
    let log = |name: &str| std::fs::read_to_string(home.path().join("home/logs").join(name)).unwrap_or_default();
    let say = |app: &str, lines: usize| {
        let _ = Target::Plain(home.address(app)).get(&format!("/burst?lines={lines}"));
    };
    say("web", 200);
    until(SOON, "it is written", || (log("web-error.log").lines().count() >= 200).then_some(()));
    let before = log("api-out.log");
    let aside = home.path().join("home/logs/web-error.log.20260101-000000.000");
    std::fs::write(&aside, "old\n").unwrap();

    let said = home.ok(&["flush", "web"]);
    assert!(said.starts_with("2 log files of 1 app emptied"), "{said}");
    assert_eq!((log("web-error.log"), log("web-out.log")), (String::new(), String::new()));
    let packed = aside.with_file_name("web-error.log.20260101-000000.000.gz");
    assert!(aside.exists() || packed.exists(), "what was put aside stays, maybe packed meanwhile");
    assert!(!before.is_empty() && log("api-out.log") == before);
    assert_eq!(home.ok(&["logs", "web", "--nostream"]), "", "nothing is remembered either");

    say("web", 3);
    until(SOON, "new lines are written", || (log("web-error.log").lines().count() == 3).then_some(()));
    assert!(log("web-error.log").starts_with(|first: char| first != '\0'), "{:?}", log("web-error.log"));
    assert_eq!(home.ok(&["logs", "0", "--nostream"]).lines().count(), 6);
    // A stopped app has files, too; and without a name it is all of them.
    home.ok(&["stop", "api"]);
    let said = home.ok(&["flush", "--json"]);
    let flushed: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(["api-out.log", "web-out.log", "web-error.log"].iter().all(|name| said.contains(name)), "{flushed}");
    assert_eq!(log("api-out.log"), "");
    assert_eq!(home.cli(&["flush", "ghost"]).code, 64);
}

#[test]
fn lines_are_asked_for_by_id_pattern_and_all_as_by_name() {
    let home = Home::new();
    for name in ["echo-1", "echo-2", "other"] {
        home.start(name, &[]);
        let _ = Target::Plain(home.address(name)).get("/burst?lines=2");
    }
    let apps = |words: &[&str]| {
        let said = home.ok(&[&["logs", "--nostream", "--lines", "100"], words].concat());
        let names = ["echo-1", "echo-2", "other"];
        names.into_iter().filter(|name| said.contains(&format!("{name} 1.0 |"))).collect::<Vec<_>>()
    };
    for (words, expected) in [
        (&["1"][..], &["echo-2"][..]),
        (&["echo-*"], &["echo-1", "echo-2"]),
        (&["other", "0"], &["echo-1", "other"]),
        (&["all"], &["echo-1", "echo-2", "other"]),
        (&[], &["echo-1", "echo-2", "other"]),
    ] {
        until(SOON, &format!("{words:?} are {expected:?}"), || (apps(words) == expected).then_some(()));
    }
    assert_eq!(home.cli(&["logs", "ghost", "--nostream"]).code, 64);
}
