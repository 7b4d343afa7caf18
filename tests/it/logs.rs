//! What workers print is in their files: all of it, in order, whatever happens to workers and files meanwhile.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use rustix::process::Signal;
use toml::{Table, Value};

use crate::harness::{App, Portreeve, Running, SOON, Target, until, worker};

/// Lines of one burst on each of the two streams.
const BURST: usize = 10_000;

fn logged(app: App, settings: &[(&str, Value)]) -> App {
    app.set("log", settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect::<Table>())
}

fn direct(port: Option<u16>) -> Target {
    Target::Plain(SocketAddr::from(([127, 0, 0, 1], port.expect("it has a port"))))
}

/// Lets both workers of `web` print at the same time; gives their pids.
fn burst(running: &Running, path: &str) -> Vec<u32> {
    let workers = running.serving("web", 2);
    let requests: Vec<_> = workers.iter().map(|worker| direct(worker.port).get_meanwhile(path)).collect();
    for request in requests {
        // One that is told to end does so without an answer.
        drop(request.join().unwrap());
    }
    workers.iter().map(|worker| worker.pid.expect("it has a pid")).collect()
}

/// The numbers that each worker printed on each stream, in the order in which they were written down.
fn numbers(text: &str) -> BTreeMap<(String, u32), Vec<usize>> {
    let mut numbers: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("out ") || line.starts_with("err ")) {
        let [stream, pid, number] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("half a line: {line:?}") };
        numbers.entry((stream.to_owned(), pid.parse().unwrap())).or_default().push(number.parse().unwrap());
    }
    numbers
}

