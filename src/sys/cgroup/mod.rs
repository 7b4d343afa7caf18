//! Control groups (cgroups(7), version 2): one for each program, where this process may make them.
//!
//! A [`Realm`] is a folder of ours below the group that we were started in; each program gets a [`Group`] in it, which no
//! process of it can leave, and which goes when nobody is in it any more. With the kernel's controllers switched on, a group
//! has limits and tells what it uses. What is found here depends on the machine, and everything works without: the caller
//! falls back on process groups and `/proc`. Invariant: nothing outside of the realm is changed, but that this process
//! moves into it, and that controllers are switched on for it.

mod group;
mod place;

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::stat::Stat;

pub use group::{Group, Limits};
pub use place::{is_in, is_ours_to_use, service};

/// What realms are called: this, and the number and start of the process that they belong to. The start tells apart those
/// that have the same number in different containers.
const PREFIX: &str = "portreeve-";

/// Where the process itself goes when it may not stay in the group above.
const LEAF: &str = "supervisor";

/// Where a process goes that is above the one whose realm it is.
const KEEPER: &str = "portreeve-keeper";

/// How often a realm is made that others remove at once.
const ATTEMPTS: u32 = 8;

/// Moves this process where it is not in the way of the realm of a program that it is about to start, and which begins there
/// too. Where there are no groups, or they are not ours to use, nothing is done.
pub fn step_aside() {
    if let Some(own) = place::own_group().filter(|own| place::is_ours_to_use(own)) {
        step_aside_in(&own);
    }
}

fn step_aside_in(own: &Path) {
    // The topmost group hands out what it likes, and has no type.
    let is_topmost = !own.join("cgroup.type").exists();
    if is_topmost || !Controllers::read(&own.join("cgroup.controllers")).are_any() {
        return;
    }
    let group = own.join(KEEPER);
    let _ = fs::create_dir(&group);
    if let Err(error) = fs::write(group.join("cgroup.procs"), "0") {
        tracing::debug!(%error, "the keeper stays in its control group");
        let _ = fs::remove_dir(&group);
    }
}

/// Bytes of memory that our own group and those above it may use; `None` where nothing limits them.
#[must_use]
pub fn memory_limit() -> Option<u64> {
    let own = place::own_group()?;
    let limit = |folder: &Path| fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse().ok();
    own.ancestors().filter_map(limit).min()
}

/// Bytes of memory that our own group and those above it have left of what they may use; `None` where nothing limits them.
#[must_use]
pub fn memory_left() -> Option<u64> {
    place::own_group()?.ancestors().filter_map(left_in).min()
}

/// Of what the group of this folder may use; what was read from files and not touched for long can be had back.
fn left_in(folder: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let current: u64 = read("memory.current")?.trim().parse().ok()?;
    let idle = read("memory.stat").and_then(|text| group::field(&text, "inactive_file")).unwrap_or(0);
    Some(limit.saturating_sub(current.saturating_sub(idle)))
}

/// Which kinds of limits and figures there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Controllers {
    pub memory: bool,
    pub cpu: bool,
}

impl Controllers {
    fn read(file: &Path) -> Self {
        let words = fs::read_to_string(file).unwrap_or_default();
        let has = |name| words.split_whitespace().any(|word| word == name);
        Self { memory: has("memory"), cpu: has("cpu") }
    }

    fn are_any(self) -> bool {
        self.memory || self.cpu
    }

    /// As `cgroup.subtree_control` takes them.
    fn order(self) -> String {
        let memory = if self.memory { "+memory " } else { "" };
        format!("{memory}{}", if self.cpu { "+cpu" } else { "" })
    }
}

/// Our part of the tree of groups.
#[derive(Debug)]
pub struct Realm {
    folder: PathBuf,
    controllers: Controllers,
    /// Its folder, locked for as long as it is somebody's: those of other PID namespaces cannot see whose it is.
    _claim: File,
}

impl Realm {
    /// Makes a realm below our own group; `None` where there are no control groups, or they are not ours to use.
    ///
    /// # Errors
    /// When there are and it does not work all the same.
    pub fn claim() -> io::Result<Option<Self>> {
        let Some(own) = place::own_group() else { return Ok(None) };
        if !place::is_ours_to_use(&own) {
            return Ok(None);
        }
        Self::found(&own, &Stat::of(rustix::process::getpid().as_raw_pid())?).map(Some)
    }

