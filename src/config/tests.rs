//! Whole files: what they mean, and what is said of those that mean nothing.
//!
//! What is wrong is said at its place and all at once. Single values and their units are tested where they are read.

mod traffic;
mod workers;

use std::path::Path;
use std::time::Duration;

use super::testing::{bad, good};
use super::*;

/// Everything that is wrong with a file, a line each: `line:column message | label | help`.
fn said_of(text: &str) -> Vec<String> {
    let say = |problem: &Problem| {
        let (place, label) = match &problem.place {
            Some(place) => (format!("{}:{}", place.line, place.column), place.label.clone()),
            None => ("-".to_owned(), String::new()),
        };
        format!("{place} {} | {label} | {}", problem.message, problem.help.clone().unwrap_or_default())
    };
    bad(text).problems().iter().map(say).collect()
}

/// The file has one fault: at this place, and with all these words in what is said of it.
#[track_caller]
fn assert_fault(text: &str, place: &str, words: &[&str]) {
    let said = said_of(text);
    assert_eq!(said.len(), 1, "{text}\n{said:#?}");
    assert!(said[0].starts_with(&format!("{place} ")), "{text}\n{said:#?}");
    for word in words {
        assert!(said[0].contains(word), "{word:?} is not in {said:#?}");
    }
}

/// As [`assert_fault`] for a line in the table of an app with a command.
#[track_caller]
fn assert_app_fault(line: &str, column: usize, words: &[&str]) {
    assert_fault(&format!("[app.web]\ncommand = \"node x\"\n{line}\n"), &format!("3:{column}"), words);
}

fn app(text: &str) -> App {
    good(text).config.apps.into_values().next().expect("the file has an app")
}

fn command(lines: &str) -> Command {
    let Server::Command(command) = app(&format!("[app.web]\ncommand = \"node x\"\n{lines}\n")).server else {
        panic!("an app with a command has workers")
    };
    *command
}

#[test]
fn a_bad_file_is_told_all_its_faults_at_once() {
    let text = r#"[listen]
http = 8080
https = "0.0.0.0:8443"

[limits]
header_timeout = 10
body_bytes = "10M"

[app.web]
script = "server.js"
worker = 4
ready = { http = "health" }

[app.api]
command = "cd api && npm start"
stop_signal = "SIGTREM"
upstream = "localhost:9000"
"#;
    let expected = r#"portreeve.toml:2:8: error: `http` must be an address with a port, such as "0.0.0.0:80" (all of IPv4), "[::]:80" or "127.0.0.1:8080"
  2 | http = 8080
    |        ^^^^ did you mean "0.0.0.0:8080"?

portreeve.toml:3:9: error: `https` needs a certificate
  3 | https = "0.0.0.0:8443"
    |         ^^^^^^^^^^^^^^ no certificate to show here
  help: name one: [tls] cert = "cert.pem", key = "key.pem"; certs/README.md shows how to make one

portreeve.toml:6:18: error: `header_timeout` must be a duration such as "250ms", "30s", "1m30s" or "2h"
  6 | header_timeout = 10
    |                  ^^ the unit is missing
  help: write "10s" or "10ms", whichever is meant

portreeve.toml:7:14: error: `body_bytes` must be a size such as "512B", "32KiB" or "10MiB"
  7 | body_bytes = "10M"
    |              ^^^^^ did you mean `10MiB`?
  help: the units are B, KiB, MiB and GiB (powers of 1024), kB, MB and GB (powers of 1000); or write "unlimited"

portreeve.toml:10:1: error: unknown key `script` in [app.web]
  10 | script = "server.js"
     | ^^^^^^ this is called `command` here

portreeve.toml:11:1: error: unknown key `worker` in [app.web]
  11 | worker = 4
     | ^^^^^^ did you mean `workers`?

portreeve.toml:12:18: error: `http` must be a path that begins with "/"
  12 | ready = { http = "health" }
     |                  ^^^^^^^^ did you mean "/health"?

portreeve.toml:15:19: error: `command` is not run by a shell, which "&&" needs
  15 | command = "cd api && npm start"
     |                   ^^ only a shell understands this
  help: add `shell = true`, or quote it, or write a list of words: command = ["node", "server.js"]

portreeve.toml:16:15: error: `stop_signal` must be one of "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"
  16 | stop_signal = "SIGTREM"
     |               ^^^^^^^^^ did you mean "SIGTERM"?

portreeve.toml:17:12: error: `upstream` must be a server such as "127.0.0.1:9000" or "unix:/run/app.sock"
  17 | upstream = "localhost:9000"
     |            ^^^^^^^^^^^^^^^^ did you mean "127.0.0.1:9000"?

portreeve.toml:17:12: error: an app has `command` or `upstream`, not both
  17 | upstream = "localhost:9000"
     |            ^^^^^^^^^^^^^^^^ forwards to servers that something else runs
portreeve.toml:15:11: note: starts workers
  15 | command = "cd api && npm start"
     |           ^^^^^^^^^^^^^^^^^^^^^

portreeve.toml: 11 errors
"#;
    assert_eq!(bad(text).render(false), expected);
}

