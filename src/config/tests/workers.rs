//! How workers are started, watched and ended: what an app with a command says of them, and what contradicts itself.
//!
//! Knows the meaning of the keys in a file and nothing of what is done with it later.

use std::time::Duration;

use super::{app, assert_app_fault, assert_fault, command};
use crate::config::testing::good;
use crate::config::{ProbeKind, Program, Readiness, Restart, RestartPolicy, Server, StopSignal};

#[test]
fn restarts_are_what_their_word_or_their_table_says() {
    let restart = |lines: &str| command(lines).restart;
    let usual = restart("");
    for (word, policy) in
        [("always", RestartPolicy::Always), ("on-failure", RestartPolicy::OnFailure), ("never", RestartPolicy::Never)]
    {
        assert_eq!(restart(&format!("restart = '{word}'")), Restart { policy, ..usual.clone() });
        assert_eq!(restart(&format!("restart = {{ policy = '{word}' }}")), Restart { policy, ..usual.clone() });
    }
    let all = restart("restart = { stop_exit_codes = [78, 0, 78], delay = '2s', intensity = 16, period = '5m' }");
    assert_eq!(all.stop_exit_codes.into_iter().collect::<Vec<_>>(), [0, 78]);
    assert_eq!((all.delay, all.intensity.map(std::num::NonZeroU32::get)), (Some(Duration::from_secs(2)), Some(16)));
    assert_eq!((all.period, all.retry, all.give_up), (Duration::from_mins(5), usual.retry, false));
    assert_eq!(restart("restart = { stop_exit_codes = 3, give_up = true }").stop_exit_codes, [3].into());
}

#[test]
fn what_could_never_matter_for_a_restart_is_refused() {
    assert_app_fault("restart = { policy = 'never', give_up = true }", 41, &["`give_up` has no meaning beside this"]);
    assert_app_fault(
        "restart = { delay = '1s', backoff_max = '2s' }",
        41,
        &["`backoff_max` has no meaning", "`delay`"],
    );
    assert_app_fault("restart = { give_up = true, retry = '2s' }", 37, &["`retry` has no meaning", "`give_up`"]);
    assert_app_fault("max_restarts = 10", 1, &["give_up = true"]);
    assert_app_fault("restart_delay = 100", 1, &["delay = "]);
}

#[test]
fn readiness_is_asked_for_in_one_way() {
    for (line, column, words) in [
        ("ready = '/health'", 9, "did you mean { http = \"/health\" }?"),
        ("ready = 'http'", 9, "which path"),
        ("ready = true", 9, "this is true or false"),
        ("ready = { http = '/', tcp = true }", 29, "not both"),
        ("ready = { tcp = false }", 17, "no way left to ask"),
        ("ready = { host = 'a' }", 18, "no meaning without `http`"),
        ("ready = { http = '/', host = 'http://a' }", 30, "cannot be sent as Host"),
    ] {
        assert_app_fault(line, column, &[words]);
    }
    assert_app_fault(
        "start_timeout = '2s'\nready = { interval = '1s' }",
        17,
        &["no worker could get ready in time", "2s"],
    );
    assert_app_fault("ready = 'IPC'", 9, &["\"tcp\", \"ipc\", \"notify\" or a table"]);
    let kind = |lines: &str| app(&format!("[app.web]\ncommand = 'x'\n{lines}")).probe.kind;
    let http = |path: &str, host: &str| ProbeKind::Http { path: path.into(), host: host.into() };
    assert_eq!(kind("ready = 'tcp'"), ProbeKind::Tcp);
    assert_eq!(kind("ready = { timeout = '1s' }"), ProbeKind::Tcp);
    assert_eq!(kind("ready = { http = '/up?x=1' }"), http("/up?x=1", "localhost"));
    assert_eq!(kind("hosts = ['*.b', 'a.b']\nready.http = '/'"), http("/", "a.b"));
    assert_eq!(kind("hosts = 'a.b'\nready = { http = '/', tcp = false, host = 'x:1' }"), http("/", "x:1"));
}

