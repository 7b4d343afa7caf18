//! `portreeve show`: every value of a configuration as it holds, and where each is from.
//!
//! Asks the configuration room and prints; nothing is started.

use clap::Args;
use serde::Serialize;

use super::table::{self, Cell, Column, Room, Side};
use super::{Code, Source, Wrong};
use crate::config::{self, Origin, Shown};

const COLUMNS: [Column; 3] = [column("KEY"), column("VALUE"), column("FROM")];

const fn column(heading: &'static str) -> Column {
    Column { heading, side: Side::Left, leaves: None }
}

/// What is to be shown.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve show                    all of portreeve.toml, defaults included
  portreeve show web --env production
  portreeve show --said             only what somebody has said

Values that may be secrets are hidden. `portreeve diff` tells what a reload would change.")]
pub(super) struct Show {
    /// Only this app
    #[arg(id = "apps", value_name = "APP")]
    app: Option<String>,
    #[command(flatten)]
    source: Source,
    /// Leave out what is a default
    #[arg(long)]
    said: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// The answer as JSON.
#[derive(Serialize)]
struct Told<'a> {
    key: &'a str,
    value: &'a str,
    from: String,
}

pub(super) fn show(args: &Show) -> anyhow::Result<Code> {
    let Some(loaded) = super::load(&args.source) else {
        if let Some(app) = &args.app {
            eprintln!(
                "portreeve: this is about a file; of an app that runs, `portreeve info {app}` tells all there is"
            );
        }
        return Ok(Code::Config);
    };
    let mut shown = config::shown(&loaded);
    if let Some(app) = &args.app {
        if !loaded.config.apps.keys().any(|name| name.as_str() == app) {
            let known: Vec<_> = loaded.config.apps.keys().map(crate::id::AppName::as_str).collect();
            let file = args.source.config.display();
            return Err(Wrong(format!("no app `{app}` in {file}; there is: {}", known.join(", "))).into());
        }
        let prefix = format!("app.{app}.");
        shown.retain(|one| one.key.starts_with(&prefix));
    }
    if args.said {
        shown.retain(|one| one.origin != Origin::Default);
    }
    let file = args.source.config.display().to_string();
    let told = |one: &Shown| from(&one.origin, &file, args.source.profile.as_deref());
    if args.json {
        let all: Vec<_> = shown.iter().map(|one| Told { key: &one.key, value: &one.value, from: told(one) }).collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        let rows: Vec<_> =
            shown.iter().map(|one| [one.key.clone(), one.value.clone(), told(one)].map(Cell::from)).collect();
        print!("{}", table::render(&COLUMNS, &rows, Room::default()));
    }
    Ok(Code::Done)
}

fn from(origin: &Origin, file: &str, profile: Option<&str>) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::File(line) => format!("{file}:{line}"),
        Origin::Profile(line) => {
            format!("{file}:{line} (profile {}, by --env or PORTREEVE_ENV)", profile.unwrap_or_default())
        }
        Origin::EnvFile(path) => path.clone(),
    }
}
