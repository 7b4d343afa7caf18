//! Asks the machine whether what a configuration names is there: files, directories, programs.
//!
//! Reads metadata and opens files for reading; changes nothing, starts nothing. What it cannot know without more
//! rights or other rooms is left to whoever does it: whether users exist, ports are free, certificates fit their keys.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::{App, CREDENTIALS, Command, Loaded, Problems, Program, SecretSource, Server};

/// Where programs are looked for without a `PATH`, as execvp(3) does.
const PATH: &str = "/bin:/usr/bin";

/// What of a configuration cannot work on this machine as it is now; each problem names the step and the path.
#[must_use]
pub fn verify(loaded: &Loaded) -> Problems {
    let Loaded { config, warnings, places, .. } = loaded;
    let mut faults = certificates(loaded);
    let socket = places.find("admin.socket");
    faults.extend(parent_fault(&config.admin.socket, "the admin socket").map(|fault| fault.at(socket)));
    if let Some(path) = config.log.access.as_ref().and_then(|access| access.path.as_deref()) {
        let place = places.find("log.access");
        faults.extend(parent_fault(path, "the access log").map(|fault| fault.at(place)));
    }
    faults.extend(config.apps.values().filter_map(|app| app_fault(app, loaded)));
    faults.extend(config.apps.values().flat_map(|app| output_faults(app, loaded)));
    faults.extend(config.apps.values().flat_map(|app| environment_faults(app, loaded)));
    Problems::new(warnings.source().clone(), faults)
}

fn certificates(loaded: &Loaded) -> Vec<Fault> {
    let mut faults = Vec::new();
    let in_table_itself = usize::from(loaded.places.has("tls.cert"));
    for (index, files) in loaded.config.certificates.iter().enumerate() {
        let table = match index.checked_sub(in_table_itself) {
            None => "tls".to_owned(),
            Some(item) => format!("tls.certificate[{item}]"),
        };
        let [cert, key] = ["cert", "key"].map(|name| loaded.places.find(&format!("{table}.{name}")));
        faults.extend(open(&files.cert, "the certificate").err().map(|fault| fault.at(cert)));
        match open(&files.key, "the key") {
            Ok(found) => faults.extend(key_warning(&files.key, &found).map(|fault| fault.at(key))),
            Err(fault) => faults.push(fault.at(key)),
        }
    }
    faults
}

/// Opens a file as its reader will, and gives what it is.
fn open(path: &Path, what: &str) -> Result<Metadata, Fault> {
    let opened = File::open(path).and_then(|file| file.metadata());
    match opened {
        Ok(found) if found.is_file() => Ok(found),
        Ok(_) => Err(Fault::whole_file(format!("{what} {} is not a file", path.display()))),
        Err(error) => Err(failed(&format!("open {what}"), path, &error)),
    }
}

fn key_warning(path: &Path, found: &Metadata) -> Option<Fault> {
    let mode = found.permissions().mode() & 0o777;
    let fault = || {
        Fault::warning(0..0, format!("everybody on this machine can read the key {}", path.display()))
            .label(format!("mode {mode:04o}"))
            .help(format!("chmod 600 {}", path.display()))
    };
    (mode & 0o007 != 0).then(fault)
}

