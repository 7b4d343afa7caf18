//! What a worker finds in its environment, as the file has it: variables, profiles, files, secrets, what is inherited.
//!
//! Reads keys and nothing else: what the files hold is read per generation, see `values`. Invariant: no name that
//! portreeve sets itself is in here, and no name both has a value in `env` and is a secret.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::reader::Table;
use super::value::{self, Value};
use super::{masked, unknown};

/// What PM2 calls the variable with a worker's number.
const INSTANCE: &str = "NODE_APP_INSTANCE";

/// The variables of an app's workers, besides those that portreeve sets.
#[derive(Clone, PartialEq, Eq)]
pub struct Environment {
    pub inherit: Inherit,
    /// Read anew for each generation; later ones win over earlier ones, and `variables` over all.
    pub files: Vec<EnvFile>,
    pub variables: BTreeMap<String, String>,
    /// What each profile puts on top of `variables`; the chosen one is in there already.
    pub profiles: BTreeMap<String, BTreeMap<String, String>>,
    pub secrets: BTreeMap<String, Secret>,
    /// The variable that holds the slot.
    pub instance_var: String,
    /// A variable whose value, a number, grows by the slot.
    pub increment_var: Option<String>,
}

/// What workers find besides what their app says: which of portreeve's own variables, or others in their place.
#[derive(Clone, PartialEq, Eq)]
pub enum Inherit {
    All,
    Nothing,
    /// Those with these names, in which `*` stands for any text.
    Only(Vec<String>),
    /// None of them, but these: those of the shell in which the app was started.
    Given(BTreeMap<String, String>),
}

/// A file of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFile {
    pub path: PathBuf,
    /// It need not be there.
    pub optional: bool,
}

/// A value that stands elsewhere, and that nobody is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    pub source: SecretSource,
    /// The variable holds the path of the file instead of what the file holds.
    pub as_file: bool,
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    File(PathBuf),
    /// The service manager's (`LoadCredential=`), under this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

impl Inherit {
    /// Is a variable of ours passed on that has this name?
    #[must_use]
    pub fn lets_in(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Nothing | Self::Given(_) => false,
            Self::Only(patterns) => patterns.iter().any(|pattern| matches(pattern, name)),
        }
    }

    /// What is there in place of ours.
    pub fn given(&self) -> impl Iterator<Item = (&String, &String)> {
        let given = if let Self::Given(variables) = self { Some(variables) } else { None };
        given.into_iter().flatten()
    }

    /// The variable of this name among those that are there in place of ours.
    #[must_use]
    pub fn given_value(&self, name: &str) -> Option<&OsStr> {
        self.given().find(|(known, _)| *known == name).map(|(_, value)| OsStr::new(value))
    }
}

impl fmt::Debug for Inherit {
    /// Leaves out the values: a shell has secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("All"),
            Self::Nothing => f.write_str("Nothing"),
            Self::Only(patterns) => f.debug_tuple("Only").field(patterns).finish(),
            Self::Given(variables) => f.debug_set().entries(variables.keys()).finish(),
        }
    }
}

impl Environment {
    /// Puts a profile on top; false when there is none of this name.
    pub(super) fn choose(&mut self, profile: &str) -> bool {
        let chosen = self.profiles.get(profile).cloned();
        let is_known = chosen.is_some();
        self.variables.extend(chosen.into_iter().flatten());
        is_known
    }
}

impl fmt::Debug for Environment {
    /// Leaves out the values that nobody is to see.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): (&String, &String)| {
            let value = if masked::looks_secret(name, value) { masked::HIDDEN.to_owned() } else { value.clone() };
            (name.clone(), value)
        };
        f.debug_struct("Environment")
            .field("inherit", &self.inherit)
            .field("files", &self.files)
            .field("variables", &self.variables.iter().map(shown).collect::<BTreeMap<_, _>>())
            .field("profiles", &self.profiles.keys())
            .field("secrets", &self.secrets)
            .field("instance_var", &self.instance_var)
            .field("increment_var", &self.increment_var)
            .finish()
    }
}

