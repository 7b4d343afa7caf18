//! Describes a portreeve and starts it.
//!
//! Everything happens in a new folder: configuration, certificate, admin socket, apps, output. Addresses are loopback with
//! port 0 unless a test says otherwise. Every process of a run carries the folder's name in its environment.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use toml::{Table, Value};

use super::app::{App, Site};
use super::binaries;
use super::ledger::Ledger;
use super::notify::Notices;
use super::poll::{SOON, until};
use super::running::{Parts, Running};
use super::tls::Certificate;

/// Name of the variable that marks every process of a run.
pub(super) const MARK: &str = "PORTREEVE_TEST_RUN";

/// A portreeve to be started.
#[derive(Debug)]
pub(crate) struct Portreeve {
    folder: TempDir,
    settings: Table,
    apps: Vec<(String, App)>,
    certificate: Option<Certificate>,
    notices: Option<Notices>,
    launcher: Vec<String>,
    /// `NAME=VALUE`, of portreeve itself.
    variables: Vec<String>,
    /// Whether there is to be a keeper, if that is said.
    keeping: Option<&'static str>,
}

impl Portreeve {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("portreeve-it-").tempdir().expect("a folder can be made");
        // Workers may run as another user, and must find their programs.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our own folder can be opened");
        let new = Self {
            settings: Table::new(),
            apps: Vec::new(),
            certificate: None,
            notices: None,
            launcher: Vec::new(),
            variables: Vec::new(),
            keeping: None,
            folder,
        };
        let socket = new.path().join("admin.sock").display().to_string();
        new.set("listen.http", "127.0.0.1:0").set("metrics.listen", "127.0.0.1:0").set("admin.socket", socket)
    }

    /// The folder of this run.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn app(mut self, name: &str, app: App) -> Self {
        self.apps.push((name.to_owned(), app));
        self
    }

    /// Sets `table.key`.
    pub(crate) fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.settings, name, value.into());
        self
    }

    /// Listens for TLS as well, with a certificate of its own.
    pub(crate) fn https(self) -> Self {
        self.https_on("127.0.0.1:0")
    }

    /// Listens for TLS as well, on this address.
    pub(crate) fn https_on(mut self, address: &str) -> Self {
        let certificate = Certificate::create(self.path());
        let [cert, key] = [&certificate.cert, &certificate.key].map(|path| path.display().to_string());
        self.certificate = Some(certificate);
        self.set("listen.https", address).set("tls.cert", cert).set("tls.key", key)
    }

    /// Gives it a service manager to report to.
    pub(crate) fn managed(mut self) -> Self {
        self.notices = Some(Notices::bind(self.path().join("notify.sock")));
        self
    }

    /// Gives portreeve itself this variable.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push(format!("{name}={value}"));
        self
    }

    /// Starts it with a keeper above the supervisor.
    pub(crate) fn kept(mut self) -> Self {
        self.keeping = Some("--keep");
        self
    }

    /// Starts it without one.
    pub(crate) fn unkept(mut self) -> Self {
        self.keeping = Some("--no-keep");
        self
    }

    /// Starts it by way of another program, which is to `exec` the rest of its command line.
    pub(crate) fn launched_by(mut self, words: &[String]) -> Self {
        self.launcher = words.to_vec();
        self
    }

    /// Starts it; returns when every app has all its workers serving.
    #[track_caller]
    pub(crate) fn start(self) -> Running {
        let expected: Vec<_> = self.apps.iter().map(|(name, app)| (name.clone(), app.expected())).collect();
        let running = self.launch();
        for (name, count) in expected {
            running.serving(&name, count);
        }
        running
    }

    /// Starts it; returns when its admin socket answers.
    #[track_caller]
    pub(crate) fn launch(self) -> Running {
        let running = self.spawn();
        until(SOON, "the admin socket answers", || {
            assert!(!running.has_ended(), "portreeve ended at once:\n{}", running.output().stderr());
            running.try_status().ok().map(|_| ())
        });
        running
    }

    /// Starts it and returns at once.
    #[track_caller]
    pub(crate) fn spawn(self) -> Running {
        let config = self.path().join("portreeve.toml");
        let ledger = Ledger::create(self.path().join("ledger"));
        let settings = self.install(&ledger);
        fs::write(&config, settings.to_string()).expect("the configuration can be written");
        let words: Vec<_> = ["run", "-c", "portreeve.toml"].into_iter().chain(self.keeping).collect();
        self.spawn_verb(&words, settings, ledger)
    }

    /// Starts `portreeve demo` instead, with nothing configured.
    #[track_caller]
    pub(crate) fn demo() -> Running {
        let new = Self::new();
        let ledger = Ledger::create(new.path().join("ledger"));
        new.spawn_verb(&["demo"], Table::new(), ledger)
    }

    fn spawn_verb(self, words: &[&str], settings: Table, ledger: Ledger) -> Running {
        let mark = format!("{MARK}={}", self.path().display());
        let mut command = self.command(&mark);
        command.args(words).current_dir(self.path()).env("XDG_RUNTIME_DIR", self.path());
        command.stdin(Stdio::null());
        command.stdout(File::create(self.path().join("stdout")).expect("a file can be made"));
        command.stderr(File::create(self.path().join("stderr")).expect("a file can be made"));
        let child = command.spawn().expect("the program can be started");
        let Self { folder, certificate, notices, .. } = self;
        Running::new(child, Parts { folder, settings, ledger, certificate, notices, mark })
    }

    fn install(&self, ledger: &Ledger) -> Table {
        let mut settings = self.settings.clone();
        for (name, app) in &self.apps {
            let table = app.install(&Site::new(self.path().join(name)), ledger);
            set(&mut settings, &format!("app.{name}"), table.into());
        }
        settings
    }

    fn command(&self, mark: &str) -> Command {
        let notify = self.notices.as_ref().map(|notices| format!("NOTIFY_SOCKET={}", notices.path().display()));
        let state = format!("STATE_DIRECTORY={}", self.path().join("state").display());
        let variables: Vec<String> =
            notify.into_iter().chain([mark.to_owned(), state]).chain(self.variables.clone()).collect();
        let Some((launcher, words)) = self.launcher.split_first() else {
            let mut command = isolated(binaries::portreeve());
            command.envs(variables.iter().filter_map(|pair| pair.split_once('=')));
            return command;
        };
        let mut command = isolated(launcher);
        if launcher.ends_with("systemd-socket-activate") {
            // It hands on only what it is told to.
            command.args(variables.iter().flat_map(|pair| ["-E", pair]));
        }
        command.envs(variables.iter().filter_map(|pair| pair.split_once('=')));
        command.args(words).arg(binaries::portreeve());
        command
    }
}

/// A command without what a service manager or a person may have given to the tests themselves.
pub(crate) fn isolated(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    let managers = [
        "STATE_DIRECTORY",
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
    ];
    for name in managers.into_iter().chain(["PORTREEVE_HOME", "NODE_ENV", "PORT", "PORTREEVE_SOCKET", "PORTREEVE_ENV"])
    {
        command.env_remove(name);
    }
    command
}

/// Sets `table.key` (or deeper), making the tables on the way.
pub(super) fn set(settings: &mut Table, name: &str, value: Value) {
    match name.split_once('.') {
        None => drop(settings.insert(name.to_owned(), value)),
        Some((first, rest)) => {
            let table = settings.entry(first).or_insert_with(|| Table::new().into());
            set(table.as_table_mut().expect("the path leads through tables"), rest, value);
        }
    }
}
