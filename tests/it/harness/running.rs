//! A portreeve at work: what a test can ask of it and do to it.
//!
//! Its end, and what must hold then, is in [`ending`](super::ending).

use std::fs;
use std::path::PathBuf;
use std::process::Child;

use http::Method;
use tempfile::TempDir;
use toml::{Table, Value};

use super::admin::{Reloaded, Status, Worker};
use super::app::Site;
use super::binaries;
use super::builder::{isolated, set};
use super::client::{Failure, Reply, Target, request};
use super::ending::End;
use super::exposition::Exposition;
use super::ledger::Ledger;
use super::notify::Notices;
use super::output::Output;
use super::poll::{SOON, until};
use super::process;
use super::tls::Certificate;

/// What the builder hands over.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) folder: TempDir,
    pub(super) settings: Table,
    pub(super) ledger: Ledger,
    pub(super) certificate: Option<Certificate>,
    pub(super) notices: Option<Notices>,
    /// `NAME=value` in the environment of every process of the run.
    pub(super) mark: String,
}

/// The supervisor and all below it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(super) child: Child,
    pub(super) parts: Parts,
    pub(super) end: End,
}

/// Output of a command.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    /// Standard output, then standard error.
    pub(crate) text: String,
    pub(crate) stdout: String,
}

impl Running {
    pub(super) fn new(child: Child, parts: Parts) -> Self {
        Self { child, parts, end: End::default() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.parts.ledger
    }

    pub(crate) fn output(&self) -> Output {
        Output::new(self.parts.folder.path())
    }

    /// What it tells its service manager.
    pub(crate) fn notices(&self) -> &Notices {
        self.parts.notices.as_ref().expect("it was built with managed()")
    }

    /// The folder of a scripted worker's app.
    pub(crate) fn site(&self, app: &str) -> Site {
        Site::new(self.parts.folder.path().join(app))
    }

    // --- its public face ---

    /// The plain listener.
    #[track_caller]
    pub(crate) fn http(&self) -> Target {
        Target::Plain(self.status().listener(false))
    }

    /// The TLS listener, speaking HTTP/1.1.
    #[track_caller]
    pub(crate) fn https(&self) -> Target {
        Target::Tls(self.status().listener(true), self.certificate().client(&["http/1.1"]))
    }

    /// The TLS listener, speaking HTTP/2.
    #[track_caller]
    pub(crate) fn h2(&self) -> Target {
        Target::Http2(self.status().listener(true), self.certificate().client(&["h2"]))
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        self.parts.certificate.as_ref().expect("it was built with https()")
    }

    /// `GET`s from the plain listener.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.http().get(path)
    }

    /// `GET`s from the listener of metrics and health.
    #[track_caller]
    pub(crate) fn get_metrics(&self, path: &str) -> Reply {
        Target::Plain(self.status().metrics.expect("metrics are switched on")).get(path)
    }

    #[track_caller]
    pub(crate) fn metrics(&self) -> Exposition {
        let reply = self.get_metrics("/metrics");
        Exposition::parse(reply.text()).unwrap_or_else(|fault| panic!("{fault} in\n{}", reply.text()))
    }

    /// Waits until so many exchanges are in flight to an app.
    #[track_caller]
    pub(crate) fn in_flight(&self, app: &str, count: f64) {
        self.gauge("portreeve_inflight", app, count);
    }

    /// Waits until so many requests are held for an app.
    #[track_caller]
    pub(crate) fn held(&self, app: &str, count: f64) {
        self.gauge("portreeve_held_requests", app, count);
    }

    #[track_caller]
    fn gauge(&self, name: &str, app: &str, wanted: f64) {
        until(SOON, &format!("{name} of {app} is {wanted}"), || {
            let value = self.metrics().value(name, &[("app", app)]).unwrap_or(0.0);
            (value.to_bits() == wanted.to_bits()).then_some(())
        });
    }

    // --- orders and answers ---

    /// Asks on the admin socket.
    pub(crate) fn admin(&self, method: Method, path: &str) -> Result<Reply, Failure> {
        Target::Unix(self.parts.folder.path().join("admin.sock")).send(request(method, path, ""))
    }

