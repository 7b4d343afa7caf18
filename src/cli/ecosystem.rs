//! A configuration of PM2 as it is, where PM2 takes it: it stands for the apps in it.
//!
//! `start`, `reload` and `restart` read it anew and hand its apps to the supervisor, which writes them into its list; the
//! other verbs only take the names. What of it means nothing here, or something else, is said on standard error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use toml_edit::{DocumentMut, Item, Table, value};

use super::progress::Watch;
use super::start::is_held;
use super::{Code, Wrong, outcome, shell};
use crate::control::client::Client;
use crate::control::words::{Order, Status};
use crate::id::AppName;
use crate::import::pm2::{Options, Ports};
use crate::import::{self, Imported, ImportedApp, Remark};

/// Endings of configurations that PM2 reads.
const ENDINGS: [&str; 6] = [".config.js", ".config.cjs", ".config.mjs", ".json", ".yaml", ".yml"];

/// The first port that is given to an app that says none.
const FIRST_PORT: u16 = 3000;

/// Which of its apps are meant, and how.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Choice {
    /// Of a PM2 configuration: only these apps
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) only: Vec<String>,
}

/// A file of PM2's, and what of it is wanted.
pub(super) struct File<'a> {
    pub(super) path: &'a Path,
    pub(super) profile: Option<&'a str>,
    pub(super) choice: &'a Choice,
}

/// How an order is carried out and told.
pub(super) struct How {
    pub(super) order: Order,
    pub(super) json: bool,
    pub(super) is_shown: bool,
    pub(super) to_the_end: bool,
}

/// Does the word name such a file, which is there?
pub(super) fn is_one(word: &str) -> bool {
    ENDINGS.iter().any(|ending| word.ends_with(ending)) && Path::new(word).is_file()
}

impl File<'_> {
    /// The apps in it.
    pub(super) fn names(&self) -> anyhow::Result<Vec<AppName>> {
        let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
        Ok(self.read(here)?.apps.into_iter().map(|app| app.name).collect())
    }

    /// Hands the apps to the supervisor, which starts those that do not run and does as ordered with the others.
    pub(super) fn carry_out(&self, client: &Client, status: &Status, how: &How) -> anyhow::Result<Code> {
        let folder = status.config.parent().unwrap_or(Path::new("/")).to_owned();
        let mut imported = self.read(folder)?;
        complete(&mut imported, status, &shell::variables(), &is_held);
        for (app, remark) in imported.all_remarks() {
            eprintln!("portreeve: {}{remark}", app.map_or_else(String::new, |app| format!("{app}: ")));
        }
        let runs =
            |app: &ImportedApp| status.apps.iter().any(|known| known.name == app.name && known.state != "stopped");
        let (there, fresh): (Vec<_>, Vec<_>) = imported.apps.into_iter().partition(runs);
        let mut code = Code::Done;
        for (order, apps) in [(how.order, there), (Order::Start, fresh)] {
            if !apps.is_empty() {
                let names: Vec<_> = apps.iter().map(|app| app.name.clone()).collect();
                let watch = Watch {
                    client,
                    apps: &names,
                    is_shown: how.is_shown,
                    to_the_end: how.to_the_end && order != Order::Start,
                };
                let answer = watch.carry_out(client.add(&list(apps), order))?;
                let ended = outcome::show(client, order, answer, how.json)?;
                code = if code == Code::Done { ended } else { code };
            }
        }
        Ok(code)
    }

    fn read(&self, target: PathBuf) -> anyhow::Result<Imported> {
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get().try_into().unwrap_or(u32::MAX));
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let options = Options {
            target,
            profile: self.profile.map(str::to_owned),
            only: self.choice.only.clone(),
            cpus,
            environment: environment.collect(),
            ports: Ports::Own,
        };
        import::read(self.path, &options).map_err(|error| match error {
            import::Error::NoApps { .. } if !self.choice.only.is_empty() => Wrong(error.to_string()).into(),
            error => super::Unreadable(error.to_string()).into(),
        })
    }
}

/// Of these words, the file among them: then it stands alone.
///
/// # Errors
/// A sentence, when there is more than it.
pub(super) fn alone(words: &[String]) -> Result<Option<&Path>, Wrong> {
    match words {
        [word] if is_one(word) => Ok(Some(Path::new(word))),
        words => match words.iter().find(|word| is_one(word)) {
            Some(file) => Err(Wrong(format!("{file} stands for the apps in it: name it alone, or choose with --only"))),
            None => Ok(None),
        },
    }
}

/// What an app of a list has, and a file of PM2's need not: a port, files for what the workers print, the variables of the
/// shell.
fn complete(imported: &mut Imported, status: &Status, shell: &BTreeMap<String, String>, is_held: &dyn Fn(u16) -> bool) {
    let mut taken: BTreeSet<u16> = status.listeners.iter().map(|listener| listener.address.port()).collect();
    taken.extend(imported.apps.iter().filter_map(|app| port(&app.table)));
    for app in &mut imported.apps {
        let own = status.listeners.iter().find(|listener| listener.app.as_ref() == Some(&app.name));
        if !app.table.contains_key("port") && !app.table.contains_key("kind") {
            match own {
                Some(own) => drop(app.table.insert("port", value(own.address.to_string()))),
                None => give_port(app, &mut taken, is_held),
            }
        }
        give_files(app);
        give_variables(app, shell);
    }
}

