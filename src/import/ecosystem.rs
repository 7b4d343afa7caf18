//! Reads what PM2 reads: an ecosystem file in any of its forms, the list of a running PM2, or the one that it saved.
//!
//! Files in, [`Imported`] out; the meaning is in `pm2`. Whether a script exists, and whether it is a program, is looked
//! up here, because PM2 decides by that how it is run.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::pm2::{self, Look, Options, Surroundings};
use super::script::{self, ScriptError};
use super::{Imported, lenient, yaml};

/// No ecosystem file is larger.
const MOST_BYTES: u64 = 8 << 20;

/// Why a file cannot be translated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}: {reason}", path.display())]
    NoValue { path: PathBuf, reason: String },
    #[error("{}: {error}", path.display())]
    Script { path: PathBuf, error: ScriptError },
    #[error("{}: {reason}", path.display())]
    NoApps { path: PathBuf, reason: String },
}

/// Translates an ecosystem file.
///
/// # Errors
/// It cannot be read or evaluated, or has no app in it.
pub fn read(path: &Path, options: &Options) -> Result<Imported, Error> {
    let path = std::path::absolute(path).map_err(|error| unreadable(path, error))?;
    let value = evaluate(&path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let origin = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let around = Surroundings { folder, origin: &origin, options, look: &look };
    pm2::translate(&value, &around).map_err(|reason| Error::NoApps { path: path.clone(), reason })
}

/// Translates the list of a running PM2 (`pm2 jlist`), or the one that `pm2 save` left behind.
///
/// # Errors
/// It is no such list, or empty.
pub fn dump(text: &str, name: &Path, options: &Options) -> Result<Imported, Error> {
    let no_value = |reason: String| Error::NoValue { path: name.to_owned(), reason };
    // Other versions of PM2 print remarks of their own in front of the list.
    let begins = text.lines().scan(0, |at, line| Some((std::mem::replace(at, *at + line.len() + 1), line)));
    let start = begins.into_iter().find(|(_, line)| line.starts_with("[{") || line.trim() == "[" || *line == "[]");
    let list = text.get(start.map_or(0, |(at, _)| at)..).unwrap_or(text);
    let list: Value = serde_json::from_str(list).map_err(|error| no_value(error.to_string()))?;
    let config = pm2::configured(&list, options).map_err(no_value)?;
    let folder = options.target.clone();
    let origin = name.display().to_string();
    let around = Surroundings { folder: &folder, origin: &origin, options, look: &look };
    pm2::translate(&config, &around).map_err(|reason| Error::NoApps { path: name.to_owned(), reason })
}

/// What the file means, by the ending of its name.
fn evaluate(path: &Path) -> Result<Value, Error> {
    let no_value = |reason: String| Error::NoValue { path: path.to_owned(), reason };
    let script = || script::evaluate(path).map_err(|error| Error::Script { path: path.to_owned(), error });
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match ending.as_str() {
        "yaml" | "yml" => yaml::parse(&text(path)?).map_err(no_value),
        "json" => lenient::parse(&text(path)?).map_err(|error| no_value(error.to_string())),
        _ => {
            text(path)?;
            script()
        }
    }
}

fn text(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() as u64 > MOST_BYTES => {
            Err(Error::NoValue { path: path.to_owned(), reason: "larger than 8 MiB".to_owned() })
        }
        Ok(_) => Ok(text),
        Err(error) => Err(unreadable(path, error)),
    }
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::Unreadable { path: path.to_owned(), error }
}

/// What a script is, as PM2 looks at it: the first bytes tell a program from a text.
fn look(path: &Path) -> Look {
    let mut start = [0; 512];
    match File::open(path).and_then(|mut file| file.read(&mut start)) {
        Err(_) => Look::Missing,
        Ok(length) if start[..length].contains(&0) => Look::Program,
        Ok(_) => Look::Text,
    }
}
