//! The schema and the reader know the same keys, and the schema refuses nothing that the reader takes.

use std::collections::BTreeSet;

use serde_json::Value;
use toml::Table;

use super::super::sample_tests::{SAMPLE, everything, known_keys};
use super::super::testing::good;
use super::super::{list, parse};
use super::schema;

const README: &str = include_str!("../../../README.md");

struct Schema(jsonschema::Validator);

impl Schema {
    fn new() -> Self {
        Self(jsonschema::validator_for(&schema()).expect("it is a schema"))
    }

    /// What is wrong with a file.
    fn faults(&self, text: &str) -> Vec<String> {
        let table: Table = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
        let file = serde_json::to_value(table).unwrap();
        self.0.iter_errors(&file).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }
}

fn is_read(text: &str) -> bool {
    parse(text, std::path::Path::new("/etc/portreeve.toml")).is_ok()
}

/// Every table of the schema with its keys, dotted; `*` stands for a name.
fn tables(schema: &Value, path: &str, found: &mut Vec<(String, BTreeSet<String>)>) {
    let forms = ["anyOf", "oneOf"].iter().filter_map(|part| schema.get(part)?.as_array()).flatten();
    forms.chain(schema.get("items")).for_each(|form| tables(form, path, found));
    if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
        tables(inner, &super::dotted(path, "*"), found);
    }
    let Some(keys) = schema.get("properties").and_then(Value::as_object) else { return };
    // A list of tables has the same table twice: alone and as an item.
    if !found.iter().any(|(known, _)| known == path) {
        found.push((path.to_owned(), keys.keys().cloned().collect()));
    }
    keys.iter().for_each(|(key, inner)| tables(inner, &super::dotted(path, key), found));
}

fn all_tables() -> Vec<(String, BTreeSet<String>)> {
    let mut found = Vec::new();
    tables(&schema(), "", &mut found);
    found
}

/// A path with names in place of the stars.
fn named(path: &str) -> String {
    path.replacen("app.*", "app.web", 1).replace('*', "A")
}

#[test]
fn every_table_has_the_keys_that_the_reader_knows_and_no_others() {
    let tables = all_tables();
    assert!(tables.len() > 25, "{tables:?}");
    for (path, keys) in tables {
        let unknown = named(&super::dotted(&path, "zzz"));
        let known: BTreeSet<String> =
            known_keys(&format!("{unknown} = 1\napp.web.command = 'x'\n")).into_iter().collect();
        assert_eq!(keys, known, "[{path}]");
    }
}