    /// Makes the realm of a process that is in the group of this folder.
    fn found(own: &Path, process: &Stat) -> io::Result<Self> {
        let name = name_of(process);
        // After an exec in place the process is where it had moved itself.
        let base = match () {
            () if own.ends_with(Path::new(&name).join(LEAF)) => own.ancestors().nth(2).unwrap_or(own),
            // And under a keeper it begins where that is.
            () if own.ends_with(KEEPER) => own.parent().unwrap_or(own),
            () => own,
        };
        remove_abandoned(base);
        let folder = base.join(&name);
        let claim = held(&folder)?;
        let controllers = switch_on(base, &folder, process.pid);
        Ok(Self { folder, controllers, _claim: claim })
    }

    /// What can be limited and measured in its groups.
    #[must_use]
    pub fn controllers(&self) -> Controllers {
        self.controllers
    }

    /// Makes a group. Two of one name cannot be.
    pub fn group(&self, name: &str) -> io::Result<Arc<Group>> {
        Group::create(self.folder.join(name), self.controllers).map(Arc::new)
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        // Refused while a process is in it, which may be ourselves: then the service manager does it, or the next realm.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Makes a folder, or finds it, and locks it (flock(2)); whoever removes one has locked it as well.
fn held(folder: &Path) -> io::Result<File> {
    for _ in 0..ATTEMPTS {
        match fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let claim = File::open(folder).and_then(|claim| claim.lock().map(|()| claim));
        match claim {
            Ok(claim) if folder.exists() => return Ok(claim),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            // Somebody has removed it between two steps.
            _ => {}
        }
    }
    Err(io::Error::new(ErrorKind::NotFound, format!("{} is removed whenever it is made", folder.display())))
}

/// Switches the controllers on that there are, first for the realm and then for the groups in it.
///
/// A group that hands out memory and CPU may have no processes itself (but the topmost one), so the process moves into a
/// leaf if that is what keeps it. Others that stay there keep it too: then the realm does without.
fn switch_on(base: &Path, folder: &Path, pid: i32) -> Controllers {
    let available = Controllers::read(&base.join("cgroup.controllers"));
    if !available.are_any() {
        return available;
    }
    let switch = |group: &Path| fs::write(group.join("cgroup.subtree_control"), available.order());
    if switch(base).is_err() && !make_room(base, folder, pid, switch) {
        return Controllers::default();
    }
    let _ = switch(folder);
    Controllers::read(&folder.join("cgroup.subtree_control"))
}

fn make_room(base: &Path, folder: &Path, pid: i32, switch: impl Fn(&Path) -> io::Result<()>) -> bool {
    let leaf = folder.join(LEAF);
    let _ = fs::create_dir(&leaf);
    let enter = |group: &Path| fs::write(group.join("cgroup.procs"), pid.to_string());
    if enter(&leaf).is_err() {
        let _ = fs::remove_dir(&leaf);
        return false;
    }
    if switch(base).is_ok() {
        return true;
    }
    let _ = enter(base);
    let _ = fs::remove_dir(&leaf);
    false
}

/// Removes what is left of realms whose process is gone, which nobody holds, and in which nobody is: one of another PID
/// namespace looks as if its process were gone, and may be about to put somebody in.
fn remove_abandoned(base: &Path) {
    let folders = fs::read_dir(base).into_iter().flatten().filter_map(Result::ok);
    for realm in folders.filter(|entry| is_abandoned(&entry.file_name().to_string_lossy())) {
        let Ok(claim) = File::open(realm.path()) else { continue };
        if claim.try_lock().is_err() || is_populated(&realm.path()) {
            continue;
        }
        for group in fs::read_dir(realm.path()).into_iter().flatten().filter_map(Result::ok) {
            let _ = fs::remove_dir(group.path());
        }
        let _ = fs::remove_dir(realm.path());
    }
}

/// Is anybody in it, or in a group below (`populated` in `cgroup.events`)?
fn is_populated(folder: &Path) -> bool {
    let events = fs::read_to_string(folder.join("cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "populated 1")
}

fn is_abandoned(name: &str) -> bool {
    let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')?.0.parse().ok());
    pid.is_some_and(|pid| Stat::of(pid).map_or(true, |process| name_of(&process) != name))
}

fn name_of(process: &Stat) -> String {
    format!("{PREFIX}{}-{}", process.pid, process.started)
}

#[cfg(test)]
mod tests;