/// Is the directory of `path` there, or can it be made under one that is?
fn parent_fault(path: &Path, what: &str) -> Option<Fault> {
    for parent in path.ancestors().skip(1) {
        match fs::metadata(parent) {
            Ok(found) if found.is_dir() => return None,
            Ok(_) => return Some(Fault::whole_file(format!("{what} cannot be made: {} is a file", parent.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Some(failed(&format!("make the directory of {what}"), parent, &error)),
        }
    }
    None
}

/// The first thing that would keep the workers of an app from starting.
fn app_fault(app: &App, loaded: &Loaded) -> Option<Fault> {
    let Server::Command(command) = &app.server else { return None };
    let place = |key: &str| loaded.places.find(&format!("app.{}.{key}", app.name));
    if let Some(fault) = directory_fault(&command.directory) {
        return Some(fault.at(place("directory")));
    }
    program_fault(command).map(|fault| fault.at(place("command")))
}

/// Log files that have no place.
fn output_faults(app: &App, loaded: &Loaded) -> Vec<Fault> {
    let Server::Command(command) = &app.server else { return Vec::new() };
    let fault = |(key, path): (&str, &Path)| {
        let place = loaded.places.find(&format!("app.{}.log.{key}", app.name));
        parent_fault(path, "the log file").map(|fault| fault.at(place))
    };
    command.output.files().filter_map(fault).collect()
}

/// Files of variables and secrets that are not there or no good, and those that the wrong people can read.
fn environment_faults(app: &App, loaded: &Loaded) -> Vec<Fault> {
    let Server::Command(command) = &app.server else { return Vec::new() };
    let credentials = env::var_os(CREDENTIALS).map(PathBuf::from);
    let mut faults = Vec::new();
    let mut tell = |key: String, read: Result<Vec<String>, String>| {
        let place = loaded.places.find(&format!("app.{}.{key}", app.name));
        match read {
            Ok(remarks) => faults.extend(remarks.into_iter().map(|remark| Fault::warning(place.clone(), remark))),
            Err(why) => faults.push(Fault::error(place, why)),
        }
    };
    for (index, file) in command.environment.files.iter().enumerate() {
        let mut remarks = Vec::new();
        let read = file.read(&mut remarks).map(|_| remarks);
        tell(format!("env_file[{index}]"), read);
    }
    for (name, secret) in &command.environment.secrets {
        let mut remarks = Vec::new();
        let read = match (&secret.source, &credentials) {
            // Whoever checks a file is rarely the service manager.
            (SecretSource::Credential(_), None) => continue,
            _ => secret.read(credentials.as_deref(), &mut remarks).map(|_| remarks),
        };
        tell(format!("secrets.{name}"), read.map_err(|why| format!("secret {name}: {why}")));
    }
    faults
}

fn directory_fault(directory: &Path) -> Option<Fault> {
    match fs::metadata(directory) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(Fault::whole_file(format!("the working directory {} is not a directory", directory.display()))),
        Err(error) => Some(failed("find the working directory", directory, &error)),
    }
}

/// Looks a program up as execvp(3) does; a shell's line is only known to the shell.
fn program_fault(command: &Command) -> Option<Fault> {
    let Program::Direct(words) = &command.program else { return None };
    let name = words.first()?;
    if name.contains('/') {
        let path = command.directory.join(name);
        return executable(&path).err().map(|error| failed("run the program", &path, &error));
    }
    let searched = search_path(command);
    let found = env::split_paths(&searched).map(|directory| command.directory.join(directory).join(name));
    let is_found = found.map(|path: PathBuf| executable(&path)).any(|result| result.is_ok());
    (!is_found).then(|| {
        Fault::whole_file(format!("the program `{name}` is not on the PATH of the app"))
            .label("no such program")
            .help(format!("looked in {}", searched.display()))
    })
}

/// The `PATH` that the workers will have.
fn search_path(command: &Command) -> OsString {
    let own = command.environment.variables.get("PATH").map(OsString::from);
    let own = own.or_else(|| command.environment.inherit.given_value("PATH").map(OsString::from));
    own.or_else(|| env::var_os("PATH")).unwrap_or_else(|| PATH.into())
}

/// Could some user execute it? Whether the worker's user may is only known when it is done.
fn executable(path: &Path) -> io::Result<()> {
    let found = fs::metadata(path)?;
    if !found.is_file() || found.permissions().mode() & 0o111 == 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not an executable file"));
    }
    Ok(())
}

fn failed(step: &str, path: &Path, error: &io::Error) -> Fault {
    Fault::whole_file(format!("cannot {step} {}: {error}", path.display())).label(match error.kind() {
        io::ErrorKind::NotFound => "not there",
        io::ErrorKind::PermissionDenied => "not allowed",
        _ => "does not work",
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::super::parse;
    use super::super::problem::Severity;
    use super::*;

    /// A directory with a program, a certificate and a key.
    fn site() -> TempDir {
        let site = tempfile::tempdir().unwrap();
        let path = site.path();
        fs::create_dir(path.join("bin")).unwrap();
        for (name, mode) in [("bin/serve", 0o755), ("bin/plain", 0o644), ("cert.pem", 0o644), ("key.pem", 0o600)] {
            fs::write(path.join(name), "").unwrap();
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        site
    }

    /// What the machine says of a file in that directory: `line severity message`.
    fn said_of(site: &TempDir, text: &str) -> Vec<String> {
        let loaded = parse(text, &site.path().join("portreeve.toml")).unwrap_or_else(|bad| panic!("{bad}"));
        let problems = verify(&loaded);
        let line = |place: &Option<super::super::Place>| place.as_ref().map_or(0, |place| place.line);
        let say = |problem: &super::super::Problem| {
            format!("{} {} {}", line(&problem.place), problem.severity, problem.message)
        };
        assert!(problems.problems().iter().all(|problem| problem.place.is_some()));
        problems.problems().iter().map(say).collect()
    }

    /// One problem on this line, whose message names the path.
    fn assert_one(site: &TempDir, text: &str, line: usize, words: &[&str]) {
        let said = said_of(site, text);
        assert!(said.len() == 1 && said[0].starts_with(&format!("{line} error")), "{said:?}");
        assert!(words.iter().all(|word| said[0].contains(word)), "{words:?} in {said:?}");
    }

    #[test]
    fn what_is_there_is_not_complained_about() {
        let site = site();
        let text = "[listen]\nhttps = '127.0.0.1:0'\n[tls]\ncert = 'cert.pem'\nkey = 'key.pem'\n[admin]\nsocket = 'new/dir/a.sock'\n\
                    [log]\naccess = 'log/access.log'\n[app.a]\npath = '/a'\ncommand = 'bin/serve'\n\
                    [app.b]\npath = '/b'\ndirectory = 'bin'\ncommand = './serve'\n\
                    [app.c]\npath = '/c'\ncommand = 'serve'\nenv = { PATH = '/nowhere:bin' }\n\
                    [app.d]\npath = '/d'\ncommand = 'missing | more'\nshell = true\n[app.e]\nupstream = 'unix:none.sock'\n";
        assert_eq!(said_of(&site, text), [""; 0]);
    }

    #[test]
    fn a_missing_directory_is_the_step_that_is_named() {
        let site = site();
        let text = "[app.a]\ncommand = './nothing'\ndirectory = 'gone'\n";
        assert_one(&site, text, 3, &["cannot find the working directory", "/gone", "No such file"]);
        assert_one(&site, "[app.a]\ndirectory = 'cert.pem'\ncommand = 'sh'\n", 2, &["cert.pem is not a directory"]);
        symlink("gone", site.path().join("current")).unwrap();
        assert_one(&site, "[app.a]\ndirectory = 'current'\ncommand = 'sh'\n", 2, &["/current"]);
    }

    #[test]
    fn a_program_is_looked_up_where_the_worker_will_look() {
        let site = site();
        let on_path = |name: &str| format!("[app.a]\ncommand = '{name}'\nenv = {{ PATH = 'bin' }}\n");
        assert_eq!(said_of(&site, &on_path("serve")), [""; 0]);
        assert_one(&site, &on_path("plain"), 2, &["`plain` is not on the PATH"]);
        assert_one(&site, &on_path("bin"), 2, &["`bin` is not on the PATH"]);
        assert_one(
            &site,
            "[app.a]\ncommand = 'bin/plain x'\n",
            2,
            &["cannot run the program", "bin/plain", "executable"],
        );
        assert_one(&site, "[app.a]\ncommand = '/no/such'\n", 2, &["cannot run the program /no/such", "No such file"]);
        assert_eq!(said_of(&site, "[app.a]\ncommand = 'sh'\n"), [""; 0], "from the PATH of the test");
    }

    #[test]
    fn each_certificate_is_blamed_on_its_own_line() {
        let site = site();
        let app = "[app.a]\ncommand = 'bin/serve'\n[listen]\nhttps = '127.0.0.1:0'\n";
        let first = format!(
            "{app}[tls]\ncert = 'no.pem'\nkey = 'key.pem'\n[[tls.certificate]]\ncert = 'bin'\nkey = 'no.key'\n"
        );
        let said = said_of(&site, &first);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].starts_with("6 error cannot open the certificate") && said[0].contains("no.pem"), "{said:?}");
        assert!(said[1].starts_with("9 error the certificate") && said[1].ends_with("bin is not a file"), "{said:?}");
        assert!(said[2].starts_with("10 error cannot open the key"), "{said:?}");
        let only = format!("{app}[[tls.certificate]]\ncert = 'cert.pem'\nkey = 'no.key'\n");
        assert_one(&site, &only, 7, &["no.key"]);
    }

    #[test]
    fn a_key_that_everybody_can_read_is_a_warning() {
        let site = site();
        fs::set_permissions(site.path().join("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
        let text = "[app.a]\ncommand = 'bin/serve'\n[listen]\nhttps = '127.0.0.1:0'\n[tls]\ncert = 'cert.pem'\nkey = 'key.pem'\n";
        let problems = verify(&parse(text, &site.path().join("portreeve.toml")).unwrap());
        assert_eq!(problems.problems()[0].severity, Severity::Warning);
        assert!(problems.to_string().contains("chmod 600"), "{problems}");
    }

    #[test]
    fn sockets_and_logs_need_a_directory() {
        let site = site();
        let app = "[app.a]\ncommand = 'bin/serve'\n";
        assert_one(&site, &format!("{app}[admin]\nsocket = 'cert.pem/a.sock'\n"), 4, &["cert.pem", "admin socket"]);
        assert_one(&site, &format!("{app}[log]\naccess = 'cert.pem/x/y'\n"), 4, &["cert.pem", "access log"]);
    }
}
