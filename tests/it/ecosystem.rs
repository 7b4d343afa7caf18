//! A configuration of PM2 is started as it is, and its npm scripts work with `pm2` replaced by `portreeve`.

use std::path::Path;

use crate::harness::{Home, SOON, Said, Target, until};
use crate::ports::free_port;
use crate::tools;

/// An app as it was written for PM2: it has its port in its code, says when it is ready, and ends when it is asked to.
const SERVER: &str = "\
const server = require('http').createServer((request, response) => response.end(JSON.stringify({
  mode: process.env.NODE_ENV, colour: process.env.COLOUR, instance: process.env.NODE_APP_INSTANCE, pid: process.pid })));
server.listen(process.env.PORT || 3000, () => process.send && process.send('ready'));
process.on('message', (message) => { if (message === 'shutdown') server.close(() => process.exit(0)); });
process.on('SIGINT', () => server.close(() => process.exit(0)));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
console.log('hello from the app');
";

/// The configuration of that app.
fn ecosystem(port: u16) -> String {
    format!(
        "module.exports = {{ apps: [{{ name: 'web', script: './server.js', instances: 2, exec_mode: 'cluster', autorestart: true,
  max_restarts: 10, min_uptime: '10s', exp_backoff_restart_delay: 100, max_memory_restart: '500M', wait_ready: true,
  listen_timeout: 8000, kill_timeout: 5000, error_file: 'logs/err.log', out_file: 'logs/out.log', merge_logs: true,
  log_date_format: 'YYYY-MM-DD HH:mm:ss', env: {{ NODE_ENV: 'development', PORT: {port} }},
  env_production: {{ NODE_ENV: 'production' }} }}, {{ name: 'api', script: './server.js', env: {{ PORT: {} }} }}] }};\n",
        free_port()
    )
}

/// What it said of itself, by JSON of the app.
fn answer(port: u16) -> serde_json::Value {
    Target::Plain(([127, 0, 0, 1], port).into()).get("/").json()
}

/// A home with the app in it.
fn home() -> Option<(Home, u16)> {
    if !tools::need("node") {
        return None;
    }
    let (home, port) = (Home::new(), free_port());
    home.write("server.js", SERVER);
    home.write("ecosystem.config.js", &ecosystem(port));
    Some((home, port))
}

/// Runs a script of `package.json`, with our portreeve on the path.
#[track_caller]
fn npm(home: &Home, script: &str) -> Said {
    let folder = crate::harness::portreeve().parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap();
    let mut command = home.command_of(Path::new("npm"), &["run", "--silent", script]);
    command.env("PATH", format!("{}:{path}", folder.display())).env("HOME", home.path());
    home.say(&mut command)
}

#[test]
fn the_npm_scripts_of_a_pm2_app_work_with_the_name_replaced() {
    let Some((home, port)) = home() else { return };
    if !tools::need("npm") {
        return;
    }
    let script = |(name, words): (&str, &str)| format!("\"{name}\": \"portreeve {words}\"");
    let scripts = [
        ("start", "start ecosystem.config.js"),
        ("start:prod", "start ecosystem.config.js --env production"),
        ("stop", "stop ecosystem.config.js"),
        ("restart", "restart ecosystem.config.js"),
        ("reload", "reload ecosystem.config.js"),
        ("delete", "delete ecosystem.config.js"),
        ("status", "status"),
        ("monit", "monit"),
        ("logs", "logs --nostream"),
        ("save", "save"),
        ("startup", "startup systemd --print"),
        ("reset", "reset all"),
    ];
    home.write("package.json", &format!("{{\"scripts\": {{{}}}}}", scripts.map(script).join(", ")));
    let ok = |name: &str| {
        let said = npm(&home, name);
        assert_eq!(said.code, 0, "{name}: {}\n{}", said.text, home.log());
        said.text
    };
    assert!(ok("start").contains("web serves on http://0.0.0.0:"), "it says where it serves");
    assert_eq!(answer(port)["mode"], "development");
    assert_eq!(home.pids("web").len(), 2);
    assert!(ok("reload").contains("web: generation 2 serves"));
    assert!(ok("start:prod").contains("web"));
    assert_eq!(answer(port)["mode"], "production");
    let before = home.pids("web");
    ok("restart");
    assert_eq!(answer(port)["mode"], "development", "the configuration as it says without a profile");
    assert!(home.pids("web").iter().all(|pid| !before.contains(pid)));
    assert!(ok("status").contains("web"));
    assert!(ok("logs").contains("hello from the app"));
    assert!(ok("save").contains("saved"));
    assert!(ok("startup").contains("portreeve"));
    ok("reset");
    let monit = npm(&home, "monit");
    assert!(
        monit.code != 64 && !monit.text.contains("unrecognized"),
        "without a terminal it only cannot draw: {}",
        monit.text
    );
    ok("stop");
    assert_eq!(home.state("web"), "stopped");
    ok("start");
    assert_eq!(home.pids("web").len(), 2);
    ok("delete");
    assert!(home.status().apps.is_empty());
}

