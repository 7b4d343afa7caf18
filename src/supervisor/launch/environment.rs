//! The environment of one worker: what it inherits, then the app's, then what places it.
//!
//! Only puts together; what the variables of its [`super::kit::Kit`] stand for is known where they are set.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::node;
use crate::config::{Environment, Values};
use crate::id::WorkerId;
use crate::supervisor::channel;
use crate::sys::spawn::Identity;

/// What the variables of a generation's workers are made of.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    /// What portreeve itself has.
    pub(super) inherited: &'a [(OsString, OsString)],
    pub(super) environment: &'a Environment,
    /// What the app gives them.
    pub(super) values: &'a Values,
    /// Whom they run as, if not as we do.
    pub(super) identity: Option<&'a Identity>,
}

/// `kit`: what the worker is told of the place and the descriptors that it is given.
///
/// # Errors
/// A sentence, when there is no number to count from.
pub(super) fn of(
    sources: &Sources<'_>,
    worker: &WorkerId,
    kit: Vec<(&'static str, OsString)>,
) -> Result<Vec<(OsString, OsString)>, String> {
    let Sources { inherited, environment, values, identity } = sources;
    let is_let_in = |(name, _): &&(OsString, OsString)| environment.inherit.lets_in(&name.to_string_lossy());
    let mut env: BTreeMap<OsString, OsString> = inherited.iter().filter(is_let_in).cloned().collect();
    env.extend(environment.inherit.given().map(|(name, value)| (name.into(), value.into())));
    // A channel or a number that we were given ourselves is not theirs.
    for key in channel::VARIABLES.into_iter().chain([node::UNIQUE_ID, "NODE_APP_INSTANCE"]) {
        env.remove(OsStr::new(key));
    }
    if let Some(identity) = identity {
        env.insert("HOME".into(), identity.home.clone().into());
        env.insert("USER".into(), identity.name.clone().into());
        env.insert("LOGNAME".into(), identity.name.clone().into());
    }
    env.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
    if let Some(name) = &environment.increment_var {
        let base = env.get(OsStr::new(name)).and_then(|base| base.to_str()?.trim().parse::<i64>().ok());
        let number = base.and_then(|base| base.checked_add(worker.slot.0.into()));
        let number = number.ok_or_else(|| format!("increment_var {name}: there is no number to count from"))?;
        env.insert(name.into(), number.to_string().into());
    }
    env.insert("PORTREEVE_APP".into(), worker.app.as_str().into());
    env.insert("PORTREEVE_GENERATION".into(), worker.generation.to_string().into());
    env.insert("PORTREEVE_SLOT".into(), worker.slot.to_string().into());
    env.insert(OsString::from(&environment.instance_var), worker.slot.to_string().into());
    for (name, value) in kit {
        let value = node::beside(name, env.get(OsStr::new(name)), value);
        env.insert(name.into(), value);
    }
    Ok(env.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Server;
    use crate::id::{Generation, Slot};

    fn parsed(lines: &str) -> Environment {
        let text = format!("[app.web]\ncommand = 'true'\n{lines}\n");
        let mut config = crate::config::parse(&text, Path::new("/portreeve.toml")).unwrap().config;
        let Server::Command(command) = config.apps.pop_first().unwrap().1.server else { panic!("it has a command") };
        command.environment
    }

    fn worker(generation: u64, slot: u32) -> WorkerId {
        WorkerId { app: "web".parse().unwrap(), generation: Generation(generation), slot: Slot(slot) }
    }

    /// The environment of slot 2 of generation 4 under these lines of an app.
    fn environment(inherited: &[(&str, &str)], lines: &str) -> Result<BTreeMap<String, String>, String> {
        let inherited: Vec<_> = inherited.iter().map(|(key, value)| (key.into(), value.into())).collect();
        let environment = parsed(lines);
        let (values, _) = environment.read(None)?;
        let sources = Sources { inherited: &inherited, environment: &environment, values: &values, identity: None };
        let env = of(&sources, &worker(4, 2), vec![("PORT", "8123".into())])?;
        Ok(env.into_iter().map(|(key, value)| (key.into_string().unwrap(), value.into_string().unwrap())).collect())
    }

    #[test]
    fn the_environment_places_the_worker_over_what_app_and_parent_say() {
        let inherited = [("LANG", "de"), ("COLOUR", "red"), ("PORT", "1")];
        let env = environment(&inherited, "env = { COLOUR = 'blue' }").unwrap();
        let get = |key: &str| env.get(key).map(String::as_str);
        assert_eq!((get("LANG"), get("COLOUR"), get("PORT")), (Some("de"), Some("blue"), Some("8123")));
        assert_eq!((get("PORTREEVE_GENERATION"), get("NODE_APP_INSTANCE")), (Some("4"), Some("2")));
        assert_eq!((get("PORTREEVE_APP"), get("NODE_ENV")), (Some("web"), None));
    }

    #[test]
    fn only_what_is_let_in_is_inherited() {
        let inherited = [("PATH", "/bin"), ("APP_A", "1"), ("APP_B", "2"), ("AWS_SECRET", "x")];
        let names = |lines: &str| {
            let env = environment(&inherited, lines).unwrap();
            env.into_keys().filter(|key| inherited.iter().any(|(name, _)| name == key)).collect::<Vec<_>>()
        };
        assert_eq!(names(""), ["APP_A", "APP_B", "AWS_SECRET", "PATH"]);
        assert_eq!(names("inherit_env = true").len(), 4);
        assert_eq!(names("inherit_env = false"), [""; 0]);
        assert_eq!(names("inherit_env = ['PATH', 'APP_*']"), ["APP_A", "APP_B", "PATH"]);
        let given = environment(&inherited, "inherit_env = { APP_A = '7', B = 'x' }\nenv = { B = 'y' }").unwrap();
        let told = |name: &str| given.get(name).map(String::as_str);
        assert_eq!([told("APP_A"), told("B"), told("PATH")], [Some("7"), Some("y"), None], "the app has the last word");
    }

    #[test]
    fn the_number_of_a_worker_can_have_another_name_and_another_start() {
        let lines = "instance_var = 'APP_ID'\nincrement_var = 'METRICS'\nenv = { METRICS = '9100' }";
        let env = environment(&[("NODE_APP_INSTANCE", "9")], lines).unwrap();
        assert_eq!((env["APP_ID"].as_str(), env["METRICS"].as_str()), ("2", "9102"));
        assert!(!env.contains_key("NODE_APP_INSTANCE"));
        let from_outside = environment(&[("METRICS", "7")], "increment_var = 'METRICS'").unwrap();
        assert_eq!(from_outside["METRICS"], "9");
        for base in [vec![], vec![("METRICS", "x")], vec![("METRICS", "9223372036854775807")]] {
            let error = environment(&base, "increment_var = 'METRICS'").unwrap_err();
            assert!(error.contains("increment_var METRICS"), "{error}");
        }
    }

    #[test]
    fn a_worker_is_told_of_its_own_channel_and_of_no_other() {
        let inherited = [("NODE_CHANNEL_FD".into(), "9".into())];
        let (environment, values) = (parsed(""), Values::default());
        let sources = Sources { inherited: &inherited, environment: &environment, values: &values, identity: None };
        let told =
            |kit| of(&sources, &worker(1, 0), kit).unwrap().into_iter().find(|(key, _)| key == "NODE_CHANNEL_FD");
        assert_eq!(told(vec![("NODE_CHANNEL_FD", "3".into())]), Some(("NODE_CHANNEL_FD".into(), "3".into())));
        assert_eq!(told(Vec::new()), None);
    }
}