#[test]
fn the_shortest_file_has_every_default() {
    let config = good("[app.web]\ncommand = \"node server.js\"\n").config;
    assert_eq!(config.path, Path::new("/etc/portreeve/portreeve.toml"));
    assert_eq!(config.listen, Listen { http: vec![defaults::HTTP_LISTEN], https: vec![] });
    assert_eq!(config.admin.socket, super::home::admin_socket());
    assert_eq!(config.metrics.listen, Some(defaults::METRICS_LISTEN));
    let app = &config.apps.values().next().unwrap();
    assert_eq!((app.name.as_str(), app.hosts.len(), app.path.as_str()), ("web", 0, "/"));
    let Server::Command(command) = &app.server else { panic!("no command") };
    assert_eq!(command.program, Program::Direct(vec!["node".into(), "server.js".into()]));
    assert_eq!(command.directory, Path::new("/etc/portreeve"));
    assert_eq!((command.workers, command.contract.stop_signal), (None, StopSignal::Term));
    assert_eq!(app.probe.kind, ProbeKind::Tcp);
    assert_eq!(app.forwarding.response_timeout, Some(Duration::from_mins(1)));
}

#[test]
fn the_admin_socket_is_found_in_a_file_that_is_no_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portreeve.toml");
    for rest in ["[app.web]\ncomand = 'x'", "[app.web\n", "workers = [1, ", ""] {
        std::fs::write(&path, format!("[admin]\nsocket = 'a.sock'\n{rest}")).unwrap();
        assert_eq!(super::admin_socket(&path).unwrap(), folder.path().join("a.sock"), "{rest}");
    }
    std::fs::write(&path, "[app.web]\n").unwrap();
    assert_eq!(super::admin_socket(&path).unwrap(), super::home::admin_socket());
    assert!(super::admin_socket(&folder.path().join("none.toml")).is_err());
}

#[test]
fn relative_paths_begin_at_the_file() {
    let loaded = good(
        "[listen]\nhttps = '127.0.0.1:0'\n[tls]\ncert = 'c.pem'\nkey = '/k.pem'\n[[tls.certificate]]\ncert = 'd/c'\nkey = './d/k'\n\
         [admin]\nsocket = 'a.sock'\n[log]\naccess = 'log/a'\n[app.web]\ncommand = 'x'\ndirectory = '../srv/'\n",
    );
    let config = loaded.config;
    let files = |cert: &str, key: &str| CertificateFiles { cert: cert.into(), key: key.into() };
    let own = files("/etc/portreeve/c.pem", "/k.pem");
    assert_eq!(config.certificates, [own, files("/etc/portreeve/d/c", "/etc/portreeve/d/k")]);
    assert_eq!(config.admin.socket, Path::new("/etc/portreeve/a.sock"));
    assert_eq!(config.log.access.unwrap().path.unwrap(), Path::new("/etc/portreeve/log/a"));
    let Server::Command(command) = &config.apps.values().next().unwrap().server else { panic!("no command") };
    assert_eq!(command.directory, Path::new("/etc/portreeve/../srv"));
}

#[test]
fn apps_have_names() {
    assert_fault("", "-", &["the file needs `app`", "[app.web]"]);
    assert_fault("[app]\ncommand = 'x'\n", "2:1", &["`command` stands in [app] itself", "[app.web]"]);
    assert_fault("[[app]]\ncommand = 'x'\n", "1:1", &["this is a list", "[app.web]"]);
    assert_fault("app = 3\n", "1:7", &["this is a bare number"]);
    assert_fault("[app.'my app']\ncommand = 'x'\n", "1:6", &["an app name has 1 to 64"]);
    assert_fault("[apps.web]\ncommand = 'x'\n", "1:2", &["unknown key `apps` in the file", "`app`"]);
    assert_fault("[app.web]\n", "1:1", &["[app.web] needs `command` or `upstream`"]);
}

