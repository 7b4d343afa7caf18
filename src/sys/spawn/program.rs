//! From a program's name to its file, by the rules of execvp(3).
//!
//! Done before the fork, so that a missing program is a plain error; nothing is executed here.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// Finds the file that execvp(3) would run: a name with a slash is taken relative to `directory`, any other is looked
/// for in each folder of `path` (the value of `PATH`), where an empty folder means `directory`.
///
/// # Errors
/// `NotFound`, or `PermissionDenied` when all that was found cannot be executed; both name the program.
pub fn find_program(name: &str, path: &OsStr, directory: &Path) -> io::Result<PathBuf> {
    if name.contains('/') {
        let file = directory.join(name);
        return require_runnable(&file).map(|()| file).map_err(|error| about(name, &error));
    }
    let mut denied = None;
    for folder in std::env::split_paths(path).filter(|_| !name.is_empty()) {
        let file = directory.join(folder).join(name);
        match require_runnable(&file) {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                denied = Some(about(&file.to_string_lossy(), &error));
            }
            Err(_) => {}
        }
    }
    Err(denied.unwrap_or_else(|| not_found(name, path)))
}

fn require_runnable(file: &Path) -> io::Result<()> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::from_raw_os_error(nix::libc::EACCES));
    }
    Ok(rustix::fs::access(file, Access::EXEC_OK)?)
}

fn about(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

fn not_found(name: &str, path: &OsStr) -> io::Error {
    io::Error::new(ErrorKind::NotFound, format!("no program {name:?} in PATH ({})", path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn put(folder: &Path, name: &str, mode: u32) -> PathBuf {
        let file = folder.join(name);
        fs::create_dir_all(folder).unwrap();
        fs::write(&file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn the_first_runnable_file_in_the_path_wins() {
        let home = tempfile::tempdir().unwrap();
        let [first, second, third] = ["1", "2", "3"].map(|name| home.path().join(name));
        put(&first, "tool", 0o644);
        fs::create_dir_all(second.join("tool")).unwrap();
        let wanted = put(&third, "tool", 0o755);
        let path = std::env::join_paths([&first, &second, &third]).unwrap();
        assert_eq!(find_program("tool", &path, Path::new("/")).unwrap(), wanted);
    }

    #[test]
    fn what_is_there_but_cannot_run_is_denied_not_missing() {
        let home = tempfile::tempdir().unwrap();
        let file = put(home.path(), "tool", 0o644);
        let error = find_program("tool", home.path().as_os_str(), Path::new("/")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().starts_with(&file.display().to_string()), "{error}");
    }

    #[test]
    fn a_missing_program_is_named_with_where_it_was_looked_for() {
        let error = find_program("no-such-tool", OsStr::new("/bin:/usr/bin"), Path::new("/")).unwrap_err();
        assert_eq!(error.to_string(), "no program \"no-such-tool\" in PATH (/bin:/usr/bin)");
        assert_eq!(find_program("", OsStr::new("/bin"), Path::new("/")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_slash_and_an_empty_folder_mean_the_apps_directory() {
        let home = tempfile::tempdir().unwrap();
        let file = put(&home.path().join("bin"), "tool", 0o755);
        assert_eq!(find_program("bin/tool", OsStr::new(""), home.path()).unwrap(), file);
        assert_eq!(find_program(file.to_str().unwrap(), OsStr::new(""), Path::new("/")).unwrap(), file);
        assert_eq!(find_program("tool", OsStr::new("/nowhere:"), &home.path().join("bin")).unwrap(), file);
        assert_eq!(find_program("./tool", OsStr::new("/bin"), home.path()).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
