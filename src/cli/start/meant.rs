//! What `start WHAT` means: an app that is known, a configuration, a script, a command line, or a program.
//!
//! What is known goes first, as under PM2, unless a second copy was asked for.

use std::path::{Path, PathBuf};

use super::{Start, here};
use crate::cli::{ecosystem, select};
use crate::control::words::Status;
use crate::id::AppName;

/// What is to be started.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// Apps that the supervisor knows.
    Apps(Vec<AppName>),
    /// A configuration of its own.
    File(PathBuf),
    /// A configuration of PM2, of which the apps go into the list.
    Ecosystem(PathBuf),
    Program(Program),
}

/// What a worker is to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// A file, as it was named.
    Script(PathBuf),
    /// A program on the `PATH`.
    OnPath(String),
    /// A line, to be split into words.
    Line(String),
}

pub(super) fn find(args: &Start, status: Option<&Status>) -> Result<Meant, String> {
    let known = status.map(|status| &status.apps[..]).unwrap_or_default();
    let [what] = &args.what[..] else {
        if args.what.is_empty() {
            let missing = "start what? Name a script, a command, a .toml file or an app: portreeve start server.js";
            return here().map(Meant::File).ok_or_else(|| missing.to_owned());
        }
        return select::find(&args.what, known).map(Meant::Apps).map_err(|error| {
            format!("{error}; arguments of a script stand behind --: portreeve start {} -- ...", args.what[0])
        });
    };
    if !args.force
        && let Ok(apps) = select::find(std::slice::from_ref(what), known)
        && !apps.is_empty()
    {
        return Ok(Meant::Apps(apps));
    }
    let path = folder(args).join(what);
    if path.is_file() {
        return Ok(file(what, path));
    }
    if what.contains(char::is_whitespace) {
        return Ok(Meant::Program(Program::Line(what.clone())));
    }
    let is_plain = !what.contains('/') && what != "all" && path.extension().is_none_or(|ending| ending != "toml");
    if is_plain && is_on_path(what) {
        return Ok(Meant::Program(Program::OnPath(what.clone())));
    }
    let unknown = select::find(std::slice::from_ref(what), known).err().filter(|_| !known.is_empty());
    let unknown = unknown.map(|error| format!("; {error}")).unwrap_or_default();
    Err(format!("there is no file {} and no program {what}{unknown}", path.display()))
}

fn file(what: &str, path: PathBuf) -> Meant {
    if path.extension().is_some_and(|extension| extension == "toml") {
        return Meant::File(path);
    }
    if ecosystem::is_one(&path.to_string_lossy()) {
        return Meant::Ecosystem(path);
    }
    Meant::Program(Program::Script(PathBuf::from(what)))
}

/// Where the app is to run.
pub(super) fn folder(args: &Start) -> PathBuf {
    let here = working_folder();
    args.interpreter.cwd.as_ref().map_or(here.clone(), |folder| here.join(folder))
}

/// As the shell calls it, so that a symlink which a deploy moves stays one.
fn working_folder() -> PathBuf {
    let real = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let named = std::env::var_os("PWD").map(PathBuf::from).filter(|path| path.is_absolute());
    let is_same = |path: &PathBuf| std::fs::canonicalize(path).ok() == std::fs::canonicalize(&real).ok();
    named.filter(is_same).unwrap_or(real)
}

pub(super) fn is_on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    crate::sys::spawn::find_program(name, &path, Path::new("/")).is_ok()
}
