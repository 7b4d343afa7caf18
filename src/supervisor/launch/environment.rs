//! The environment of one worker: what it inherits, then the app's, then what places it.
//!
//! Only puts together; what the variables of its [`super::kit::Kit`] stand for is known where they are set.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::node;
use crate::config::Command;
use crate::id::WorkerId;
use crate::supervisor::channel;
use crate::sys::spawn::Identity;

/// `kit`: what the worker is told of the place and the descriptors that it is given.
pub(super) fn of(
    inherited: &[(OsString, OsString)],
    command: &Command,
    worker: &WorkerId,
    kit: Vec<(&'static str, OsString)>,
    identity: Option<&Identity>,
) -> Vec<(OsString, OsString)> {
    let mut env: BTreeMap<OsString, OsString> = inherited.iter().cloned().collect();
    // A channel that we were given ourselves is not theirs.
    for key in channel::VARIABLES.into_iter().chain([node::UNIQUE_ID]) {
        env.remove(OsStr::new(key));
    }
    let mut set = |key: &str, value: OsString| env.insert(key.into(), value);
    if let Some(identity) = identity {
        set("HOME", identity.home.clone().into());
        set("USER", identity.name.clone().into());
        set("LOGNAME", identity.name.clone().into());
    }
    for (key, value) in &command.env {
        set(key, value.into());
    }
    set("PORTREEVE_APP", worker.app.as_str().into());
    set("PORTREEVE_GENERATION", worker.generation.to_string().into());
    set("PORTREEVE_SLOT", worker.slot.to_string().into());
    set("NODE_APP_INSTANCE", worker.slot.to_string().into());
    for (key, value) in kit {
        set(key, value);
    }
    env.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Server;
    use crate::id::{Generation, Slot};

    fn command(env: &[(&str, &str)]) -> Command {
        let mut config =
            crate::config::parse("[app.web]\ncommand = 'true'\n", Path::new("/portreeve.toml")).unwrap().config;
        let Server::Command(command) = config.apps.pop_first().unwrap().1.server else { panic!("it has a command") };
        let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Command { env, ..*command }
    }

    fn worker(generation: u64, slot: u32) -> WorkerId {
        WorkerId { app: "web".parse().unwrap(), generation: Generation(generation), slot: Slot(slot) }
    }

    #[test]
    fn the_environment_places_the_worker_over_what_app_and_parent_say() {
        let inherited = ["LANG", "COLOUR", "PORT"].map(|key| (key.into(), "inherited".into()));
        let command = command(&[("COLOUR", "blue"), ("PORT", "1")]);
        let env = of(&inherited, &command, &worker(4, 2), vec![("PORT", "8123".into())], None);
        let get = |key: &str| env.iter().find(|(name, _)| name == key).map(|(_, value)| value.to_str().unwrap());
        assert_eq!((get("LANG"), get("COLOUR"), get("PORT")), (Some("inherited"), Some("blue"), Some("8123")));
        assert_eq!((get("PORTREEVE_GENERATION"), get("NODE_APP_INSTANCE")), (Some("4"), Some("2")));
        assert_eq!(get("PORTREEVE_APP"), Some("web"));
    }

    #[test]
    fn a_worker_is_told_of_its_own_channel_and_of_no_other() {
        let inherited = [("NODE_CHANNEL_FD".into(), "9".into())];
        let told = |kit| {
            of(&inherited, &command(&[]), &worker(1, 0), kit, None)
                .into_iter()
                .find(|(key, _)| key == "NODE_CHANNEL_FD")
        };
        assert_eq!(told(vec![("NODE_CHANNEL_FD", "3".into())]), Some(("NODE_CHANNEL_FD".into(), "3".into())));
        assert_eq!(told(Vec::new()), None);
    }
}
