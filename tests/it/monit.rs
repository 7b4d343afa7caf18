//! `portreeve monit` in a terminal of 80 columns and 24 lines.

use crate::harness::{Portreeve, SOON, Terminal, portreeve, until, worker};

#[test]
fn the_screen_shows_apps_takes_a_reload_by_key_survives_a_resize_and_leaves_the_terminal_clean() {
    let running = Portreeve::new().app("web", worker().workers(2)).app("api", worker().set("path", "/api")).start();
    running.serving("web", 2);
    let config = running.config();
    let words = [portreeve().to_str().unwrap(), "monit", "-c", config.to_str().unwrap()];
    let Some(terminal) = Terminal::open((80, 24), &words) else { return };
    terminal.shows(&[
        "> api",
        "running",
        "1.0",
        "serving",
        "requests/s",
        "cpu",
        "memory",
        "web 1.1 listening",
        "q quit",
    ]);
    terminal.press("Down");
    terminal.shows(&["> web"]);
    terminal.press("r");
    terminal.shows(&["web: generation 2 serves", "2.1"]);
    terminal.press("R");
    terminal.shows(&["web serves", "3.1"]);
    terminal.resize(120, 40);
    let is_wide = |screen: &str| screen.lines().any(|line| line.chars().count() > 100);
    until(SOON, "the wider terminal is filled", || is_wide(&terminal.screen()).then_some(()));
    terminal.press("q");
    let clean = terminal.shows(&["ended with 0"]);
    assert!(!clean.contains("serving"), "{clean}");
}

#[test]
fn it_ends_with_its_terminal() {
    let running = Portreeve::new().app("web", worker()).start();
    let config = running.config();
    let words = [portreeve().to_str().unwrap(), "monit", "-c", config.to_str().unwrap()];
    let Some(terminal) = Terminal::open((80, 24), &words) else { return };
    terminal.shows(&["> web", "serving"]);
    drop(terminal);
}

#[test]
fn without_a_supervisor_it_says_so_and_leaves_the_screen_alone() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nobody");
    let words = [portreeve().to_str().unwrap(), "monit", "--socket", socket.to_str().unwrap()];
    let Some(terminal) = Terminal::open((80, 24), &words) else { return };
    terminal.shows(&["no supervisor answers", "ended with 69"]);
}
