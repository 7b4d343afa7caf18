//! A folder for the Unix sockets of one program: it may make sockets there, one other user may connect, nobody else may look.
//!
//! Who they are is the caller's affair. Invariants: what a folder's owner plants in it can make nobody change anything
//! outside of it; a folder goes with its value, whatever is in it.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::identity::Identity;

/// Bytes that the path of a Unix socket may have, the one that ends it not counted (unix(7)).
const LONGEST_PATH: usize = 107;

/// A folder that is there as long as this value.
#[derive(Debug)]
pub struct SocketFolder {
    path: PathBuf,
}

impl SocketFolder {
    /// Makes a folder. `owner`: who makes sockets there, if not we; `visitor`: whose group may pass through, if others
    /// than the owner do.
    ///
    /// # Errors
    /// `AlreadyExists`, among others; nothing is left then.
    pub fn make(path: PathBuf, owner: Option<&Identity>, visitor: Option<&Identity>) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Self { path };
        let gid = visitor.or(owner).map(|identity| identity.gid);
        if owner.is_some() || visitor.is_some() {
            std::os::unix::fs::chown(&folder.path, owner.map(|owner| owner.uid), gid)?;
        }
        let mode = if visitor.is_some() { 0o710 } else { 0o700 };
        fs::set_permissions(&folder.path, Permissions::from_mode(mode))?;
        Ok(folder)
    }

    /// One that a process before us has made.
    #[must_use]
    pub fn adopt(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a socket in it.
    ///
    /// # Errors
    /// `InvalidInput` when it is longer than a socket's may be.
    pub fn socket(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        let length = path.as_os_str().len();
        if length > LONGEST_PATH {
            let reason =
                format!("{}: a socket's path has {LONGEST_PATH} bytes at most, this has {length}", path.display());
            return Err(io::Error::new(ErrorKind::InvalidInput, reason));
        }
        Ok(path)
    }

    /// Lets everybody who comes as far as this folder connect to a socket in it; whoever has made it, most made it so
    /// that only its owner can.
    ///
    /// # Errors
    /// `InvalidData` when it is no socket, or has a second name elsewhere.
    pub fn open_up(&self, name: &str) -> io::Result<()> {
        // Through a descriptor, so that what is looked at is what is changed, whatever stands at the path by then.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let socket = rustix::fs::open(self.path.join(name), flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&socket)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket || stat.st_nlink != 1 {
            return Err(io::Error::new(ErrorKind::InvalidData, "what is there is no socket"));
        }
        let number = std::os::fd::AsRawFd::as_raw_fd(&socket);
        let mode = Mode::from_raw_mode(0o666);
        Ok(rustix::fs::chmodat(rustix::fs::CWD, format!("/proc/self/fd/{number}"), mode, AtFlags::empty())?)
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        // Nobody is left to tell when this fails, and the next start looks for what is left.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The first folder on the way to `path`, itself included, that this user may not pass through, going by the mode bits.
#[must_use]
pub fn barrier(path: &Path, user: &Identity) -> Option<PathBuf> {
    let may_pass = |folder: &&Path| fs::metadata(folder).is_ok_and(|metadata| may_pass(&metadata, user));
    path.ancestors().find(|folder| !may_pass(folder)).map(Path::to_owned)
}

fn may_pass(folder: &Metadata, user: &Identity) -> bool {
    let bit = match folder {
        _ if user.uid == 0 => return true,
        folder if folder.uid() == user.uid => 0o100,
        folder if folder.gid() == user.gid || user.groups.contains(&folder.gid()) => 0o010,
        _ => 0o001,
    };
    folder.mode() & bit != 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::sys::spawn::identity;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    #[test]
    fn a_folder_goes_with_all_that_is_in_it() {
        let home = tempfile::tempdir().unwrap();
        let folder = SocketFolder::make(home.path().join("7"), None, None).unwrap();
        let path = folder.socket("http").unwrap();
        let _listener = UnixListener::bind(&path).unwrap();
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let twice = SocketFolder::make(home.path().join("7"), None, None);
        assert_eq!(twice.unwrap_err().kind(), ErrorKind::AlreadyExists);
        drop(folder);
        assert!(!home.path().join("7").exists());
    }

    #[test]
    fn a_socket_can_be_opened_up_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let folder = SocketFolder::make(home.path().join("7"), None, None).unwrap();
        let secret = home.path().join("secret");
        fs::write(&secret, "").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        let path = folder.socket("http").unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        assert_eq!(folder.open_up("http").unwrap_err().kind(), ErrorKind::InvalidData);
        fs::remove_file(&path).unwrap();
        fs::hard_link(&secret, &path).unwrap();
        assert_eq!(folder.open_up("http").unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(mode(&secret), 0o600);
        fs::remove_file(&path).unwrap();
        assert_eq!(folder.open_up("http").unwrap_err().kind(), ErrorKind::NotFound);
        let _listener = UnixListener::bind(&path).unwrap();
        folder.open_up("http").unwrap();
        assert_eq!(mode(&path), 0o666);
    }

    #[test]
    fn a_path_that_is_too_long_for_a_socket_is_named() {
        let folder = SocketFolder { path: PathBuf::from("/nowhere").join("x".repeat(93)) };
        assert!(folder.socket("http").is_ok());
        let error = folder.socket("https").unwrap_err().to_string();
        assert!(error.ends_with("/https: a socket's path has 107 bytes at most, this has 108"), "{error}");
    }

    #[test]
    fn a_folder_that_keeps_somebody_out_is_named() {
        let home = tempfile::tempdir().unwrap();
        let (inner, nobody) = (home.path().join("inner"), identity("nobody").unwrap());
        fs::create_dir(&inner).unwrap();
        for (outer, expected) in [(0o700, Some(home.path())), (0o711, None)] {
            fs::set_permissions(home.path(), Permissions::from_mode(outer)).unwrap();
            assert_eq!(barrier(&inner, &nobody).as_deref(), expected);
        }
        fs::set_permissions(&inner, Permissions::from_mode(0o766)).unwrap();
        assert_eq!(barrier(&inner, &nobody), Some(inner.clone()));
        assert_eq!(barrier(&inner, &identity("root").unwrap()), None);
    }

    #[test]
    fn as_root_the_owner_and_the_visitor_are_let_in_and_nobody_else() {
        if !is_root() {
            eprintln!("skipped: only root can give a folder away");
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let [owner, visitor] = ["daemon", "nobody"].map(|name| identity(name).unwrap());
        let folder = SocketFolder::make(home.path().join("7"), Some(&owner), Some(&visitor)).unwrap();
        let metadata = fs::metadata(folder.path.as_path()).unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777), (owner.uid, visitor.gid, 0o710));
        let stranger = Identity { uid: 4242, gid: 4242, groups: Vec::new(), ..visitor.clone() };
        assert!([&owner, &visitor].into_iter().all(|user| may_pass(&metadata, user)));
        assert!(!may_pass(&metadata, &stranger));
    }
}
