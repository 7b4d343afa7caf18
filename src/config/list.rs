//! The list of apps that portreeve itself edits: a configuration like any other, in the home of an instance.
//!
//! Edits are pure, from text to text, and keep what people wrote in it, comments included; whether the result is a good
//! configuration is for [`super::parse`]. The file is replaced whole: a reader finds the old list or the new one, and
//! the one before stays beside it as a backup.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, Value};

use super::parse;
use crate::id::AppName;

/// What a list begins with.
pub(super) const NEW: &str = "\
# The apps of this portreeve. `portreeve start`, `stop` and `delete` edit this file, and so may you: after a change,
# `portreeve reload`. Every key is explained in config/portreeve.toml.

version = 1

[metrics]
# Prometheus finds them on an address such as \"127.0.0.1:9900\"; a change takes `portreeve kill` and `resurrect`.
listen = \"off\"

[app]
";

/// A list that cannot be edited.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the list of apps is damaged: {0}")]
    Damaged(toml_edit::TomlError),
    #[error("what is to be added is not TOML: {0}")]
    Addition(toml_edit::TomlError),
    #[error("what is to be added has no [app.NAME] in it")]
    NoApp,
    #[error("{0:?} is no name for an app: {bad}", bad = crate::id::BadAppName)]
    Name(String),
}

/// What became of a list that had to be looked after before it could be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// It is there, and fit to be read.
    Sound,
    /// There was none; an empty one was made.
    Made,
    /// It was damaged and is now called `aside`; the backup took its place, or an empty list when there was none.
    SetAside { aside: PathBuf, reason: String, has_backup: bool },
}

/// The list with the apps of another configuration in it, and their names. Apps of the same name are replaced.
///
/// # Errors
/// When either is not TOML, or there is nothing to add.
pub fn with_apps(list: &str, addition: &str) -> Result<(String, Vec<AppName>), Error> {
    let mut document: DocumentMut = list.parse().map_err(Error::Damaged)?;
    let added: DocumentMut = addition.parse().map_err(Error::Addition)?;
    let tables = added.get("app").and_then(Item::as_table_like).ok_or(Error::NoApp)?;
    let apps = apps(&mut document);
    let mut names = Vec::new();
    for (key, item) in tables.iter() {
        names.push(key.parse::<AppName>().map_err(|_| Error::Name(key.to_owned()))?);
        let mut table = item.clone().into_table().map_err(|_| Error::NoApp)?;
        strip_positions(&mut table);
        table.decor_mut().set_prefix("\n");
        apps.insert(key, Item::Table(table));
    }
    if names.is_empty() { Err(Error::NoApp) } else { Ok((document.to_string(), names)) }
}

/// The list with these apps switched on or off. Names that are not there change nothing.
///
/// # Errors
/// When it is not TOML.
pub fn with_enabled(list: &str, names: &[AppName], enabled: bool) -> Result<String, Error> {
    let mut document: DocumentMut = list.parse().map_err(Error::Damaged)?;
    let apps = apps(&mut document);
    for name in names {
        let Some(table) = apps.get_mut(name.as_str()).and_then(Item::as_table_like_mut) else { continue };
        if enabled {
            table.remove("enabled");
        } else {
            table.insert("enabled", Item::Value(Value::from(false)));
        }
    }
    Ok(document.to_string())
}

/// The list with so many workers for each of these apps. Names that are not there change nothing.
///
/// # Errors
/// When it is not TOML.
pub fn with_workers(list: &str, numbers: &[(AppName, u32)]) -> Result<String, Error> {
    let mut document: DocumentMut = list.parse().map_err(Error::Damaged)?;
    let apps = apps(&mut document);
    for (name, workers) in numbers {
        let Some(table) = apps.get_mut(name.as_str()).and_then(Item::as_table_like_mut) else { continue };
        match table.get_mut("workers").and_then(Item::as_value_mut) {
            Some(value) => {
                let decor = value.decor().clone();
                *value = Value::from(i64::from(*workers));
                *value.decor_mut() = decor;
            }
            None => drop(table.insert("workers", Item::Value(Value::from(i64::from(*workers))))),
        }
    }
    Ok(document.to_string())
}

/// The list with these variables, a table of TOML, as what each of these apps inherits. Names that are not there change
/// nothing, nor do apps that something else runs.
///
/// # Errors
/// When either is not TOML.
pub fn with_inherited(list: &str, names: &[AppName], variables: &str) -> Result<String, Error> {
    let mut document: DocumentMut = list.parse().map_err(Error::Damaged)?;
    let variables: DocumentMut = variables.parse().map_err(Error::Addition)?;
    let mut variables = variables.as_table().clone();
    strip_positions(&mut variables);
    let apps = apps(&mut document);
    for name in names {
        let Some(table) = apps.get_mut(name.as_str()).and_then(Item::as_table_like_mut) else { continue };
        if !table.contains_key("upstream") {
            table.insert("inherit_env", Item::Table(variables.clone()));
        }
    }
    Ok(document.to_string())
}