#[test]
fn workers_that_say_themselves_when_they_are_ready_have_a_channel_for_it() {
    let channel = |lines: &str| {
        let command = command(lines);
        (command.contract.channel == crate::config::Channel::Present, command.contract.ready)
    };
    assert_eq!(channel(""), (false, Readiness::Probe));
    assert_eq!(channel("ipc = true"), (true, Readiness::Probe));
    assert_eq!(channel("ready = 'ipc'"), (true, Readiness::Ipc));
    assert_eq!(channel("ready = 'ipc'\nipc = true\nstart_timeout = '200ms'"), (true, Readiness::Ipc));
    let contradiction = "[app.web]\ncommand = 'x'\nready = 'ipc'\nipc = false\n";
    assert_fault(contradiction, "4:7", &["needs the channel that `ipc` takes away"]);
    let fixed = "[app.a]\nupstream = '127.0.0.1:9000'\nready = 'ipc'\n";
    assert_fault(fixed, "3:9", &["have no channel to portreeve"]);
    assert_app_fault("env = { NODE_CHANNEL_FD = '3' }", 9, &["`NODE_CHANNEL_FD` is set by portreeve"]);
    assert_app_fault("wait_ready = true", 1, &["ready = \"ipc\""]);
    for (program, warnings) in [("npm start", 1), ("/usr/bin/yarn start", 1), ("node npm", 0)] {
        let loaded = good(&format!("[app.web]\ncommand = '{program}'\nready = 'ipc'\n"));
        assert_eq!(loaded.warnings.problems().len(), warnings, "{}", loaded.warnings);
    }
}

#[test]
fn how_a_worker_listens_and_speaks_is_agreed_without_contradiction() {
    use crate::config::{Contract, Socket};
    let contract = |lines: &str| command(lines).contract;
    let Contract { socket, notify, ready, .. } = contract("");
    assert_eq!((socket, notify, ready), (Socket::Port, false, Readiness::Probe));
    assert_eq!(contract("listen = 'unix'").socket, Socket::Unix);
    let Contract { notify, ready, .. } = contract("ready = 'notify'");
    assert_eq!((notify, ready), (true, Readiness::Notify));
    assert_eq!(contract("ready = { fd = 4 }\nlisten = 'inherit'").ready, Readiness::Descriptor(4));
    assert_eq!(contract("ready = { http = '/' }\nlisten = 'inherit'").socket, Socket::Inherit);
    assert_app_fault("listen = 'tcp'", 10, &["did you mean \"port\"?"]);
    assert_app_fault("listen = '127.0.0.1:80'", 10, &["those of [listen]"]);
    assert_app_fault("listen = 'inherit'", 10, &["before its worker runs", "/health"]);
    assert_app_fault("ready = { fd = 2 }", 16, &["3 to 255"]);
    assert_app_fault("ready = { fd = 4, http = '/' }", 26, &["`http` has no meaning beside `fd`"]);
    assert_app_fault("ready = 'fd'", 9, &["{ fd = 4 }"]);
    let app = |lines: &str| format!("[app.web]\ncommand = 'x'\n{lines}\n");
    assert_fault(&app("ready = { fd = 3 }\nlisten = 'inherit'"), "3:9", &["descriptor 3 is the socket"]);
    assert_fault(&app("ready = 'notify'\nnotify = false"), "4:10", &["needs the socket that `notify` takes away"]);
    assert_fault("[app.a]\nupstream = '127.0.0.1:9000'\nlisten = 'unix'\n", "3:10", &["no meaning for an app"]);
    let Contract { notify, watchdog, ready, .. } = contract("watchdog = '10s'");
    assert_eq!((notify, watchdog, ready), (true, Some(Duration::from_secs(10)), Readiness::Probe));
    assert_eq!(contract("watchdog = 'off'\nnotify = false").watchdog, None);
    let refused = &["`watchdog` needs the socket that `notify` takes away"];
    assert_fault(&app("watchdog = '10s'\nnotify = false"), "4:10", refused);
    assert_app_fault("watchdog = '1ms'", 12, &["from 100ms to"]);
    assert_app_fault("watchdog_sec = '10s'", 1, &["`watchdog`"]);
    let live = "live = { hung_after = 'never', dump_signal = 'SIGQUIT' }";
    assert_fault(&app(live), "3:46", &["would never be sent"]);
    assert!(command(&format!("{live}\nwatchdog = '10s'")).live.unwrap().dump_signal.is_some());
    for (lines, placeholder) in
        [("command = 'x {socket}'", "{socket}"), ("command = 'x {port}'\nlisten = 'unix'", "{port}")]
    {
        assert_fault(&format!("[app.web]\n{lines}\n"), "2:11", &["nothing stands for", placeholder]);
    }
}

