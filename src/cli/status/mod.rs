//! `portreeve status`: what runs, as a table or as JSON, once or again and again.
//!
//! Shows what the supervisor says and knows nothing itself.

pub(super) mod rows;
mod runs;
mod watch;

use clap::Args;

use super::age::age;
use super::exit_line::exit_line;
use super::paint::{self, plain};
use super::table::{self, Room};
use super::target::Target;
use super::{Code, block_on};
use crate::control::words::{App, Exit, GenerationProgress, Listener, Scale, Status};

/// How it is shown.
#[derive(Args, Debug)]
#[command(after_help = "\
↺ counts unexpected restarts, BUSY the requests that a worker is at work on. CPU is of one core, with all
processes of the worker, since the look before (`memory.interval`, 5 s unless set).

Where the terminal is too narrow, these are left out, in this order: ADDRESS, SLOT, UPTIME, REQ/S, PID, GEN,
BUSY, CPU, MEMORY. In a pipe all are there, without colours. NO_COLOR=1 does without colours, too.

Examples:
  portreeve status
  portreeve ls --watch     every second; q ends it
  portreeve status --json | jq '.apps[].workers[].pid'")]
pub(super) struct Show {
    #[command(flatten)]
    target: Target,
    /// Print the answer as JSON
    #[arg(long, conflicts_with = "watch")]
    json: bool,
    /// Show it again every second, until q is pressed
    #[arg(short, long)]
    watch: bool,
}

pub(super) fn status(args: &Show) -> anyhow::Result<Code> {
    let client = args.target.client()?;
    if args.watch {
        return watch::watch(&client);
    }
    let status = block_on(client.status())??;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print!("{}", told(&status, Room { width: paint::columns(), is_coloured: paint::is_coloured() }));
    }
    Ok(Code::Done)
}

fn told(status: &Status, room: Room) -> String {
    let mut lines =
        vec![format!("portreeve {}  pid {}  up {}", status.version, status.pid, age(status.uptime_seconds))];
    lines.extend(status.listeners.iter().map(listener));
    lines.extend(status.metrics.map(|metrics| format!("http://{metrics}/metrics")));
    let proxies = status.proxies.iter();
    lines.extend(proxies.map(|proxy| format!("proxy {}  {}  pid {}", proxy.number, proxy.state, proxy.pid)));
    lines.push(String::new());
    if status.apps.is_empty() {
        lines.push("no app yet; `portreeve start SCRIPT` makes one\n".to_owned());
    } else {
        lines.push(table::render(&rows::COLUMNS, &rows::rows(&status.apps), room));
        lines.extend(by_id(&status.apps).into_iter().flat_map(remarks));
    }
    let text = lines.join("\n");
    format!("{}\n", text.trim_end())
}

/// In the order in which they came.
fn by_id(apps: &[App]) -> Vec<&App> {
    let mut apps: Vec<_> = apps.iter().collect();
    apps.sort_by_key(|app| app.id);
    apps
}

fn listener(listener: &Listener) -> String {
    let scheme = if listener.tls { "https" } else { "http" };
    let origin = if listener.inherited { "  (from the service manager)" } else { "" };
    let owner = listener.app.as_ref().map_or_else(String::new, |app| format!("  {app}"));
    format!("{scheme}://{}{owner}{origin}", listener.address)
}

/// What there is to say of an app that is not as it should be, or says something itself.
fn remarks(app: &App) -> Vec<String> {
    let mut remarks = Vec::new();
    match app.by_hand.traffic.as_str() {
        "paused" => remarks.push("  paused: requests wait; `portreeve resume` lets them go on".to_owned()),
        "maintenance" => remarks.push("  under maintenance: `portreeve maintenance off` ends it".to_owned()),
        _ => {}
    }
    if app.panic_routing {
        remarks.push("  most workers fail their probes and get requests all the same".to_owned());
    }
    remarks.extend(app.generations.iter().filter_map(canary));
    remarks.extend(app.purpose.job.iter().flat_map(runs::told));
    remarks.extend(app.by_hand.scale.and_then(scaled));
    remarks.extend(app.last_failure.as_ref().map(|failure| format!("  last failure: {}", plain(failure))));
    remarks.extend(
        app.exits.last().filter(|exit| is_trouble(exit)).map(|exit| format!("  last exit: {}", exit_line(exit))),
    );
    let said = app.workers.iter().filter_map(|worker| Some((&worker.id, worker.says.as_ref()?)));
    remarks.extend(said.map(|(worker, text)| format!("  {worker} says: {}", plain(text))));
    if !remarks.is_empty() || app.state != "running" {
        remarks.insert(0, format!("{}: {}", app.name, app.state));
    }
    remarks
}

/// Where a generation is tried on a few, on how many.
fn canary(generation: &GenerationProgress) -> Option<String> {
    let percent = f64::from(generation.share?) / 100.0;
    let number = generation.number;
    Some(format!(
        "  canary: generation {number} serves {percent} % of the clients; `portreeve promote` lets it take over"
    ))
}

/// Where it was scaled by hand, to how many workers.
fn scaled(scale: Scale) -> Option<String> {
    let Scale { wanted, configured } = scale;
    (wanted != configured).then(|| format!("  scaled to {wanted}; configured: {configured}"))
}

/// Was it no end that somebody had asked for?
fn is_trouble(exit: &Exit) -> bool {
    matches!(exit.due.cause.as_str(), "crashed" | "late") || exit.due.killed || exit.footprint.oom == Some(true)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn a_canary_is_named_with_its_share() {
        let mut status = testing::status();
        status.apps[0].generations = serde_json::from_value(serde_json::json!([
            { "number": 7, "state": "live", "slots": 2, "ready": 2, "running": 2, "inflight": 0 },
            { "number": 8, "state": "canary", "slots": 2, "ready": 1, "running": 1, "inflight": 0, "share": 250 },
        ]))
        .unwrap();
        let text = told(&status, Room { width: None, is_coloured: false });
        assert!(text.contains("canary: generation 8 serves 2.5 % of the clients; `portreeve promote`"), "{text}");
        assert!(!text.contains("generation 7"), "{text}");
    }

    #[test]
    fn the_table_fits_80_columns_and_is_wide_where_there_is_room() {
        let status = testing::status();
        let at = |width| told(&status, Room { width, is_coloured: false });
        insta::assert_snapshot!("wide", at(None));
        insta::assert_snapshot!("80_columns", at(Some(80)));
        insta::assert_snapshot!("40_columns", at(Some(40)));
        for width in 24..160 {
            let table = table::render(
                &rows::COLUMNS,
                &rows::rows(&status.apps),
                Room { width: Some(width), is_coloured: false },
            );
            assert!(table.lines().all(|line| line.chars().count() <= width), "{width}:\n{table}");
        }
    }

    #[test]
    fn states_are_painted_where_there_are_colours() {
        let status = testing::status();
        let shown = told(&status, Room { width: None, is_coloured: true });
        for painted in ["\x1b[32mserving\x1b[0m", "\x1b[31mcrash-looping\x1b[0m", "\x1b[2mstopped\x1b[0m"] {
            assert!(shown.contains(painted), "{painted:?}: {shown}");
        }
        assert!(!told(&status, Room::default()).contains('\x1b'));
    }

    #[test]
    fn without_an_app_it_says_how_to_have_one() {
        let mut status = testing::status();
        status.apps.clear();
        assert!(told(&status, Room::default()).ends_with("\nno app yet; `portreeve start SCRIPT` makes one\n"));
    }
}