/// Waits until `text` has whole bursts of these workers on these streams, each in order; nothing less, nothing twice.
#[track_caller]
fn assert_bursts(pids: &[u32], streams: &[&str], text: impl Fn() -> String) {
    let keys: Vec<_> = pids.iter().flat_map(|pid| streams.iter().map(|stream| ((*stream).to_owned(), *pid))).collect();
    let mut found = BTreeMap::new();
    let is_whole = crate::harness::within(SOON, || {
        found = numbers(&text());
        keys.iter().all(|key| found.get(key).is_some_and(|numbers| numbers.len() >= BURST)).then_some(())
    });
    let counts: Vec<_> = found.iter().map(|(key, numbers)| (key, numbers.len())).collect();
    assert!(is_whole.is_some(), "lines are missing: {counts:?}");
    for (key, numbers) in &found {
        assert!(numbers.iter().copied().eq(0..BURST), "{key:?}: not in order, or not once: {counts:?}");
    }
    assert_eq!(found.len(), keys.len(), "{counts:?}");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What was put aside for a file and the file itself, oldest first.
fn with_old_ones(path: &Path) -> Vec<PathBuf> {
    let name = format!("{}.", path.file_name().unwrap().display());
    let entries = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        entries.filter(|other| other.file_name().unwrap().to_str().unwrap().starts_with(&name)).collect();
    paths.sort();
    paths.push(path.to_owned());
    paths
}

#[test]
fn every_line_before_a_crash_is_in_the_file_in_order() {
    let portreeve = Portreeve::new();
    let path = portreeve.path().join("deep/log/web.log");
    let running = portreeve.app("web", logged(worker().workers(2), &[("file", "deep/log/web.log".into())])).start();
    let pids = burst(&running, &format!("/burst?lines={BURST}&then=exit"));
    assert_bursts(&pids, &["out", "err"], || read(&path));
    assert!(!running.output().stdout().contains("out "), "the lines are in the file and there alone");
    until(SOON, "two workers serve again", || (running.serving("web", 2)[0].pid != Some(pids[0])).then_some(()));
}

#[test]
fn rotation_under_load_loses_no_line_and_compresses_the_old_files() {
    let rotate = [("size", Value::from("32KiB")), ("keep", 1000.into())].map(|(key, value)| (key.to_owned(), value));
    let portreeve = Portreeve::new();
    let path = portreeve.path().join("web.log");
    let settings =
        [("out", "web.log".into()), ("err", "/dev/null".into()), ("rotate", Table::from_iter(rotate).into())];
    let running = portreeve.app("web", logged(worker().workers(2), &settings)).start();
    let pids = burst(&running, &format!("/burst?lines={BURST}"));
    let files = until(SOON, "all old files are compressed", || {
        let mut files = with_old_ones(&path);
        let newest = files.pop().filter(|path| numbers(&read(path)).values().flatten().any(|n| *n == BURST - 1))?;
        let is_packed = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "gz");
        (files.len() > 4 && files.iter().all(is_packed)).then_some([files, vec![newest]].concat())
    });
    assert!(files.iter().all(|path| path.metadata().unwrap().len() <= 32 * 1024));
    // The other worker may still be at it: what is half compressed, or is compressed as well, does not count.
    let text = |path: &PathBuf| {
        let is_a = |kind: &str| path.extension().is_some_and(|extension| extension == kind);
        let Ok(file) = File::open(path) else { return String::new() };
        if is_a("part") || path.with_added_extension("gz").exists() {
            return String::new();
        }
        let mut source: Box<dyn Read> = if is_a("gz") { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
        let mut text = String::new();
        source.read_to_string(&mut text).unwrap();
        text
    };
    assert_bursts(&pids, &["out"], || with_old_ones(&path).iter().map(text).collect());
}

#[test]
fn a_file_that_was_moved_away_is_followed_by_a_new_one_and_no_line_is_lost() {
    let portreeve = Portreeve::new();
    let (path, moved) = (portreeve.path().join("web.log"), portreeve.path().join("moved"));
    let settings = [("out", "web.log".into()), ("rotate", "off".into())];
    let mut running = portreeve.app("web", logged(worker().workers(2), &settings)).start();
    // Moved while it is written to.
    let pids = std::thread::scope(|scope| {
        let bursting = scope.spawn(|| burst(&running, &format!("/burst?lines={BURST}")));
        until(SOON, "lines come in", || read(&path).contains("out ").then_some(()));
        fs::rename(&path, &moved).unwrap();
        bursting.join().unwrap()
    });
    assert_bursts(&pids, &["out"], || read(&moved) + &read(&path));
    // Moved while nobody writes; the signal alone makes the new one.
    let moved_again = path.with_extension("again");
    let before = read(&path);
    let _ = fs::rename(&path, &moved_again);
    running.signal(Signal::USR1);
    until(SOON, "a new file is there", || fs::metadata(&path).is_ok_and(|file| file.len() == 0).then_some(()));
    assert_eq!(read(&moved_again), before);
    running.get("/burst");
    until(SOON, "it is written to", || (numbers(&read(&path)).len() == 1).then_some(()));
    assert_eq!(read(&moved_again), before);
}

#[test]
fn a_log_that_cannot_be_written_is_counted_and_said_once_and_stops_nobody() {
    let portreeve = Portreeve::new();
    let (obstacle, path) = (portreeve.path().join("obstacle"), portreeve.path().join("obstacle/web.log"));
    fs::write(&obstacle, "this is no folder").unwrap();
    let settings = [("out", "obstacle/web.log".into()), ("err", "/dev/full".into())];
    let running = portreeve.app("web", logged(worker(), &settings)).start();
    assert_eq!(running.get(&format!("/burst?lines={BURST}")).status, 200);
    until(SOON, "all lines are counted", || {
        let failed = running.metrics().sum("portreeve_log_failed_total", &[("app", "web")]);
        // And one that says where it listens.
        (failed >= 2.0 * BURST as f64 + 1.0).then_some(())
    });
    assert_eq!(running.get("/whoami").status, 200);
    assert_eq!(running.output().stderr().matches("cannot write the log file").count(), 2);
    fs::remove_file(&obstacle).unwrap();
    running.get("/burst");
    until(SOON, "it is written again", || read(&path).contains("out ").then_some(()));
    until(SOON, "that is said", || running.output().stderr().contains("is written again").then_some(()));
}

#[test]
fn each_worker_may_have_a_file_of_its_own_with_times_or_as_json() {
    let (portreeve, year) = (Portreeve::new(), jiff::Zoned::now().year());
    let folder = portreeve.path().to_owned();
    let text = [("file", "text.log".into()), ("time", "%Y>".into()), ("per_worker", true.into())];
    let json = [("err", "json.log".into()), ("format", "json".into()), ("stdout", true.into())];
    let running = portreeve
        .app("web", logged(worker().workers(2), &text))
        .app("api", logged(worker().set("path", "/api").says("say=a \"quoted\" word"), &json))
        .start();
    for worker in running.serving("web", 2) {
        assert_eq!(direct(worker.port).get("/burst").status, 200);
        let path = folder.join(format!("text-{}.log", worker.slot));
        let line = format!("{year}> out {} 0\n", worker.pid.unwrap());
        until(SOON, &line, || read(&path).contains(&line).then_some(()));
        assert_eq!(read(&path).matches("> out ").count(), 1, "its own lines alone");
    }
    let line = until(SOON, "a line in JSON", || read(&folder.join("json.log")).lines().next().map(str::to_owned));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["app"], &line["slot"], &line["line"]), (&"api".into(), &0.into(), &"a \"quoted\" word".into()));
    running.output().line(&["api 1.0 | ", "quoted"]);
}