#[test]
fn unknown_keys_are_told_what_was_probably_meant() {
    assert_app_fault("worker = 4", 1, &["unknown key `worker` in [app.web]", "did you mean `workers`?"]);
    assert_app_fault("cwd = '/srv'", 1, &["this is called `directory` here"]);
    assert_app_fault("max_memory_restart = '500M'", 1, &["[app.NAME.memory]: soft"]);
    assert_app_fault("hold = { request = 1 }", 10, &["[app.web.hold]", "`requests`?"]);
    assert_app_fault(
        "ready = { zzz = 1 }",
        11,
        &["the keys of [app.web.ready] are `fd`, `http`, `host`, `tcp`, `interval`"],
    );
}

#[test]
fn values_have_kinds_and_ranges() {
    assert_app_fault("workers = 0", 11, &["`workers` must be from 1 to 1024", "or write \"auto\""]);
    assert_app_fault("workers = -1", 11, &["from 1 to 1024"]);
    assert_app_fault("workers = 99999999999999999999999", 11, &["from 1 to 1024"]);
    assert_app_fault("workers = 'max'", 11, &["did you mean \"auto\"?"]);
    assert_app_fault("workers = 1.5", 11, &["a whole number", "a number with a fraction"]);
    assert_app_fault("shell = 1", 9, &["`shell` must be true or false", "this is a bare number"]);
    assert_app_fault("ready = { successes = 0 }", 23, &["`successes` must be from 1 to 100"]);
    assert_app_fault("start_timeout = '30h'", 17, &["`start_timeout` must be from 100ms to 1h"]);
    assert_app_fault("start_timeout = '30'", 17, &["the unit is missing after 30"]);
    assert_app_fault("start_timeout = 30", 17, &["write \"30s\" or \"30ms\""]);
    assert_app_fault("user = ''", 8, &["`user` is empty"]);
    assert_app_fault("directory = \"a\\u0000\"", 13, &["`directory` contains a NUL byte"]);
    assert_app_fault("hosts = []", 9, &["leave it out to serve every host"]);
    assert_app_fault("path = 'api'", 8, &["did you mean \"/api\"?"]);
    assert_app_fault("env = 'A=b'", 7, &["`env` must be a table: [app.web.env]"]);
    assert_app_fault("restart = { backoff_min = '1m' }", 27, &["1m to 30s is no range"]);
    assert_app_fault(
        "restart = 'on_failure'",
        11,
        &["one of \"always\", \"on-failure\", \"never\"", "\"on-failure\"?"],
    );
    assert_app_fault("restart = 3", 11, &["or write a table such as"]);
    assert_app_fault("restart = { stop_exit_codes = [0, 256] }", 35, &["`stop_exit_codes` must be from 0 to 255"]);
    assert_app_fault("restart = { intensity = 0 }", 25, &["from 1 to 10000", "or write \"auto\""]);
    assert_eq!(command("workers = 0x10").workers.map(std::num::NonZeroU32::get), Some(16));
}

#[test]
fn the_log_goes_where_it_is_told() {
    let log = |lines: &str| good(&format!("[log]\n{lines}\n[app.a]\ncommand = 'x'")).config.log;
    let stdout = |format| Some(AccessLog { path: None, format });
    assert_eq!(log("access = 'off'").access, None);
    assert_eq!(log("access = 'stdout'\nformat = 'json'").access, stdout(LogFormat::Json));
    assert_eq!(log("access = { format = 'json' }").access, stdout(LogFormat::Json));
    assert_eq!(log("access = { path = 'off' }").access, None);
    assert_eq!(log("level = 'info,portreeve::proxy=debug'").level, "info,portreeve::proxy=debug");
    for (line, column, words) in [
        ("level = 'inof'", 9, "did you mean \"info\"?"),
        ("level = 'loud'", 9, "the levels are error"),
        ("level = 'a=b=c'", 9, "a level or a filter"),
        ("format = 'jsno'", 10, "did you mean \"json\"?"),
        ("access = true", 10, "this is true or false"),
        ("access = 'on'", 10, "did you mean \"stdout\"?"),
        ("access = 'none'", 10, "did you mean \"off\"?"),
    ] {
        assert_fault(&format!("[app.a]\ncommand = 'x'\n[log]\n{line}\n"), &format!("4:{column}"), &[words]);
    }
}

