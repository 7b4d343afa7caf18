//! `portreeve check`: everything that is wrong with a configuration, before anything depends on it.
//!
//! Asks the configuration room and prints; nothing is started, bound or written.

use std::io::IsTerminal;

use super::{Code, Source};
use crate::config;

pub(super) fn check(source: &Source) -> Code {
    let Some(loaded) = super::load(source) else { return Code::Config };
    let problems = config::verify(&loaded);
    eprint!("{}", problems.render(std::io::stderr().is_terminal()));
    if problems.has_errors() {
        return Code::Config;
    }
    println!("{}: valid; {}", loaded.config.path.display(), apps(&loaded.config));
    Code::Done
}

fn apps(config: &config::Config) -> String {
    match config.apps.len() {
        1 => "1 app".to_owned(),
        count => format!("{count} apps"),
    }
}
