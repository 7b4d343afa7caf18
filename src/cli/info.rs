//! `portreeve info`: the whole story of one app.
//!
//! Shows what the supervisor says and knows nothing itself. What does not concern an app is left out.

use clap::Args;

use super::age::size;
use super::exit_line::exit_line;
use super::paint::{self, Tone, plain};
use super::status::rows;
use super::table::{self, Cell, Column, Room, Side};
use super::target::Apps;
use super::{Code, Wrong, block_on, outcome};
use crate::control::words::{self, Exit, Info, Outcome, PastChange, Process, Worker};

/// Ends of workers that are told in full.
const SHOWN_EXITS: usize = 5;

/// Whose story.
#[derive(Args, Debug)]
#[command(after_help = "\
Changes are those since portreeve was started, the latest 20, with what clients had of each reload and restart until the
last of the old workers was gone; exits are the latest 5 (--json: 32).

Examples:
  portreeve info web
  portreeve describe 0 --json | jq .settings")]
pub(super) struct Describe {
    #[command(flatten)]
    apps: Apps,
}

pub(super) fn info(args: &Describe) -> anyhow::Result<Code> {
    let (client, _, apps) = args.apps.find()?;
    let [app] = &apps[..] else { return Err(Wrong("name one app".to_owned()).into()) };
    let info = block_on(client.info(app))??;
    if args.apps.json {
        println!("{}", serde_json::to_string_pretty(&info)?);
    } else {
        print!("{}", told(&info, Room { width: paint::columns(), is_coloured: paint::is_coloured() }));
    }
    Ok(Code::Done)
}

fn told(info: &Info, room: Room) -> String {
    let title = |text: &str| if room.is_coloured { Tone::Strong.paint(text) } else { text.to_owned() };
    let mut parts = vec![head(info, room)];
    let mut part = |name: &str, text: String| {
        if !text.is_empty() {
            parts.push(format!("{}\n{text}", title(name)));
        }
    };
    if !info.app.workers.is_empty() {
        part("Workers", workers(&info.app.workers, room));
    }
    if !info.changes.is_empty() {
        let has_clients = info.app.purpose.kind != words::TASK;
        part("Changes", changes(&info.changes, has_clients, room));
    }
    let latest = &info.app.exits[info.app.exits.len().saturating_sub(SHOWN_EXITS)..];
    part("Exits", latest.iter().map(exit).collect());
    let settings = info.settings.iter().map(|(key, value)| (key.as_str(), plain(value)));
    part("Settings", pairs(&settings.collect::<Vec<_>>()));
    part("Variables", listed(&info.variables));
    parts.join("\n")
}

fn head(info: &Info, room: Room) -> String {
    let app = &info.app;
    let state = if room.is_coloured { Tone::of_state(&app.state).paint(&app.state) } else { app.state.clone() };
    let generation = app.generation.map_or_else(String::new, |generation| format!(", generation {generation}"));
    let mut facts = Vec::new();
    facts.extend(info.listeners.iter().map(|listener| ("serves", format!("http://{}", listener.address))));
    if let Some(process) = &info.process {
        facts.extend(of_process(process));
    }
    facts.extend(info.logs.iter().map(|path| ("log file", path.display().to_string())));
    facts.push(("configuration", info.config.display().to_string()));
    facts.extend(app.last_failure.iter().map(|failure| ("last failure", plain(failure))));
    let said = app.workers.iter().filter_map(|worker| Some((worker, worker.says.as_ref()?)));
    facts.extend(said.map(|(worker, text)| ("says", format!("{}: {}", worker.id, plain(text)))));
    let replaced = app.recycling.iter().map(|one| ("to be replaced", format!("{} for {}", one.worker, one.reason)));
    facts.extend(replaced);
    format!("{} {}: {state}{generation}\n{}", app.id, app.name, pairs(&facts))
}

