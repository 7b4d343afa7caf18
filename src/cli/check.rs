//! `portreeve check`: everything that is wrong with a configuration, before anything depends on it.
//!
//! Asks the configuration room and prints; nothing is started, bound or written.

use super::{Code, Source};
use crate::config;

pub(super) fn check(source: &Source) -> Code {
    let Some(loaded) = super::load(source) else { return Code::Config };
    if super::ask_the_machine(&loaded) {
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
