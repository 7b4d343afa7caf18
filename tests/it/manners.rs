//! What the command line offers to shells, readers, editors and scripts.

use crate::harness::{isolated, portreeve, said};
use crate::tools;

#[test]
fn a_configuration_is_formatted_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portreeve.toml");
    let run = |words: &[&str]| said(isolated(portreeve()).arg("fmt").args(words).current_dir(folder.path()));
    std::fs::write(&path, "# mine\n[app.web]\ncommand=\"node server.js\"\n").unwrap();
    assert_eq!(run(&["--check"]).code, 1);
    assert_eq!(run(&[]).code, 0);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\n[app.web]\ncommand = \"node server.js\"\n");
    assert_eq!((run(&["--check"]).code, run(&[]).text.as_str()), (0, ""));
    std::fs::write(&path, "[app.web\n").unwrap();
    let said = run(&[]);
    assert!(said.code == 78 && std::fs::read_to_string(&path).unwrap() == "[app.web\n", "{}", said.text);
}

#[test]
fn a_check_for_programs_is_json_with_places() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        std::fs::write(folder.path().join("portreeve.toml"), text).unwrap();
        let said = said(isolated(portreeve()).args(["check", "--json"]).current_dir(folder.path()));
        (said.code, serde_json::from_str::<serde_json::Value>(&said.stdout).unwrap())
    };
    let (code, answer) = check("[app.web]\ncommand = \"sh\"\n");
    assert_eq!((code, &answer["valid"], &answer["apps"]), (0, &true.into(), &serde_json::json!(["web"])));
    let (code, answer) = check("[app.web]\ncommand = \"sh\"\nworkres = 2\n");
    assert_eq!((code, &answer["valid"]), (78, &false.into()));
    assert_eq!(answer["problems"][0]["place"]["line"], 3);
}

#[test]
fn completions_are_scripts_that_their_shells_can_read() {
    for (shell, check) in [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])] {
        let script = said(isolated(portreeve()).args(["completions", shell]));
        assert!(script.code == 0 && script.stdout.contains("reload"), "{}", script.text);
        if tools::need(shell) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("script");
            std::fs::write(&path, &script.stdout).unwrap();
            let read = said(isolated(check[0]).arg(check[1]).arg(&path));
            assert_eq!(read.code, 0, "{}", read.text);
        }
    }
}

#[test]
fn nobody_who_answers_means_no_names_and_no_complaint() {
    let said = said(isolated(portreeve()).args(["app-names", "--socket", "/nonexistent/admin.sock"]));
    assert_eq!((said.code, said.text.as_str()), (0, ""));
}

#[test]
fn every_verb_has_a_page_that_names_its_options() {
    let folder = tempfile::tempdir().unwrap();
    let said = said(isolated(portreeve()).args(["man", "--dir", "man"]).current_dir(folder.path()));
    assert_eq!(said.code, 0, "{}", said.text);
    let page = |name: &str| std::fs::read_to_string(folder.path().join("man").join(name)).unwrap().replace('\\', "");
    let main = page("portreeve.1");
    for verb in ["run", "check", "reload", "status", "stop", "import", "fmt", "demo"] {
        assert!(main.contains(&format!("portreeve-{verb}(1)")), "{verb} is not in the main page");
        assert!(!page(&format!("portreeve-{verb}.1")).is_empty());
    }
    assert!(page("portreeve-reload.1").contains("--json"));
    let printed = crate::harness::said(isolated(portreeve()).arg("man"));
    assert!(printed.code == 0 && printed.stdout.contains("portreeve"), "{}", printed.text);
    assert!(!folder.path().join("man/portreeve-proxy.1").exists(), "what is hidden has no page");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    for words in [&["schema"][..], &["completions", "bash"], &["man"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = isolated(portreeve()).args(words).stdout(writer).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(0) && text.is_empty(), "{words:?}: {:?} {text}", output.status);
    }
    let schema = said(isolated(portreeve()).arg("schema"));
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
}
