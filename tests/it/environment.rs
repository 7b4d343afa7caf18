//! What a worker finds in its environment: profiles, files and secrets, each as of its generation, and nothing to be seen of
//! them elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use toml::{Table, Value};

use crate::harness::{Portreeve, Running, SOON, until, worker};

const SECRET: &str = "correct-horse-battery-staple";

fn table<const N: usize>(entries: [(&str, &str); N]) -> Table {
    entries.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}

/// All variables of a worker of the app at `path`.
fn variables(running: &Running, path: &str) -> BTreeMap<String, String> {
    serde_json::from_slice(&running.get(path).body).expect("the worker tells its variables")
}

#[track_caller]
fn variable(running: &Running, name: &str) -> Option<String> {
    variables(running, "/environment").remove(name)
}

#[test]
fn a_profile_is_chosen_at_the_start_and_changed_by_a_reload() {
    let mut env = table([("COLOUR", "grey"), ("ALWAYS", "there")]);
    env.insert("production".to_owned(), table([("COLOUR", "green")]).into());
    env.insert("staging".to_owned(), table([("COLOUR", "yellow"), ("ONLY", "staging")]).into());
    let running = Portreeve::new().variable("PORTREEVE_ENV", "production").app("web", worker().set("env", env)).start();
    let colour = || variable(&running, "COLOUR");
    assert_eq!(colour().as_deref(), Some("green"));
    assert_eq!(running.reload_live(), 2);
    assert_eq!(colour().as_deref(), Some("green"), "a reload keeps the profile");
    assert_eq!(running.cli(&["reload", "--env", "staging"]).code, 0);
    assert_eq!(colour().as_deref(), Some("yellow"));
    let found = variables(&running, "/environment");
    assert_eq!((found["ALWAYS"].as_str(), found["ONLY"].as_str()), ("there", "staging"));
    let said = running.cli(&["reload", "--env", "stagging"]);
    assert_eq!(said.code, 4, "{}", said.text);
    assert!(said.text.contains("did you mean `staging`?"), "{}", said.text);
    assert_eq!(running.cli(&["reload", "--env", "production"]).code, 0);
    assert_eq!(variable(&running, "ONLY"), None, "what only the other profile had is gone");
    assert_eq!(running.cli(&["check", "--env", "none"]).code, 78);
}

#[test]
fn a_variable_that_was_taken_out_is_gone_with_the_next_generation() {
    let mut running =
        Portreeve::new().app("web", worker().set("env", table([("COLOUR", "blue"), ("OLD", "1")]))).start();
    assert_eq!(variable(&running, "OLD").as_deref(), Some("1"));
    running.configure("app.web.env", table([("COLOUR", "blue")]));
    running.reload_live();
    let found = variables(&running, "/environment");
    assert_eq!((found.get("OLD"), found.get("COLOUR").map(String::as_str)), (None, Some("blue")));
}

#[test]
fn files_are_read_anew_by_each_generation_and_a_restarted_worker_keeps_those_of_its_own() {
    let portreeve = Portreeve::new();
    let file = portreeve.path().join("web.env");
    fs::write(&file, "# of today\nexport COLOUR='blue'\nPORT=1\nTEXT=\"two\nlines\"\n").unwrap();
    let running = portreeve.app("web", worker().set("env_file", vec!["web.env", "none.env?"])).start();
    let found = variables(&running, "/environment");
    assert_eq!((found["COLOUR"].as_str(), found["TEXT"].as_str()), ("blue", "two\nlines"));
    assert_ne!(found["PORT"], "1", "portreeve's own wins");
    fs::write(&file, "COLOUR=red\n").unwrap();
    let first = running.pids("web", 1);
    assert_eq!(running.http().post("/crash?code=3", "").status, 502);
    until(SOON, "it is back", || (running.pids("web", 1) != first).then_some(()));
    assert_eq!(variable(&running, "COLOUR").as_deref(), Some("blue"), "all workers of a generation are alike");
    running.reload_live();
    assert_eq!(variable(&running, "COLOUR").as_deref(), Some("red"));
}

