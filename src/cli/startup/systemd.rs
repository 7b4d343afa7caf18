//! Units for systemd: a service, and a socket unit where the addresses are those of a configuration file.
//!
//! The list of apps has no socket unit: its ports come and go with `start` and `stop`, and systemd would go on taking
//! connections on a port whose app is stopped.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::service::Service;
use super::{MARK, Unit};

/// Where systemd says that it keeps descriptors.
const KEEPING: &str = "\
# A supervisor that is killed takes nobody along: systemd keeps its descriptors, and the next one goes on with all that lives.
# SIGTERM goes to the supervisor alone, which drains and then stops the workers itself.
FileDescriptorStoreMax=4096
Environment=FDSTORE=4096
KillMode=process";

/// Where it does not, and whoever comes next would find workers that it cannot take over.
const ENDING: &str = "\
# SIGTERM goes to the supervisor alone, which drains and then stops the workers itself; what is left is killed.
KillMode=mixed";

/// Those of root's service. What is in the first of them is used again by whoever comes after a supervisor that was killed.
const FOLDERS: &str = "\
RuntimeDirectory=portreeve
RuntimeDirectoryPreserve=restart
StateDirectory=portreeve
StateDirectoryMode=0700
";

/// The first version that keeps descriptors whether or not they hang up (`FDPOLL=0`, `sd_notify(3)`). How many it keeps a service
/// is told since version 254, as `$FDSTORE`; before that the unit says so itself.
const KEEPS_SINCE: u32 = 246;

/// Does the systemd of this machine keep descriptors?
pub(super) fn keeps_descriptors() -> bool {
    let output = Command::new("systemctl").arg("--version").output();
    output.is_ok_and(|output| version(&String::from_utf8_lossy(&output.stdout)).is_some_and(|it| it >= KEEPS_SINCE))
}

/// From `systemd 252 (252.39-1~deb12u2)`.
fn version(text: &str) -> Option<u32> {
    text.strip_prefix("systemd ")?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

pub(super) fn units(service: &Service) -> Vec<Unit> {
    let [unit, socket] = paths(service);
    let mut units = vec![Unit { path: unit, text: unit_text(service), mode: 0o644 }];
    if !service.listens.is_empty() {
        units.push(Unit { path: socket, text: socket_text(service), mode: 0o644 });
    }
    units
}

/// Where the service and the socket unit are.
pub(super) fn paths(service: &Service) -> [PathBuf; 2] {
    let folder = if service.is_root { PathBuf::from("/etc/systemd/system") } else { own_folder() };
    [folder.join(format!("{}.service", service.name)), folder.join(format!("{}.socket", service.name))]
}

fn own_folder() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    config.unwrap_or_else(|| "/".into()).join("systemd/user")
}

pub(super) fn enabling(service: &Service) -> Vec<Vec<String>> {
    let mut enable = vec!["enable".to_owned(), format!("{}.service", service.name)];
    if !service.listens.is_empty() {
        enable.push(format!("{}.socket", service.name));
    }
    vec![order(service, vec!["daemon-reload".to_owned()]), order(service, enable)]
}

pub(super) fn disabling(service: &Service) -> Vec<Vec<String>> {
    let there = paths(service).into_iter().filter(|path| path.exists());
    let names = there.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let disable: Vec<_> = std::iter::once("disable".to_owned()).chain(names).collect();
    if disable.len() == 1 { Vec::new() } else { vec![order(service, disable)] }
}

fn order(service: &Service, words: Vec<String>) -> Vec<String> {
    let who = if service.is_root { &["systemctl"][..] } else { &["systemctl", "--user"] };
    who.iter().map(ToString::to_string).chain(words).collect()
}

fn unit_text(service: &Service) -> String {
    let program = quoted(&service.program.display().to_string());
    let line = |words: Vec<String>| {
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        format!("{program} {}", words.join(" "))
    };
    let (serve, reload) = (line(service.serving()), line(service.reloading()));
    let sockets = if service.listens.is_empty() {
        String::new()
    } else {
        let name = &service.name;
        format!("Wants={name}.socket\nAfter={name}.socket\n")
    };
    let mut variables = String::new();
    for (name, value) in &service.variables {
        let _ = writeln!(variables, "Environment={}", quoted(&format!("{name}={value}")).replace("$$", "$"));
    }
    let keeping = if service.keeps_descriptors { KEEPING } else { ENDING };
    let (folders, target) = if service.is_root { (FOLDERS, "multi-user.target") } else { ("", "default.target") };
    format!(
        "{MARK}

[Unit]
Description=portreeve: front proxy and worker supervisor
After=network.target
{sockets}# However often it ends, it is started again.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={serve}
ExecReload={reload}
{variables}{folders}
{keeping}
TimeoutStartSec=300
TimeoutStopSec=120

# `portreeve kill` is obeyed; 75: another portreeve has this place; 78: a configuration that people have to mend.
Restart=on-failure
RestartSec=100ms
RestartPreventExitStatus=75 78
# A worker that runs out of memory is the supervisor's business, not the end of the service.
OOMPolicy=continue
# Each worker gets a control group of its own below this one.
Delegate=memory cpu
# Hard limit for the proxy, which raises its own; workers begin with the usual soft limit.
LimitNOFILE=1024:524288

[Install]
WantedBy={target}
"
    )
}

