//! The columns of the status, and what stands in them: a row for each worker, or one for an app without any.
//!
//! Pure.

use super::super::age::{age, size};
use super::super::paint::Tone;
use super::super::table::{Cell, Column, Side};
use super::by_id;
use crate::control::words::{App, Worker};

const fn column(heading: &'static str, side: Side, leaves: Option<u8>) -> Column {
    Column { heading, side, leaves }
}

pub(super) const COLUMNS: [Column; 13] = [
    column("ID", Side::Right, None),
    column("NAME", Side::Left, None),
    column("GEN", Side::Right, Some(6)),
    column("SLOT", Side::Right, Some(2)),
    column("PID", Side::Right, Some(5)),
    column("UPTIME", Side::Left, Some(3)),
    column("↺", Side::Right, None),
    column("STATE", Side::Left, None),
    column("CPU", Side::Right, Some(8)),
    column("MEMORY", Side::Right, Some(9)),
    column("BUSY", Side::Right, Some(7)),
    column("REQ/S", Side::Right, Some(4)),
    column("ADDRESS", Side::Left, Some(1)),
];

/// Stands for what there is nothing to say of.
const NOTHING: &str = "-";

pub(super) fn rows(apps: &[App]) -> Vec<[Cell; 13]> {
    by_id(apps).into_iter().flat_map(of_app).collect()
}

fn of_app(app: &App) -> Vec<[Cell; 13]> {
    if app.workers.is_empty() {
        let nothing = || NOTHING.into();
        let mut row: [Cell; 13] = std::array::from_fn(|_| nothing());
        row[0] = app.id.to_string().into();
        row[1] = app.name.as_str().into();
        row[7] = state(&app.state);
        return vec![row];
    }
    app.workers.iter().map(|worker| of_worker(app, worker)).collect()
}

fn of_worker(app: &App, worker: &Worker) -> [Cell; 13] {
    let told = |text: Option<String>| Cell::from(text.unwrap_or_else(|| NOTHING.to_owned()));
    let restarts = Cell {
        text: worker.restarts.to_string(),
        tone: if worker.restarts > 0 { Tone::Underway } else { Tone::Plain },
    };
    let lives = worker.pid.is_some() || worker.state == "up";
    [
        app.id.to_string().into(),
        app.name.as_str().into(),
        told(Some(worker.generation.0).filter(|generation| *generation > 0).map(|generation| generation.to_string())),
        worker.slot.to_string().into(),
        told(worker.pid.map(|pid| pid.to_string())),
        told(Some(age(worker.uptime_seconds)).filter(|_| lives)),
        restarts,
        state(&worker.state),
        told(worker.usage.cpu.percent.map(percent)),
        told(worker.usage.memory.bytes.map(size)),
        worker.load.inflight.to_string().into(),
        format!("{:.1}", worker.load.req_per_second).into(),
        told(worker.place.address.as_ref().map(ToString::to_string)),
    ]
}

fn state(state: &str) -> Cell {
    Cell { text: state.to_owned(), tone: Tone::of_state(state) }
}

/// `0.3%`, `12%`: tenths where they matter.
pub(in crate::cli) fn percent(percent: f64) -> String {
    if percent < 9.95 { format!("{percent:.1}%") } else { format!("{percent:.0}%") }
}
