//! A service script for `OpenRC`, of the system only: it has no services of users that start by themselves.
//!
//! Its own supervisor starts it again when it ends.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::service::Service;
use super::{MARK, Unit};

pub(super) fn units(service: &Service) -> Vec<Unit> {
    let [path] = paths(service);
    vec![Unit { path, text: script(service), mode: 0o755 }]
}

pub(super) fn paths(service: &Service) -> [PathBuf; 1] {
    [PathBuf::from("/etc/init.d").join(&service.name)]
}

pub(super) fn enabling(service: &Service) -> Vec<Vec<String>> {
    vec![words(&["rc-update", "add", &service.name, "default"])]
}

pub(super) fn disabling(service: &Service) -> Vec<Vec<String>> {
    vec![words(&["rc-update", "del", &service.name, "default"])]
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn script(service: &Service) -> String {
    let quoted = |text: &str| shell_words::quote(text).into_owned();
    let line = |words: Vec<String>| quoted(&shell_words::join(words));
    let program = quoted(&service.program.display().to_string());
    let mut exports = String::new();
    for (name, value) in &service.variables {
        let _ = writeln!(exports, "export {name}={}", quoted(value));
    }
    let (serve, reload) =
        (line([service.serving(), vec!["--keep".to_owned()]].concat()), shell_words::join(service.reloading()));
    format!(
        "#!/sbin/openrc-run
{MARK}

name=\"portreeve\"
description=\"portreeve: front proxy and worker supervisor\"
supervisor=supervise-daemon
command={program}
command_args={serve}
respawn_delay=1
respawn_max=0
# The supervisor drains and then stops its workers itself.
retry=\"TERM/120/KILL/5\"
output_log=\"/var/log/portreeve.log\"
error_log=\"/var/log/portreeve.log\"
extra_started_commands=\"reload\"
{exports}
depend() {{
	need net
	after firewall
}}

reload() {{
	ebegin \"Reloading portreeve\"
	{program} {reload}
	eend $?
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_one_that_a_shell_can_read() {
        let variables = vec![("PATH".to_owned(), "/a b:/c'd".to_owned())];
        let config = Some("/etc/my site.toml".into());
        let service = Service { program: "/opt/p".into(), config, variables, ..Service::bare("site") };
        let text = units(&service).remove(0).text;
        let checked = std::process::Command::new("sh").args(["-n", "-c", &text]).status().unwrap();
        assert!(checked.success(), "{text}");
        assert!(text.contains("/opt/p reload -c '/etc/my site.toml'"), "{text}");
        assert!(text.contains("export PATH='/a b:/c'\\''d'"), "{text}");
    }
}
