//! The settings of an app as they are meant: every key with its value, also those that nobody has written.
//!
//! For people who ask what holds. Values are written as the file would have them; of what looks secret there is only the
//! name. Pure.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use super::masked::{HIDDEN, looks_secret};
use super::{
    Amount, App, BodyBytes, Bounds, Channel, Command, Deploy, Environment, Inherit, Kind, Live, LogFormat, Memory,
    NodeMode, OnDeath, Output, Overlap, Part, Probe, ProbeKind, Program, Readiness, Restart, RestartPolicy,
    SecretSource, Server, Socket, StopSignal, Streams, Trial, deploy, format_duration, format_size,
};

/// What there is not, where something could be.
const NONE: &str = "none";
const OFF: &str = "off";
const UNLIMITED: &str = "unlimited";

/// Keys, dotted as in the file below `[app.NAME]`, with their values.
#[derive(Debug, Default)]
struct Settings(BTreeMap<String, String>);

/// What holds for an app.
#[must_use]
pub fn settings(app: &App) -> BTreeMap<String, String> {
    let mut all = Settings::default();
    all.list("hosts", &app.hosts, "any");
    all.put("path", &app.path);
    all.list("port", &app.ports, NONE);
    all.put("enabled", app.enabled);
    all.list("depends_on", &app.depends_on, NONE);
    match &app.server {
        Server::Command(command) => all.command(command, &app.probe),
        Server::Fixed(addresses) => {
            all.list("upstream", addresses, NONE);
            all.put("ready", probe(&app.probe));
        }
    }
    match &app.watch {
        None => all.put("watch", false),
        Some(watch) => {
            let paths: Vec<_> = watch.paths.iter().map(|path| path.display()).collect();
            all.list("watch.paths", &paths, NONE);
            all.list("watch.ignore", &watch.ignore, NONE);
            all.time("watch.debounce", watch.debounce);
        }
    }
    let forwarding = &app.forwarding;
    all.or("max_inflight", forwarding.max_inflight, UNLIMITED);
    all.put(
        "body_bytes",
        match forwarding.body_bytes {
            BodyBytes::Common => "that of [limits]".to_owned(),
            BodyBytes::Unlimited => UNLIMITED.to_owned(),
            BodyBytes::Most(bytes) => format_size(bytes),
        },
    );
    all.put("hold.requests", forwarding.hold_requests);
    all.time("hold.time", forwarding.hold_time);
    all.or("hold.shed_after", forwarding.shed_after.map(format_duration), OFF);
    all.time("connect_timeout", forwarding.connect_timeout);
    all.or("response_timeout", forwarding.response_timeout.map(format_duration), UNLIMITED);
    all.time("keepalive", forwarding.keepalive);
    all.put("proxy_protocol", forwarding.proxy_protocol);
    all.put("retry.idempotency_key", forwarding.retry_idempotency_key);
    all.put("request_start", forwarding.request_start);
    if let Server::Command(_) = app.server {
        all.streams(forwarding.streams);
    }
    all.0.retain(|key, _| app.kind.has_meaning(key.split('.').next().unwrap_or(key)));
    all.kind(&app.kind);
    all.0
}

/// The words of a command without what looks secret in them: passwords in URLs, and `--token=...`.
#[must_use]
pub fn shown_words(words: &[String]) -> Vec<String> {
    let shown = |word: &String| match word.split_once('=') {
        Some((name, value)) if looks_secret(&name.trim_start_matches('-').replace('-', "_"), value) => {
            format!("{name}={HIDDEN}")
        }
        _ if looks_secret("", word) => HIDDEN.to_owned(),
        _ => word.clone(),
    };
    words.iter().map(shown).collect()
}

impl Settings {
    fn put(&mut self, key: &str, value: impl Display) {
        self.0.insert(key.to_owned(), value.to_string());
    }

    fn time(&mut self, key: &str, value: Duration) {
        self.put(key, format_duration(value));
    }

    /// `otherwise`: what is said where there is none.
    fn or(&mut self, key: &str, value: Option<impl Display>, otherwise: &str) {
        self.put(key, value.map_or_else(|| otherwise.to_owned(), |value| value.to_string()));
    }

    fn list(&mut self, key: &str, values: &[impl Display], otherwise: &str) {
        let values: Vec<_> = values.iter().map(ToString::to_string).collect();
        self.or(key, Some(values.join(", ")).filter(|values| !values.is_empty()), otherwise);
    }