    pub(crate) fn try_status(&self) -> Result<Status, Failure> {
        let reply = self.admin(Method::GET, "/v1/status")?.ok()?;
        serde_json::from_slice(&reply.body).map_err(|error| Failure::Wrong(format!("{error}: {}", reply.text())))
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Status {
        self.try_status().unwrap_or_else(|failure| panic!("status: {failure}"))
    }

    /// Reloads everything; returns when that has ended.
    #[track_caller]
    pub(crate) fn reload(&self) -> Reloaded {
        let reply = self.admin(Method::POST, "/v1/reload").and_then(Reply::ok);
        let reply = reply.unwrap_or_else(|failure| panic!("reload: {failure}"));
        serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", reply.text()))
    }

    /// Reloads everything and returns the generation that is live now; panics when it is not a new one.
    #[track_caller]
    pub(crate) fn reload_live(&self) -> u64 {
        let reloaded = self.reload();
        let [app] = &reloaded.apps[..] else { panic!("not one app: {reloaded:?}") };
        assert_eq!(app.outcome, "live", "{reloaded:?}");
        app.generation.expect("a live generation has a number")
    }

    /// Runs a verb of the command line, with this run's configuration.
    #[track_caller]
    pub(crate) fn cli(&self, words: &[&str]) -> Said {
        said(&mut self.command(words))
    }

    /// A verb of the command line, with this run's configuration.
    pub(crate) fn command(&self, words: &[&str]) -> std::process::Command {
        let mut command = isolated(binaries::portreeve());
        command.args(words).arg("-c").arg(self.config());
        command
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.parts.folder.path().join("portreeve.toml")
    }

    /// Runs a verb of the command line that finds this run by its socket alone.
    #[track_caller]
    pub(crate) fn cli_by_socket(&self, words: &[&str]) -> Said {
        let mut command = isolated(binaries::portreeve());
        command.args(words).arg("--socket").arg(self.socket());
        said(&mut command)
    }

    /// The admin socket.
    pub(crate) fn socket(&self) -> std::path::PathBuf {
        self.parts.folder.path().join("admin.sock")
    }

    /// Changes the configuration file: sets `table.key`.
    pub(crate) fn configure(&mut self, name: &str, value: impl Into<Value>) {
        set(&mut self.parts.settings, name, value.into());
        self.write_config(&self.parts.settings.to_string());
    }

    /// Takes an app out of the configuration file, and returns its table.
    pub(crate) fn unconfigure(&mut self, app: &str) -> Value {
        let apps = self.parts.settings.get_mut("app").and_then(Value::as_table_mut).expect("there are apps");
        let table = apps.remove(app).expect("there is such an app");
        self.write_config(&self.parts.settings.to_string());
        table
    }

    /// Replaces the configuration file by this text.
    pub(crate) fn write_config(&self, text: &str) {
        let path = self.parts.folder.path().join("portreeve.toml");
        fs::write(path, text).expect("the configuration can be written");
    }

    /// Waits until exactly so many workers of an app serve, all of one generation; returns them by slot.
    #[track_caller]
    pub(crate) fn serving(&self, app: &str, count: usize) -> Vec<Worker> {
        until(SOON, &format!("{count} workers of {app} serve"), || {
            let status = self.try_status().ok()?;
            let app = status.app(app);
            let serving: Vec<Worker> = app.serving().into_iter().cloned().collect();
            let current = serving.iter().all(|worker| Some(worker.generation) == app.generation);
            (serving.len() == count && current).then_some(serving)
        })
    }

    /// Pids of the serving workers of an app, by slot.
    #[track_caller]
    pub(crate) fn pids(&self, app: &str, count: usize) -> Vec<u32> {
        self.serving(app, count).iter().map(|worker| worker.pid.expect("a serving worker has a pid")).collect()
    }

    /// Waits for the one serving proxy; returns its pid.
    #[track_caller]
    pub(crate) fn proxy(&self) -> u32 {
        until(SOON, "one proxy serves", || self.try_status().ok()?.serving_proxy())
    }

    /// Waits for the one serving proxy that comes after this one; returns its pid.
    #[track_caller]
    pub(crate) fn proxy_after(&self, dead: u32) -> u32 {
        until(SOON, "another proxy serves", || self.try_status().ok()?.serving_proxy().filter(|pid| *pid != dead))
    }

    /// Kills the proxy, and returns its pid once it is gone.
    #[track_caller]
    pub(crate) fn kill_proxy(&self) -> u32 {
        let pid = self.proxy();
        process::kill(pid);
        pid
    }
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn said(command: &mut std::process::Command) -> Said {
    let output = command.output().expect("the command can be started");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
    Said { code: output.status.code().expect("the command is not killed"), text, stdout }
}
