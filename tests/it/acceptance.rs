//! Unmodified apps, as people have them today: plain Node, Express, Python. Edited while they serve, and broken.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::{Load, Portreeve, Running, SOON, program, until};
use crate::tools;

/// An app's folder, copied so that it can be edited.
struct Copy {
    folder: tempfile::TempDir,
    file: &'static str,
}

impl Copy {
    fn of(app: &str, file: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = original(app);
        fs::copy(source.join(file), folder.path().join(file)).unwrap();
        let modules = source.join("node_modules");
        if modules.is_dir() {
            std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
        }
        Self { folder, file }
    }

    fn path(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// Replaces a text in the app's source, as an editor would.
    fn edit(&self, from: &str, to: &str) {
        let path = self.folder.path().join(self.file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from:?} is in {}", path.display());
        fs::write(path, text.replace(from, to)).unwrap();
    }
}

fn original(app: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps").join(app)
}

/// Five new versions and one broken one, under load.
#[track_caller]
fn serves_through_every_edit(copy: &Copy, command: &[&str], broken: &str) {
    let mut app = program(command).set("directory", copy.path()).workers(2).ready_http("/health");
    app = app.set("start_timeout", "20s");
    let portreeve = Portreeve::new().https();
    let ledger = portreeve.path().join("ledger").display().to_string();
    let env = toml::Table::from_iter([("LEDGER".to_owned(), ledger.into())]);
    let running = portreeve.app("web", app.set("env", env)).start();
    let load = Load::new().clients(6, &running.http()).clients(2, &running.h2()).start();
    for version in 2..=6 {
        copy.edit(&format!("VERSION = {}", version - 1), &format!("VERSION = {version}"));
        running.reload_live();
        assert_eq!(version_of(&running), version);
        load.goes_on(20);
    }

    copy.edit("VERSION = 6", broken);
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("exit code 1") && said.text.contains("no such thing"), "{}", said.text);
    assert_eq!(version_of(&running), 6);

    load.goes_on(20);
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    drop(running);
}

fn version_of(running: &Running) -> u64 {
    running.get("/whoami").json()["version"].as_u64().unwrap()
}

#[test]
fn a_plain_node_app_serves_through_every_edit() {
    if tools::find("node").is_some() {
        let copy = Copy::of("http", "server.js");
        serves_through_every_edit(
            &copy,
            &["node", "server.js"],
            "VERSION = (() => { throw Error('no such thing') })()",
        );
    }
}

#[test]
fn an_express_app_serves_through_every_edit() {
    if tools::find("node").is_none() {
        return;
    }
    if !original("express").join("node_modules/express").is_dir() {
        let cure = "`npm ci --prefix tests/apps/express` installs express";
        assert!(std::env::var_os("CI").is_none(), "with CI set no test is skipped: {cure}");
        eprintln!("skipped: {cure}");
        return;
    }
    let copy = Copy::of("express", "server.js");
    serves_through_every_edit(&copy, &["node", "server.js"], "VERSION = (() => { throw Error('no such thing') })()");
}

#[test]
fn a_python_app_serves_through_every_edit() {
    if tools::find("python3").is_some() {
        let copy = Copy::of("python", "app.py");
        serves_through_every_edit(&copy, &["python3", "app.py"], "VERSION = 6\nraise SystemExit('no such thing')");
    }
}

#[test]
fn a_node_app_that_dies_between_two_orders_is_back_before_anybody_notices() {
    if tools::find("node").is_none() {
        return;
    }
    let copy = Copy::of("http", "server.js");
    let app = program(&["node", "server.js"]).set("directory", copy.path()).workers(1).ready_http("/health");
    let running = Portreeve::new().app("web", app).start();
    let pid = running.pids("web", 1)[0];
    crate::harness::process::kill(pid);
    until(SOON, "the death is noticed", || running.status().app("web").serving().is_empty().then_some(()));
    let began = std::time::Instant::now();
    assert_eq!(running.get("/whoami").status, 200);
    assert!(began.elapsed() < Duration::from_secs(10));
}