fn of_process(process: &Process) -> [(&'static str, String); 4] {
    let identity = process.identity.as_ref();
    let user = identity.map(|identity| format!("{} (uid {}, gid {})", identity.user, identity.uid, identity.gid));
    [
        ("command", plain(&shell_words::join(&process.words))),
        ("program", process.program.display().to_string()),
        ("directory", process.directory.display().to_string()),
        ("user", user.unwrap_or_else(|| "as portreeve".to_owned())),
    ]
}

/// A key a line; a key that is that of the line before is not said again.
fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let mut before = "";
    let line = |(key, value): &(&'_ str, String)| format!("  {key:width$}  {value}\n");
    let mut text = String::new();
    for (key, value) in pairs {
        let shown = if *key == before { "" } else { key };
        text += &line(&(shown, value.clone()));
        before = key;
    }
    text
}

const fn column(heading: &'static str, side: Side, leaves: Option<u8>) -> Column {
    Column { heading, side, leaves }
}

const WORKERS: [Column; 11] = [
    column("GEN", Side::Right, None),
    column("SLOT", Side::Right, None),
    column("PID", Side::Right, Some(5)),
    column("UPTIME", Side::Left, Some(4)),
    column("↺", Side::Right, None),
    column("STATE", Side::Left, None),
    column("CPU", Side::Right, Some(6)),
    column("MEMORY", Side::Right, None),
    column("REQUESTS", Side::Right, Some(3)),
    column("FAILED", Side::Right, Some(2)),
    column("ADDRESS", Side::Left, Some(1)),
];

fn workers(workers: &[Worker], room: Room) -> String {
    let row = |worker: &Worker| {
        let told = |text: Option<String>| Cell::from(text.unwrap_or_else(|| "-".to_owned()));
        let memory = &worker.usage.memory;
        // Against what it may need.
        let limit = memory.soft.or(memory.hard).map_or_else(String::new, |limit| format!("/{}", size(limit)));
        [
            worker.generation.to_string().into(),
            worker.slot.to_string().into(),
            told(worker.pid.map(|pid| pid.to_string())),
            told(worker.pid.map(|_| super::age::age(worker.uptime_seconds))),
            worker.restarts.to_string().into(),
            Cell { text: worker.state.clone(), tone: Tone::of_state(&worker.state) },
            told(worker.usage.cpu.percent.map(rows::percent)),
            told(memory.bytes.map(|bytes| format!("{}{limit}", size(bytes)))),
            worker.load.requests.to_string().into(),
            worker.load.failed.to_string().into(),
            told(worker.place.address.as_ref().map(ToString::to_string)),
        ]
    };
    let rows: Vec<_> = workers.iter().map(row).collect();
    indented(&table::render(&WORKERS, &rows, narrower(room)))
}

const CHANGES: [Column; 5] = [
    column("BEGAN", Side::Left, None),
    column("ORDER", Side::Left, None),
    column("GEN", Side::Right, None),
    column("OUTCOME", Side::Left, None),
    column("TOOK", Side::Right, None),
];

fn changes(changes: &[PastChange], has_clients: bool, room: Room) -> String {
    let row = |change: &PastChange| {
        let tone = match change.outcome {
            Outcome::Aborted | Outcome::RolledBack | Outcome::Failed => Tone::Bad,
            _ => Tone::Plain,
        };
        let outcome = serde_json::to_value(change.outcome).ok();
        [
            second(&change.began).into(),
            change.order.as_str().into(),
            change.generation.map_or_else(|| "-".to_owned(), |generation| generation.to_string()).into(),
            Cell { text: outcome.and_then(|word| Some(word.as_str()?.to_owned())).unwrap_or_default(), tone },
            format!("{:.2} s", change.millis as f64 / 1000.0).into(),
        ]
    };
    let rows: Vec<_> = changes.iter().map(row).collect();
    let table = table::render(&CHANGES, &rows, narrower(room));
    // A row for each, below the headings; a reason is as long as it is.
    let below = changes.iter().map(|change| below_change(change, has_clients));
    let below = std::iter::once(String::new()).chain(below);
    table.lines().zip(below).flat_map(|(line, below)| [format!("  {line}\n"), below]).collect()
}

/// Why a change came to nothing, and what clients had of it.
fn below_change(change: &PastChange, has_clients: bool) -> String {
    let reason = change.reason.as_ref().map(|reason| format!("    {}\n", plain(reason)));
    let strategy = outcome::in_steps(change.strategy.as_deref()).map(|strategy| format!("    {}\n", plain(strategy)));
    let replaces = has_clients && ["reload", "restart"].contains(&change.order.as_str());
    let report = change.report.as_ref().filter(|_| replaces);
    let counts = report.and_then(|report| Some((report.apps.first()?, report.millis)));
    let counts = counts.map(|(app, millis)| format!("    {}", outcome::tell_report(app, millis)));
    reason.into_iter().chain(strategy).chain(counts).collect()
}

/// Without what is smaller than a second.
fn second(time: &str) -> String {
    time.split_once('.').map_or(time.to_owned(), |(second, _)| format!("{second}Z"))
}

fn exit(exit: &Exit) -> String {
    let memory =
        exit.footprint.max_memory.map_or_else(String::new, |most| format!("; it had needed up to {}", size(most)));
    let lines: String =
        exit.lines.iter().flat_map(|line| ["    | ".to_owned(), plain(line), "\n".to_owned()]).collect();
    format!("  {}{memory}\n{lines}", exit_line(exit))
}

fn listed(names: &[String]) -> String {
    names.iter().flat_map(|name| ["  ", name, "\n"]).collect()
}

fn narrower(room: Room) -> Room {
    Room { width: room.width.map(|width| width.saturating_sub(2)), ..room }
}

fn indented(text: &str) -> String {
    text.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing;
    use super::*;

    fn info(name: &str) -> Info {
        let app = testing::status().apps.into_iter().find(|app| app.name.as_str() == name).unwrap();
        let mut info = serde_json::to_value(app).unwrap();
        let more = json!({
            "listeners": [{ "address": "0.0.0.0:3000", "tls": false, "inherited": false, "app": "web" }],
            "config": "/srv/portreeve.toml",
            "process": {
                "program": "/usr/bin/node", "words": ["node", "my server.js"], "directory": "/srv/web",
                "identity": { "user": "www", "uid": 33, "gid": 33 },
            },
            "logs": ["/srv/log/out.log", "/srv/log/err.log"],
            "changes": [
                { "began": "2026-01-31T11:00:00.5Z", "order": "reload", "outcome": "live", "generation": 12, "reason": null,
                  "millis": 1234, "report": { "deploy": 3, "millis": 1930, "apps": [
                    { "app": "web", "requests": 1204, "held": 3, "longest_hold_ms": 210, "retried": 1, "forced": 0, "failed": 0 } ] } },
                { "began": "2026-01-31T12:00:00.5Z", "order": "reload", "outcome": "aborted", "generation": 13,
                  "reason": "worker web 13.0 exited with exit code 1 before it was ready", "millis": 70 },
            ],
            "settings": { "command": "node 'my server.js'", "env.LEVEL": "debug", "env.PASSWORD": "(hidden)" },
            "variables": ["LEVEL", "PASSWORD"],
        });
        info.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(info).unwrap()
    }

    #[test]
    fn the_whole_story_is_told() {
        insta::assert_snapshot!(told(&info("web"), Room { width: Some(80), is_coloured: false }));
    }

    #[test]
    fn of_an_app_that_does_not_run_there_is_less() {
        let mut info = info("old");
        (info.process, info.changes, info.logs, info.listeners) = (None, Vec::new(), Vec::new(), Vec::new());
        insta::assert_snapshot!(told(&info, Room::default()));
    }
}
