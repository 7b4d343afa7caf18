//! The table in docs/pm2.md: it names every key of PM2, and what it says of ours is true as far as a machine can see.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::harness::{Said, isolated, portreeve, said};

/// Every key of an app in PM2's configuration, with its other names.
const KEYS: &str = "script exec cmd command name args cwd interpreter exec_interpreter interpreter_args node_args exec_mode \
    instances instance_var increment_var port uid user namespace name_prefix append_env_to_name autostart autorestart \
    treekill disable_source_map_support source_map_support pmx automation trace io disable_trace vizion force attach env \
    filter_env update_env wait_ready listen_timeout kill_timeout kill_retry_time shutdown_with_message restart_delay \
    exp_backoff_restart_delay max_restarts min_uptime stop_exit_codes max_memory_restart cron_restart cron watch \
    ignore_watch watch_delay watch_options out_file out output out_log error_file error err err_file err_log log_file log \
    merge_logs combine_logs log_date_format time log_type disable_logs pid_file pid deploy static env_production \
    PM2_HOME PM2_KILL_TIMEOUT PM2_KILL_SIGNAL PM2_KILL_USE_MESSAGE PM2_GRACEFUL_LISTEN_TIMEOUT PM2_GRACEFUL_TIMEOUT \
    PM2_WORKER_INTERVAL PM2_CONCURRENT_ACTIONS PM2_RELOAD_LOCK_TIMEOUT EXP_BACKOFF_RESET_TIMER PM2_PROCESS_INSTANCE_VAR";

struct Row {
    theirs: String,
    ours: String,
    is: String,
    why: String,
}

impl Row {
    /// The texts in backticks of PM2's column.
    fn names(&self) -> Vec<&str> {
        self.theirs.split('`').skip(1).step_by(2).map(|name| name.split(':').next().unwrap_or(name)).collect()
    }

    /// `key: value` as JSON, when the row has an example.
    fn theirs(&self) -> Option<(String, serde_json::Value)> {
        let (key, value) = self.theirs.split('`').nth(1)?.split_once(": ")?;
        Some((key.to_owned(), serde_json::from_str(value).unwrap_or_else(|error| panic!("{value}: {error}"))))
    }

    /// The keys of an app, when the row has an example of them.
    fn ours(&self) -> Option<Table> {
        let text = self.ours.strip_prefix('`')?.strip_suffix('`')?;
        text.contains(" = ").then(|| text.parse().unwrap_or_else(|error| panic!("{text}: {error}")))
    }
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pm2.md");
    let text = fs::read_to_string(path).expect("the table is there");
    let is_row = |line: &&str| line.starts_with("| `") || line.starts_with("| stop");
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        let [theirs, ours, is, why] = cells.try_into().unwrap_or_else(|cells| panic!("not four cells: {cells:?}"));
        Row { theirs, ours, is, why }
    };
    text.lines().filter(is_row).map(row).collect()
}

fn verb(folder: &Path, words: &[&str]) -> Said {
    said(isolated(portreeve()).args(words).current_dir(folder).env("HOME", folder).env_remove("PM2_HOME"))
}

/// Is everything that `wanted` says in `found` too?
fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Table(found), Value::Table(wanted)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| contains(found, wanted)))
        }
        _ => found == wanted,
    }
}

#[test]
fn every_key_of_pm2_is_in_the_table_once() {
    let rows = rows();
    let named: Vec<&str> = rows.iter().flat_map(Row::names).collect();
    for key in KEYS.split_whitespace() {
        assert_eq!(named.iter().filter(|name| **name == key).count(), 1, "`{key}` is in the table once");
    }
    for row in &rows {
        assert!(["same", "better", "no"].contains(&row.is.as_str()), "{} is {}", row.theirs, row.is);
        assert_eq!(row.ours.is_empty(), row.is == "no", "{}: what is there has a name", row.theirs);
        assert!(row.is == "same" || !row.why.is_empty(), "{}: a difference has a reason", row.theirs);
    }
}

#[test]
fn what_stands_in_our_column_is_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    let mut apps = Table::new();
    for (index, row) in rows().iter().enumerate() {
        let Some(mut table) = row.ours() else { continue };
        table.entry("command").or_insert("true".into());
        table.insert("path".to_owned(), format!("/{index}").into());
        // Files are of one app each, and an increment needs a start.
        if let Some(log) = table.get_mut("log").and_then(Value::as_table_mut) {
            log.iter_mut().filter(|(key, _)| matches!(key.as_str(), "out" | "err" | "file")).for_each(|(_, value)| {
                *value = format!("{index}-{}", value.as_str().unwrap()).into();
            });
        }
        apps.insert(format!("row{index}"), table.into());
        count += 1;
    }
    assert!(count > 30, "only {count} examples");
    let file = Table::from_iter([("app".to_owned(), Value::from(apps))]);
    fs::write(folder.path().join("portreeve.toml"), file.to_string()).unwrap();
    let said = verb(folder.path(), &["check"]);
    // Programs of the examples need not be installed here, nor their users be known; keys and values have to be right.
    let faults: Vec<_> = said.text.lines().filter(|line| line.contains(": error: ")).collect();
    let strange: Vec<_> = faults.iter().filter(|line| !line.contains("is not on the PATH")).collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

#[test]
fn what_is_the_same_is_what_the_import_makes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows();
    let same: Vec<_> = rows.iter().filter(|row| row.is == "same").collect();
    assert!(same.len() >= 6, "{}", same.len());
    let app = |(index, row): (usize, &&Row)| {
        let (key, value) = row.theirs().unwrap_or_else(|| panic!("{} has no example", row.theirs));
        serde_json::json!({ "name": format!("row{index}"), "script": "./app.sh", "instances": 1, key: value })
    };
    let apps: Vec<_> = same.iter().enumerate().map(app).collect();
    fs::write(folder.path().join("ecosystem.json"), serde_json::json!({ "apps": apps }).to_string()).unwrap();
    let said = verb(folder.path(), &["import", "pm2", "ecosystem.json"]);
    assert_eq!(said.code, 0, "{}", said.text);
    let imported: Table = said.stdout.parse().unwrap_or_else(|error| panic!("{error}: {}", said.stdout));
    for (index, row) in same.iter().enumerate() {
        let app = &imported["app"][format!("row{index}")];
        let wanted = row.ours().unwrap_or_else(|| panic!("{} has no example of ours", row.theirs));
        assert!(contains(app, &wanted.clone().into()), "{}: wanted {wanted} in\n{app}", row.theirs);
    }
}

#[test]
fn what_is_not_there_yet_is_told_just_so() {
    let folder = tempfile::tempdir().unwrap();
    for row in rows().iter().filter(|row| row.why == "not yet") {
        let key = row.names()[0].to_owned();
        fs::write(folder.path().join("portreeve.toml"), format!("[app.a]\ncommand = \"sh\"\n{key} = 1\n")).unwrap();
        let said = verb(folder.path(), &["check"]);
        assert!(said.text.contains("does not have this yet"), "{key} is there: mend docs/pm2.md\n{}", said.text);
    }
}
