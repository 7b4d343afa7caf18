//! Being told by the kernel when something in a folder changes (inotify(7)).
//!
//! Folders are watched one by one, never what is below them: whoever asks knows which of those are of interest. What a
//! change means is not known here. Invariant: that somebody reads, or changes permissions, is no change.

use std::io;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Config, ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// This has come, gone, or has other content.
    Changed(PathBuf),
    /// More has changed than can be told.
    Lost,
}

/// The kernel's eye on some folders; closed when dropped.
#[derive(Debug)]
pub struct FileWatch(RecommendedWatcher);

impl FileWatch {
    /// Watches nothing yet; `tell` is called on a thread of its own, and must not wait.
    ///
    /// # Errors
    /// A sentence; where a limit is reached, with its name and how to raise it.
    pub fn new(mut tell: impl FnMut(Sight) + Send + 'static) -> Result<Self, String> {
        let heard = move |result: notify::Result<notify::Event>| match result {
            Ok(event) if event.need_rescan() => tell(Sight::Lost),
            Ok(event) if is_change(event.kind) => event.paths.into_iter().for_each(|path| tell(Sight::Changed(path))),
            Ok(_) => {}
            Err(_) => tell(Sight::Lost),
        };
        RecommendedWatcher::new(heard, Config::default()).map(Self).map_err(|error| sentence(&error))
    }

    /// Watches what is directly in this folder.
    ///
    /// # Errors
    /// As [`FileWatch::new`].
    pub fn add(&mut self, folder: &Path) -> Result<(), String> {
        self.0.watch(folder, RecursiveMode::NonRecursive).map_err(|error| sentence(&error))
    }
}

fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(ModifyKind::Metadata(_)) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

fn sentence(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => limit("max_user_watches", 524_288),
        // inotify_init1(2): EMFILE.
        ErrorKind::Io(error) if error.raw_os_error() == Some(24) => limit("max_user_instances", 1024),
        ErrorKind::Io(error) if error.kind() == io::ErrorKind::StorageFull => limit("max_user_watches", 524_288),
        _ => error.to_string(),
    }
}

fn limit(name: &str, more: u32) -> String {
    let now = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).unwrap_or_default();
    format!(
        "the limit fs.inotify.{name} of this machine ({}) is reached: raise it, as in `sysctl fs.inotify.{name}={more}`, \
         or watch fewer folders",
        now.trim()
    )
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn changes_are_seen_and_reading_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&file, "1").unwrap();
        let (teller, seen) = mpsc::channel();
        let mut watch = FileWatch::new(move |sight| drop(teller.send(sight))).unwrap();
        watch.add(folder.path()).unwrap();
        std::fs::read(&file).unwrap();
        std::fs::rename(&file, &other).unwrap();
        let next = || seen.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(next(), Sight::Changed(file), "the first that is seen is not that it was read");
        assert_eq!(next(), Sight::Changed(other));
        assert!(watch.add(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_limit_is_named_with_its_cure() {
        let full = notify::Error::new(ErrorKind::MaxFilesWatch);
        let said = sentence(&full);
        assert!(said.contains("fs.inotify.max_user_watches") && said.contains("sysctl"), "{said}");
        let said = sentence(&notify::Error::io(io::Error::from_raw_os_error(24)));
        assert!(said.contains("fs.inotify.max_user_instances"), "{said}");
    }
}
