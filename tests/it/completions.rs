//! Tab in real shells: verbs, and the apps of the running supervisor for each verb that takes them.

use crate::harness::{Portreeve, Running, Terminal, isolated, portreeve, said, worker};
use crate::tools;

/// What is typed in front of the app.
const VERBS: [&str; 22] = [
    "start",
    "stop",
    "restart",
    "reload",
    "delete",
    "del",
    "scale",
    "drain",
    "undrain",
    "pause",
    "resume",
    "maintenance on",
    "signal hup",
    "reset",
    "env",
    "info",
    "describe",
    "flush",
    "logs",
    "reload --json",
    "stop other",
    "rm",
];

fn running() -> Running {
    let other = worker().set("path", "/other");
    Portreeve::new().app("shopfront", worker()).app("other", other).start()
}

/// A shell at a terminal that has read our completions.
fn shell(running: &Running, folder: &std::path::Path, words: &[&str], before: &str) -> Option<Terminal> {
    tools::find(words[0])?;
    let script = said(isolated(portreeve()).args(["completions", words[0]])).stdout;
    std::fs::write(folder.join("script"), script).unwrap();
    std::fs::write(folder.join("rc"), format!("{before}\nsource ./script\necho all\" \"read\n")).unwrap();
    let link = folder.join("portreeve");
    if !link.exists() {
        std::os::unix::fs::symlink(portreeve(), link).unwrap();
    }
    let own = [
        format!("PATH={}:{}", folder.display(), std::env::var("PATH").unwrap()),
        format!("HOME={}", folder.display()),
        format!("XDG_CONFIG_HOME={}", folder.display()),
        format!("XDG_DATA_HOME={}", folder.display()),
        format!("PORTREEVE_SOCKET={}", running.socket().display()),
    ];
    let begin = ["env", "-C", folder.to_str().unwrap()];
    let all: Vec<&str> = begin.into_iter().chain(own.iter().map(String::as_str)).chain(words.iter().copied()).collect();
    let terminal = Terminal::open((100, 30), &all)?;
    terminal.type_in("source ./rc");
    terminal.press("Enter");
    terminal.shows(&["all read"]);
    Some(terminal)
}

fn completes(words: &[&str], before: &str) {
    let running = running();
    let folder = tempfile::tempdir().unwrap();
    let Some(terminal) = shell(&running, folder.path(), words, before) else { return };
    for verb in VERBS {
        terminal.type_in(&format!("portreeve {verb} shop"));
        terminal.press("Tab");
        terminal.shows(&[&format!("portreeve {verb} shopfront")]);
        terminal.press("C-u");
    }
    std::fs::write(folder.path().join("zebra.js"), "").unwrap();
    for (typed, meant) in [("rel", "reload"), ("maint", "maintenance"), ("start zeb", "start zebra.js")] {
        terminal.type_in(&format!("portreeve {typed}"));
        terminal.press("Tab");
        terminal.shows(&[&format!("portreeve {meant}")]);
        terminal.press("C-u");
    }
    terminal.type_in("exit");
    terminal.press("Enter");
}

#[test]
fn bash_completes_verbs_and_apps() {
    completes(&["bash", "--norc", "--noprofile", "-i"], "");
}

#[test]
fn zsh_completes_verbs_and_apps() {
    completes(&["zsh", "-f", "-i"], "autoload -U compinit\ncompinit -u -d ./dump");
}

#[test]
fn fish_completes_verbs_and_apps() {
    completes(&["fish", "--no-config"], "");
}