/// By which a service manager speaks to one process (`sd_listen_fds(3)`, `sd_notify(3)`, `sd_watchdog_enabled(3)`).
const MANAGERS: [&str; 7] =
    ["LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// Does portreeve set a variable of this name for each worker?
#[must_use]
pub fn is_ours(name: &str) -> bool {
    matches!(name, "PORT" | "HOST" | "NODE_UNIQUE_ID")
        || MANAGERS.contains(&name)
        || ["PORTREEVE_", "NODE_CHANNEL_"].into_iter().any(|ours| name.starts_with(ours))
}

/// The environment that an app's keys describe.
pub(super) fn environment(table: &mut Table, base: &Path) -> Environment {
    let instance_var = table.take("instance_var", name).unwrap_or_else(|| INSTANCE.to_owned());
    let (variables, profiles) = table.section("env", |table| env(table, &instance_var));
    let secrets = table.section("secrets", |table| secrets(table, &instance_var, base));
    for twice in secrets.keys().filter(|name| variables.contains_key(*name)) {
        let place = table.span_of("secrets");
        let fault = Fault::error(place, format!("`{twice}` has a value in `env` and is a secret")).label("one of both");
        table.report(fault.related(table.span_of("env"), "the value stands here"));
    }
    let increment_var = table.take("increment_var", increment).flatten();
    check_base(table, increment_var.as_deref(), &variables);
    Environment {
        inherit: inherited(table),
        files: files(table, base),
        variables,
        profiles,
        secrets,
        instance_var,
        increment_var,
    }
}

/// Variables, and tables of them: the profiles.
fn env(table: &mut Table, instance: &str) -> (BTreeMap<String, String>, BTreeMap<String, BTreeMap<String, String>>) {
    let (mut variables, mut profiles) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in table.entries() {
        if value.table().is_none() {
            variables.extend(reported(table, variable(key, value, instance)));
        } else if let Err(why) = profile_name(value.key) {
            table.report(Fault::error(key, format!("a table in `env` is a profile: {why}")));
        } else {
            let read = |table: &mut Table| -> BTreeMap<String, String> {
                let entries = table.entries().into_iter();
                entries.filter_map(|(key, value)| reported(table, variable(key, value, instance))).collect()
            };
            profiles.insert(value.key.to_owned(), table.inner(value, table.dotted(value.key), read));
        }
    }
    (variables, profiles)
}

fn secrets(table: &mut Table, instance: &str, base: &Path) -> BTreeMap<String, Secret> {
    let mut secrets = BTreeMap::new();
    for (key, value) in table.entries() {
        let name = own_name(&key, value.key, instance).map(str::to_owned);
        let secret = match value.table() {
            Some(_) => table.inner(value, table.dotted(value.key), |table| secret(table, base)),
            None => reported(table, value::path(value, base).map_err(|fault| fault.at(value.span()))).map(secret_file),
        };
        secrets.extend(reported(table, name).zip(secret));
    }
    secrets
}

fn secret_file(path: PathBuf) -> Secret {
    Secret { source: SecretSource::File(path), as_file: false }
}

/// `{ file = "/path" }` or `{ credential = "name" }`, with `as = "file"`.
fn secret(table: &mut Table, base: &Path) -> Option<Secret> {
    let file = table.path("file", base);
    let credential = table.take("credential", credential);
    let as_file = table.take("as", |value| value::word(value, &[("value", false), ("file", true)])).unwrap_or(false);
    let source = match (file, credential) {
        (Some(_), Some(_)) => {
            let fault = Fault::error(table.span_of("credential"), "a secret has `file` or `credential`, not both");
            table.report(fault.related(table.span_of("file"), "it has a file"));
            return None;
        }
        (Some(path), None) => SecretSource::File(path),
        (None, Some(name)) => SecretSource::Credential(name),
        (None, None) => {
            if !table.has("file") && !table.has("credential") {
                table.report_missing(&["file", "credential"], "file = \"/run/secrets/db\" holds the value");
            }
            return None;
        }
    };
    Some(Secret { source, as_file })
}

/// The name of a systemd credential, which is a file name (systemd.exec(5), `LoadCredential=`).
fn credential(value: Value) -> Result<String, Fault> {
    let name = value::text(value)?;
    if name.contains('/') || name == ".." || name == "." {
        return Err(value.mismatch("the name of a credential").label("a path; write { file = ... } for a file"));
    }
    Ok(name.to_owned())
}

fn variable(key: Range<usize>, value: Value, instance: &str) -> Result<(String, String), Fault> {
    let name = own_name(&key, value.key, instance)?;
    if value.str().is_none() {
        return Err(value.mismatch("a text: variables have no other kind").help("put it in quotes"));
    }
    Ok((name.to_owned(), value::any_text(value)?.to_owned()))
}

/// A name that is the operator's to give.
fn own_name<'a>(key: &Range<usize>, name: &'a str, instance: &str) -> Result<&'a str, Fault> {
    if let Err(why) = variable_name(name) {
        return Err(Fault::error(key.clone(), "this cannot be the name of a variable").label(why));
    }
    if is_ours(name) || name == instance {
        let fault = Fault::error(key.clone(), format!("`{name}` is set by portreeve, for each worker"));
        return Err(fault.label("leave it out").help(remedy(name)));
    }
    Ok(name)
}

/// How a worker comes by such a variable.
fn remedy(name: &str) -> &'static str {
    match name {
        "NOTIFY_SOCKET" => "notify = true gives each worker a socket of its own",
        "WATCHDOG_USEC" | "WATCHDOG_PID" => "watchdog = \"10s\" sets it for each worker",
        name if MANAGERS.contains(&name) => "listen = \"inherit\" hands a socket to each worker",
        _ => "a worker listens on HOST:PORT as it is given them",
    }
}

fn variable_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.contains(['=', '\0']) { Err("empty, or has a = or NUL in it") } else { Ok(()) }
}

/// The name of a variable, as a value.
fn name(value: Value) -> Result<String, Fault> {
    let name = value::text(value)?;
    variable_name(name).map_err(|why| value.mismatch("the name of a variable").label(why))?;
    if is_ours(name) {
        return Err(value.fault(format!("`{name}` is set by portreeve, for each worker")).label("choose another name"));
    }
    Ok(name.to_owned())
}

