//! What one generation of an app runs: its settings, with program, directory and user looked up once.
//!
//! A release directory is often a symlink that a deploy moves; all workers of a generation, also those restarted later,
//! run what it pointed to when the generation began. Does not start anything.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{App, Bounds, CREDENTIALS, Command, Program, Values};
use crate::id::AppName;
use crate::sys::spawn::{self, Identity};

/// The settings of one generation.
#[derive(Clone, Debug)]
pub(super) struct Release {
    pub(super) app: Arc<App>,
    resolved: Option<Resolved>,
}

/// What was looked up.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resolved {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) directory: PathBuf,
    pub(super) identity: Option<Identity>,
    /// The app's variables, as its files and secrets were.
    pub(super) values: Values,
}

impl Release {
    pub(super) fn new(app: Arc<App>) -> Self {
        Self { app, resolved: None }
    }

    /// Does it run the same, from the same place?
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.app == other.app && self.resolved == other.resolved
    }

    /// What was looked up, once it was.
    pub(super) fn resolved(&self) -> Option<&Resolved> {
        self.resolved.as_ref()
    }

    /// Do its workers run as somebody else than we do?
    pub(super) fn is_another_user(&self) -> bool {
        self.resolved.as_ref().is_some_and(|resolved| resolved.identity.is_some()) || self.wants_another_user()
    }

    fn wants_another_user(&self) -> bool {
        let crate::config::Server::Command(command) = &self.app.server else { return false };
        let Bounds { user, group, groups, .. } = &command.bounds;
        self.resolved.is_none() && (user.is_some() || group.is_some() || !groups.is_empty())
    }

    /// Looks everything up at the first call and gives the same answer from then on; a failure is tried anew. `outside`
    /// is our own environment.
    ///
    /// # Errors
    /// A sentence that names the step that failed.
    pub(super) fn resolve(&mut self, command: &Command, outside: &[(OsString, OsString)]) -> Result<&Resolved, String> {
        let resolved = match self.resolved.take() {
            Some(resolved) => resolved,
            None => look_up(&self.app.name, command, outside)?,
        };
        Ok(self.resolved.insert(resolved))
    }
}

fn look_up(app: &AppName, command: &Command, outside: &[(OsString, OsString)]) -> Result<Resolved, String> {
    let variable = |name: &str| outside.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str());
    let directory = std::fs::canonicalize(&command.directory)
        .map_err(|error| format!("directory {}: {error}", command.directory.display()))?;
    let (values, remarks) = command.environment.read(variable(CREDENTIALS).map(Path::new))?;
    for remark in remarks {
        tracing::warn!(%app, "{remark}");
    }
    let inherited = || command.environment.inherit.given_value("PATH").or_else(|| variable("PATH"));
    let path = values.get("PATH").or_else(inherited).unwrap_or_default();
    let (program, args) = match &command.program {
        Program::Direct(words) => (find(&words[0], path, &directory)?, words.iter().map(OsString::from).collect()),
        Program::Shell(line) => (PathBuf::from("/bin/sh"), ["sh", "-c", line].map(OsString::from).to_vec()),
    };
    let identity = identity(&command.bounds)?;
    Ok(Resolved { program, args, directory, identity, values })
}

/// Whom the workers run as; `None`: as we do.
pub(super) fn identity(bounds: &Bounds) -> Result<Option<Identity>, String> {
    let Bounds { user, group, groups, .. } = bounds;
    if user.is_none() && group.is_none() && groups.is_empty() {
        return Ok(None);
    }
    let mut identity = match user {
        Some(user) => spawn::identity(user).map_err(|error| format!("user {user}: {error}"))?,
        None => spawn::ourselves().map_err(|error| format!("our own user: {error}"))?,
    };
    if let Some(group) = group {
        identity = identity.with_group(group).map_err(|error| format!("group {group}: {error}"))?;
    }
    for group in groups {
        identity = identity.with_extra_group(group).map_err(|error| format!("groups, {group}: {error}"))?;
    }
    Ok(Some(identity))
}

fn find(name: &str, path: &OsStr, directory: &Path) -> Result<PathBuf, String> {
    spawn::find_program(name, path, directory).map_err(|error| format!("program {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(directory: &Path, words: &[&str]) -> Command {
        Command {
            program: Program::Direct(words.iter().map(ToString::to_string).collect()),
            directory: directory.to_owned(),
            ..defaults()
        }
    }

    fn parsed() -> App {
        let text = "[app.web]\ncommand = 'true'\n";
        let mut config = crate::config::parse(text, Path::new("/portreeve.toml")).unwrap().config;
        config.apps.pop_first().unwrap().1
    }

    fn defaults() -> Command {
        let crate::config::Server::Command(command) = parsed().server else { panic!("it has a command") };
        *command
    }

    fn app(command: Command) -> Arc<App> {
        let mut app = parsed();
        app.server = crate::config::Server::Command(Box::new(command));
        Arc::new(app)
    }

    fn outside() -> [(OsString, OsString); 1] {
        [("PATH".into(), "/usr/bin:/bin".into())]
    }

    #[test]
    fn a_release_symlink_is_resolved_once() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        std::fs::create_dir(&one).unwrap();
        std::fs::create_dir(&two).unwrap();
        let current = folder.path().join("current");
        std::os::unix::fs::symlink(&one, &current).unwrap();
        let command = command(&current, &["true"]);
        let mut release = Release::new(app(command.clone()));
        let outside = outside();
        assert_eq!(release.resolve(&command, &outside).unwrap().directory, one.canonicalize().unwrap());
        std::fs::remove_file(&current).unwrap();
        std::os::unix::fs::symlink(&two, &current).unwrap();
        assert_eq!(release.resolve(&command, &outside).unwrap().directory, one.canonicalize().unwrap());
    }

    #[test]
    fn a_failed_look_up_names_its_step() {
        let folder = tempfile::tempdir().unwrap();
        let outside = outside();
        let command_in = |words: &[&str]| command(folder.path(), words);
        let look_up = |command: Command| look_up(&"web".parse().unwrap(), &command, &outside).unwrap_err();
        assert!(look_up(command_in(&["no-such-program"])).starts_with("program no-such-program: "));
        assert!(look_up(command(Path::new("/no/such"), &["true"])).starts_with("directory /no/such: "));
        let gone = crate::config::EnvFile { path: "/no/such.env".into(), optional: false };
        let mut without_file = command_in(&["true"]);
        without_file.environment.files.push(gone);
        assert!(look_up(without_file).starts_with("env_file /no/such.env: "));
        let bound = |bounds: Bounds| Command { bounds, ..command_in(&["true"]) };
        let stranger = Bounds { user: Some("no-such-user".into()), ..Bounds::default() };
        assert!(look_up(bound(stranger)).starts_with("user no-such-user: "));
        let group = Bounds { group: Some("no-such-group".into()), ..Bounds::default() };
        assert!(look_up(bound(group)).starts_with("group no-such-group: "));
        let groups = Bounds { groups: vec!["0".into(), "no-such-group".into()], ..Bounds::default() };
        assert!(look_up(bound(groups)).starts_with("groups, no-such-group: "));
    }
}
