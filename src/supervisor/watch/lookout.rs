//! The thread that looks after one app's files: follows its folders, waits for rest, and tells.
//!
//! Folders that come are followed, with what was in them before we looked. Invariant: it never keeps the loop waiting, and
//! ends as soon as it is told to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::burst::Burst;
use super::filter::Filter;
use crate::id::AppName;
use crate::supervisor::event::{Event, Events};
use crate::sys::file_watch::{FileWatch, Sight};

/// Sights that may wait; when there are more, all is looked at again.
const QUEUED: usize = 1024;

/// Folders that are followed; who has more names those that matter.
const MOST_FOLDERS: usize = 20_000;

/// Ends the thread when dropped.
#[derive(Debug)]
pub(super) struct Leash {
    inbox: SyncSender<Note>,
    is_over: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Note {
    Seen(Sight),
    End,
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // If it is full, it is read soon, and then it is seen that it is over.
        let _ = self.inbox.try_send(Note::End);
    }
}

/// Looks until the leash is dropped.
///
/// # Errors
/// A sentence, when there can be no thread.
pub(super) fn post(app: AppName, filter: Filter, pause: Duration, events: Events) -> Result<Leash, String> {
    let (inbox, notes) = sync_channel(QUEUED);
    let is_over = Arc::new(AtomicBool::new(false));
    let lookout = Lookout {
        app,
        filter,
        events,
        notes,
        is_lost: Arc::new(AtomicBool::new(false)),
        is_over: Arc::clone(&is_over),
        folders: 0,
    };
    let teller = inbox.clone();
    let thread = std::thread::Builder::new().name("watch".to_owned());
    thread.spawn(move || lookout.run(teller, pause)).map_err(|error| format!("start a thread: {error}"))?;
    Ok(Leash { inbox, is_over })
}

struct Lookout {
    app: AppName,
    filter: Filter,
    events: Events,
    notes: Receiver<Note>,
    /// Something was seen that did not fit into the queue.
    is_lost: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    folders: usize,
}

impl Lookout {
    fn run(mut self, inbox: SyncSender<Note>, pause: Duration) {
        let is_lost = Arc::clone(&self.is_lost);
        let tell = move |sight| {
            if inbox.try_send(Note::Seen(sight)).is_err() {
                is_lost.store(true, Ordering::Relaxed);
            }
        };
        let watch = FileWatch::new(tell).and_then(|mut watch| {
            self.look_at_all(&mut watch)?;
            Ok(watch)
        });
        match watch {
            Ok(watch) => self.look(watch, pause),
            Err(reason) => tracing::error!(app = %self.app, %reason, "files cannot be watched: changes reload nothing"),
        }
    }

    fn look(&mut self, mut watch: FileWatch, pause: Duration) {
        tracing::info!(app = %self.app, folders = self.folders, "watching files");
        let mut burst: Option<Burst> = None;
        loop {
            let note = match &burst {
                None => self.notes.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(burst) => self.notes.recv_timeout(burst.due(pause).saturating_duration_since(Instant::now())),
            };
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let sight = if self.is_lost.swap(false, Ordering::Relaxed) { Ok(Note::Seen(Sight::Lost)) } else { note };
            match sight {
                Ok(Note::Seen(sight)) => match self.consider(&mut watch, sight) {
                    Ok(Some(path)) => match &mut burst {
                        Some(burst) => burst.go_on(Instant::now()),
                        None => burst = Some(Burst::begin(path, Instant::now())),
                    },
                    Ok(None) => {}
                    Err(reason) => {
                        let app = &self.app;
                        tracing::error!(%app, %reason, "not all files can be watched: changes of some reload nothing");
                    }
                },
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(Burst { path, .. }) = burst.take() {
                        let _ = self.events.blocking_send(Event::FilesChanged { app: self.app.clone(), path });
                    }
                }
                Ok(Note::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// What of it is a change that counts.
    fn consider(&mut self, watch: &mut FileWatch, sight: Sight) -> Result<Option<PathBuf>, String> {
        match sight {
            Sight::Lost => {
                self.look_at_all(watch)?;
                Ok(self.filter.roots().first().cloned())
            }
            Sight::Changed(path) if !self.filter.wants(&path) => Ok(None),
            Sight::Changed(path) if is_folder(&path) => self.follow(watch, &path),
            Sight::Changed(path) => Ok(Some(path)),
        }
    }

    fn look_at_all(&mut self, watch: &mut FileWatch) -> Result<(), String> {
        self.folders = 0;
        for root in self.filter.roots().to_owned() {
            if is_folder(&root) {
                self.follow(watch, &root)?;
            } else {
                // A file that is put in the place of another is seen in its folder only.
                watch.add(root.parent().unwrap_or(&root))?;
            }
        }
        Ok(())
    }

    /// Watches a folder and those below it; gives a file that was found there.
    fn follow(&mut self, watch: &mut FileWatch, folder: &Path) -> Result<Option<PathBuf>, String> {
        let (mut ahead, mut found) = (vec![folder.to_owned()], None);
        while let Some(folder) = ahead.pop() {
            if self.folders >= MOST_FOLDERS {
                return Err(format!("there are more than {MOST_FOLDERS} folders: name fewer, or `ignore` some"));
            }
            match watch.add(&folder) {
                Ok(()) => self.folders += 1,
                // It is gone again.
                Err(_) if !folder.exists() => continue,
                Err(reason) => return Err(format!("{}: {reason}", folder.display())),
            }
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
            for path in entries.filter(|path| self.filter.wants(path)) {
                if is_folder(&path) {
                    ahead.push(path);
                } else {
                    found.get_or_insert(path);
                }
            }
        }
        Ok(found)
    }
}

/// A symlink is none: it could lead anywhere.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}
