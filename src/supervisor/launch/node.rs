//! What makes a Node worker listen where it is told though its code says otherwise: a number in a cluster, or a module that
//! is loaded first.
//!
//! The sockets that a worker of a cluster asks for are the affair of `primary`. Invariant: the module's file is there
//! whenever a worker is started that needs it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::kit::Kit;
use crate::config::{Node, NodeMode};
use crate::id::Serial;

/// With this variable, and a channel, Node takes itself for a worker with this `cluster.worker.id`.
pub(super) const UNIQUE_ID: &str = "NODE_UNIQUE_ID";

/// Options of every Node that is started under it; an app may have some of its own.
const OPTIONS: &str = "NODE_OPTIONS";

/// The module acts only where it finds this: the app's main port, or nothing.
const MAIN_PORT: &str = "PORTREEVE_PRELOAD";

const MODULE: &str = include_str!("preload.cjs");

/// The file with the module, once it is needed, until portreeve ends.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Preload(Mutex<Option<Folder>>);

/// A folder of ours, gone with its value.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // It may have been cleaned away.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Preload {
    /// That of a supervisor before us, whose workers may need it.
    pub(in crate::supervisor) fn adopt(folder: Option<PathBuf>) -> Self {
        Self(Mutex::new(folder.map(Folder)))
    }

    /// Where it is, if it was needed.
    pub(in crate::supervisor) fn place(&self) -> Option<PathBuf> {
        let folder = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        folder.as_ref().map(|folder| folder.0.clone())
    }

    /// Gives a worker what its mode takes.
    ///
    /// # Errors
    /// A sentence that names what failed.
    pub(super) fn equip(&self, node: Node, serial: Serial, kit: &mut Kit) -> Result<(), String> {
        match node.mode {
            NodeMode::Plain => {}
            // As under Node's own primary no two ever have the same.
            NodeMode::Cluster => kit.set(UNIQUE_ID, serial.0.to_string()),
            NodeMode::Preload => {
                let file = self.file().map_err(|error| format!("write the module that Node is to load: {error}"))?;
                kit.set(OPTIONS, option(&file));
                kit.set(MAIN_PORT, node.port.map(|port| port.to_string()).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Where the module is, for everybody to read. Programs that clean up temporary folders may have taken it away.
    fn file(&self) -> io::Result<PathBuf> {
        let mut folder = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = folder.as_ref().map(|folder| file_in(&folder.0)).filter(|file| file.is_file());
        if let Some(file) = kept {
            return Ok(file);
        }
        let fresh = Folder(tempfile::Builder::new().prefix("portreeve-").tempdir()?.keep());
        let file = file_in(&fresh.0);
        fs::write(&file, MODULE)?;
        fs::set_permissions(&file, Permissions::from_mode(0o644))?;
        fs::set_permissions(&fresh.0, Permissions::from_mode(0o755))?;
        *folder = Some(fresh);
        Ok(file)
    }
}

fn file_in(folder: &Path) -> PathBuf {
    folder.join("preload.cjs")
}

/// Node splits the variable at blanks outside of double quotes, within which a backslash stands before a quote or itself.
fn option(file: &Path) -> String {
    let quoted = file.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    format!("--require \"{quoted}\"")
}

/// The value of a variable of ours, where the app has one already: options of Node go behind its own, all else replaces it.
pub(super) fn beside(name: &str, own: Option<&OsString>, ours: OsString) -> OsString {
    match own.filter(|own| name == OPTIONS && !own.is_empty()) {
        Some(own) => [own, OsStr::new(" "), &ours].into_iter().collect(),
        None => ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_can_be_read_by_everybody_and_comes_back_when_it_was_cleaned_away() {
        let preload = Preload::default();
        let file = preload.file().unwrap();
        assert_eq!(preload.file().unwrap(), file);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o755);
        fs::remove_dir_all(file.parent().unwrap()).unwrap();
        let again = preload.file().unwrap();
        assert_eq!(fs::read_to_string(&again).unwrap(), MODULE);
        drop(preload);
        assert!(!again.exists());
    }

    #[test]
    fn options_of_the_app_stay() {
        let ours = || OsString::from("--require \"/x\"");
        let own = OsString::from("--max-old-space-size=100");
        assert_eq!(beside(OPTIONS, Some(&own), ours()), "--max-old-space-size=100 --require \"/x\"");
        assert_eq!(beside(OPTIONS, None, ours()), ours());
        assert_eq!(beside(OPTIONS, Some(&OsString::new()), ours()), ours());
        assert_eq!(beside("PORT", Some(&own), "1".into()), "1");
        assert_eq!(option(Path::new("/a b/\"c\\")), "--require \"/a b/\\\"c\\\\\"");
    }
}