    fn command(&mut self, command: &Command, ready: &Probe) {
        match &command.program {
            Program::Direct(words) => self.put("command", shell_words::join(shown_words(words))),
            Program::Shell(line) => self.put("command", if looks_secret("", line) { HIDDEN } else { line }),
        }
        self.put("shell", matches!(command.program, Program::Shell(_)));
        self.put("directory", command.directory.display());
        self.or("workers", command.workers, "auto");
        self.time("start_timeout", command.timeouts.start);
        self.time("drain_timeout", command.timeouts.drain);
        self.time("kill_timeout", command.timeouts.kill);
        self.or("idle_timeout", command.timeouts.idle.map(format_duration), OFF);
        self.put("stop_signal", signal(command.contract.stop_signal));
        self.list("warmup", &command.deploy.warm.requests, NONE);
        self.time("warmup_timeout", command.deploy.warm.timeout);
        self.time("slow_start", command.deploy.warm.slow_start);
        self.deploy(&command.deploy);
        self.contract(command, ready);
        self.environment(&command.environment);
        self.bounds(&command.bounds);
        self.restart(&command.restart);
        self.live(command.live.as_ref());
        self.or("recycle.max_age", command.recycle.max_age.map(format_duration), NONE);
        self.or("recycle.max_requests", command.recycle.max_requests, NONE);
        self.put("recycle.jitter", format!("{}%", command.recycle.jitter));
        self.or("recycle.schedule", command.recycle.schedule.as_ref(), NONE);
        self.output(&command.output);
    }

    fn streams(&mut self, streams: Streams) {
        let (word, spread) = match streams {
            Streams::Wait => ("wait", None),
            Streams::Notify { spread } => ("notify", Some(spread)),
            Streams::Cut => ("cut", None),
        };
        self.put("streams", word);
        self.or("stream_spread", spread.map(format_duration), NONE);
    }

    fn deploy(&mut self, deploy: &Deploy) {
        let strategy = deploy::STRATEGIES.iter().find(|(_, strategy)| *strategy == deploy.strategy);
        self.or("deploy.strategy", strategy.map(|(name, _)| *name), "auto");
        let part = |part: Part| match part {
            Part::Count(count) => count.to_string(),
            Part::Percent(percent) => format!("{percent}%"),
        };
        self.or("deploy.max_surge", deploy.max_surge.map(part), "auto");
        self.put("deploy.max_unavailable", part(deploy.max_unavailable));
        self.or("deploy.reserve", deploy.reserve.map(amount), "auto");
        self.put("deploy.on_no_room", if deploy.holds { "hold" } else { "refuse" });
        self.time("deploy.progress_deadline", deploy.progress);
        let hook = |program: &Program| match program {
            Program::Direct(words) => shell_words::join(shown_words(words)),
            Program::Shell(line) if looks_secret("", line) => HIDDEN.to_owned(),
            Program::Shell(line) => line.clone(),
        };
        self.or("deploy.pre_promote", deploy.pre_promote.as_ref().map(hook), NONE);
        self.or("deploy.post_promote", deploy.post_promote.as_ref().map(hook), NONE);
        self.time("deploy.hook_timeout", deploy.hook_timeout);
        let Trial { bake, retain, canary, canary_bake } = deploy.trial;
        self.time("deploy.bake", bake);
        self.time("deploy.retain", retain);
        self.or("deploy.canary", canary.map(|share| format!("{}%", f64::from(share) / 100.0)), NONE);
        self.time("deploy.canary_bake", canary_bake);
        self.put("deploy.consistent", deploy.consistent);
    }

    fn kind(&mut self, kind: &Kind) {
        self.put("kind", if kind.is_task() { "task" } else { "web" });
        match kind {
            Kind::Web { .. } => {}
            Kind::Task { overlaps } => self.put("overlap", overlaps),
            Kind::Job(job) => {
                self.put("schedule", &job.schedule);
                let overlap = match job.overlap {
                    Overlap::Skip => "skip",
                    Overlap::Replace => "replace",
                    Overlap::Queue => "queue",
                };
                self.put("overlap", overlap);
                self.or("run_timeout", job.timeout.map(format_duration), UNLIMITED);
            }
        }
    }

