//! Describes an app for a test, and edits it afterwards as its developer would: the program, its folder, its behaviour.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use toml::{Table, Value};

use super::binaries;
use super::ledger::Ledger;

/// An app to be configured.
#[derive(Clone, Debug)]
pub(crate) struct App {
    settings: Table,
    /// `None`: not the scripted worker.
    script: Option<Vec<String>>,
    /// Lines of shell that run first.
    prelude: Option<String>,
    workers: usize,
}

/// The scripted worker, with settings that make tests quick: probed every 10 ms, restarted and given up soon.
pub(crate) fn worker() -> App {
    App { script: Some(Vec::new()), ..program(&[]) }.ready_http("/health")
}

/// Some other program with its arguments.
pub(crate) fn program(words: &[&str]) -> App {
    App { settings: Table::new(), script: None, prelude: None, workers: 0 }
        .workers(1)
        .set("command", words.to_vec())
        .set("start_timeout", "10s")
        .set("drain_timeout", "10s")
        .set("kill_timeout", "3s")
        .set("restart", Table::from_iter([("backoff_min".to_owned(), Value::from("20ms"))]))
}

/// Servers that something else runs.
pub(crate) fn upstream(addresses: &[String]) -> App {
    App { settings: Table::new(), script: None, prelude: None, workers: 0 }.set("upstream", addresses.to_vec())
}

impl App {
    pub(crate) fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self.set("workers", i64::try_from(count).expect("few workers"))
    }

    pub(crate) fn ready_http(self, path: &str) -> Self {
        let ready = [("http", Value::from(path)), ("interval", "10ms".into()), ("timeout", "2s".into())];
        self.set("ready", Table::from_iter(ready.map(|(key, value)| (key.to_owned(), value))))
    }

    /// Adds a word of the worker's script.
    pub(crate) fn says(mut self, word: &str) -> Self {
        self.script.as_mut().expect("only the scripted worker has a script").push(word.to_owned());
        self
    }

    /// Lets a shell do something before it turns into the scripted worker.
    pub(crate) fn after(mut self, shell: &str) -> Self {
        self.prelude = Some(shell.to_owned());
        self
    }

    /// How many workers are to serve before a test begins; 0 when nobody supervises them.
    pub(super) fn expected(&self) -> usize {
        self.workers
    }

    /// Lays the app out in its folder, and returns its table for the configuration.
    pub(super) fn install(&self, site: &Site, ledger: &Ledger) -> Table {
        let mut settings = self.settings.clone();
        if let Some(script) = &self.script {
            fs::create_dir_all(&site.folder).expect("an app's folder can be made");
            fs::create_dir_all(site.release()).expect("a release folder can be made");
            symlink(binaries::worker(), site.program()).expect("the worker can be linked");
            site.rewrite(&script.iter().map(String::as_str).collect::<Vec<_>>());
            let mut words = match &self.prelude {
                Some(shell) => ["sh", "-c", &format!("{shell}\nexec \"$@\""), "sh"].map(str::to_owned).to_vec(),
                None => Vec::new(),
            };
            words.extend([site.program().display().to_string(), ledger.word()]);
            words.push(format!("script={}", site.script().display()));
            settings.insert("command".to_owned(), words.into());
            settings.insert("directory".to_owned(), site.release().display().to_string().into());
        }
        settings
    }
}

/// Where an app with the scripted worker lives.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    folder: PathBuf,
}

impl Site {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// A new version of the app: the next worker to start will follow these words.
    pub(crate) fn rewrite(&self, words: &[&str]) {
        fs::write(self.script(), words.join("\n")).expect("the script can be written");
    }

    /// The program, a symbolic link.
    pub(crate) fn program(&self) -> PathBuf {
        self.folder.join("worker")
    }

    /// The working directory.
    pub(crate) fn release(&self) -> PathBuf {
        self.folder.join("release")
    }

    fn script(&self) -> PathBuf {
        self.folder.join("script")
    }
}
