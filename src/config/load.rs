//! From a file to a configuration, or to all that is wrong with it.
//!
//! [`load`] reads the file and [`parse`] does the rest, which touches nothing but the working directory's name
//! and, for the default admin socket, who we are. Whether the files that are named exist is for [`super::verify()`].

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::fault::Fault;
use super::places::Places;
use super::problem::Source;
use super::reader::Findings;
use super::{Config, Problems, Said, Server, Text, conflicts, environment, sections};

/// No configuration is larger; a larger file is a mistake, and some (`/dev/zero`) have no end.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration with what should be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub config: Config,
    /// No errors among them; often empty.
    pub warnings: Problems,
    pub(super) places: Places,
    pub(super) said: Said,
}

/// Reads a configuration from a file.
///
/// # Errors
/// The file cannot be read, or is no good: all that is wrong with it at once.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let bytes = read(path).map_err(|error| unreadable(path, &error))?;
    match str::from_utf8(&bytes) {
        Ok(text) => parse(text, path),
        Err(bad) => {
            let at = bad.valid_up_to();
            let fault = Fault::error(at..at + 1, "the file is not UTF-8").label(format!("byte 0x{:02x}", bytes[at]));
            Err(Problems::new(source(path, &String::from_utf8_lossy(&bytes)), vec![fault]))
        }
    }
}

/// As [`load`], with the variables of a profile in every app that has it.
///
/// # Errors
/// As [`load`], and when no app has the profile.
pub fn load_with(path: &Path, profile: Option<&str>) -> Result<Loaded, Problems> {
    with_profile(load(path)?, profile)
}

/// As [`parse`], with the variables of a profile in every app that has it.
///
/// # Errors
/// As [`parse`], and when no app has the profile.
pub fn parse_with(text: &str, path: &Path, profile: Option<&str>) -> Result<Loaded, Problems> {
    with_profile(parse(text, path)?, profile)
}

fn with_profile(mut loaded: Loaded, profile: Option<&str>) -> Result<Loaded, Problems> {
    let Some(profile) = profile else { return Ok(loaded) };
    let commands = loaded.config.apps.values_mut().filter_map(|app| match &mut app.server {
        Server::Command(command) => Some(&mut command.environment),
        Server::Fixed(_) => None,
    });
    let having = commands.filter_map(|environment| environment.choose(profile).then_some(())).count();
    if having > 0 {
        loaded.config.profile = Some(profile.to_owned());
        return Ok(loaded);
    }
    let fault = environment::unknown_profile(profile, &profiles(&loaded.config));
    Err(Problems::new(loaded.warnings.source().clone(), vec![fault]))
}

/// All profiles that an app has.
fn profiles(config: &Config) -> Vec<&str> {
    let mut profiles: Vec<&str> = Vec::new();
    for app in config.apps.values() {
        if let Server::Command(command) = &app.server {
            profiles.extend(command.environment.profiles.keys().map(String::as_str));
        }
    }
    profiles.sort_unstable();
    profiles.dedup();
    profiles
}

/// Reads a configuration from a text. `path` names it in messages, and its directory is that of relative paths.
///
/// # Errors
/// All that is wrong with it at once. In a text that is not TOML, only what can be said for certain.
pub fn parse(text: &str, path: &Path) -> Result<Loaded, Problems> {
    // Without a working directory a relative path stays what it is, and `verify` will say what cannot be found.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (tree, broken) = DeTable::parse_recoverable(text);
    let found = Findings::new(text, broken.is_empty());
    let mut config = found.read(tree.get_ref(), |table| sections::file(table, absolute));
    let (mut faults, places) = (found.faults(), found.places());
    if broken.is_empty() {
        faults.extend(conflicts::find(&config, &places));
    } else {
        let broken: Vec<Fault> = broken.iter().map(|error| not_toml(error, text)).collect();
        faults.retain(|fault| !broken.iter().any(|broken| on_one_line(fault, broken, text)));
        faults.extend(broken);
    }
    config.text = Text(text.into());
    for app in config.apps.values_mut() {
        app.said.whole = config.text.clone();
    }
    if config.listen.https.is_empty() {
        config.certificates.clear();
    }
    let problems = Problems::new(source(path, text), faults);
    if problems.has_errors() {
        Err(problems)
    } else {
        Ok(Loaded { config, warnings: problems, places, said: Said::of(tree.get_ref(), text) })
    }
}

/// The admin socket that a file names, whatever else is wrong with the file: to ask a running portreeve, its next
/// configuration need not be good.
///
/// # Errors
/// The file cannot be read.
pub fn admin_socket(path: &Path) -> Result<PathBuf, Problems> {
    let bytes = read(path).map_err(|error| unreadable(path, &error))?;
    let text = String::from_utf8_lossy(&bytes);
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (tree, _) = DeTable::parse_recoverable(&text);
    let found = Findings::new(&text, false);
    Ok(found.read(tree.get_ref(), |table| sections::file(table, absolute)).admin.socket)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB, which no configuration is"));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> Problems {
    let fault = match error.kind() {
        io::ErrorKind::NotFound => Fault::whole_file("there is no such file").help(
            "`portreeve demo` shows portreeve at work without one; to begin with your own, write\n\n  \
             [app.web]\n  command = \"node server.js\"",
        ),
        _ => Fault::whole_file(format!("the file cannot be read: {error}")),
    };
    Problems::new(source(path, ""), vec![fault])
}

fn source(path: &Path, text: &str) -> Source {
    Source { name: path.display().to_string(), text: text.into() }
}

/// A syntax error in our words. The parser's message is "what is wrong, expected what".
fn not_toml(error: &toml::de::Error, text: &str) -> Fault {
    let span = error.span().unwrap_or(text.len()..text.len());
    let (what, expected) = error.message().split_once(", expected ").unwrap_or((error.message(), ""));
    let fault = Fault::error(span, format!("this is not TOML: {what}"));
    let quotes = "texts stand in quotes, and so do addresses, durations, sizes and paths: \"30s\", \"127.0.0.1:8080\"";
    match expected {
        "literal string" => fault.label("put it in quotes"),
        "" => fault,
        "nothing" => fault.label("not expected here").help(quotes),
        expected => fault.label(format!("expected {expected}")),
    }
}

/// Is a fault said of a line that is broken anyway?
fn on_one_line(fault: &Fault, broken: &Fault, text: &str) -> bool {
    let line = |fault: &Fault| {
        let start = fault.span.as_ref().map_or(0, |span| text.floor_char_boundary(span.start));
        text[..start].rfind('\n')
    };
    line(fault) == line(broken)
}
