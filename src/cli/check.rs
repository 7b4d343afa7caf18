//! `portreeve check`: everything that is wrong with a configuration, before anything depends on it.

use std::path::Path;

use super::Code;
use crate::config;

pub(super) fn check(path: &Path) -> anyhow::Result<Code> {
    let Some(config) = super::load(path) else { return Ok(Code::Config) };
    let problems = config::verify(&config);
    for problem in &problems {
        eprintln!("{}", problem.render(false));
    }
    if !problems.is_empty() {
        return Ok(Code::Config);
    }
    println!("{}: valid; {}", config.path.display(), apps(&config));
    Ok(Code::Done)
}

fn apps(config: &config::Config) -> String {
    match config.apps.len() {
        1 => "1 app".to_owned(),
        count => format!("{count} apps"),
    }
}