/// Those of the shell, of which the file may let in only some (`filter_env`).
fn give_variables(app: &mut ImportedApp, shell: &BTreeMap<String, String>) {
    let only = app.table.get("inherit_env").and_then(Item::as_array);
    let names = only.map(|names| names.iter().filter_map(|name| name.as_str()).collect::<Vec<_>>());
    let is_let_in = |name: &String| names.as_ref().is_none_or(|names| names.contains(&name.as_str()));
    let given: Table =
        shell.iter().filter(|(name, _)| is_let_in(name)).map(|(name, text)| (name.clone(), value(text))).collect();
    app.table.insert("inherit_env", Item::Table(given));
}

fn port(table: &Table) -> Option<u16> {
    table.get("port")?.as_integer()?.try_into().ok()
}

fn give_port(app: &mut ImportedApp, taken: &mut BTreeSet<u16>, is_held: &dyn Fn(u16) -> bool) {
    let Some(free) = (FIRST_PORT..u16::MAX).find(|port| !taken.contains(port) && !is_held(*port)) else { return };
    taken.insert(free);
    app.table.insert("port", value(i64::from(free)));
    let text = format!("the file says none: clients come in on {free}; PORT in `env` says another one");
    app.remarks.push(Remark::new("env.PORT", text));
}

/// Files beside the list, unless the file names others or says that there are none.
fn give_files(app: &mut ImportedApp) {
    let log = app.table.entry("log").or_insert_with(toml_edit::table);
    let Some(log) = log.as_table_like_mut() else { return };
    if ["file", "out", "err", "stdout", "stderr"].iter().any(|key| log.contains_key(key)) {
        return;
    }
    for (key, kind) in [("out", "out"), ("err", "error")] {
        log.insert(key, value(format!("logs/{}-{kind}.log", app.name)));
    }
}

/// The apps as a configuration of their own.
fn list(apps: Vec<ImportedApp>) -> String {
    let mut tables = Table::new();
    tables.set_implicit(true);
    for app in apps {
        tables.insert(app.name.as_str(), Item::Table(app.table));
    }
    let mut document = DocumentMut::new();
    document.insert("app", Item::Table(tables));
    document.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(text: &str) -> Imported {
        let document: DocumentMut = text.parse().unwrap();
        let apps = document["app"].as_table().unwrap().iter();
        let app = |(name, item): (&str, &Item)| ImportedApp {
            name: name.parse().unwrap(),
            table: item.as_table().unwrap().clone(),
            remarks: Vec::new(),
        };
        Imported { apps: apps.map(app).collect(), ..Imported::default() }
    }

    fn status() -> Status {
        let status = serde_json::json!({
            "version": "", "pid": 1, "uptime_seconds": 0, "metrics": null, "proxies": [], "apps": [],
            "listeners": [
                { "address": "0.0.0.0:3000", "tls": false, "inherited": false, "app": "other" },
                { "address": "127.0.0.1:4711", "tls": false, "inherited": false, "app": "known" },
            ],
        });
        serde_json::from_value(status).unwrap()
    }

    fn completed(text: &str, shell: &[(&str, &str)]) -> (Imported, String) {
        let mut imported = imported(text);
        let shell = shell.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        complete(&mut imported, &status(), &shell, &|port| port == 3002);
        (imported.clone(), list(imported.apps))
    }

    #[test]
    fn an_app_without_a_port_keeps_the_one_it_has_or_gets_the_next_and_is_told_which() {
        let text = "[app.known]\ncommand = 'a'\n[app.says]\nport = 3001\n[app.new]\ncommand = 'a'\n[app.newer]\n";
        let (imported, list) = completed(text, &[]);
        let port = |name: &str| {
            let app = imported.apps.iter().find(|app| app.name.as_str() == name).unwrap();
            app.table["port"].to_string().trim().to_owned()
        };
        assert_eq!(
            ["known", "says", "new", "newer"].map(port),
            ["\"127.0.0.1:4711\"", "3001", "3003", "3004"],
            "3002 is held"
        );
        let told: Vec<_> = imported.apps.iter().map(|app| app.remarks.len()).collect();
        assert_eq!(told, [0, 0, 1, 1], "{list}");
    }

    #[test]
    fn files_and_the_shells_variables_are_filled_in_and_never_replace_what_is_there() {
        let text =
            "[app.a]\n[app.b]\ninherit_env = ['PATH']\n[app.b.log]\nstdout = false\n[app.b.env]\nNODE_ENV = 'test'\n";
        let (_, list) = completed(text, &[("NODE_ENV", "production"), ("PATH", "/bin")]);
        assert!(list.contains("out = \"logs/a-out.log\"\nerr = \"logs/a-error.log\""), "{list}");
        assert!(!list.contains("logs/b-"), "{list}");
        assert_eq!(list.matches("NODE_ENV = \"production\"").count(), 1, "b lets in no more than PATH: {list}");
        assert_eq!(list.matches("PATH = \"/bin\"").count(), 2, "{list}");
        assert!(list.contains("NODE_ENV = 'test'"), "the file's own: {list}");
    }

    #[test]
    fn a_task_is_given_no_port() {
        let (imported, list) = completed("[app.mail]\nkind = 'task'\ncommand = 'a'\n", &[]);
        assert!(!list.contains("port") && imported.apps[0].remarks.is_empty(), "{list}");
    }

    #[test]
    fn a_file_stands_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ecosystem.config.js").display().to_string();
        assert_eq!(alone(std::slice::from_ref(&path)).unwrap(), None, "it is not there");
        std::fs::write(&path, "").unwrap();
        assert_eq!(alone(std::slice::from_ref(&path)).unwrap(), Some(Path::new(&path)));
        assert!(alone(&[path, "web".to_owned()]).unwrap_err().0.contains("--only"));
        assert_eq!(alone(&["web".to_owned()]).unwrap(), None);
    }
}
