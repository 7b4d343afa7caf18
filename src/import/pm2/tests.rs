//! Whole files of PM2 and what becomes of them, and that whatever they contain becomes a file that we take.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{self, Config, Server};

/// A folder in which every script is there: those ending in `.bin` are programs.
fn look(path: &Path) -> Look {
    match path.extension() {
        Some(ending) if ending == "bin" => Look::Program,
        _ if path.ends_with("gunicorn") => Look::Missing,
        _ => Look::Text,
    }
}

fn imported(value: &Value, options: Options) -> Imported {
    let options = Options { target: "/srv/app".into(), cpus: 4, ..options };
    let folder = Path::new("/srv/app");
    let around = Surroundings { folder, origin: "ecosystem.config.js", options: &options, look: &look };
    translate(value, &around).unwrap_or_else(|error| panic!("{error}: {value}"))
}

fn read(text: &str) -> Config {
    match config::parse(text, Path::new("/srv/app/portreeve.toml")) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{}\n{text}", problems.render(false)),
    }
}

/// The text that one app becomes, with the remarks on it; what we refuse fails.
fn text(app: &Value) -> String {
    let text = imported(app, Options::default()).to_toml();
    read(&text);
    text
}

fn seed() -> Value {
    json!({ "apps": [{
        "name": "web",
        "script": "./server.js",
        "cwd": "./",
        "instances": "max",
        "exec_mode": "cluster",
        "autorestart": true,
        "watch": false,
        "max_restarts": 10,
        "min_uptime": "10s",
        "exp_backoff_restart_delay": 100,
        "max_memory_restart": "500M",
        "kill_timeout": 5000,
        "wait_ready": true,
        "listen_timeout": 10000,
        "error_file": "./logs/err.log",
        "out_file": "./logs/out.log",
        "log_file": "./logs/combined.log",
        "merge_logs": true,
        "log_date_format": "YYYY-MM-DD HH:mm:ss Z",
        "env": { "NODE_ENV": "development", "PORT": 3000 },
        "env_production": { "NODE_ENV": "production", "PORT": 8080 }
    }] })
}

#[test]
fn the_usual_ecosystem_file() {
    insta::assert_snapshot!(text(&seed()));
}

#[test]
fn the_usual_ecosystem_file_in_production() {
    let options = Options { profile: Some("production".into()), ..Options::default() };
    insta::assert_snapshot!(imported(&seed(), options).to_toml());
}

#[test]
fn several_apps_of_all_kinds() {
    let value = json!({
        "apps": [
            { "name": "api v2", "script": "dist/main.js", "instances": -1, "node_args": "--max-old-space-size=512",
              "args": ["--flag", "two words"], "env": { "PORT": "4000", "DATABASE_PASSWORD": "x", "LIST": { "a": true } },
              "out_file": "log/all.log", "error_file": "NULL", "kill_timeout": 60_000, "uid": "deploy", "gid": "www" },
            { "name": "worker", "script": "jobs.py", "autorestart": false, "max_restarts": 3, "cwd": "/srv/jobs",
              "out_file": "/srv/app/log/all.log", "cron_restart": "0 3 * * *", "watch": ["src"], "ignore_watch": ["tmp"] },
            { "name": "worker", "script": "npm run queue && echo $HOME", "namespace": "x", "stop_exit_codes": [0, 256] },
            { "script": "bin/run.bin", "execInterpreter": "none", "restart_delay": 3000, "log_type": "json", "outFile": "o.log" },
            { "name": "py", "script": "gunicorn", "interpreter": "none", "args": "--bind 0.0.0.0:$PORT app:api", "typo": 1 }
        ],
        "deploy": { "production": {} }
    });
    insta::assert_snapshot!(text(&value));
}

#[test]
fn every_shape_of_a_file_has_its_apps() {
    let app = json!({ "name": "web", "script": "a.js" });
    for value in [json!({ "apps": [app] }), json!({ "apps": app }), json!({ "pm2": [app] }), json!([app]), app.clone()]
    {
        let imported = imported(&value, Options::default());
        assert_eq!(imported.apps.len(), 1, "{value}");
        assert!(imported.all_remarks().all(|(_, remark)| remark.key == "[listen] http"), "{value}");
    }
    let options = Options::default();
    let around = Surroundings { folder: Path::new("/"), origin: "x", options: &options, look: &look };
    for value in
        [json!(null), json!([]), json!({}), json!({ "apps": [] }), json!({ "apps": [{ "name": "a" }] }), json!("x")]
    {
        assert!(translate(&value, &around).is_err(), "{value}");
    }
}

