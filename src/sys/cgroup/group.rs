//! One control group: its limits, what it uses, who is in it, and the end of all of them.
//!
//! A handful of small files, read and written as the kernel's `cgroup-v2` document has them. Invariant: the group is gone
//! with its [`Group`], unless a process is in it that cannot be killed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::super::stat::Stat;
use super::super::tree;
use super::Controllers;

/// The period over which CPU time is counted, in microseconds: the kernel's default.
const CPU_PERIOD: u64 = 100_000;

/// What all processes of a group together may use; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes. Beyond them the kernel kills the group.
    pub memory: Option<u64>,
    /// Thousandths of a CPU.
    pub cpu: Option<u32>,
    /// Against others of the same level, when there is not enough CPU for all; 100 is usual.
    pub cpu_weight: Option<u32>,
}

/// A control group.
#[derive(Debug)]
pub struct Group {
    folder: PathBuf,
    controllers: Controllers,
}

impl Group {
    pub(super) fn create(folder: PathBuf, controllers: Controllers) -> io::Result<Self> {
        fs::create_dir(&folder)?;
        Ok(Self { folder, controllers })
    }

    /// One that a process before us has made.
    ///
    /// # Errors
    /// When it is not there any more.
    pub fn adopt(folder: PathBuf) -> io::Result<Self> {
        let controllers = Controllers::read(&folder.join("cgroup.controllers"));
        fs::metadata(folder.join("cgroup.procs"))?;
        Ok(Self { folder, controllers })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sets its limits; those without a controller are not set.
    pub fn limit(&self, limits: Limits) -> io::Result<()> {
        if let Some(bytes) = limits.memory.filter(|_| self.controllers.memory) {
            self.write("memory.max", &bytes.to_string())?;
            // A worker of which one process is gone is of no use: all of it is to end, and is started again.
            self.write("memory.oom.group", "1")?;
        }
        if let Some(thousandths) = limits.cpu.filter(|_| self.controllers.cpu) {
            let quota = u64::from(thousandths) * CPU_PERIOD / 1000;
            self.write("cpu.max", &format!("{quota} {CPU_PERIOD}"))?;
        }
        if let Some(weight) = limits.cpu_weight.filter(|_| self.controllers.cpu) {
            self.write("cpu.weight", &weight.to_string())?;
        }
        Ok(())
    }

    /// What a process writes "0" to in order to enter.
    pub(in crate::sys) fn entrance(&self) -> io::Result<OwnedFd> {
        let file: File = OpenOptions::new().write(true).open(self.folder.join("cgroup.procs"))?;
        Ok(file.into())
    }

    /// Who is in it and lives.
    pub(in crate::sys) fn processes(&self) -> Vec<i32> {
        let list = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        // What a reader from another namespace cannot see is listed as 0.
        list.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
    }

    /// Ends all processes in it at once.
    pub(in crate::sys) fn kill(&self) {
        if self.write("cgroup.kill", "1").is_ok() {
            return;
        }
        // Before Linux 5.14, one by one: whoever asks looks again until nobody is left.
        for stat in self.processes().into_iter().filter_map(|pid| Stat::of(pid).ok()) {
            tree::send(&stat, Signal::KILL);
        }
    }

    /// Bytes of memory that are in use and would be missed: without what was read from files and not touched for long.
    ///
    /// `None` without the controller.
    #[must_use]
    pub fn working_set(&self) -> Option<u64> {
        let current: u64 = self.read("memory.current")?.trim().parse().ok()?;
        Some(current.saturating_sub(field(&self.read("memory.stat")?, "inactive_file")?))
    }

    /// CPU time that all processes in it have ever had, those that have ended too; it needs no controller.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        field(&self.read("cpu.stat")?, "usage_usec").map(Duration::from_micros)
    }

    /// Processes in it that the kernel killed because memory ran out; `None` without the controller.
    #[must_use]
    pub fn killed_for_memory(&self) -> Option<u64> {
        field(&self.read("memory.events")?, "oom_kill")
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(file)).ok()
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let path = self.folder.join(file);
        // Never made: where the kernel has no such file there is none.
        let mut opened = OpenOptions::new().write(true).open(&path)?;
        io::Write::write_all(&mut opened, text.as_bytes())
            .map_err(|error| io::Error::new(error.kind(), format!("write {text} to {}: {error}", path.display())))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

/// The number behind a name in a file of such lines.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}