#[test]
fn words_stand_for_no_limit() {
    let text = "[proxy]\nthreads = 'auto'\n[limits]\nbody_bytes = 'unlimited'\n[app.a]\ncommand = 'x'\nworkers = 'auto'\n\
                max_inflight = 'unlimited'\nresponse_timeout = 'unlimited'\n";
    let config = good(text).config;
    let app = config.apps.values().next().unwrap();
    assert_eq!((config.proxy.threads, config.limits.body_bytes), (None, None));
    assert_eq!((app.forwarding.max_inflight, app.forwarding.response_timeout), (None, None));
    let text = "[limits]\nbody_bytes = '10MiB'\nheader_bytes = '8KiB'\n[app.a]\ncommand = 'x'\nmax_inflight = 1\n";
    let config = good(text).config;
    assert_eq!((config.limits.body_bytes, config.limits.header_bytes), (Some(10 << 20), 8192));
}

#[test]
fn an_app_may_take_larger_or_smaller_bodies_than_all() {
    let most = |line: &str| {
        let config = good(&format!("[limits]\nbody_bytes = '10MiB'\n[app.a]\ncommand = 'x'\n{line}\n")).config;
        config.apps.values().next().unwrap().forwarding.body_bytes.or(config.limits.body_bytes)
    };
    assert_eq!(most(""), Some(10 << 20));
    assert_eq!(most("body_bytes = '1KiB'"), Some(1 << 10));
    assert_eq!(most("body_bytes = '1GiB'"), Some(1 << 30));
    assert_eq!(most("body_bytes = 'unlimited'"), None);
}

#[test]
fn a_text_that_is_not_toml_is_told_what_is_certain() {
    assert_fault("[app.web]\ncommand = node server.js\n", "2:11", &["this is not TOML", "put it in quotes"]);
    assert_fault("[listen]\nhttp = 0.0.0.0:80\n", "2:11", &["this is not TOML", "addresses"]);
    assert_fault("[app.web]\ncommand = \"x\n", "2:13", &["not TOML", "expected `\"`"]);
    assert_fault("[app.web]\ncommand = [\"x\",\n\n\n", "2:16", &["unclosed array", "expected `]`"]);
    assert_fault("[app.web]\ncommand = 'x'\ncommand = 'y'\n", "3:1", &["duplicate key"]);
    let said = said_of("[app.web]\nworker = auto\ncommand = x\nshel = true\n");
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].contains("2:10") && said[1].contains("3:11") && said[2].contains("`shell`?"), "{said:#?}");
}

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let said = |name: &str| load(&directory.path().join(name)).expect_err("there is nothing good to load").to_string();
    assert!(said("none.toml").contains("there is no such file") && said("none.toml").contains("portreeve demo"));
    assert!(said("").contains("cannot be read"));
    std::fs::write(directory.path().join("latin1.toml"), b"[app.web]\n# \xe9\n").unwrap();
    assert!(
        said("latin1.toml").ends_with("latin1.toml:2:3: error: the file is not UTF-8: byte 0xe9"),
        "{}",
        said("latin1.toml")
    );
    std::fs::write(directory.path().join("huge.toml"), vec![b'\n'; (1 << 20) + 1]).unwrap();
    assert!(said("huge.toml").contains("larger than 1 MiB"));
}

#[test]
fn a_file_is_loaded_with_paths_from_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("portreeve.toml");
    std::fs::write(&path, "[app.web]\ncommand = 'x'\ndirectory = 'here'\n").unwrap();
    let config = load(&path).unwrap().config;
    let Server::Command(command) = &config.apps.values().next().unwrap().server else { panic!("no command") };
    assert_eq!((config.path, command.directory.clone()), (path, directory.path().join("here")));
}

#[test]
fn no_more_problems_are_shown_than_help() {
    let keys: Vec<String> = (0..500).map(|number| format!("unknown_{number} = 1\n")).collect();
    let problems = bad(&keys.concat());
    assert_eq!(problems.problems().len(), 100);
    assert!(problems.render(false).ends_with("portreeve.toml: 100 errors, and 401 more\n"));
}
