//! What a reload would change, and where each value is from, is told before anything is changed.

use crate::harness::{Portreeve, worker};

#[test]
fn a_diff_names_what_would_change_and_changes_nothing() {
    let api = worker().set("path", "/api");
    let mut running = Portreeve::new().app("web", worker()).app("api", api).start();
    let said = running.cli(&["diff"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(
        said.text.contains("web: no other settings; its workers are replaced, as by every reload"),
        "{}",
        said.text
    );
    running.configure("app.web.workers", 3);
    running.configure("app.web.env.DB_PASSWORD", "hush");
    running.configure("app.api.path", "/other");
    running.configure("limits.connections", 77);
    let said = running.cli(&["diff"]);
    for line in [
        "web: other settings, a new generation\n",
        "  env.DB_PASSWORD: (default) -> (hidden)\n",
        "  workers: 1 -> 3\n",
        "api: other routes, a new generation\n  path: \"/api\" -> \"/other\"\n",
        "other settings in [limits]\n",
    ] {
        assert!(said.text.contains(line), "no {line:?} in {}", said.text);
    }
    assert!(!said.text.contains("hush"), "{}", said.text);
    assert_eq!(running.pids("web", 1).len(), 1, "nothing has changed");
    running.configure("app.api.enabled", false);
    running.configure("proxy.threads", 1);
    let said = running.cli(&["diff", "--json"]);
    let diff: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.code, &diff["apps"][0]["change"]), (4, &"switched".into()), "{}", said.text);
    assert!(diff["refused"].as_str().unwrap().contains("[proxy]"), "{diff}");
    running.configure("app.web.worker", 3);
    let said = running.cli(&["diff"]);
    assert!(said.code == 4 && said.text.contains("did you mean"), "{}", said.text);
}

#[test]
fn every_value_is_shown_with_where_it_is_from() {
    let mut running = Portreeve::new().app("web", worker()).start();
    running.configure("app.web.env.API_TOKEN", "hush");
    let said = running.cli(&["show", "web"]);
    assert_eq!(said.code, 0, "{}", said.text);
    let from = |key: &str| {
        let line = said.text.lines().find(|line| line.starts_with(&format!("app.web.{key} ")));
        line.unwrap_or_else(|| panic!("no {key} in {}", said.text)).split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!(from("connect_timeout"), "default");
    assert!(from("env.API_TOKEN").contains("portreeve.toml:"), "{}", said.text);
    assert!(!said.text.contains("hush") && !said.text.contains("limits.connections"), "{}", said.text);
    assert_eq!(running.cli(&["show", "wbe"]).code, 64);
    let all = running.cli(&["show", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&all.stdout).unwrap();
    assert!(all.as_array().unwrap().iter().any(|one| one["key"] == "limits.connections" && one["from"] == "default"));
}
