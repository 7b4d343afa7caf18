//! Where this process stands in the tree of control groups, and whether it may make its own below that.
//!
//! Reads what `/proc` and the file system say; texts come in as arguments, so that any machine's can be tried.

use std::fs;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access, getxattr};

use crate::sys::stat::Stat;

/// The group of version 2 that a service manager has made for the service that this process is in, by its path in the tree; `None`:
/// it is in none.
#[must_use]
pub fn service() -> Option<PathBuf> {
    service_of(&fs::read_to_string("/proc/self/cgroup").ok()?)
}

fn service_of(group: &str) -> Option<PathBuf> {
    let path = path_of(group)?;
    path.extension().is_some_and(|extension| extension == "service").then(|| path.to_owned())
}

/// Is a process in this group, or in one below it?
#[must_use]
pub fn is_in(process: &Stat, group: &Path) -> bool {
    let own = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).unwrap_or_default();
    path_of(&own).is_some_and(|own| own.starts_with(group))
}

/// The path in the tree of version 2, from `/proc/PID/cgroup`.
fn path_of(group: &str) -> Option<&Path> {
    group.lines().find_map(|line| line.strip_prefix("0::")).map(Path::new)
}

/// The folder of our own group, where version 2 is mounted.
pub(super) fn own_group() -> Option<PathBuf> {
    let group = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    folder_of(&group, &mounts).filter(|folder| folder.join("cgroup.procs").exists())
}

/// From `/proc/self/cgroup` and `/proc/self/mountinfo` to a folder.
pub(super) fn folder_of(group: &str, mounts: &str) -> Option<PathBuf> {
    let path = path_of(group)?;
    let (root, mount) = mounts.lines().find_map(mount_of_version_2)?;
    let inside = path.strip_prefix(&root).ok()?;
    // What lies above the root of a namespace shows as `/..`, and as a path that leads nowhere.
    let is_plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
    is_plain.then(|| mount.join(inside))
}

/// Root within the hierarchy and mount point of a line of `proc_pid_mountinfo(5)`, if it mounts version 2.
fn mount_of_version_2(line: &str) -> Option<(PathBuf, PathBuf)> {
    let (mount, system) = line.split_once(" - ")?;
    if system.split(' ').next()? != "cgroup2" {
        return None;
    }
    let mut fields = mount.split(' ').skip(3);
    Some((fields.next()?.into(), fields.next()?.into()))
}

/// May groups be made below this one? Where a service manager keeps the tree, only below what it has delegated; others
/// may where they can write.
#[must_use]
pub fn is_ours_to_use(folder: &Path) -> bool {
    let may_write = |path: &Path| access(path, Access::WRITE_OK).is_ok();
    let is_managed = Path::new("/run/systemd/system").exists() && rustix::process::geteuid().is_root();
    may_write(folder) && may_write(&folder.join("cgroup.procs")) && (!is_managed || is_delegated(folder))
}

/// The service manager marks what it has delegated (systemd 251 and later; `Delegate=yes` of a unit), and what is below
/// has no mark.
fn is_delegated(folder: &Path) -> bool {
    let has_mark = |folder: &Path, name: &str| {
        let mut value = [0; 8];
        getxattr(folder, name, &mut value).is_ok_and(|length| value[..length] == *b"1")
    };
    folder.ancestors().any(|folder| ["trusted.delegate", "user.delegate"].iter().any(|name| has_mark(folder, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str = "24 30 0:22 / /proc rw,relatime - proc proc rw\n\
                           35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "40 24 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                          41 24 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const CONTAINER: &str = "35 24 0:30 /docker/abc /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n";

    #[test]
    fn our_group_has_a_folder_where_version_2_is_mounted() {
        let folder = |group, mounts| folder_of(group, mounts).map(|folder| folder.display().to_string());
        let service = "0::/system.slice/portreeve.service\n";
        assert_eq!(folder(service, UNIFIED).as_deref(), Some("/sys/fs/cgroup/system.slice/portreeve.service"));
        let hybrid = "4:memory:/x/y\n1:name=systemd:/\n0::/a\n";
        assert_eq!(folder(hybrid, HYBRID).as_deref(), Some("/sys/fs/cgroup/unified/a"));
        assert_eq!(folder("0::/docker/abc/x", CONTAINER).as_deref(), Some("/sys/fs/cgroup/x"));
        assert_eq!(folder("0::/", UNIFIED).as_deref(), Some("/sys/fs/cgroup/"));
    }

    #[test]
    fn without_version_2_or_outside_of_what_is_mounted_there_is_none() {
        assert_eq!(folder_of("4:memory:/x\n", UNIFIED), None);
        assert_eq!(folder_of("0::/a\n", HYBRID.lines().next().unwrap()), None);
        assert_eq!(folder_of("0::/elsewhere", CONTAINER), None);
        assert_eq!(folder_of("0::/../sibling", UNIFIED), None);
        assert_eq!(folder_of("", ""), None);
    }

    #[test]
    fn a_service_has_a_group_that_is_called_so() {
        let service = |group| service_of(group).map(|path| path.display().to_string());
        let name = "/system.slice/portreeve.service";
        assert_eq!(service("1:name=systemd:/x.service\n0::/system.slice/portreeve.service\n").as_deref(), Some(name));
        assert_eq!(service("0::/system.slice/portreeve.service/portreeve-7-8/web-1.0-1\n"), None);
        assert_eq!(service("0::/user.slice/user-0.slice/session-1.scope\n"), None);
        assert_eq!(service("0::/\n"), None);
    }

    #[test]
    fn a_process_is_in_its_own_group_and_in_those_above() {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let Some(own) = path_of(&own) else { return };
        let process = Stat::of(rustix::process::getpid().as_raw_pid()).unwrap();
        assert!(is_in(&process, own) && is_in(&process, Path::new("/")));
        assert!(!is_in(&process, &own.join("below")));
    }

    #[test]
    fn a_folder_that_is_no_group_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_ours_to_use(folder.path()), "it has no cgroup.procs");
        assert!(!is_ours_to_use(Path::new("/no/such/folder")));
    }
}
