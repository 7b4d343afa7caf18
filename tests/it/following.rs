//! `portreeve logs`: the past and the present of what workers print.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::harness::{Portreeve, Running, SOON, worker};

/// A command that goes on, and the lines that it prints.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn start(running: &Running, words: &[&str]) -> Self {
        let mut child = running.command(words).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let source = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || source.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// Waits for a line that holds this text, and gives those before it.
    #[track_caller]
    fn until(&self, text: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            match self.lines.recv_timeout(SOON) {
                Ok(line) if line.contains(text) => return before,
                Ok(line) => before.push(line),
                Err(error) => panic!("no line with {text:?}: {error}; there was {before:?}"),
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_past_is_shown_by_app_stream_slot_and_text() {
    let running = Portreeve::new()
        .app("web", worker().workers(2).says("say=good morning"))
        .app("api", worker().set("path", "/api").says("say=good night"))
        .start();
    running.serving("web", 2);
    let of_web = running.cli(&["logs", "web", "--nostream"]);
    assert_eq!(of_web.code, 0, "{}", of_web.text);
    assert!(of_web.stdout.contains("web 1.1 | good morning") && !of_web.stdout.contains("night"), "{}", of_web.text);
    let found = running.cli(&["logs", "--nostream", "--raw", "--grep", "^good"]).text;
    let mut found: Vec<_> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(found, ["good morning", "good morning", "good night"]);
    let one = running.cli(&["logs", "--nostream", "--json", "--slot", "1", "--since", "1h", "-n", "1"]).stdout;
    let line: serde_json::Value = serde_json::from_str(&one).unwrap();
    assert_eq!((line["app"].as_str(), line["slot"].as_u64()), (Some("web"), Some(1)));
    assert_eq!(running.cli(&["logs", "--nostream", "--generation", "7"]).stdout, "");
}

#[test]
fn following_goes_on_over_a_reload_and_ends_with_the_supervisor() {
    let running = Portreeve::new().app("web", worker()).start();
    running.serving("web", 1);
    let mut following = Following::start(&running, &["logs", "-n", "100"]);
    following.until("web 1.0 | listening");
    running.reload_live();
    following.until("web 2.0 | listening");
    drop(running);
    while following.lines.recv_timeout(SOON).is_ok() {}
    assert_eq!(
        following.child.wait().unwrap().code(),
        Some(69),
        "who follows wants to know that nothing comes any more"
    );
}

#[test]
fn an_app_that_is_not_there_is_refused_with_those_that_are() {
    let running = Portreeve::new().app("web", worker()).start();
    let said = running.cli(&["logs", "wbe"]);
    assert_ne!(said.code, 0);
    assert!(said.text.contains("no app `wbe`; did you mean `web`?"), "{}", said.text);
}

#[test]
fn lines_from_before_a_restart_are_found_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.log");
    std::fs::write(&path, "from an earlier life\n").unwrap();
    let mut log = toml::Table::new();
    log.insert("file".into(), path.display().to_string().into());
    let running = Portreeve::new().app("web", worker().set("log", log)).start();
    running.serving("web", 1);
    let shown = running.cli(&["logs", "--nostream", "-n", "100"]).stdout;
    assert!(shown.starts_with("web | from an earlier life\n") && shown.contains("web 1.0 | "), "{shown}");
}