    fn contract(&mut self, command: &Command, ready: &Probe) {
        let contract = &command.contract;
        self.put(
            "listen",
            match contract.socket {
                Socket::Port => "port",
                Socket::Inherit => "inherit",
                Socket::Unix => "unix",
                Socket::Absent => NONE,
            },
        );
        self.put("ipc", contract.channel == Channel::Present);
        self.put("notify", contract.notify);
        self.or("watchdog", contract.watchdog.map(format_duration), OFF);
        self.put(
            "ready",
            match contract.ready {
                Readiness::Probe => probe(ready),
                Readiness::Ipc => "ipc".to_owned(),
                Readiness::Listening => "it listens".to_owned(),
                Readiness::Notify => "notify".to_owned(),
                Readiness::Descriptor(number) => format!("fd {number}"),
                Readiness::Lasting(uptime) => format!("uptime {}", format_duration(uptime)),
            },
        );
        self.put(
            "node.mode",
            match contract.node.mode {
                NodeMode::Plain => "plain",
                NodeMode::Cluster => "cluster",
                NodeMode::Preload => "preload",
            },
        );
        self.or("node.port", contract.node.port, NONE);
        self.put("node.disconnect", contract.node.disconnect);
    }

    fn environment(&mut self, environment: &Environment) {
        match &environment.inherit {
            Inherit::All => self.put("inherit_env", true),
            Inherit::Nothing => self.put("inherit_env", false),
            Inherit::Only(names) => self.list("inherit_env", names, NONE),
            // Whoever asks for each finds it with `portreeve env`.
            Inherit::Given(variables) => self.put("inherit_env", format!("{} variables of a shell", variables.len())),
        }
        let files: Vec<_> = environment.files.iter().map(|file| file.path.display().to_string()).collect();
        self.list("env_file", &files, NONE);
        for (name, value) in &environment.variables {
            self.put(&format!("env.{name}"), if looks_secret(name, value) { HIDDEN } else { value });
        }
        for (name, secret) in &environment.secrets {
            self.put(
                &format!("secrets.{name}"),
                match &secret.source {
                    SecretSource::File(path) => format!("{HIDDEN}, from {}", path.display()),
                    SecretSource::Credential(credential) => format!("{HIDDEN}, from the credential {credential}"),
                },
            );
        }
        self.put("instance_var", &environment.instance_var);
        self.or("increment_var", environment.increment_var.as_ref(), NONE);
    }

    fn bounds(&mut self, bounds: &Bounds) {
        self.or("user", bounds.user.as_ref(), "as portreeve");
        self.or("group", bounds.group.as_ref(), "the user's");
        self.list("groups", &bounds.groups, NONE);
        self.or("umask", bounds.umask.map(|mask| format!("{mask:04o}")), "as portreeve");
        self.or("nice", bounds.nice, "as portreeve");
        self.or("oom_score_adj", bounds.oom_score_adj, "as portreeve");
        self.put("no_new_privs", bounds.no_new_privs);
        self.put("on_supervisor_death", if bounds.on_supervisor_death == OnDeath::Stop { "stop" } else { "keep" });
        self.or("cpu", bounds.cpu.map(|thousandths| f64::from(thousandths) / 1000.0), UNLIMITED);
        self.or("cpu_weight", bounds.cpu_weight, "as others");
        let Memory { soft, hard, interval } = &bounds.memory;
        self.or("memory.soft", soft.map(amount), UNLIMITED);
        self.or("memory.hard", hard.map(amount), UNLIMITED);
        self.time("memory.interval", *interval);
        for limit in &bounds.limits {
            let name = super::Limited::ALL.iter().find(|(_, limited)| *limited == limit.limited).map(|(name, _)| *name);
            let told = |bound: Option<u64>| bound.map_or_else(|| UNLIMITED.to_owned(), |bound| bound.to_string());
            let both = format!("{}, may be raised to {}", told(limit.soft), told(limit.hard));
            self.put(&format!("limits.{}", name.unwrap_or_default()), both);
        }
    }

    fn restart(&mut self, restart: &Restart) {
        self.put(
            "restart.policy",
            match restart.policy {
                RestartPolicy::Always => "always",
                RestartPolicy::OnFailure => "on-failure",
                RestartPolicy::Never => "never",
            },
        );
        self.list("restart.stop_exit_codes", &restart.stop_exit_codes.iter().collect::<Vec<_>>(), NONE);
        self.or("restart.delay", restart.delay.map(format_duration), "as backoff says");
        self.time("restart.backoff_min", restart.backoff.min);
        self.time("restart.backoff_max", restart.backoff.max);
        self.time("restart.reset", restart.backoff.reset);
        self.or("restart.intensity", restart.intensity, "twice the workers, no fewer than 5");
        self.time("restart.period", restart.period);
        self.time("restart.retry", restart.retry);
        self.put("restart.give_up", restart.give_up);
    }