/// The list without these apps.
///
/// # Errors
/// When it is not TOML.
pub fn without(list: &str, names: &[AppName]) -> Result<String, Error> {
    let mut document: DocumentMut = list.parse().map_err(Error::Damaged)?;
    let apps = apps(&mut document);
    for name in names {
        apps.remove(name.as_str());
    }
    Ok(document.to_string())
}

/// The table of apps; made where there is none, and shown even when it is empty, because that says what is meant.
fn apps(document: &mut DocumentMut) -> &mut Table {
    let item = document.entry("app").or_insert_with(toml_edit::table);
    if let Some(inline) = item.as_inline_table() {
        *item = Item::Table(inline.clone().into_table());
    }
    if !item.is_table() {
        *item = toml_edit::table();
    }
    let table = item.as_table_mut().expect("it was just made one");
    table.set_implicit(false);
    table
}

/// Tables of another document know where they stood there; here they come last.
fn strip_positions(table: &mut Table) {
    table.set_position(None);
    table.set_dotted(false);
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(inner) => strip_positions(inner),
            Item::ArrayOfTables(list) => list.iter_mut().for_each(strip_positions),
            _ => {}
        }
    }
}

/// Sees to it that there is a list that can be read. Only for whoever holds the home: files are moved.
///
/// # Errors
/// When the folder or the files in it cannot be read or written.
pub fn look_after(path: &Path) -> io::Result<Found> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let reason = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !backup(path).exists() => {
            write(path, NEW)?;
            return Ok(Found::Made);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => "it is not there".to_owned(),
        Err(error) => return Err(error),
        Ok(bytes) => match fault(&bytes, path) {
            None => return Ok(Found::Sound),
            Some(reason) => reason,
        },
    };
    let aside = path.with_extension("toml.damaged");
    if path.exists() {
        fs::rename(path, &aside)?;
    }
    let kept = fs::read(backup(path)).ok().filter(|bytes| fault(bytes, path).is_none());
    let has_backup = kept.is_some();
    put(path, kept.as_deref().unwrap_or(NEW.as_bytes()))?;
    Ok(Found::SetAside { aside, reason, has_backup })
}

/// Why these bytes are no configuration.
fn fault(bytes: &[u8], path: &Path) -> Option<String> {
    let Ok(text) = str::from_utf8(bytes) else { return Some("it is not UTF-8".to_owned()) };
    parse(text, path).err().map(|problems| problems.render(false))
}

/// Replaces the list; the one before stays as the backup.
///
/// # Errors
/// When the disk does not take it; then the list is as it was.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    if path.exists() {
        let spare = path.with_extension("toml.bak.new");
        let _ = fs::remove_file(&spare);
        fs::hard_link(path, &spare)?;
        fs::rename(&spare, backup(path))?;
    }
    put(path, text.as_bytes())
}

/// Only the owner may read it: an app's environment may hold secrets.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("toml.new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    // The name is safe once its folder is.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn backup(path: &Path) -> PathBuf {
    path.with_extension("toml.bak")
}

fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<AppName> {
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    fn added(list: &str, addition: &str) -> String {
        with_apps(list, addition).unwrap().0
    }

    #[test]
    fn a_new_list_is_a_valid_configuration_that_listens_nowhere() {
        let loaded = parse(NEW, Path::new("/home/apps.toml")).unwrap();
        assert!(loaded.config.apps.is_empty() && loaded.config.listen.http.is_empty());
        assert_eq!(loaded.config.metrics.listen, None);
    }

    #[test]
    fn apps_come_and_go_and_what_people_wrote_stays() {
        let list = NEW.replace("[app]\n", "[app]\n\n# mine\n[app.old] # here\ncommand = 'true' # why\n");
        let addition = "[app.web]\ncommand = ['node', 'server.js']\nport = 3000\nlog = { out = 'o.log' }\n[app.web.env]\nA = 'b'\n";
        let (both, new) = with_apps(&list, addition).unwrap();
        assert_eq!(new, names(&["web"]));
        for kept in
            ["# mine\n[app.old] # here\ncommand = 'true' # why\n", "# Prometheus finds", "[app.web.env]\nA = 'b'\n"]
        {
            assert!(both.contains(kept), "no {kept:?} in\n{both}");
        }
        let config = parse(&both, Path::new("/home/apps.toml")).unwrap().config;
        assert_eq!(config.apps.keys().cloned().collect::<Vec<_>>(), names(&["old", "web"]));
        let off = with_enabled(&both, &names(&["web", "ghost"]), false).unwrap();
        let config = parse(&off, Path::new("/home/apps.toml")).unwrap().config;
        assert!(!config.apps[&names(&["web"])[0]].enabled && config.apps[&names(&["old"])[0]].enabled);
        assert_eq!(with_enabled(&off, &names(&["web"]), true).unwrap(), both);
        assert_eq!(without(&both, &names(&["web"])).unwrap(), list);
    }

    #[test]
    fn the_number_of_workers_is_written_where_it_stands_or_added() {
        let list = added(
            NEW,
            "[app.a]\nport = 1\ncommand = 'one'\nworkers = 2 # enough\n[app.b]\nport = 2\ncommand = 'two'\n",
        );
        let [a, b, ghost]: [AppName; 3] = ["a", "b", "ghost"].map(|name| name.parse().unwrap());
        let scaled = with_workers(&list, &[(a, 4), (b, 3), (ghost, 9)]).unwrap();
        assert!(
            scaled.contains("workers = 4 # enough\n") && scaled.contains("command = 'two'\nworkers = 3\n"),
            "{scaled}"
        );
        assert!(parse(&scaled, Path::new("/a.toml")).is_ok());
    }

    #[test]
    fn what_an_app_inherits_is_replaced_as_a_whole_and_the_rest_stays() {
        let list = added(
            NEW,
            "[app.a]\nport = 1\ncommand = 'one' # why\n[app.a.inherit_env]\nOLD = '1'\n[app.a.log]\ntime = true\n\
             [app.b]\nport = 2\ncommand = 'two'\n[app.c]\nport = 3\nupstream = '127.0.0.1:9'\n",
        );
        let new = with_inherited(&list, &names(&["a", "b", "c", "ghost"]), "NEW = '2'\nPATH = \"/bin\"\n").unwrap();
        assert!(!new.contains("OLD") && new.contains("command = 'one' # why\n"), "{new}");
        let config =
            parse(&new, Path::new("/a.toml")).unwrap_or_else(|bad| panic!("{}{new}", bad.render(false))).config;
        for name in ["a", "b"] {
            let crate::config::Server::Command(command) = &config.apps[&names(&[name])[0]].server else { panic!() };
            let given: Vec<_> = command.environment.inherit.given().map(|(name, _)| name.as_str()).collect();
            assert_eq!(given, ["NEW", "PATH"], "{new}");
        }
    }

    #[test]
    fn an_app_of_the_same_name_is_replaced() {
        let once = added(NEW, "[app.web]\ncommand = 'one'\nport = 1\n");
        let twice = added(&once, "app.web.command = 'two'\n");
        assert!(twice.contains("command = 'two'") && !twice.contains("port = "), "{twice}");
        assert!(parse(&twice, Path::new("/a.toml")).is_ok());
    }

    #[test]
    fn the_last_app_to_go_leaves_a_list_without_apps() {
        let empty = without(&added(NEW, "[app.web]\ncommand = 'one'\n"), &names(&["web"])).unwrap();
        let loaded = parse(&empty, Path::new("/a.toml")).unwrap();
        assert!(loaded.config.apps.is_empty(), "{empty}");
    }

    #[test]
    fn what_cannot_be_added_says_why() {
        let why = |addition: &str| with_apps(NEW, addition).unwrap_err().to_string();
        assert!(why("port = 3").contains("no [app.NAME]"));
        assert!(why("[app.'a b']\ncommand = 'x'").contains("\"a b\" is no name"));
        assert!(why("[app.web").contains("not TOML"));
    }

    #[test]
    fn a_damaged_list_is_set_aside_and_the_backup_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/apps.toml");
        assert_eq!(look_after(&path).unwrap(), Found::Made);
        let good = added(NEW, "[app.web]\ncommand = 'one'\nport = 1\n");
        write(&path, &good).unwrap();
        let newer = added(&good, "[app.api]\ncommand = 'one'\nport = 2\n");
        write(&path, &newer).unwrap();
        assert_eq!(look_after(&path).unwrap(), Found::Sound);
        fs::write(&path, "[app.web").unwrap();
        let Found::SetAside { aside, reason, has_backup: true } = look_after(&path).unwrap() else { panic!() };
        assert!(reason.contains("TOML"), "{reason}");
        assert_eq!(fs::read_to_string(aside).unwrap(), "[app.web");
        assert_eq!(fs::read_to_string(&path).unwrap(), good);
        fs::remove_file(&path).unwrap();
        assert!(matches!(look_after(&path).unwrap(), Found::SetAside { has_backup: true, .. }));
        fs::write(&path, [0xff]).unwrap();
        fs::write(backup(&path), "[").unwrap();
        assert!(matches!(look_after(&path).unwrap(), Found::SetAside { has_backup: false, .. }));
        assert_eq!(fs::read_to_string(&path).unwrap(), NEW);
    }

    #[test]
    fn only_its_owner_may_read_a_list() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apps.toml");
        look_after(&path).unwrap();
        write(&path, NEW).unwrap();
        for file in [&path, &backup(&path)] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
