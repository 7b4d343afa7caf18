//! Every value that holds, and where it is from: the file, a file of variables, a profile, or nobody has said it.
//!
//! Defaults are read off the commented reference, of which tests compare each with the reader. Invariant: what may be a secret
//! is not shown.

use super::masked::{HIDDEN, looks_secret};
use super::{App, Command, Loaded, Said, Server, bounds, reference, worker};

/// A value that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Dotted, from the top of the file on.
    pub key: String,
    /// As TOML.
    pub value: String,
    pub origin: Origin,
}

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// This line of the configuration.
    File(usize),
    /// The line of it, in the chosen profile.
    Profile(usize),
    /// A file of variables.
    EnvFile(String),
}

/// Everything that a configuration comes to, in the order of its keys.
#[must_use]
pub fn shown(loaded: &Loaded) -> Vec<Shown> {
    let defaults = reference::defaults();
    let of_sections = defaults.iter().filter(|(key, _)| !key.starts_with("app."));
    let mut all: Vec<Shown> = of_sections.filter_map(|(key, value)| default(&loaded.said, key, key, value)).collect();
    let socket = loaded.config.admin.socket.display();
    all.extend(default(&loaded.said, "admin.socket", "admin.socket", &format!("{socket:?}")));
    for app in loaded.config.apps.values() {
        let of_app = defaults.iter().filter_map(|(key, value)| Some((key.strip_prefix("app.web.")?, value)));
        let of_app = of_app.filter(|(key, _)| means_something(app, key));
        let prefix = format!("app.{}", app.name);
        all.extend(of_app.filter_map(|(key, value)| default(&app.said, key, &format!("{prefix}.{key}"), value)));
        if let Server::Command(command) = &app.server {
            all.extend(of_env_files(command, &app.said, loaded.config.profile.as_deref(), &prefix));
        }
    }
    let profile = loaded.config.profile.as_deref();
    all.extend(loaded.said.iter().filter_map(|(key, saying)| {
        let origin = match variable(key, profile) {
            Variable::Chosen => Origin::Profile(saying.line),
            // Another one holds.
            Variable::Plain(name) if is_covered(&loaded.said, key, &name, profile) => return None,
            Variable::Plain(_) | Variable::None => Origin::File(saying.line),
        };
        Some(Shown { key: key.to_owned(), value: saying.value().to_owned(), origin })
    }));
    all.sort_by(|one, other| one.key.cmp(&other.key));
    all
}