fn socket_text(service: &Service) -> String {
    let streams: Vec<_> = service.listens.iter().map(|address| format!("ListenStream={address}")).collect();
    let streams = streams.join("\n");
    let name = &service.name;
    format!(
        "{MARK}
# The ports stay open, and connections wait in them, while the service restarts. After a change of addresses in the
# configuration: `portreeve startup` again.

[Unit]
Description=portreeve: public ports

[Socket]
{streams}
BindIPv6Only=ipv6-only
Service={name}.service
Backlog=4096

[Install]
WantedBy=sockets.target
"
    )
}

/// As systemd reads words (systemd.syntax(7), systemd.service(5)): `%` and `$` stand for themselves when doubled.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,=@".contains(c);
    if word.chars().all(is_plain) { escaped } else { format!("\"{escaped}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Service { program: "/opt/a b/portreeve".into(), is_root: true, ..Service::bare("site") }
    }

    #[test]
    fn a_list_has_a_service_and_no_socket() {
        let mut service = service();
        service.variables = vec![("PATH".to_owned(), "/a:/50%/$x".to_owned())];
        let units = units(&service);
        let [unit] = &units[..] else { panic!("{units:?}") };
        assert_eq!(unit.path.display().to_string(), "/etc/systemd/system/site.service");
        for line in [
            "ExecStart=\"/opt/a b/portreeve\" run --list",
            "ExecReload=\"/opt/a b/portreeve\" reload",
            "Environment=\"PATH=/a:/50%%/$x\"",
            "StateDirectory=portreeve",
            "WantedBy=multi-user.target",
        ] {
            assert!(unit.text.lines().any(|known| known == line), "no {line} in\n{}", unit.text);
        }
    }

    #[test]
    fn what_lives_outlives_a_supervisor_only_where_somebody_keeps_its_descriptors() {
        let lines = |keeps_descriptors| {
            let text = unit_text(&Service { keeps_descriptors, ..service() });
            let is_about = |line: &&str| line.starts_with("KillMode=") || line.starts_with("FileDescriptorStoreMax=");
            text.lines().filter(is_about).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(false), ["KillMode=mixed"]);
        assert_eq!(lines(true), ["FileDescriptorStoreMax=4096", "KillMode=process"]);
        let is_told =
            |keeps_descriptors| unit_text(&Service { keeps_descriptors, ..service() }).contains("FDSTORE=4096");
        assert_eq!([false, true].map(is_told), [false, true]);
        assert_eq!(version("systemd 252 (252.39-1~deb12u2)\n+PAM"), Some(252));
        assert_eq!(version("systemd 255.4-1ubuntu8"), Some(255));
        assert_eq!(version("bash"), None);
    }

    #[test]
    fn a_configuration_has_its_ports_in_a_socket_unit() {
        let config = crate::config::parse(
            "[listen]\nhttp = ['0.0.0.0:80', '127.0.0.1:0']\n[app.a]\ncommand = 'a'\n\
             [app.b]\ncommand = 'b'\nport = '[::1]:3000'\n[app.c]\ncommand = 'c'\nport = 3001\nenabled = false\n",
            std::path::Path::new("/etc/site.toml"),
        );
        let config = config.unwrap().config;
        let listens = super::super::service::addresses(&config);
        let service = Service { config: Some("/etc/site.toml".into()), listens, ..service() };
        let units = units(&service);
        let [unit, socket] = &units[..] else { panic!("{units:?}") };
        assert!(unit.text.contains("run -c /etc/site.toml\n") && unit.text.contains("Wants=site.socket"));
        let streams: Vec<_> = socket.text.lines().filter_map(|line| line.strip_prefix("ListenStream=")).collect();
        assert_eq!(streams, ["0.0.0.0:80", "[::1]:3000"]);
        assert_eq!(enabling(&service)[1].join(" "), "systemctl enable site.service site.socket");
    }
}
