//! `workers = "auto"`: one for each CPU that portreeve may use, as its affinity and the quota of its control group have it
//! when an app is started or reloaded.

use std::fs;
use std::path::Path;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::harness::{App, Portreeve, Running, worker};
use crate::tools;

/// The CPUs that this test may use; `None` if that is one, so that there is nothing to tell apart.
fn several_cpus() -> Option<Vec<usize>> {
    let ours = sched_getaffinity(None).expect("everybody has an affinity");
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| ours.is_set(*cpu)).collect();
    if cpus.len() == 1 {
        eprintln!("skipped: there is but one CPU here");
        return None;
    }
    Some(cpus)
}

fn auto() -> App {
    worker().set("workers", "auto")
}

/// The number of workers that an app is to have by its configuration.
fn configured(running: &Running) -> u32 {
    running.status().app("web").scale.expect("it has workers").configured
}

#[test]
fn there_are_as_many_workers_as_cpus_that_portreeve_may_run_on_and_a_reload_follows() {
    let (Some(cpus), true) = (several_cpus(), tools::need("taskset")) else { return };
    let launcher = ["taskset", "--cpu-list", &cpus[0].to_string()].map(str::to_owned);
    let running = Portreeve::new().app("web", auto()).launched_by(&launcher).start();
    assert_eq!((running.serving("web", 1).len(), configured(&running)), (1, 1));

    let mut all = CpuSet::new();
    for cpu in &cpus {
        all.set(*cpu);
    }
    let pid = Pid::from_raw(running.pid().try_into().unwrap()).unwrap();
    sched_setaffinity(Some(pid), &all).expect("our own child may be moved");
    assert_eq!(running.serving("web", 1).len(), 1, "nothing changes by itself");
    running.reload_live();
    running.serving("web", cpus.len());
    assert_eq!(configured(&running) as usize, cpus.len());
}

/// Puts a tree of control groups in place of the machine's, for whatever it runs, which has the group that it has.
const WITH_TREE: &str = "mount --bind \"$TREE\" /sys/fs/cgroup && exec \"$@\"";

/// Writes down a quota in a tree of groups, in the form of either version of them: so many CPUs, or any number.
fn allow(tree: &Path, cpus: Option<u32>) {
    let groups = fs::read_to_string("/proc/self/cgroup").expect("Linux tells of control groups");
    let group = |prefix: &str| groups.lines().find_map(|line| Some(line.split_once(prefix)?.1.trim_start_matches('/')));
    let quota = cpus.map(|cpus| cpus * 100_000);
    let second = tree.join(group("0::").unwrap_or_default());
    fs::create_dir_all(&second).unwrap();
    fs::write(second.join("cgroup.controllers"), "cpu memory pids\n").unwrap();
    let most = quota.map_or("max".to_owned(), |quota| quota.to_string());
    fs::write(second.join("cpu.max"), format!("{most} 100000\n")).unwrap();
    let first = tree.join("cpu").join(group(":cpu:").or(group(":cpu,cpuacct:")).unwrap_or_default());
    fs::create_dir_all(&first).unwrap();
    let most = quota.map_or("-1".to_owned(), |quota| quota.to_string());
    fs::write(first.join("cpu.cfs_quota_us"), format!("{most}\n")).unwrap();
    fs::write(first.join("cpu.cfs_period_us"), "100000\n").unwrap();
}

#[test]
fn there_are_as_many_workers_as_the_quota_of_the_control_group_allows_and_a_reload_follows() {
    let (Some(cpus), true) = (several_cpus(), tools::may_unshare()) else { return };
    let portreeve = Portreeve::new();
    let tree = portreeve.path().join("cgroup");
    allow(&tree, Some(1));
    let variable = format!("TREE={}", tree.display());
    let launcher = ["env", &variable, "unshare", "--mount", "sh", "-c", WITH_TREE, "sh"].map(str::to_owned);
    let running = portreeve.app("web", auto()).launched_by(&launcher).start();
    assert_eq!((running.serving("web", 1).len(), configured(&running)), (1, 1));
    for (quota, number) in [(Some(2), 2), (Some(1), 1), (None, cpus.len())] {
        allow(&tree, quota);
        running.reload_live();
        running.serving("web", number);
    }
}
