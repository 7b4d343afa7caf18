//! What the variables of an environment are worth at this moment: its files and secrets, read.
//!
//! Read per generation, so that all workers of one, also those restarted later, have the same. A sentence about a fault
//! names files, lines and variables, never a value. Invariant: [`Values`] shows no value to anybody but who asks by name.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::dotenv;
use super::environment::{EnvFile, Environment, Secret, SecretSource, is_ours};

/// No file of variables is larger.
const MOST_IN_A_FILE: u64 = 1 << 20;
/// The kernel takes no longer variable (`MAX_ARG_STRLEN`, execve(2)).
const MOST_IN_A_SECRET: u64 = 128 * 1024 - 1024;

/// The variable that names the folder of systemd's credentials (systemd.exec(5)).
pub const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Variables by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<OsString, OsString>);

impl Values {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Each with its name, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.0.iter()
    }

    fn set(&mut self, name: &str, value: OsString) {
        self.0.insert(name.into(), value);
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// The variables that the app gives its workers, and remarks on what an operator should know. `credentials` is the
    /// folder of the service manager's credentials, if there is one.
    ///
    /// # Errors
    /// A sentence: a file that is not there, cannot be read, or is no good.
    pub fn read(&self, credentials: Option<&Path>) -> Result<(Values, Vec<String>), String> {
        let (mut values, mut remarks) = (Values::default(), Vec::new());
        for file in &self.files {
            for (name, value) in file.read(&mut remarks)? {
                values.set(&name, value.into());
            }
        }
        for (name, value) in &self.variables {
            values.set(name, value.into());
        }
        for (name, secret) in &self.secrets {
            let value = secret.read(credentials, &mut remarks).map_err(|why| format!("secret {name}: {why}"))?;
            values.set(name, value);
        }
        Ok((values, remarks))
    }
}

impl EnvFile {
    /// Its variables, without those that portreeve sets.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn read(&self, remarks: &mut Vec<String>) -> Result<Vec<(String, String)>, String> {
        let shown = self.path.display();
        let bytes = match read_file(&self.path, MOST_IN_A_FILE) {
            Ok((bytes, _)) => bytes,
            Err(error) if self.optional && error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(format!("env_file {shown}: {error}")),
        };
        let text = String::from_utf8(bytes).map_err(|_| format!("env_file {shown}: the file is not UTF-8"))?;
        let assignments = dotenv::parse(&text)
            .map_err(|bad| format!("env_file {shown}:{}:{}: {}", bad.line, bad.column, bad.message))?;
        let mut variables = Vec::new();
        for one in assignments {
            if is_ours(&one.name) {
                let name = one.name;
                remarks.push(format!("{shown}:{}: {name} is left out, portreeve sets it for each worker", one.line));
            } else {
                variables.push((one.name, one.value));
            }
        }
        Ok(variables)
    }
}

impl Secret {
    /// What the variable is to hold.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn read(&self, credentials: Option<&Path>, remarks: &mut Vec<String>) -> Result<OsString, String> {
        let path = self.path(credentials)?;
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        let (mut bytes, found) = read_file(&path, MOST_IN_A_SECRET).map_err(failed)?;
        remarks.extend(exposure(&path, &found));
        if self.as_file {
            return Ok(path.into());
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        if bytes.contains(&0) {
            return Err(format!(
                "{}: a variable cannot hold its NUL byte; as = \"file\" hands the path over",
                path.display()
            ));
        }
        Ok(OsString::from_vec(bytes))
    }

    fn path(&self, credentials: Option<&Path>) -> Result<PathBuf, String> {
        match (&self.source, credentials) {
            (SecretSource::File(path), _) => Ok(path.clone()),
            (SecretSource::Credential(name), Some(folder)) => Ok(folder.join(name)),
            (SecretSource::Credential(name), None) => Err(format!(
                "there is no credential {name}: {CREDENTIALS} is not set, as systemd does for LoadCredential="
            )),
        }
    }
}

/// Who may read a secret besides those who should.
fn exposure(path: &Path, found: &Metadata) -> Option<String> {
    let mode = found.permissions().mode() & 0o777;
    let shown = path.display();
    (mode & 0o004 != 0)
        .then(|| format!("everybody on this machine can read the secret {shown} (mode {mode:04o}); chmod 600 {shown}"))
}

fn read_file(path: &Path, most: u64) -> io::Result<(Vec<u8>, Metadata)> {
    // Asked before it is opened, because opening a pipe would wait for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is not a file"));
    }
    let file = File::open(path)?;
    let found = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {most} bytes")));
    }
    Ok((bytes, found))
}