#[test]
fn a_file_that_is_broken_at_a_reload_stops_that_app_alone() {
    let portreeve = Portreeve::new();
    let file = portreeve.path().join("web.env");
    fs::write(&file, "COLOUR=blue\n").unwrap();
    let api = worker().set("path", "/api");
    let running = portreeve.app("web", worker().set("env_file", "web.env")).app("api", api).start();
    for (text, words) in [(Some("A=1\nCOLOUR\n"), "web.env:2:7: "), (None, "web.env: No such file")] {
        match text {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let said = running.cli(&["reload"]);
        assert_eq!(said.code, 1, "{}", said.text);
        assert!(said.text.contains(words), "{}", said.text);
        assert!(said.text.contains("api: generation"), "the other one is reloaded: {}", said.text);
        assert_eq!(variable(&running, "COLOUR").as_deref(), Some("blue"), "and the old one serves on");
        assert_eq!(running.cli(&["check"]).code, 78);
    }
}

#[test]
fn only_what_is_listed_is_inherited() {
    // The harness finds its processes by this variable.
    let names = vec!["PATH", "APP_*", "PORTREEVE_TEST_RUN"];
    let running = Portreeve::new().variable("APP_COLOUR", "blue").variable("CI_SECRET", "x");
    let running = running.app("web", worker().set("inherit_env", names)).start();
    let mut found: Vec<_> = variables(&running, "/environment").into_keys().collect();
    found.retain(|name| !name.starts_with("PORTREEVE_"));
    assert_eq!(found, ["APP_COLOUR", "HOST", "NODE_APP_INSTANCE", "PATH", "PORT"]);
}

#[test]
fn numbers_of_workers_have_the_names_that_the_app_knows() {
    let app = worker().workers(2).set("instance_var", "APP_ID").set("increment_var", "METRICS_PORT");
    let running = Portreeve::new().app("web", app.set("env", table([("METRICS_PORT", "9100")]))).start();
    let mut seen = BTreeMap::new();
    until(SOON, "both have answered", || {
        let found = variables(&running, "/environment");
        assert!(!found.contains_key("NODE_APP_INSTANCE"));
        seen.insert(found["APP_ID"].clone(), found["METRICS_PORT"].clone());
        (seen.len() == 2).then_some(())
    });
    assert_eq!(seen, [("0", "9100"), ("1", "9101")].map(|(id, port)| (id.to_owned(), port.to_owned())).into());
}

#[test]
fn secrets_reach_the_worker_and_nobody_else() {
    let portreeve = Portreeve::new();
    let folder = portreeve.path().to_owned();
    let write = |name: &str, mode| {
        let path = folder.join(name);
        fs::write(&path, format!("{SECRET}-{name}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write("db", 0o600);
    write("token", 0o400);
    write("open", 0o644);
    let mut secrets = table([("DB", "db"), ("OPEN", "open")]);
    secrets.insert("TOKEN".to_owned(), table([("credential", "token")]).into());
    secrets.insert("TOKEN_FILE".to_owned(), table([("credential", "token"), ("as", "file")]).into());
    let app = worker().set("secrets", secrets).set("env", table([("API_TOKEN", SECRET)]));
    let portreeve = portreeve.set("log.level", "trace").variable("CREDENTIALS_DIRECTORY", folder.to_str().unwrap());
    let mut running = portreeve.app("web", app).start();
    let found = variables(&running, "/environment");
    assert_eq!(
        (found["DB"].as_str(), found["TOKEN"].as_str()),
        (&*format!("{SECRET}-db"), &*format!("{SECRET}-token"))
    );
    assert!(fs::read_to_string(&found["TOKEN_FILE"]).unwrap().starts_with(SECRET));
    running.reload_live();

    let mut shown = vec![running.output().stdout(), running.output().stderr()];
    assert!(shown[1].contains("everybody on this machine can read the secret"), "{}", shown[1]);
    shown.extend([&["status"][..], &["status", "--json"], &["check"]].map(|words| running.cli(words).text));
    // A new fault on the very line of a value, and a secret that is gone.
    running.configure("app.web.env", table([("API_TOKEN", SECRET), ("PORT", "1")]));
    shown.extend([&["reload"][..], &["check"]].map(|words| running.cli(words).text));
    assert!(shown.last().unwrap().contains("`PORT` is set by portreeve"));
    running.configure("app.web.env", table([("API_TOKEN", SECRET)]));
    fs::remove_file(folder.join("token")).unwrap();
    let said = running.cli(&["reload"]);
    assert!(said.code == 1 && said.text.contains("secret TOKEN: "), "{}", said.text);
    shown.extend([said.text, running.cli(&["status", "--json"]).text, running.output().stderr()]);
    let metrics = format!("{:?}", running.metrics());
    for text in shown.into_iter().chain([metrics]) {
        assert!(!text.contains(SECRET), "{text}");
    }
}
