//! Where an instance of portreeve lives when no file says so: its list of apps, its logs, its admin socket.
//!
//! One instance a home. The supervisor and the verbs that speak to it both ask here, so they meet; nothing is made.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folders of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    state: PathBuf,
    socket: PathBuf,
}

/// What the environment says of homes.
#[derive(Clone, Debug, Default)]
struct Surroundings {
    user: u32,
    /// `PORTREEVE_HOME`.
    home: Option<OsString>,
    /// `XDG_STATE_HOME`.
    state: Option<OsString>,
    /// `XDG_RUNTIME_DIR`.
    runtime: Option<OsString>,
    /// `HOME`.
    person: Option<OsString>,
}

impl Home {
    /// The home of whoever asks: `$PORTREEVE_HOME`; for root `/var/lib/portreeve` and `/run/portreeve`; for others
    /// `portreeve` in `$XDG_STATE_HOME` (or `~/.local/state`), with the socket in `$XDG_RUNTIME_DIR`.
    #[must_use]
    pub fn find() -> Self {
        // The owner of /proc/self is the effective user (proc_pid(5)); without /proc there is no telling.
        let user = fs::metadata("/proc/self").map_or(u32::MAX, |itself| itself.uid());
        let [home, state, runtime, person] =
            ["PORTREEVE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "HOME"].map(env::var_os);
        Self::of(Surroundings { user, home, state, runtime, person })
    }

    /// Root comes before the runtime directory: a login shell of root has one, the service has none, and both must meet.
    fn of(around: Surroundings) -> Self {
        let absolute = |variable: Option<OsString>| variable.map(PathBuf::from).filter(|path| path.is_absolute());
        if let Some(home) = around.home.filter(|home| !home.is_empty()) {
            let state = std::path::absolute(&home).unwrap_or_else(|_| home.into());
            return Self { socket: state.join("portreeve.sock"), state };
        }
        if around.user == 0 {
            return Self { state: "/var/lib/portreeve".into(), socket: "/run/portreeve/portreeve.sock".into() };
        }
        let runtime = absolute(around.runtime);
        let folder = runtime.unwrap_or_else(|| format!("/tmp/portreeve-{}", around.user).into());
        let state = absolute(around.state).or_else(|| Some(absolute(around.person)?.join(".local/state")));
        let state = state.map_or_else(|| folder.clone(), |state| state.join("portreeve"));
        Self { state, socket: folder.join("portreeve.sock") }
    }

    /// Where a supervisor keeps what is to outlive it: the service manager's folder for that (`STATE_DIRECTORY`,
    /// systemd.exec(5)), else the home of whoever asks.
    #[must_use]
    pub fn state_folder() -> PathBuf {
        let given = env::var_os("STATE_DIRECTORY");
        let first = given.as_ref().and_then(|folders| env::split_paths(folders).next());
        first.filter(|folder| folder.is_absolute()).unwrap_or_else(|| Self::find().state)
    }

    /// Where it takes orders.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.state
    }

    /// The apps that `portreeve start` was given: a configuration that portreeve itself edits.
    #[must_use]
    pub fn list(&self) -> PathBuf {
        self.state.join("apps.toml")
    }

    /// What a supervisor in the background writes about itself.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state.join("portreeve.log")
    }

    /// Where an app's output goes, unless it says otherwise.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }
}

/// The admin socket of whoever asks, when the file does not name one.
#[must_use]
pub fn admin_socket() -> PathBuf {
    Home::find().socket
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(user: u32, variables: [Option<&str>; 4]) -> (String, String) {
        let [home, state, runtime, person] = variables.map(|variable| variable.map(OsString::from));
        let home = Home::of(Surroundings { user, home, state, runtime, person });
        (home.state.display().to_string(), home.socket.display().to_string())
    }

    fn pair(state: &str, socket: &str) -> (String, String) {
        (state.to_owned(), socket.to_owned())
    }

    #[test]
    fn a_home_depends_on_who_asks() {
        let run = Some("/run/user/7");
        let ann = Some("/home/ann");
        let root = pair("/var/lib/portreeve", "/run/portreeve/portreeve.sock");
        assert_eq!(home(0, [None, None, run, ann]), root);
        assert_eq!(home(0, [None; 4]), root);
        let state = "/home/ann/.local/state/portreeve";
        assert_eq!(home(7, [None, None, run, ann]), pair(state, "/run/user/7/portreeve.sock"));
        assert_eq!(home(7, [None, None, Some("relative"), ann]), pair(state, "/tmp/portreeve-7/portreeve.sock"));
        assert_eq!(home(7, [None, Some("/s"), run, ann]), pair("/s/portreeve", "/run/user/7/portreeve.sock"));
        assert_eq!(home(7, [None, None, run, None]), pair("/run/user/7", "/run/user/7/portreeve.sock"));
    }

    #[test]
    fn a_home_that_is_named_has_everything_in_it() {
        for user in [0, 7] {
            let named = home(user, [Some("/srv/p"), Some("/s"), Some("/r"), Some("/h")]);
            assert_eq!(named, pair("/srv/p", "/srv/p/portreeve.sock"));
        }
        assert_eq!(home(0, [Some(""), None, None, None]).0, "/var/lib/portreeve");
    }
}