#[test]
fn only_the_apps_that_are_asked_for_are_translated() {
    let value = json!([{ "name": "a", "script": "a.js" }, { "name": "b", "script": "b.js" }]);
    let only = |names: &[&str]| Options { only: names.iter().map(ToString::to_string).collect(), ..Options::default() };
    assert_eq!(imported(&value, only(&["b"])).apps[0].name.as_str(), "b");
    let options = only(&["c"]);
    let around = Surroundings { folder: Path::new("/"), origin: "x", options: &options, look: &look };
    assert!(translate(&value, &around).unwrap_err().contains('c'));
}

#[test]
fn scripts_are_run_as_pm2_runs_them() {
    for (app, line) in [
        (json!({ "script": "server.js" }), "command = \"node server.js\""),
        (json!({ "script": "main.py" }), "command = \"python3 main.py\""),
        (json!({ "script": "run.sh", "args": "a 'b c'" }), "command = [\"bash\", \"run.sh\", \"a\", \"b c\"]"),
        (json!({ "script": "server" }), "command = \"node server\""),
        (json!({ "script": "server.bin" }), "command = \"./server.bin\""),
        (json!({ "script": "npm", "interpreter": "none", "args": "start" }), "command = \"./npm start\""),
        (json!({ "script": "gunicorn", "args": "-w 1" }), "command = \"gunicorn -w 1\""),
        (json!({ "script": "npm start" }), "command = \"npm start\""),
        (json!({ "script": "a && b" }), "shell = true"),
        (json!({ "script": "A=1 b" }), "shell = true"),
        (json!({ "script": "a.js", "interpreter": "node@18.1.0" }), "command = \"node a.js\""),
        (json!({ "script": "a.js", "interpreter": "bun", "interpreter_args": ["-b"] }), "command = \"bun -b a.js\""),
        (json!({ "script": "a.js", "cwd": "sub/dir" }), "directory = \"sub/dir\""),
        (json!({ "script": "a.js", "cwd": "/other" }), "directory = \"/other\""),
    ] {
        let text = text(&app);
        assert!(text.contains(line), "{app}: no {line:?} in\n{text}");
    }
}

#[test]
fn instances_become_workers() {
    for (instances, workers) in [
        (json!("max"), "\"auto\""),
        (json!(0), "\"auto\""),
        (json!(3), "3"),
        (json!("2"), "2"),
        (json!(-1), "3"),
        (json!(-100), "1"),
        (json!("many"), "1"),
        (json!(99_999), "1024"),
    ] {
        let text = text(&json!({ "script": "a.js", "instances": instances }));
        assert!(text.contains(&format!("workers = {workers}\n")), "{instances}: {text}");
    }
    assert!(text(&json!({ "script": "a.js" })).contains("workers = 1\n"), "one, if PM2 is not told otherwise");
}

#[test]
fn the_public_port_is_listened_on_and_clashes_with_nothing() {
    let text = text(&json!({ "script": "a.js", "port": 9900 }));
    assert!(text.contains("http = \"0.0.0.0:9900\"") && text.contains("[metrics]\nlisten = \"off\""), "{text}");
}

#[test]
fn no_key_is_dropped_in_silence() {
    let written = |app: &Value| {
        let options = Options { profile: Some("x".into()), ..Options::default() };
        imported(app, options).to_toml()
    };
    for key in keys::all().into_iter().filter(|key| !matches!(*key, "script" | "exec" | "cmd" | "command")) {
        let is_file = matches!(keys::kind(key), keys::Kind::Known("out_file"));
        let file = if is_file { "log_file" } else { "out_file" };
        let base = json!({ "script": "a.js", file: "o", "instances": 2 });
        let plain = written(&base);
        let is_seen =
            [json!("5"), json!(true), json!(false), json!("json"), json!({ "A": 5 })].into_iter().any(|value| {
                let mut app = base.clone();
                app[key] = value;
                written(&app) != plain
            });
        // Which mode it was makes no difference: every app is a set of workers.
        assert!(is_seen || matches!(key, "exec_mode" | "execmode"), "{key} left no trace");
    }
}

