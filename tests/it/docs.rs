//! What README and ARCHITECTURE say is so.

use std::path::{Path, PathBuf};

use crate::harness::{Portreeve, Running, portreeve, worker};

fn text(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Words that begin with `portreeve_`, as metrics do.
fn metrics(text: &str) -> std::collections::BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("portreeve_")).map(str::to_owned).collect()
}

#[test]
fn every_configuration_in_the_readme_is_valid() {
    let blocks = blocks(&text("README.md"), "toml");
    assert!(blocks.len() >= 3);
    let folder = tempfile::tempdir().unwrap();
    for (number, block) in blocks.iter().enumerate() {
        let path: PathBuf = folder.path().join(format!("{number}.toml"));
        std::fs::write(&path, block).unwrap();
        let loaded = ::portreeve::config::load(&path);
        assert!(loaded.is_ok(), "block {number}: {}", loaded.unwrap_err());
    }
}

#[test]
fn every_example_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let examples: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(examples.len() >= 2);
    for example in examples {
        let loaded = ::portreeve::config::load(&example.join("portreeve.toml"));
        let loaded = loaded.unwrap_or_else(|problems| panic!("{}: {problems}", example.display()));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        if crate::tools::need("node") && crate::tools::need("python3") {
            let found = ::portreeve::config::verify(&loaded);
            assert!(!found.has_errors(), "{found}");
        }
    }
}

#[test]
fn the_readme_names_every_verb_and_no_other() {
    let readme = text("README.md");
    let help = std::process::Command::new(portreeve()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands = help.split("Options:").next().unwrap();
    let begins_one = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let verbs: Vec<_> = commands.lines().filter(begins_one).filter_map(|line| line.split_whitespace().next()).collect();
    for verb in verbs.iter().filter(|verb| **verb != "help") {
        assert!(readme.contains(&format!("`portreeve {verb}")), "{verb} is missing");
    }
    let named = readme.split("`portreeve ").skip(1).map(|rest| rest.split(['`', ' ']).next().unwrap());
    for verb in named {
        assert!(verbs.contains(&verb), "{verb} is no verb");
    }
}

#[test]
fn the_readme_names_the_metrics_that_there_are() {
    let running: Running = Portreeve::new().app("web", worker()).start();
    assert_eq!(running.get("/whoami").status, 200);
    let named = metrics(&text("README.md"));
    let reply = running.get_metrics("/metrics");
    let page = reply.text();
    let there: std::collections::BTreeSet<_> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect();
    for metric in &there {
        assert!(named.contains(metric), "{metric} is not in the README");
    }
    // Those with labels appear with their first event.
    let later = ["portreeve_held_total", "portreeve_retries_total", "portreeve_upstream_faults_total"];
    let later = later.into_iter().chain([
        "portreeve_worker_restarts_total",
        "portreeve_reloads_total",
        "portreeve_rollbacks_total",
    ]);
    let later = later.chain(["portreeve_drain_forced_total", "portreeve_log_failed_total"]);
    let later = later.chain(["portreeve_notify_faults_total"]);
    let later = later.chain(["portreeve_channel_faults_total", "portreeve_worker_requests_total"]);
    let later = later.chain(["portreeve_job_runs_total", "portreeve_job_missed_total"]);
    let later =
        later.chain(["portreeve_job_last_success_timestamp_seconds", "portreeve_job_next_run_timestamp_seconds"]);
    let later: Vec<_> = later
        .chain(["portreeve_recycles_total", "portreeve_worker_exits_total", "portreeve_worker_oom_total"])
        .collect();
    for metric in named.iter().filter(|metric| !later.contains(&metric.as_str())) {
        assert!(there.contains(metric), "{metric} is in the README and not in /metrics");
    }
}

#[test]
fn the_architecture_names_files_that_exist() {
    let text = text("ARCHITECTURE.md");
    let named: Vec<_> = text.split('`').filter(|word| word.starts_with("src/") || word.starts_with("tests/")).collect();
    assert!(named.len() > 20);
    for path in named {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{path} does not exist");
    }
}