/// A default that holds, because nothing else is said.
fn default(said: &Said, key: &str, full: &str, value: &str) -> Option<Shown> {
    let is_said = said.iter().any(|(other, _)| {
        other == key
            || other.strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', '[']))
            // What is said in short stands for the table, but for the one that only says its first key in short.
            || key.strip_prefix(other).is_some_and(|rest| rest.starts_with('.') && (other != "restart" || rest == ".policy"))
    });
    let is_other_question = matches!(key, "ready.tcp") && said.get("ready.http").is_some();
    (!is_said && !is_other_question).then(|| Shown {
        key: full.to_owned(),
        value: value.to_owned(),
        origin: Origin::Default,
    })
}

/// Is the key about what an app has: workers, or servers that something else runs?
fn means_something(app: &App, key: &str) -> bool {
    let first = key.split('.').next().unwrap_or(key);
    if !app.kind.has_default(first) {
        return false;
    }
    matches!(app.server, Server::Command(_))
        || first == "depends_on"
        || !(worker::KEYS.contains(&first) || bounds::KEYS.contains(&first) || matches!(first, "live" | "command"))
}

/// What a key says of a variable.
enum Variable {
    None,
    /// In the table of the app itself.
    Plain(String),
    /// In the profile that was chosen.
    Chosen,
}

fn variable(key: &str, profile: Option<&str>) -> Variable {
    let parts: Vec<&str> = key.split('.').collect();
    match parts[..] {
        ["app", _, "env", name] => Variable::Plain(name.to_owned()),
        ["app", _, "env", chosen, _] if Some(chosen) == profile => Variable::Chosen,
        _ => Variable::None,
    }
}

/// Does the profile say it too?
fn is_covered(said: &Said, key: &str, name: &str, profile: Option<&str>) -> bool {
    let table = key.strip_suffix(name).unwrap_or(key);
    profile.is_some_and(|profile| said.get(&format!("{table}{profile}.{name}")).is_some())
}

/// The variables of the files that nothing else sets; of a file that cannot be read, why.
fn of_env_files(command: &Command, said: &Said, profile: Option<&str>, prefix: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    for file in &command.environment.files {
        let origin = Origin::EnvFile(file.path.display().to_string());
        let variables = file.read(&mut Vec::new()).unwrap_or_else(|reason| vec![("?".to_owned(), reason)]);
        for (name, value) in variables {
            let is_said = said.get(&format!("env.{name}")).is_some()
                || profile.is_some_and(|profile| said.get(&format!("env.{profile}.{name}")).is_some());
            let key = format!("{prefix}.env.{name}");
            found.retain(|earlier| earlier.key != key);
            if !is_said {
                let value = if looks_secret(&name, &value) { HIDDEN.to_owned() } else { format!("{value:?}") };
                found.push(Shown { key, value, origin: origin.clone() });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::good;
    use super::*;

    fn find<'a>(all: &'a [Shown], key: &str) -> Option<&'a Shown> {
        all.iter().find(|shown| shown.key == key)
    }

    #[test]
    fn what_is_said_is_from_its_line_and_all_else_is_a_default() {
        let text = "[app.web]\ncommand = 'x'\nworkers = 3\nrestart = 'on-failure'\nready = { http = '/up' }\n\
                    [app.web.env]\nDB_PASSWORD = 'x'\nLEVEL = 'info'\n[app.api]\nupstream = '127.0.0.1:1'\npath = '/api'\n";
        let all = shown(&good(text));
        let told = |key: &str| find(&all, key).map(|shown| (shown.value.as_str(), shown.origin.clone()));
        assert_eq!(told("app.web.workers"), Some(("3", Origin::File(3))));
        assert_eq!(told("app.web.env.DB_PASSWORD"), Some((HIDDEN, Origin::File(7))));
        assert_eq!(told("app.web.kill_timeout"), Some(("\"10s\"", Origin::Default)));
        assert_eq!(told("app.web.restart"), Some(("'on-failure'", Origin::File(4))));
        assert_eq!((told("app.web.restart.policy"), told("app.web.ready.tcp")), (None, None));
        assert_eq!(told("app.web.restart.backoff_max"), Some(("\"30s\"", Origin::Default)));
        assert_eq!(told("limits.connections"), Some(("10000", Origin::Default)));
        assert_eq!((told("app.api.workers"), told("app.api.memory.interval")), (None, None));
        assert_eq!(told("app.api.connect_timeout"), Some(("\"1s\"", Origin::Default)));
        assert!(told("admin.socket").is_some());
    }

    #[test]
    fn a_variable_is_from_whoever_has_the_last_word() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "A=file\nB=file\nC=file\nAPI_TOKEN=x\n").unwrap();
        let path = folder.path().join("portreeve.toml");
        std::fs::write(
            &path,
            "[app.web]\ncommand = 'x'\nenv_file = '.env'\n[app.web.env]\nB = 'env'\nC = 'env'\n[app.web.env.production]\nC = 'p'\n",
        )
        .unwrap();
        let all = shown(&super::super::load_with(&path, Some("production")).unwrap());
        let told = |key: &str| find(&all, key).map(|shown| (shown.value.as_str(), shown.origin.clone()));
        let file = Origin::EnvFile(folder.path().join(".env").display().to_string());
        assert_eq!(told("app.web.env.A"), Some(("\"file\"", file.clone())));
        assert_eq!(told("app.web.env.API_TOKEN"), Some((HIDDEN, file)));
        assert_eq!(told("app.web.env.B"), Some(("'env'", Origin::File(5))));
        assert_eq!(
            (told("app.web.env.C"), told("app.web.env.production.C")),
            (None, Some(("'p'", Origin::Profile(8))))
        );
    }
}