#[test]
fn a_running_pm2_gives_back_what_was_configured() {
    let record = |id: u32| {
        json!({ "pid": 1, "name": "web", "pm_id": id, "monit": {}, "pm2_env": {
            "name": "web", "pm_exec_path": "/srv/app/server.js", "pm_cwd": "/srv/app", "exec_interpreter": "node",
            "exec_mode": "cluster_mode", "instances": 2, "instance_var": "NODE_APP_INSTANCE", "autorestart": true,
            "watch": false, "merge_logs": false, "kill_timeout": 5000, "status": "online", "pm_uptime": 1, "node_args": [],
            "args": ["--x"], "pm_out_log_path": format!("/srv/app/log/out-{id}.log"),
            "pm_err_log_path": format!("/root/.pm2/logs/web-error-{id}.log"),
            "env": { "PATH": "/bin", "HOME": "/root", "SECRET": "s", "NODE_ENV": "production", "PORT": "3000", "SHARED": "same",
                     "PM2_HOME": "/root/.pm2", "name": "web", "status": "online", "unique_id": "u", "web": "{}", "LC_ALL": "C" }
        } })
    };
    let environment = [("SHARED".to_owned(), "same".to_owned())].into();
    let options = Options { environment, ..Options::default() };
    let config = configured(&json!([record(0), record(1)]), &options).unwrap();
    insta::assert_snapshot!(imported(&config, options).to_toml());
    assert!(configured(&json!({}), &Options::default()).is_err());
    assert!(configured(&json!([]), &Options::default()).is_err());
}

#[test]
fn comments_cannot_be_broken_out_of() {
    let text = text(&json!({ "script": "a.js", "x\n[app.evil]\ncommand": 1, "env_a\nb = 1": {}, "gid": "a\r\nb = 2" }));
    let config = read(&text);
    assert_eq!(config.apps.len(), 1, "{text}");
}

/// Anything that may stand for a value.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-5..5000_i64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~é\n\0]{0,12}".prop_map(Value::from),
        "[0-9]{1,9}[smhGMK]?".prop_map(Value::from),
        prop::sample::select(vec![
            "max",
            "cluster",
            "fork",
            "json",
            "NULL",
            "logs/a.log",
            "none",
            "node",
            "YYYY",
            "a b",
            "/"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[A-Z_]{0,6}|PORT|a=b", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn app() -> impl Strategy<Value = Value> {
    let mut keys = keys::all();
    keys.extend(["env_production", "env_x", "unknown", "a.b"]);
    let entries = prop::collection::vec((prop::sample::select(keys), value()), 0..14);
    let script = prop_oneof!["[ -~é]{0,10}", "[a-z]{1,6}\\.(js|py|sh|ts|bin)"];
    (script, entries).prop_map(|(script, entries)| {
        let mut app: Map<String, Value> = entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        app.insert("script".to_owned(), script.into());
        Value::Object(app)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_pm2_is_told_becomes_a_file_that_we_take(apps in prop::collection::vec(app(), 1..4), profile in any::<bool>()) {
        let options = Options { profile: profile.then(|| "production".to_owned()), ..Options::default() };
        let text = imported(&json!({ "apps": apps, "deploy": 1 }), options).to_toml();
        prop_assert_eq!(read(&text).apps.len(), apps.len(), "{}", text);
    }

    #[test]
    fn whatever_pm2_says_that_it_runs_is_read(list in prop::collection::vec(app(), 0..3)) {
        if let Ok(config) = configured(&json!(list), &Options::default()) {
            let options = Options::default();
            let around = Surroundings { folder: Path::new("/srv/app"), origin: "x", options: &options, look: &look };
            if let Ok(imported) = translate(&config, &around) {
                read(&imported.to_toml());
            }
        }
    }
}

#[test]
fn what_is_translated_means_the_same() {
    let config = read(&imported(&seed(), Options::default()).to_toml());
    let app = config.apps.values().next().unwrap();
    let Server::Command(command) = &app.server else { panic!("no command") };
    assert_eq!(command.workers, None);
    assert_eq!(command.restart.intensity.map(std::num::NonZeroU32::get), Some(10));
    assert_eq!(command.restart.period.as_secs(), 100);
    assert_eq!(command.restart.backoff.min.as_millis(), 100);
    assert_eq!(command.timeouts.kill.as_secs(), 5);
    assert_eq!(command.contract.stop_signal, config::StopSignal::Int);
    assert_eq!(command.contract.ready, config::Readiness::Ipc);
    assert_eq!(command.output.time.as_deref(), Some("%Y-%m-%d %H:%M:%S %:z"));
    assert_eq!(command.output.err.as_deref(), Some(Path::new("/srv/app/logs/err.log")));
    assert!(!command.output.per_worker);
    assert_eq!(config.listen.http[0].port(), 3000);
}
