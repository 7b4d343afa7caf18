//! Files that are watched: a change reloads their app, once, and what means nothing reloads nobody.

use std::fs;
use std::path::PathBuf;

use toml::{Table, Value};

use crate::harness::{App, Home, Load, Portreeve, Running, SOON, until, worker};

/// An app whose folder is watched.
fn watched() -> App {
    worker().set("watch", true)
}

/// A folder that is watched, of an app that runs.
fn folder(running: &Running) -> PathBuf {
    until(SOON, "files are watched", || running.output().stderr().contains("watching files").then_some(()));
    running.site("web").release()
}

/// Waits for this generation, which must come as the next one.
#[track_caller]
fn becomes(running: &Running, generation: u64) {
    until(SOON, &format!("generation {generation} serves"), || {
        let now = running.try_status().ok()?.app("web").generation?;
        assert!(now <= generation, "one reload too many: {now}");
        (now == generation).then_some(())
    });
    running.serving("web", 1);
}

#[test]
fn a_change_reloads_its_app_under_load_without_a_loss_and_no_other_app() {
    let other = worker().set("path", "/other");
    let running = Portreeve::new().app("web", watched()).app("other", other).start();
    let folder = folder(&running);
    let load = Load::new().clients(2, &running.http()).start();
    fs::write(folder.join("server.js"), "1").unwrap();
    becomes(&running, 2);
    load.goes_on(20);
    load.finish().assert_nothing_failed();
    assert_eq!(running.status().app("other").generation, Some(1));
    let said = running.output().stderr();
    assert!(said.contains("server.js") && said.contains("files have changed: the app is reloaded"), "{said}");
}

#[test]
fn a_burst_of_changes_is_one_reload() {
    let running = Portreeve::new().app("web", watched()).start();
    let folder = folder(&running);
    for number in 0..50 {
        fs::write(folder.join(format!("file{}", number % 10)), number.to_string()).unwrap();
    }
    becomes(&running, 2);
    fs::write(folder.join("file0"), "last").unwrap();
    becomes(&running, 3);
}

#[test]
fn an_editor_that_writes_beside_and_renames_is_one_reload() {
    let running = Portreeve::new().app("web", watched()).start();
    let folder = folder(&running);
    for round in 2..4 {
        for name in [".app.js.swp", "4913", "app.js~"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        fs::write(folder.join("app.js.new"), "2").unwrap();
        fs::rename(folder.join("app.js.new"), folder.join("app.js")).unwrap();
        fs::remove_file(folder.join("4913")).unwrap();
        becomes(&running, round);
    }
}

#[test]
fn a_single_file_is_watched_also_when_another_takes_its_place() {
    let app = worker().set("watch", vec!["app.conf"]);
    let portreeve = Portreeve::new();
    let folder = portreeve.path().join("web/release");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("app.conf"), "1").unwrap();
    let running = portreeve.app("web", app).start();
    self::folder(&running);
    fs::write(folder.join("other"), "1").unwrap();
    for round in 2..4 {
        fs::write(folder.join("app.conf.new"), "2").unwrap();
        fs::rename(folder.join("app.conf.new"), folder.join("app.conf")).unwrap();
        becomes(&running, round);
    }
}

#[test]
fn what_is_ignored_reloads_nobody() {
    let ignore = Table::from_iter([("ignore".to_owned(), Value::from(vec!["data/**", "*.md"]))]);
    let running = Portreeve::new().app("web", worker().set("watch", ignore)).start();
    let folder = folder(&running);
    for name in ["node_modules/x/index.js", ".git/index", "error.log", "data/a/b.db", "README.md"] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    fs::write(folder.join("server.js"), "x").unwrap();
    becomes(&running, 2);
    // Whichever counts first is named.
    let said = running.output().stderr();
    let line = said.lines().find(|line| line.contains("files have changed")).unwrap();
    assert!(line.contains("release/server.js"), "{line}");
}

#[test]
fn folders_that_come_are_followed() {
    let running = Portreeve::new().app("web", watched()).start();
    let deep = folder(&running).join("routes/admin");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("index.js"), "1").unwrap();
    becomes(&running, 2);
    fs::write(deep.join("index.js"), "2").unwrap();
    becomes(&running, 3);
}

#[test]
fn a_version_that_does_not_start_leaves_the_old_one_serving_and_the_next_change_cures_it() {
    let running = Portreeve::new().app("web", watched()).start();
    let folder = folder(&running);
    running.site("web").rewrite(&["say=boom", "exit=3"]);
    fs::write(folder.join("server.js"), "broken").unwrap();
    until(SOON, "it is said", || running.output().stderr().contains("exited with exit code 3").then_some(()));
    assert_eq!(running.get("/whoami").status, 200);
    assert_eq!(running.status().app("web").generation, Some(1));
    running.site("web").rewrite(&[]);
    fs::write(folder.join("server.js"), "mended").unwrap();
    becomes(&running, 3);
}

#[test]
fn what_is_watched_is_as_the_latest_configuration_says() {
    let mut running = Portreeve::new().app("web", watched()).start();
    let folder = folder(&running);
    running.configure("app.web.watch", false);
    running.reload_live();
    fs::write(folder.join("server.js"), "1").unwrap();
    running.configure("app.web.watch", vec!["no-such-folder"]);
    running.reload_live();
    let said = running.output().stderr();
    assert!(said.contains("no-such-folder") && said.contains("files cannot be watched"), "{said}");
    running.configure("app.web.watch", true);
    running.reload_live();
    until(SOON, "files are watched again", || {
        (running.output().stderr().matches("watching files").count() == 2).then_some(())
    });
    fs::write(folder.join("server.js"), "2").unwrap();
    becomes(&running, 5);
}

#[test]
fn start_has_words_for_it_and_what_portreeve_itself_writes_is_none_of_it() {
    let home = Home::new();
    home.start("web", &["--watch", "--ignore-watch", "data *.md", "--watch-delay", "50"]);
    let list = home.list_text();
    assert!(list.contains("[\"data\", \"*.md\"]") && list.contains("50ms"), "{list}");
    until(SOON, "files are watched", || home.log().contains("watching files").then_some(()));
    // The home of portreeve is in the folder that is watched: these write there.
    home.start("other", &[]);
    home.ok(&["stop", "other"]);
    home.write("README.md", "x");
    home.write("server.js", "x");
    until(SOON, "it is reloaded", || {
        let generation = home.status().app("web").generation?;
        assert!(generation <= 2);
        (generation == 2).then_some(())
    });
    let log = home.log();
    let line = log.lines().find(|line| line.contains("files have changed")).unwrap();
    assert!(line.contains("/server.js"), "{line}");
}
