//! What `config/` offers to other programs, judged by those programs: systemd's units, Prometheus' rules.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools;

/// Where the units expect portreeve.
const INSTALLED: &str = "/usr/local/bin/portreeve";

/// Where they expect its configuration.
const CONFIGURED: &str = "/etc/portreeve/portreeve.toml";

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

/// A port that was free a moment ago, for what cannot be given port 0.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Names and texts of the units, for a program and a configuration that are elsewhere.
pub(crate) fn texts(program: &Path, configuration: &Path) -> Vec<(String, String)> {
    let [program, configuration] = [program, configuration].map(|path| path.display().to_string());
    let units = fs::read_dir(config().join("systemd")).unwrap().map(|entry| entry.unwrap().path());
    let text = |unit: PathBuf| {
        let text = fs::read_to_string(&unit).unwrap();
        let name = unit.file_name().unwrap().to_str().unwrap().to_owned();
        (name, text.replace(INSTALLED, &program).replace(CONFIGURED, &configuration))
    };
    units.map(text).collect()
}

/// Copies the units to a folder, with the path of a program that exists here: systemd checks that it does.
fn units_for(program: &str, folder: &Path) -> Vec<PathBuf> {
    let copy = |(name, text)| {
        let copy = folder.join::<String>(name);
        fs::write(&copy, text).unwrap();
        copy
    };
    texts(Path::new(program), Path::new(CONFIGURED)).into_iter().map(copy).collect()
}

/// What systemd has to say about the units; nothing, when all is well.
fn verify(units: &[PathBuf]) -> String {
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(units).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // The machine's own units, on which ours depend, may have flaws of theirs.
    let about_us: Vec<&str> = said.lines().filter(|line| line.contains("portreeve")).collect();
    if about_us.is_empty() && !output.status.success() { said.into_owned() } else { about_us.join("\n") }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if !tools::need("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let units = units_for(env!("CARGO_BIN_EXE_portreeve"), folder.path());
    assert_eq!(units.len(), 3);
    assert_eq!(verify(&units), "");
}

#[test]
fn systemd_would_find_something_wrong_with_wrong_units() {
    if !tools::need("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let units = units_for("/no/such/portreeve", folder.path());
    assert!(verify(&units).contains("/no/such/portreeve is not executable"));
}

#[test]
fn each_socket_unit_says_which_listener_it_is_for() {
    for (unit, name) in [("portreeve.socket", "http"), ("portreeve-https.socket", "https")] {
        let text = fs::read_to_string(config().join("systemd").join(unit)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.contains(&format!("FileDescriptorName={name}").as_str()), "{unit}");
        assert!(lines.contains(&"Service=portreeve.service"), "{unit}");
    }
}

#[test]
fn prometheus_accepts_the_rules() {
    promtool(&["check", "rules"], &config().join("prometheus/portreeve.rules.yml"));
}

#[test]
fn the_alerts_fire_when_they_should_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let rules = config().join("prometheus/portreeve.rules.yml");
    let cases = include_str!("units/alerts.yml").replace("RULES", rules.to_str().unwrap());
    let file = folder.path().join("alerts.yml");
    fs::write(&file, cases).unwrap();
    promtool(&["test", "rules"], &file);
}

#[test]
fn the_rules_speak_of_metrics_that_exist() {
    let rules = fs::read_to_string(config().join("prometheus/portreeve.rules.yml")).unwrap();
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let names: BTreeSet<&str> =
        rules.split(|letter| !is_part(letter)).filter(|n| n.starts_with("portreeve_")).collect();
    assert!(names.len() > 10, "{names:?}");
    let source = telemetry_source();
    let unknown: Vec<_> = names.into_iter().filter(|name| !source.contains(&format!("\"{name}\""))).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// All code of the rooms that name metrics.
fn telemetry_source() -> String {
    fn gather(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { gather(&path, text) } else { text.push_str(&fs::read_to_string(path).unwrap()) }
        }
    }
    let mut text = String::new();
    for room in ["src/telemetry", "src/supervisor"] {
        gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join(room), &mut text);
    }
    text
}

fn promtool(verb: &[&str], file: &Path) {
    if !tools::need("promtool") {
        return;
    }
    let output = Command::new("promtool").args(verb).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