#[test]
fn only_chooses_apps_and_a_reload_takes_up_what_has_changed_in_the_file() {
    let Some((home, port)) = home() else { return };
    home.ok(&["start", "ecosystem.config.js", "--only", "web"]);
    assert_eq!(home.status().apps.len(), 1);
    let said = home.cli(&["stop", "ecosystem.config.js", "--only", "api"]);
    assert!(said.code == 64 && said.text.contains("none of the apps in ecosystem.config.js is known"), "{}", said.text);
    let text =
        ecosystem(port).replace("NODE_ENV: 'development'", "COLOUR: 'green'").replace("instances: 2", "instances: 1");
    home.write("ecosystem.config.js", &text);
    let said = home.ok(&["reload", "ecosystem.config.js"]);
    assert!(said.contains("web: generation 2 serves") && said.contains("api serves on"), "{said}");
    assert_eq!((answer(port)["colour"].as_str(), home.pids("web").len()), (Some("green"), 1));
    home.ok(&["stop", "ecosystem.config.js", "--only", "api"]);
    assert_eq!((home.state("api"), home.state("web")), ("stopped".to_owned(), "running".to_owned()));
    for words in [
        &["stop", "ecosystem.config.js", "web"][..],
        &["stop", "web", "--only", "web"],
        &["restart", "web", "--env", "x"],
    ] {
        assert_eq!(home.cli(words).code, 64, "{words:?}");
    }
}

#[test]
fn json_and_yaml_are_started_too_and_what_means_nothing_here_is_named() {
    if !tools::need("node") {
        return;
    }
    let (home, port) = (Home::new(), free_port());
    home.write("server.js", SERVER);
    let json = format!("{{ \"apps\": [{{ \"script\": \"server.js\", \"namespace\": \"n\", \"port\": {port} }}] }}");
    home.write("process.json", &json);
    let said = home.cli(&["start", "process.json"]);
    assert_eq!(said.code, 0, "{}\n{}", said.text, home.log());
    assert!(said.text.contains("portreeve: server: namespace: there are no namespaces"), "{}", said.text);
    assert_eq!(answer(port)["instance"], "0");
    until(SOON, "it has log files", || home.path().join("home/logs/server-out.log").exists().then_some(()));
    home.write("apps.yaml", "apps:\n  - script: server.js\n    name: yaml\n");
    let said = home.cli(&["start", "apps.yaml"]);
    assert_eq!(said.code, 0, "{}\n{}", said.text, home.log());
    assert!(said.text.contains("yaml: env.PORT: the file says none: clients come in on "), "{}", said.text);
    // The port that it was given stays with it.
    let address = home.address("yaml");
    home.ok(&["restart", "apps.yaml"]);
    assert_eq!(home.address("yaml"), address);
}

#[test]
fn a_file_that_cannot_be_read_starts_nothing_and_options_that_it_would_overrule_are_refused() {
    let home = Home::new();
    home.write("broken.json", "{");
    assert_eq!(home.cli(&["start", "broken.json"]).code, 78);
    home.write("good.json", "{ \"script\": \"server.js\" }");
    let said = home.cli(&["start", "good.json", "-i", "4"]);
    assert!(said.code == 64 && said.text.contains("--only"), "{}", said.text);
    let said = home.cli(&["start", "good.json", "--env", "A=b"]);
    assert!(said.code == 64 && said.text.contains("profile"), "{}", said.text);
    assert!(!Path::new(&home.list()).exists(), "no supervisor was started");
}
