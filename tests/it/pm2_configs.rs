//! Scenarios of PM2's own end-to-end tests, said again for portreeve: configurations, variables, and the list of apps.
//!
//! The numbers are those of `docs/pm2-scenarios.md`; where portreeve does something else on purpose, the test says so.

use std::process::Stdio;

use crate::harness::{Home, Portreeve, worker};
use crate::ports::free_port;

/// A configuration of PM2 with two apps that are the scripted worker.
fn ecosystem(home: &Home, more: &str) {
    let text = format!(
        "{{ \"apps\": [\n\
         {{ \"name\": \"web\", \"script\": \"./worker\", \"interpreter\": \"none\", \"env\": {{ \"PORT\": {}, \"OBJECT\": {{ \"HEYYYY\": true }}{more} }} }},\n\
         {{ \"name\": \"api\", \"script\": \"./worker\", \"interpreter\": \"none\", \"env\": {{ \"PORT\": {} }} }}] }}",
        free_port(),
        free_port()
    );
    home.write("process.json", &text);
}

#[test]
fn pm2_26_34_a_configuration_is_started_stopped_restarted_reloaded_and_deleted_by_its_file() {
    let home = Home::new();
    ecosystem(&home, "");
    home.ok(&["start", "process.json"]);
    let object = home.get("web", "/environment").json()["OBJECT"].as_str().unwrap().to_owned();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&object).unwrap(), serde_json::json!({ "HEYYYY": true }));
    let pids = |app: &str| home.pids(app);
    let before = (pids("web"), pids("api"));
    home.ok(&["reload", "process.json"]);
    home.ok(&["stop", "process.json"]);
    assert_eq!([home.state("web"), home.state("api")], ["stopped", "stopped"]);
    home.ok(&["restart", "process.json"]);
    assert_eq!([home.state("web"), home.state("api")], ["running", "running"]);
    assert!(before.0 != pids("web") && before.1 != pids("api"));
    home.ok(&["delete", "process.json"]);
    assert_eq!(home.status().apps.len(), 0);
    home.write("broken.json", "{ \"apps\": [");
    for file in ["broken.json", "missing.json"] {
        assert_ne!(home.cli(&["start", file]).code, 0, "{file}");
        assert_eq!(home.status().apps.len(), 0);
    }
}

#[test]
fn pm2_24_variables_are_those_of_the_file_with_each_restart_and_those_of_the_start_without_one() {
    let home = Home::new();
    ecosystem(&home, ", \"COLOUR\": \"red\"");
    home.ok(&["start", "process.json"]);
    let colour = || home.get("web", "/environment").json()["COLOUR"].as_str().map(str::to_owned);
    assert_eq!(colour().as_deref(), Some("red"));
    ecosystem(&home, ", \"COLOUR\": \"blue\"");
    home.ok(&["restart", "web"]);
    assert_eq!(colour().as_deref(), Some("red"), "by name it is as it was");
    home.ok(&["restart", "process.json"]);
    assert_eq!(colour().as_deref(), Some("blue"));
    // PM2 never takes a variable away.
    ecosystem(&home, "");
    home.ok(&["reload", "process.json"]);
    assert_eq!(colour(), None);
}

#[test]
fn pm2_24_update_env_brings_the_variables_of_this_shell_and_takes_away_those_that_it_has_not() {
    let home = Home::new();
    let type_in = |colour: Option<&str>, words: &[&str]| {
        let mut command = home.command(words);
        if let Some(colour) = colour {
            command.env("COLOUR", colour);
        }
        let said = home.say(&mut command);
        assert_eq!(said.code, 0, "{words:?}: {}", said.text);
    };
    let variable = |app: &str, name: &str| home.get(app, "/environment").json()[name].as_str().map(str::to_owned);
    let seen = |app: &str| [variable(app, "COLOUR"), variable(app, "OWN")];
    let some = |colour: &str| [Some(colour.to_owned()), Some("1".to_owned())];
    type_in(Some("red"), &["start", "./worker", "--name", "web", "--port", "127.0.0.1:0", "--env", "OWN=1"]);
    assert_eq!(seen("web"), some("red"), "an app has the variables of the shell that it was started in");
    // Not those of the shell in which the first app was started.
    type_in(None, &["start", "./worker", "--name", "api", "--port", "127.0.0.1:0"]);
    assert_eq!(seen("api"), [None, None]);

    for order in ["restart", "reload"] {
        type_in(Some("blue"), &[order, "web"]);
        assert_eq!(seen("web"), some("red"), "{order}: it is as it was");
        type_in(Some("green"), &[order, "web", "--update-env"]);
        assert_eq!(seen("web"), some("green"), "{order}");
        type_in(Some("red"), &[order, "web", "--update-env"]);
    }
    home.ok(&["kill"]);
    type_in(Some("blue"), &["resurrect"]);
    assert_eq!(seen("web"), some("red"), "also under another supervisor");
    // PM2 never takes a variable away.
    type_in(None, &["reload", "--update-env"]);
    assert_eq!(seen("web"), [None, Some("1".to_owned())]);
    assert!(home.ok(&["info", "web"]).contains("variables of a shell"), "values of a shell are not shown");

    let running = Portreeve::new().app("web", worker()).start();
    let said = running.cli(&["restart", "web", "--update-env"]);
    assert!(said.code == 64 && said.text.contains("`env` and `env_file`"), "{}", said.text);
}

#[test]
fn pm2_36_a_configuration_on_standard_input_is_refused_with_what_to_do() {
    let home = Home::new();
    let mut command = home.command(&["start", "-"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(home.try_status().is_err(), "no supervisor is started for that");
}

#[test]
fn pm2_53_the_list_before_the_last_change_is_kept() {
    let home = Home::new();
    home.start("a", &[]);
    home.start("b", &[]);
    let backup = std::fs::read_to_string(home.list().with_extension("toml.bak")).unwrap();
    assert!(backup.contains("[app.a]") && !backup.contains("[app.b]"), "{backup}");
    assert!(home.list_text().contains("[app.b]"));
}
