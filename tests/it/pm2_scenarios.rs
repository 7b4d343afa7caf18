//! `docs/pm2-scenarios.md`: each scenario of PM2's own tests is named once, and each test that it names is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// As many as there are.
const SCENARIOS: usize = 64;

/// As many as have a test here at least.
const LEAST: usize = 50;

struct Row {
    number: usize,
    tests: Vec<String>,
    verdict: String,
    why: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rows() -> Vec<Row> {
    let page = std::fs::read_to_string(root().join("docs/pm2-scenarios.md")).unwrap();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let row = |line: &str| {
        let cells = cells(line);
        let [number, _, tests, verdict, why] = &cells[..] else { panic!("five cells: {line}") };
        let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Row { number: number.parse().unwrap(), tests, verdict: verdict.clone(), why: why.clone() }
    };
    page.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit()).map(row).collect()
}

/// The tests of this binary and of the library, as `module::name`.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let entries = std::fs::read_dir(root().join("tests/it")).unwrap();
    for path in
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "rs"))
    {
        found.extend(of_file(&path));
    }
    found
}

fn of_file(path: &PathBuf) -> Vec<String> {
    let module = path.file_stem().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let after = text.split("#[test]\n").skip(1);
    after.filter_map(|rest| Some(format!("{module}::{}", rest.split_once("fn ")?.1.split_once('(')?.0))).collect()
}

#[test]
fn every_scenario_is_there_once_and_has_a_verdict() {
    let numbers: Vec<_> = rows().iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=SCENARIOS).collect::<Vec<_>>());
    for Row { number, verdict, why, .. } in rows() {
        assert!(["same", "different", "no"].contains(&verdict.as_str()), "{number}: {verdict}");
        assert!(verdict == "same" || !why.is_empty(), "{number}: why is it {verdict}?");
    }
}

#[test]
fn every_test_that_is_named_exists_and_no_numbered_one_is_forgotten() {
    let (rows, tests) = (rows(), tests());
    let named: BTreeSet<_> = rows.iter().flat_map(|row| row.tests.iter().cloned()).collect();
    let missing: Vec<_> = named.difference(&tests).collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:?}");
    let numbered = tests.iter().filter(|test| test.contains("::pm2_") && !test.starts_with("pm2_table"));
    let forgotten: Vec<_> = numbered.filter(|test| !named.contains(*test)).collect();
    assert!(forgotten.is_empty(), "no scenario names these tests: {forgotten:?}");
    let tested = rows.iter().filter(|row| !row.tests.is_empty()).count();
    assert!(tested >= LEAST, "only {tested} scenarios have a test");
    let untested = rows.iter().filter(|row| row.tests.is_empty() && row.verdict != "no").map(|row| row.number);
    assert_eq!(untested.collect::<Vec<_>>(), [0; 0], "what is not `no` has a test");
}
