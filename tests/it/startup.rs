//! `portreeve startup`: what it writes is what service managers read, and `unstartup` takes back that and nothing else.

use crate::harness::{Home, said};
use crate::tools;

#[test]
fn pm2_54_a_service_is_written_and_taken_back() {
    let home = Home::new();
    let root = home.path().join("root");
    let place = ["systemd", "--name", "mine", "--root", root.to_str().unwrap()];
    let said = home.ok(&[&["startup"], &place[..]].concat());
    assert!(said.contains("to be done: systemctl") && said.contains("enable mine.service"), "{said}");
    let written = files(&root);
    let [unit] = &written[..] else { panic!("{written:?}") };
    assert!(unit.ends_with("mine.service"));
    let text = std::fs::read_to_string(unit).unwrap();
    assert!(text.contains("run --list") && text.contains("PORTREEVE_HOME="), "{text}");

    // A file of somebody else is neither replaced nor removed.
    let strange = unit.with_file_name("other.service");
    std::fs::write(&strange, "[Unit]\n").unwrap();
    for verb in ["startup", "unstartup"] {
        let said = home.cli(&[verb, "systemd", "--name", "other", "--root", root.to_str().unwrap()]);
        assert!(said.code == 70 && said.text.contains("was not written by portreeve"), "{}", said.text);
    }
    let answer = |verb: &str| serde_json::from_str(&home.ok(&[&[verb, "--json"], &place[..]].concat()));
    let told: serde_json::Value = answer("startup").unwrap();
    assert_eq!(told["files"], serde_json::json!([unit]), "{told}");
    assert!(told["to_be_done"].to_string().contains("enable mine.service"), "{told}");
    let told: serde_json::Value = answer("unstartup").unwrap();
    assert_eq!(told["files"], serde_json::json!([unit]), "{told}");
    assert_eq!(files(&root), [strange]);
    assert!(home.ok(&[&["unstartup"], &place[..]].concat()).contains("nothing to take back"));
}

#[test]
fn systemd_takes_the_units_as_they_are() {
    let Some(tool) = tools::find("systemd-analyze") else { return };
    let home = Home::new();
    let root = home.path().join("root");
    let config = "[listen]\nhttp = '127.0.0.1:8080'\n[app.web]\ncommand = './worker'\n[app.api]\ncommand = './worker'\nport = 3000\n";
    home.write("site.toml", config);
    let place = ["systemd", "--root", root.to_str().unwrap()];
    home.ok(&[&["startup", "--name", "site", "-c", "site.toml"], &place[..]].concat());
    home.ok(&[&["startup", "--name", "list"], &place[..]].concat());
    let units = files(&root);
    assert_eq!(units.len(), 3, "{units:?}");
    let mut command = std::process::Command::new(tool);
    command.arg("verify").arg("--man=no").args(&units).env("SYSTEMD_LOG_LEVEL", "warning");
    let said = said(&mut command);
    let ours = |line: &&str| ["site.", "list."].iter().any(|name| line.contains(name));
    let complaints: Vec<_> = said.text.lines().filter(ours).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}

/// All files below a folder, in the order of their names.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