#[test]
fn every_file_that_we_show_fits() {
    let schema = Schema::new();
    let blocks = README.split("```toml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    let files = blocks.chain([SAMPLE, list::NEW]).map(str::to_owned).chain([everything(false), everything(true)]);
    let mut count = 0;
    for file in files {
        assert_eq!(schema.faults(&file), [""; 0], "{file}");
        count += 1;
    }
    assert!(count > 6, "{count}");
}

#[test]
fn every_key_has_a_text_and_most_a_default() {
    let schema = schema();
    let app = &schema["properties"]["app"]["additionalProperties"]["properties"];
    for (key, form) in app.as_object().unwrap() {
        let is_table = form.get("properties").is_some() && ["limits", "memory", "log"].contains(&key.as_str());
        assert!(is_table || form["description"].as_str().is_some_and(|text| text.len() > 10), "{key}: {form}");
    }
    assert_eq!((&app["kill_timeout"]["default"], &app["workers"]["default"]), (&"10s".into(), &"auto".into()));
    assert_eq!(app["hold"]["properties"]["requests"]["default"], 1000);
    let policy = app["restart"]["anyOf"][1]["properties"]["policy"].clone();
    assert_eq!(policy["default"], "always", "{policy}");
    assert_eq!(schema["properties"]["limits"]["properties"]["header_count"]["default"], 100);
    assert!(app["workers"]["description"].as_str().unwrap().starts_with("How many. \"auto\""));
}

#[test]
fn every_key_of_an_app_is_among_the_settings_that_people_are_shown() {
    let told: BTreeSet<String> = [everything(false), everything(true)]
        .iter()
        .flat_map(|text| good(text).config.apps.into_values())
        .flat_map(|app| super::super::settings(&app).into_keys())
        .map(|key| if key.starts_with("secrets.") { "secrets.*".to_owned() } else { key })
        .collect();
    for (table, keys) in all_tables().iter().filter(|(table, _)| table.starts_with("app.*")) {
        for key in keys {
            let path = super::dotted(table, key);
            let key = path.trim_start_matches("app.*.");
            // A key that is told in short stands for its table, and the other way round.
            let tells = |told: &String| {
                let is_within = |one: &str, all: &str| one.strip_prefix(all).is_some_and(|rest| rest.starts_with('.'));
                told == key || is_within(key, told) || is_within(told, key)
            };
            assert!(told.iter().any(tells), "{key} is not in {told:?}");
        }
    }
}

/// Values of every kind, as TOML.
const PROBES: [&str; 50] = [
    "true",
    "false",
    "-1",
    "0",
    "1",
    "3",
    "70000",
    "1.5",
    "'x'",
    "''",
    "'auto'",
    "'off'",
    "'unlimited'",
    "'never'",
    "'none'",
    "'5s'",
    "'1m30s'",
    "'250ms'",
    "'10MiB'",
    "'1.5G'",
    "'50%'",
    "'0 3 * * *'",
    "'/x'",
    "'127.0.0.1:80'",
    "'unix:/x'",
    "'100/s'",
    "'SIGTERM'",
    "'hup'",
    "'SIGKILL'",
    "'json'",
    "'on-failure'",
    "'skip'",
    "'task'",
    "'ipc'",
    "'inherit'",
    "'cluster'",
    "'027'",
    "'loopback'",
    "'X_A'",
    "'APP'",
    "[]",
    "['x']",
    "['/a', '/b']",
    "[1, 2]",
    "{}",
    "{ zzz = 1 }",
    "{ http = '/' }",
    "{ soft = 1, hard = 2 }",
    "{ A = 'b' }",
    "[[1]]",
];

/// Apps of every kind, to which a key is added.
const BASES: [&str; 3] = ["command = 'node x'", "command = 'x'\nkind = 'task'", "upstream = '127.0.0.1:9'"];

/// The file with one more key, or another value for it.
fn with(base: &str, path: &str, value: &str) -> String {
    let mut file: Table = format!("[app.web]\n{base}\n").parse().unwrap();
    let path = named(path);
    let parts: Vec<&str> = path.split('.').collect();
    let mut table = &mut file;
    for part in &parts[..parts.len() - 1] {
        let inner = table.entry(*part).or_insert_with(|| Table::new().into());
        table = inner.as_table_mut().expect("nothing else stands there");
    }
    let value: Table = format!("value = {value}").parse().unwrap();
    table.insert(parts[parts.len() - 1].to_owned(), value["value"].clone());
    file.to_string()
}

#[test]
fn what_the_reader_takes_the_schema_takes_and_both_know_what_is_no_value_at_all() {
    let schema = Schema::new();
    let (mut taken, mut refused) = (0, 0);
    for (table, keys) in all_tables() {
        for path in keys.iter().map(|key| super::dotted(&table, key)) {
            let bases = if path.starts_with("app.") { &BASES[..] } else { &BASES[..1] };
            for (base, probe) in bases.iter().flat_map(|base| PROBES.iter().map(move |probe| (base, probe))) {
                let text = with(base, &path, probe);
                let faults = schema.faults(&text);
                if is_read(&text) {
                    assert_eq!(faults, [""; 0], "{text}");
                    taken += 1;
                }
                refused += usize::from(!faults.is_empty());
            }
            let nothing = with(BASES[0], &path, "[[1]]");
            assert!(!is_read(&nothing) && !schema.faults(&nothing).is_empty(), "{nothing}");
        }
    }
    assert!(taken > 300 && refused > 3000, "{taken} taken, {refused} refused");
}

#[test]
fn a_wrong_file_is_refused_with_the_place() {
    let schema = Schema::new();
    for (text, place) in [
        ("[app.web]\ncommand = 'x'\nworker = 2\n", "/app/web"),
        ("[app.web]\ncommand = 'x'\nkill_timeout = 30\n", "/app/web/kill_timeout"),
        ("[app.web]\ncommand = 'x'\nkill_timeout = '30 s'\n", "/app/web/kill_timeout"),
        ("[app.web]\ncommand = 'x'\nrestart = { policy = 'sometimes' }\n", "/app/web/restart"),
        ("[app.web]\ncommand = 'x'\nworkers = 0\n", "/app/web/workers"),
        ("[app.web]\nport = 3000\n", "/app/web"),
        ("[app.web]\ncommand = 'x'\nupstream = '127.0.0.1:9'\n", "/app/web"),
        ("[app.web]\ncommand = 'x'\nenv = { A = 1 }\n", "/app/web/env/A"),
        ("[listen]\nhttps = 443\n", "/listen/https"),
        ("[limits]\nbody_bytes = '10 parsecs'\n", "/limits/body_bytes"),
        ("version = 2\n", "/version"),
        ("[server]\n", ""),
    ] {
        let faults = schema.faults(text);
        assert!(faults.iter().any(|fault| fault.split(": ").next() == Some(place)), "{text}: {faults:?}");
        assert!(!is_read(text), "{text}");
    }
}
