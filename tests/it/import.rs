//! Files of other programs become ours, and are served.

use std::path::Path;

use crate::harness::{Said, isolated, portreeve, said};
use crate::tools;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn import(folder: &Path, words: &[&str]) -> Said {
    said(isolated(portreeve()).arg("import").args(words).current_dir(folder).env("HOME", folder).env_remove("PM2_HOME"))
}

#[test]
fn an_ecosystem_file_in_javascript_is_evaluated_by_node_in_all_its_dialects() {
    if !tools::need("node") {
        return;
    }
    let app = "{ name: 'web', script: 'server.js', env: { PORT: 3000 + 1 } }";
    for (name, text) in [
        ("ecosystem.config.js", format!("console.log('{{}}');\nmodule.exports = {{ apps: [{app}] }}")),
        ("e.config.cjs", format!("module.exports = [{app}]")),
        ("e.config.mjs", format!("export default {{ apps: [{app}] }}")),
        ("module.config.js", format!("export default {{ apps: [{app}] }}")),
        ("named.config.mjs", format!("export const apps = [{app}]")),
        ("function.config.js", format!("module.exports = () => ({{ apps: [{app}] }})")),
        ("promise.config.js", format!("module.exports = Promise.resolve({{ apps: [{app}] }})")),
        ("busy.config.js", format!("setInterval(() => {{}}, 1000); module.exports = {app}")),
    ] {
        let folder = folder(&[(name, &text), ("server.js", "")]);
        let said = import(folder.path(), &["pm2", name]);
        assert_eq!(said.code, 0, "{name}: {}", said.text);
        for line in ["http = \"0.0.0.0:3001\"", "[app.web]", "command = \"node server.js\""] {
            assert!(said.stdout.contains(line), "{name}: no {line:?} in\n{}", said.stdout);
        }
    }
}

#[test]
fn json_and_yaml_need_no_node() {
    let json = "{ // the app\n \"apps\": [{ \"script\": \"a.py\", \"instances\": 2, }] }";
    let yaml = "apps:\n  - script: a.py\n    instances: 2\n";
    for (name, text) in [("ecosystem.json", json), ("apps.yaml", yaml), ("apps.yml", yaml)] {
        let folder = folder(&[(name, text)]);
        let mut command = isolated(portreeve());
        let said = said(command.args(["import", "pm2", name]).current_dir(folder.path()).env("PATH", ""));
        assert_eq!(said.code, 0, "{name}: {}", said.text);
        assert!(said.stdout.contains("command = \"python3 a.py\"\nworkers = 2"), "{}", said.stdout);
    }
}

#[test]
fn an_import_for_programs_has_the_configuration_and_what_was_left_out() {
    let folder = folder(&[("ecosystem.json", "{ \"apps\": [{ \"script\": \"a.py\", \"namespace\": \"n\" }] }")]);
    let mut command = isolated(portreeve());
    let said = said(command.args(["import", "pm2", "ecosystem.json", "--json"]).current_dir(folder.path()));
    assert_eq!(said.code, 0, "{}", said.text);
    let answer: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(answer["config"].as_str().unwrap().contains("command = \"python3 a.py\""), "{answer}");
    let remarks = answer["remarks"].as_array().unwrap();
    let is_told = |one: &serde_json::Value| one["app"] == "a" && one["remark"].as_str().unwrap().contains("namespace");
    assert!(remarks.iter().any(is_told), "{answer}");
}

#[test]
fn what_is_wrong_with_an_ecosystem_file_is_said() {
    let mut cases = vec![("a.json", "{", "line 1"), ("a.yaml", "a: [", "a.yaml"), ("b.json", "{}", "no app")];
    if tools::need("node") {
        cases.push(("throws.config.js", "throw new Error('no database')", "no database"));
        cases.push(("syntax.config.js", "module.exports = {", "syntax.config.js:1"));
        cases.push(("nothing.config.js", "process.exit(0)", "gave no value"));
    }
    for (name, text, message) in cases {
        let folder = folder(&[(name, text)]);
        let said = import(folder.path(), &["pm2", name]);
        assert!(said.code == 78 && said.text.contains(message), "{name}: {}", said.text);
    }
    let said = import(folder(&[]).path(), &["pm2", "missing.json"]);
    assert!(said.code == 78 && said.text.contains("No such file"), "{}", said.text);
}

#[test]
fn a_file_that_is_there_is_not_overwritten_unasked() {
    let folder = folder(&[("pm2.json", "{ \"script\": \"a.py\" }"), ("portreeve.toml", "# mine\n")]);
    let text = || std::fs::read_to_string(folder.path().join("portreeve.toml")).unwrap();
    let said = import(folder.path(), &["pm2", "-o", "portreeve.toml"]);
    assert!(said.code != 0 && said.text.contains("--force") && text() == "# mine\n", "{}", said.text);
    let said = import(folder.path(), &["pm2", "-o", "portreeve.toml", "--force"]);
    assert!(said.code == 0 && text().contains("[app.a]"), "{}", said.text);
}

#[test]
fn what_pm2_has_saved_is_read_when_it_does_not_run() {
    let folder = folder(&[(
        ".pm2/dump.pm2",
        "[{\"name\": \"web\", \"pm_exec_path\": \"/srv/web/app.js\", \"pm_cwd\": \"/srv/web\", \"exec_interpreter\": \"node\",\
          \"env\": {\"HOME\": \"/root\", \"NODE_ENV\": \"production\"}}]",
    )]);
    let said = import(folder.path(), &["pm2", "running"]);
    assert_eq!(said.code, 0, "{}", said.text);
    for line in ["[app.web]", "directory = \"/srv/web\"", "command = \"node app.js\"", "NODE_ENV = \"production\""] {
        assert!(said.stdout.contains(line), "no {line:?} in\n{}", said.stdout);
    }
    assert!(!said.stdout.contains("HOME"), "{}", said.stdout);
}

#[test]
fn a_site_of_nginx_and_what_it_includes_becomes_ours() {
    let folder = folder(&[
        ("nginx.conf", "http { include sites/*.conf; }"),
        ("sites/a.conf", "server { listen 8080; location / { proxy_pass http://127.0.0.1:3000; gzip on; } }"),
        ("sites/b.txt", "broken {"),
    ]);
    let said = import(folder.path(), &["nginx", "nginx.conf", "-o", "portreeve.toml"]);
    assert!(said.code == 0 && said.text.contains("sites/a.conf:1 gzip on"), "{}", said.text);
    let checked = crate::harness::said(isolated(portreeve()).arg("check").current_dir(folder.path()));
    assert_eq!(checked.code, 0, "{}", checked.text);
    assert_eq!(import(folder.path(), &["nginx", "sites/b.txt"]).code, 78);
    assert_eq!(import(folder.path(), &["procfile"]).code, 78);
}
