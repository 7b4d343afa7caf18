//! `watch` of an app, for development: files whose change reloads it.
//!
//! Says what is looked at and what is not; how changes are noticed is not known here. Invariant: every pattern is one that
//! `globset` can read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::Glob;

use super::defaults;
use super::fault::Fault;
use super::reader::Table;
use super::value::{self, Value};

/// Files whose change reloads an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Files, and folders with all that is below them; absolute, symlinks in them not followed yet.
    pub paths: Vec<PathBuf>,
    /// What is not looked at, besides [`NEVER_WATCHED`]: a pattern with a `/` is for paths below a watched folder, one
    /// without for a name anywhere.
    pub ignore: Vec<String>,
    /// So long nothing changes before a reload begins.
    pub debounce: Duration,
}

/// Names of what changes without meaning anything: version control, packages, caches, logs, what editors leave for a moment.
pub const NEVER_WATCHED: [&str; 17] = [
    ".git",
    ".hg",
    ".svn",
    "node_modules",
    "__pycache__",
    "*.pyc",
    ".cache",
    "*.log",
    "*.log.*",
    "*.pid",
    "*~",
    ".#*",
    "#*#",
    "*.swp",
    "*.swx",
    "4913",
    ".DS_Store",
];

/// What `watch` says; `None`: nothing is looked at. Relative paths start at `directory`.
pub(super) fn watch(table: &mut Table, directory: &Path) -> Option<Watch> {
    let all = || Watch { paths: vec![directory.to_owned()], ignore: Vec::new(), debounce: defaults::DEBOUNCE.default };
    let value = table.value("watch")?;
    if value.table().is_some() {
        return Some(table.inner(value, table.dotted("watch"), |table| settings(table, all(), directory)));
    }
    match value::boolean(value) {
        Ok(true) => Some(all()),
        Ok(false) => None,
        Err(_) => {
            let read = |one: Value| value::path(one, directory).map_err(|_| mismatch(value));
            let items = value.items().map_or_else(|| vec![value], Iterator::collect);
            let paths = items.into_iter().map(read).collect::<Result<Vec<_>, _>>();
            let paths = paths.and_then(|paths| if paths.is_empty() { Err(mismatch(value)) } else { Ok(paths) });
            paths.map_err(|fault| table.report(fault)).ok().map(|paths| Watch { paths, ..all() })
        }
    }
}

fn mismatch(value: Value) -> Fault {
    value.mismatch("true, paths such as [\"src\"], or a table such as { paths = [\"src\"], ignore = [\"*.md\"] }")
}

fn settings(table: &mut Table, all: Watch, directory: &Path) -> Watch {
    let paths =
        table.filled_list("paths", "leave it out to watch all of `directory`", |one| value::path(one, directory));
    Watch {
        paths: if paths.is_empty() { all.paths } else { paths },
        ignore: table.list("ignore", pattern),
        debounce: table.duration("debounce", &defaults::DEBOUNCE),
    }
}

fn pattern(value: Value) -> Result<String, Fault> {
    let text = value::text(value)?;
    let fault = |error: globset::Error| {
        value.fault(format!("`{}` has a pattern that is none", value.key)).label(error.kind().to_string())
    };
    Glob::new(text).map_err(fault)?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{bad, good};
    use super::*;

    fn watch(line: &str) -> Option<Watch> {
        let text = format!("[app.web]\ncommand = 'true'\ndirectory = '/srv'\n{line}\n");
        good(&text).config.apps.pop_first().unwrap().1.watch
    }

    #[test]
    fn it_is_off_unless_something_is_named_or_all_is_wanted() {
        let of = |paths: &[&str], ignore: &[&str], millis| {
            let (paths, ignore) = (paths.iter().map(PathBuf::from).collect(), ignore.iter().map(|&one| one.to_owned()));
            Some(Watch { paths, ignore: ignore.collect(), debounce: Duration::from_millis(millis) })
        };
        assert_eq!((watch(""), watch("watch = false")), (None, None));
        assert_eq!(watch("watch = true"), of(&["/srv"], &[], 200));
        assert_eq!(watch("watch = 'src'"), of(&["/srv/src"], &[], 200));
        assert_eq!(watch("watch = ['src', '/etc/app.conf']"), of(&["/srv/src", "/etc/app.conf"], &[], 200));
        assert_eq!(watch("watch = { ignore = ['*.md', 'dist/**'] }"), of(&["/srv"], &["*.md", "dist/**"], 200));
        assert_eq!(watch("watch = { paths = 'a', debounce = '1s' }"), of(&["/srv/a"], &[], 1000));
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        for (line, words) in [
            ("watch = 1", "must be true, paths such as"),
            ("watch = []", "must be true, paths such as"),
            ("watch = ['a', 2]", "must be true, paths such as"),
            ("watch = { paths = [] }", "all of `directory`"),
            ("watch = { ignore = ['a[b'] }", "a pattern that is none"),
            ("watch = { debounce = '1ms' }", "from 10ms to"),
            ("watch = { delay = '1s' }", "`debounce`"),
            ("ignore_watch = ['a']", "ignore = "),
            ("watch_delay = 100", "debounce = "),
        ] {
            let said = bad(&format!("[app.web]\ncommand = 'true'\n{line}\n")).render(false);
            assert!(said.contains(words), "{line}\n{said}");
        }
        let said = bad("[app.a]\nupstream = '127.0.0.1:9000'\nwatch = true\n").render(false);
        assert!(said.contains("no meaning for an app with `upstream`"), "{said}");
    }
}