#[test]
fn a_reload_takes_on_new_files_and_the_rest_of_a_stopped_portreeve_is_written() {
    let portreeve = Portreeve::new();
    let folder = portreeve.path().to_owned();
    let mut running = portreeve.app("web", worker().workers(2)).start();
    running.configure("app.web.log.out", "new.log");
    running.reload_live();
    let pids = burst(&running, &format!("/burst?lines={BURST}"));
    running.signal(Signal::TERM);
    assert!(running.ended(SOON).success());
    assert_bursts(&pids, &["out"], || read(&folder.join("new.log")));
}

#[test]
fn the_status_remembers_how_workers_ended() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    let crashed = running.serving("web", 2).remove(1);
    drop(direct(crashed.port).try_get("/burst?lines=30&then=exit"));
    let exit = until(SOON, "the crash is on record with its last lines", || {
        let exit = running.status().app("web").exits.last().cloned()?;
        exit.lines.iter().any(|line| line.ends_with(" 29")).then_some(exit)
    });
    assert_eq!((exit.worker.as_str(), exit.generation, exit.slot), ("web 1.1", 1, 1));
    assert_eq!((Some(exit.pid), exit.code, exit.signal, exit.core), (crashed.pid, Some(3), None, false));
    assert_eq!((exit.cause.as_str(), exit.killed), ("crashed", false));
    assert!(exit.started < exit.ended && exit.ended.starts_with("20"), "{exit:?}");
    assert_eq!(exit.lines.len(), 20, "{exit:?}");
    let table = running.cli(&["status"]).stdout;
    let line = format!("last exit: web 1.1 (pid {}) crashed with exit code 3 at 20", exit.pid);
    assert!(table.contains(&line), "{table}");

    running.serving("web", 2);
    running.reload_live();
    let exits = until(SOON, "the old ones are on record", || {
        let exits = running.status().app("web").exits.clone();
        (exits.len() == 3).then_some(exits)
    });
    assert!(
        exits[1..].iter().all(|exit| exit.cause == "replaced" && exit.code == Some(0) && !exit.killed),
        "{exits:?}"
    );
    running.site("web").rewrite(&["exit=9"]);
    running.reload();
    let status = running.status();
    let last = status.app("web").exits.last().unwrap();
    assert_eq!((last.worker.as_str(), last.cause.as_str(), last.code), ("web 3.0", "crashed", Some(9)));
    let json: serde_json::Value = serde_json::from_str(&running.cli(&["status", "--json"]).stdout).unwrap();
    assert_eq!(json["apps"][0]["exits"].as_array().map(Vec::len), Some(4));
}
