//! `portreeve check`: everything that is wrong with a configuration, before anything depends on it.
//!
//! Asks the configuration room and prints; nothing is started, bound or written.

use serde::Serialize;

use super::{Code, Source};
use crate::config::{self, Problem};

/// The answer as JSON.
#[derive(Serialize)]
struct Checked<'a> {
    path: String,
    valid: bool,
    apps: Vec<&'a str>,
    problems: Vec<&'a Problem>,
}

pub(super) fn check(source: &Source, json: bool) -> anyhow::Result<Code> {
    if json {
        return check_for_programs(source);
    }
    let Some(loaded) = super::load(source) else { return Ok(Code::Config) };
    if super::ask_the_machine(&loaded) {
        return Ok(Code::Config);
    }
    println!("{}: valid; {}", loaded.config.path.display(), super::count(loaded.config.apps.len(), "app"));
    Ok(Code::Done)
}

fn check_for_programs(source: &Source) -> anyhow::Result<Code> {
    let (config, problems) = match config::load_with(&source.config, source.profile.as_deref()) {
        Ok(loaded) => {
            let problems = config::verify(&loaded).and(loaded.warnings);
            (Some(loaded.config), problems)
        }
        Err(problems) => (None, problems),
    };
    let checked = Checked {
        path: source.config.display().to_string(),
        valid: !problems.has_errors(),
        apps: config.iter().flat_map(|config| config.apps.keys()).map(crate::id::AppName::as_str).collect(),
        problems: problems.problems().iter().collect(),
    };
    println!("{}", serde_json::to_string_pretty(&checked)?);
    Ok(if checked.valid { Code::Done } else { Code::Config })
}
