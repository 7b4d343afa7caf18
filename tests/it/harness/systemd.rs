//! systemd itself as a service manager, in namespaces of its own: with its own processes, mounts, `/run` and control groups,
//! and the network of the test. The kernel's settings, which it would change for the whole machine, it only sees.
//!
//! It has the units that it is given and none of the machine's. When it is dropped all of its processes are killed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::builder::isolated;
use super::poll::{SOON, until};
use super::process::{self, Process};
use super::running::{Said, said};
use crate::tools;

const PROGRAM: &str = "/lib/systemd/systemd";

/// Moves itself into a control group of its own, and then into namespaces, in which systemd is the first process.
const ENTER: &str = r#"set -e
mount --make-rprivate /
mkdir "$PLACE/groups"
mount -t cgroup2 cgroup2 "$PLACE/groups"
mkdir "$PLACE/groups/$GROUP"
echo $$ > "$PLACE/groups/$GROUP/cgroup.procs"
umount "$PLACE/groups"
exec unshare --cgroup --mount --pid --uts --ipc --fork --kill-child sh -ec '
    mount -t proc proc /proc
    mount --bind /proc/sys /proc/sys
    mount -o remount,bind,ro /proc/sys
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /var/lib
    mkdir -p /run/systemd/system
    export container=other SYSTEMD_UNIT_PATH="$PLACE/units"
    exec "$PROGRAM" --system --unit=test.target --log-target=console --show-status=no'
"#;

/// Removes the groups that are left, from the innermost on.
const CLEAR: &str = r#"mount --make-rprivate /
mount -t cgroup2 cgroup2 "$PLACE/groups"
find "$PLACE/groups/$GROUP" -depth -type d -exec rmdir {} +"#;

/// What units of services depend on without saying so.
const TARGETS: [&str; 6] = ["test", "sysinit", "basic", "shutdown", "network", "sockets"];

/// A systemd that runs.
#[derive(Debug)]
pub(crate) struct Systemd {
    folder: TempDir,
    child: Child,
    /// Of systemd, as we see it.
    pid: u32,
}

impl Systemd {
    /// Starts it without a unit of anybody's; `None` where that is impossible.
    pub(crate) fn start() -> Option<Self> {
        // The last one is of the package that systemd itself is of.
        let needed = ["nsenter", "systemctl", "systemd-analyze"];
        if !tools::may_unshare() || !needed.into_iter().all(tools::need) {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("portreeve-systemd-").tempdir().expect("a folder can be made");
        // Services may run as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our own folder can be opened");
        fs::create_dir(folder.path().join("units")).expect("our own folder can be written");
        let mut command = unshared(folder.path(), ENTER);
        let log = fs::File::create(folder.path().join("log")).expect("a file can be made");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be copied")).stderr(log);
        let child = command.spawn().expect("the program can be started");
        let mut new = Self { folder, child, pid: 0 };
        for target in TARGETS {
            new.unit(&format!("{target}.target"), "[Unit]\nDescription=a target\nDefaultDependencies=no\n");
        }
        new.pid = until(SOON, "systemd begins", || {
            let below = process::family(new.child.id());
            below.into_iter().map(|process| process.pid).find(|pid| is_program(*pid))
        });
        until(SOON, "systemd answers", || (new.ask(&["is-system-running"]).text.trim() == "running").then_some(()));
        Some(new)
    }

    /// Writes a unit, or a part of one.
    pub(crate) fn unit(&self, name: &str, text: &str) {
        let path = self.folder.path().join("units").join(name);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("our own folder can be written");
        fs::write(path, text).expect("our own folder can be written");
    }

    /// Runs `systemctl`, whatever it says.
    pub(crate) fn ask(&self, words: &[&str]) -> Said {
        self.run(Path::new("systemctl"), words)
    }

    /// Runs `systemctl`, which has to succeed; returns what it says.
    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let said = self.ask(words);
        assert_eq!(said.code, 0, "systemctl {words:?}: {}\n{}", said.text, self.log());
        said.stdout.trim().to_owned()
    }

    /// Runs a program where its services are.
    pub(crate) fn run(&self, program: &Path, words: &[&str]) -> Said {
        let mut command = isolated("nsenter");
        command.args(["-t", &self.pid.to_string(), "-m", "-p", "-u", "-i", "-C"]).arg(program).args(words);
        said(command.stdin(Stdio::null()).current_dir("/"))
    }

    /// All processes of its services that live.
    pub(crate) fn processes(&self) -> Vec<Process> {
        // Orphans in its namespace are its children.
        process::family(self.pid).into_iter().filter(|process| process.pid != self.pid).collect()
    }

    /// What it and its services have printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its folder, which its services see as well.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let all = process::family(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        let has_ended = |process: &Process| process.ends_within(Duration::from_secs(10));
        let left: Vec<_> = all.iter().filter(|process| !has_ended(process)).collect();
        let cleared = said(&mut unshared(self.folder.path(), CLEAR));
        if !std::thread::panicking() {
            assert!(left.is_empty(), "left behind: {left:?}");
            assert_eq!(cleared.code, 0, "{}", cleared.text);
        }
    }
}

fn unshared(place: &Path, script: &str) -> Command {
    let mut command = isolated("unshare");
    let group = place.file_name().expect("the folder has a name");
    command.env("PLACE", place).env("GROUP", group).env("PROGRAM", PROGRAM);
    command.args(["--mount", "sh", "-c", script]);
    command
}

fn is_program(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.starts_with(PROGRAM.as_bytes()))
}