    fn live(&mut self, live: Option<&Live>) {
        let Some(live) = live else { return self.put("live", OFF) };
        self.put("live", probe(&live.probe));
        self.or("live.replace_after", live.replace_after.map(format_duration), "never");
        self.or("live.hung_after", live.hung_after.map(format_duration), OFF);
        self.or("live.dump_signal", live.dump_signal.map(signal), NONE);
    }

    fn output(&mut self, output: &Output) {
        for (key, path) in [("log.file", &output.file), ("log.out", &output.out), ("log.err", &output.err)] {
            self.or(key, path.as_ref().map(|path: &PathBuf| path.display()), NONE);
        }
        self.put("log.format", if output.format == LogFormat::Json { "json" } else { "text" });
        self.or("log.time", output.time.as_ref(), OFF);
        self.put("log.per_worker", output.per_worker);
        self.put("log.stdout", output.stdout);
        let Some(rotate) = output.rotate.filter(|_| output.has_files()) else { return self.put("log.rotate", OFF) };
        self.or("log.rotate.size", rotate.size.map(format_size), UNLIMITED);
        self.or("log.rotate.age", rotate.age.map(format_duration), "any");
        self.put("log.rotate.keep", rotate.keep);
        self.put("log.rotate.gzip", rotate.gzip);
    }
}

/// `GET /health every 250ms, answered within 5s, 3 in a row`.
fn probe(probe: &Probe) -> String {
    let what = match &probe.kind {
        ProbeKind::Tcp => "connect".to_owned(),
        ProbeKind::Http { path, host } => format!("GET {path} of {host}"),
    };
    let (interval, timeout) = (format_duration(probe.interval), format_duration(probe.timeout));
    let (successes, failures) = (probe.successes, probe.failures);
    format!("{what} every {interval}, within {timeout}, {successes} in a row; {failures} failures are too many")
}

fn amount(amount: Amount) -> String {
    match amount {
        Amount::Bytes(bytes) => format_size(bytes),
        Amount::Percent(percent) => format!("{percent}%"),
    }
}

fn signal(signal: StopSignal) -> &'static str {
    match signal {
        StopSignal::Term => "SIGTERM",
        StopSignal::Int => "SIGINT",
        StopSignal::Quit => "SIGQUIT",
        StopSignal::Hup => "SIGHUP",
        StopSignal::Usr1 => "SIGUSR1",
        StopSignal::Usr2 => "SIGUSR2",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::good;
    use super::*;

    fn settings_of(lines: &str) -> BTreeMap<String, String> {
        let app = good(&format!("[app.web]\n{lines}\n")).config.apps.pop_first().unwrap().1;
        settings(&app)
    }

    #[test]
    fn what_was_written_and_what_was_not_both_hold() {
        let all = settings_of("command = 'node server.js'\nkill_timeout = '7s'\nready = { http = '/health' }");
        for (key, value) in [
            ("command", "node server.js"),
            ("kill_timeout", "7s"),
            ("stop_signal", "SIGTERM"),
            ("workers", "auto"),
            ("hosts", "any"),
            ("memory.soft", "unlimited"),
            ("restart.delay", "as backoff says"),
            ("log.rotate", "off"),
        ] {
            assert_eq!(all.get(key).map(String::as_str), Some(value), "{key}");
        }
        assert!(all["ready"].starts_with("GET /health of "), "{}", all["ready"]);
        let watched = settings_of(
            "command = 'x'\nwatch = { paths = ['src'], ignore = ['tmp'] }\nready = 'notify'\nwatchdog = '9s'",
        );
        assert_eq!([&watched["watch.ignore"], &watched["watchdog"]], ["tmp", "9s"]);
        assert!(watched["watch.paths"].ends_with("/src"), "{watched:?}");
        let fixed = settings_of("upstream = ['10.0.0.7:9000']");
        assert_eq!(fixed["upstream"], "10.0.0.7:9000");
        assert!(!fixed.contains_key("command"));
    }

    #[test]
    fn no_secret_is_among_them() {
        let all = settings_of(
            "command = ['x', '--api-token=hush', '--url=postgres://u:hush@h/d', 'redis://u:hush@h', '--port=1']\n\
             env = { DB_PASSWORD = 'hush', URL = 'postgres://u:hush@h/d', LEVEL = 'debug' }\n\
             secrets = { KEY = '/run/key' }",
        );
        assert!(!format!("{all:?}").contains("hush"), "{all:?}");
        assert_eq!(all["env.LEVEL"], "debug");
        assert_eq!(all["secrets.KEY"], "(hidden), from /run/key");
        assert!(all["command"].contains("--port=1") && all["command"].contains("--api-token="), "{}", all["command"]);
    }
}
