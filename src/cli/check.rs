//! `portreeve check`: everything that is wrong with a configuration, before anything depends on it.
//!
//! Asks the configuration room and prints; nothing is started, bound or written.

use super::{Code, Source};

pub(super) fn check(source: &Source) -> Code {
    let Some(loaded) = super::load(source) else { return Code::Config };
    if super::ask_the_machine(&loaded) {
        return Code::Config;
    }
    println!("{}: valid; {}", loaded.config.path.display(), super::count(loaded.config.apps.len(), "app"));
    Code::Done
}