#[test]
fn commands_are_words_unless_a_shell_is_asked_for() {
    let program = |text: &str| {
        let Server::Command(command) = app(&format!("[app.web]\n{text}\n")).server else { panic!("no command") };
        command.program
    };
    assert_eq!(program("command = ['a b', '', '$C']"), Program::Direct(["a b", "", "$C"].map(str::to_owned).into()));
    assert_eq!(program("command = 'a | b'\nshell = true"), Program::Shell("a | b".into()));
    assert_fault("[app.web]\ncommand = []\n", "2:11", &["`command` is empty"]);
    assert_fault("[app.web]\ncommand = ''\n", "2:11", &["`command` is empty"]);
    assert_fault("[app.web]\ncommand = ['a', 1]\n", "2:17", &["`command` must be a text in quotes"]);
    assert_fault("[app.web]\ncommand = ['a']\nshell = true\n", "2:11", &["one text when `shell = true`"]);
    assert_fault("[app.web]\ncommand = 5\n", "2:11", &["a text or a list of texts"]);
}

#[test]
fn signals_have_names() {
    for (name, signal) in [("SIGINT", StopSignal::Int), ("quit", StopSignal::Quit), ("Usr2", StopSignal::Usr2)] {
        assert_eq!(command(&format!("stop_signal = '{name}'")).contract.stop_signal, signal);
    }
    assert_app_fault("stop_signal = 'SIGKILL'", 15, &["kills without asking", "kill_timeout"]);
    assert_app_fault("stop_signal = 'SIGTREM'", 15, &["did you mean \"SIGTERM\"?"]);
    assert_app_fault("stop_signal = 15", 15, &["this is a bare number"]);
}

#[test]
fn variables_are_texts_and_not_those_of_portreeve() {
    assert_eq!(command("env = { A = 'b', EMPTY = '' }").environment.variables.len(), 2);
    assert_app_fault("env = { A = 1 }", 13, &["`A` must be a text", "put it in quotes"]);
    assert_app_fault("env = { PORT = '1' }", 9, &["`PORT` is set by portreeve"]);
    assert_app_fault("env = { PORTREEVE_X = '1' }", 9, &["`PORTREEVE_X` is set by portreeve"]);
    assert_app_fault("env = { LISTEN_FDS = '1' }", 9, &["`LISTEN_FDS` is set by portreeve", "listen = \"inherit\""]);
    assert_app_fault("env = { NOTIFY_SOCKET = 'x' }", 9, &["`NOTIFY_SOCKET` is set by portreeve", "notify = true"]);
    assert_app_fault("env = { WATCHDOG_USEC = '1' }", 9, &["`WATCHDOG_USEC` is set by portreeve", "watchdog = "]);
    assert_eq!(command("env = { LISTEN_ADDR = 'x', WATCHDOG = 'y' }").environment.variables.len(), 2);
    assert_app_fault("env = { 'A=B' = '1' }", 9, &["name of a variable"]);
}