/// `PORT` differs from worker to worker anyway, in PM2's idiom for just that.
fn increment(value: Value) -> Result<Option<String>, Fault> {
    if value.str() == Some("PORT") {
        let fault = Fault::warning(value.span(), "portreeve gives each worker a PORT of its own: nothing to increment");
        return Err(fault.label("leave it out"));
    }
    name(value).map(Some)
}

/// A number to count from has to be one, where it can be known.
fn check_base(table: &Table, name: Option<&str>, variables: &BTreeMap<String, String>) {
    let base = name.and_then(|name| variables.get(name));
    if base.is_some_and(|base| base.trim().parse::<i64>().is_err()) {
        let fault = Fault::error(table.span_of("increment_var"), "this variable is no number in `env`");
        table.report(fault.label("nothing to count from").related(table.span_of("env"), "its value stands here"));
    }
}

/// `true`, `false`, a list of names, or a table of variables.
fn inherited(table: &mut Table) -> Inherit {
    let Some(value) = table.value("inherit_env") else { return Inherit::All };
    if value.table().is_none() {
        return reported(table, inherit(value)).unwrap_or(Inherit::All);
    }
    let read = |table: &mut Table| -> BTreeMap<String, String> {
        // The slot's variable is no fault here: a shell within a worker has it, and it is not passed on.
        let entries = table.entries().into_iter();
        entries.filter_map(|(key, value)| reported(table, variable(key, value, ""))).collect()
    };
    Inherit::Given(table.inner(value, table.dotted("inherit_env"), read))
}

fn inherit(value: Value) -> Result<Inherit, Fault> {
    match (value.node.get_ref().as_bool(), value.items()) {
        (Some(true), _) => Ok(Inherit::All),
        (Some(false), _) => Ok(Inherit::Nothing),
        (None, Some(items)) => {
            let names = items.map(|item| value::text(item).map(str::to_owned));
            Ok(Inherit::Only(names.collect::<Result<_, _>>()?))
        }
        (None, None) => Err(value
            .mismatch("true, false, a table of variables or a list of names such as [\"PATH\", \"LANG\", \"APP_*\"]")),
    }
}

/// One file or several, each a path, a path with `?`, or a table.
fn files(table: &mut Table, base: &Path) -> Vec<EnvFile> {
    let mut files = Vec::new();
    for (index, item) in table.items("env_file").into_iter().enumerate() {
        let name = format!("{}[{index}]", table.dotted("env_file"));
        let file = match item.table() {
            Some(_) => table.inner(item, name, |table| {
                let (path, optional) = (table.path("path", base), table.boolean("optional"));
                if path.is_none() && !table.has("path") {
                    table.report_missing(&["path"], "{ path = \".env\", optional = true }");
                }
                path.map(|path| EnvFile { path, optional })
            }),
            None => reported(table, named_file(item, base)),
        };
        files.extend(file);
    }
    files
}

fn named_file(value: Value, base: &Path) -> Result<EnvFile, Fault> {
    let path = value::path(value, base)?;
    match path.to_str().and_then(|path| path.strip_suffix('?')) {
        Some(path) if !path.ends_with('/') => Ok(EnvFile { path: path.into(), optional: true }),
        Some(_) => Err(value.mismatch("the path of a file").label("no name in front of the ?")),
        None => Ok(EnvFile { path, optional: false }),
    }
}

/// A name that can stand in an address and on a command line.
///
/// # Errors
/// A sentence.
pub fn profile_name(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err("the name of a profile has letters, digits, `-`, `_` and `.`".to_owned());
    }
    Ok(name.to_owned())
}

/// What to say of a profile that no app has.
pub(super) fn unknown_profile(profile: &str, known: &[&str]) -> Fault {
    let fault = Fault::whole_file(format!("no app has a profile `{profile}`"));
    match (unknown::nearest(profile, known), known) {
        (Some(near), _) => fault.help(format!("did you mean `{near}`?")),
        (None, []) => fault.help(format!("write one as a table: [app.NAME.env.{profile}]")),
        (None, known) => fault.help(format!("the profiles are {}", known.join(", "))),
    }
}

fn reported<T>(table: &Table, read: Result<T, Fault>) -> Option<T> {
    read.map_err(|fault| table.report(fault)).ok()
}

/// Does a name fit a pattern, in which `*` stands for any text?
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name
            .strip_prefix(start)
            .is_some_and(|name| (0..=name.len()).any(|at| name.get(at..).is_some_and(|tail| matches(rest, tail)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, fits) in [
            ("PATH", "PATH", true),
            ("PATH", "PATHS", false),
            ("APP_*", "APP_", true),
            ("APP_*", "APP_X", true),
            ("APP_*", "MY_APP_X", false),
            ("*_URL", "DB_URL", true),
            ("*_URL", "DB_URLS", false),
            ("LC_*_*", "LC_A_B", true),
            ("*", "é", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_stars_comes_to_an_end() {
        assert!(!matches("*a*a*a*", &"b".repeat(40)));
    }
}
