//! Groups on folders that look like the kernel's, and on the kernel's own where this machine has them to give.

use super::*;

const BOTH: Controllers = Controllers { memory: true, cpu: true };

/// A folder with the files that the kernel would put into a group; `mkdir` does not do that elsewhere.
fn group_with(files: &[(&str, &str)]) -> (tempfile::TempDir, Group) {
    let folder = tempfile::tempdir().unwrap();
    let group = Group::create(folder.path().join("web-1.0-7"), BOTH).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join("web-1.0-7").join(name), text).unwrap();
    }
    (folder, group)
}

#[test]
fn limits_are_written_as_the_kernel_takes_them() {
    let (folder, group) = group_with(&[
        ("memory.max", "max"),
        ("memory.oom.group", "0"),
        ("cpu.max", "max 100000"),
        ("cpu.weight", "100"),
    ]);
    group.limit(Limits { memory: Some(800 << 20), cpu: Some(1500), cpu_weight: Some(50) }).unwrap();
    let read = |name| fs::read_to_string(folder.path().join("web-1.0-7").join(name)).unwrap();
    assert!(read("memory.max").starts_with("838860800") && read("memory.oom.group") == "1");
    assert_eq!(read("cpu.max"), "150000 100000");
    assert!(read("cpu.weight").starts_with("50"));
}

#[test]
fn a_limit_that_cannot_be_set_says_where_and_one_without_a_controller_is_left_out() {
    let (_folder, group) = group_with(&[]);
    assert!(group.limit(Limits::default()).is_ok());
    assert!(group.limit(Limits { memory: Some(1), ..Limits::default() }).is_err(), "there is no such file");
    let folder = tempfile::tempdir().unwrap();
    let plain = Group::create(folder.path().join("x"), Controllers::default()).unwrap();
    assert!(plain.limit(Limits { memory: Some(1), cpu: Some(1), cpu_weight: Some(1) }).is_ok());
}

#[test]
fn memory_is_what_would_be_missed() {
    let stat = "anon 4096\nfile 8192\ninactive_anon 1\ninactive_file 6000\n";
    let events = "low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 1\n";
    let (_folder, group) =
        group_with(&[("memory.current", "10000\n"), ("memory.stat", stat), ("memory.events", events)]);
    assert_eq!((group.working_set(), group.killed_for_memory()), (Some(4000), Some(1)));
    let (_folder, bare) = group_with(&[]);
    assert_eq!((bare.working_set(), bare.killed_for_memory()), (None, None));
    let (_folder, damaged) = group_with(&[("memory.current", "x"), ("memory.stat", stat), ("memory.events", "")]);
    assert_eq!((damaged.working_set(), damaged.killed_for_memory()), (None, None));
}

#[test]
fn cpu_time_is_that_of_the_whole_group() {
    let (_folder, group) = group_with(&[("cpu.stat", "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n")]);
    assert_eq!(group.cpu_time(), Some(std::time::Duration::from_millis(2500)));
    let (_folder, bare) = group_with(&[]);
    assert_eq!(bare.cpu_time(), None);
}

#[test]
fn those_who_cannot_be_seen_from_here_are_not_counted() {
    let (_folder, group) = group_with(&[("cgroup.procs", "12\n0\n345\n")]);
    assert_eq!(group.processes(), [12, 345]);
}

fn process() -> Stat {
    Stat { pid: 77, state: 'S', parent: 1, group: 77, session: 77, started: 5, resident_pages: 1, cpu_ticks: 0 }
}

/// A group above, as the kernel shows it.
fn above(controllers: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cgroup.controllers"), controllers).unwrap();
    folder
}

#[test]
fn controllers_are_switched_on_for_the_realm_and_for_its_groups() {
    let base = above("cpuset cpu io memory pids\n");
    let realm = Realm::found(base.path(), &process()).unwrap();
    let read = |path: &str| fs::read_to_string(base.path().join(path)).unwrap();
    assert_eq!(read("cgroup.subtree_control"), "+memory +cpu");
    assert_eq!(read("portreeve-77-5/cgroup.subtree_control"), "+memory +cpu");
    assert!(!base.path().join("portreeve-77-5/supervisor").exists(), "nothing forced us to move");
    assert_eq!(realm.controllers(), Controllers::default(), "what a real kernel would show there has no plus signs");
}

#[test]
fn without_controllers_there_are_groups_all_the_same() {
    let base = above("hugetlb\n");
    let realm = Realm::found(base.path(), &process()).unwrap();
    assert_eq!(realm.controllers(), Controllers::default());
    assert!(!base.path().join("cgroup.subtree_control").exists());
    let group = realm.group("web-1.0-7").unwrap();
    assert!(realm.group("web-1.0-7").is_err(), "two of one name cannot be");
    drop((group, realm));
    assert!(!base.path().join("portreeve-77-5").exists(), "nothing is left");
}

#[test]
fn a_process_that_had_moved_into_its_leaf_finds_its_realm_again() {
    let base = above("");
    let own = base.path().join(format!("portreeve-77-5/{LEAF}"));
    fs::create_dir_all(&own).unwrap();
    let realm = Realm::found(&own, &process()).unwrap();
    assert_eq!(realm.folder, base.path().join("portreeve-77-5"));
}

#[test]
fn under_a_keeper_that_stepped_aside_the_realm_is_beside_it() {
    let above = above("memory cpu");
    step_aside_in(above.path());
    assert!(!above.path().join(KEEPER).exists(), "the topmost group has nobody in its way");
    std::fs::write(above.path().join("cgroup.type"), "domain").unwrap();
    step_aside_in(above.path());
    let keeper = above.path().join(KEEPER);
    assert_eq!(std::fs::read_to_string(keeper.join("cgroup.procs")).unwrap(), "0");
    let realm = Realm::found(&keeper, &process()).unwrap();
    assert_eq!(realm.folder.parent(), Some(above.path()));
    remove_abandoned(above.path());
    assert!(keeper.exists());
}

#[test]
fn realms_of_processes_that_are_gone_are_cleared_away() {
    let base = above("");
    let ours = Stat::of(i32::try_from(std::process::id()).unwrap()).unwrap();
    // Above the largest number that a process can have, and our own number in the hands of an earlier process.
    let others = [Stat { pid: i32::MAX, ..ours }, Stat { started: ours.started - 1, ..ours }, ours];
    let [gone, earlier, alive] = others.map(|process| base.path().join(name_of(&process)));
    for folder in [&gone, &earlier, &alive] {
        fs::create_dir_all(folder.join("web-1.0-7")).unwrap();
    }
    fs::create_dir(base.path().join("portreeve-backup")).unwrap();
    remove_abandoned(base.path());
    assert!(
        !gone.exists()
            && !earlier.exists()
            && alive.join("web-1.0-7").exists()
            && base.path().join("portreeve-backup").exists()
    );
}

#[test]
fn a_realm_in_which_somebody_is_stays_whosever_it_is() {
    let base = above("");
    let ours = Stat::of(i32::try_from(std::process::id()).unwrap()).unwrap();
    let foreign = base.path().join(name_of(&Stat { pid: i32::MAX, ..ours }));
    let about_to_be_entered = foreign.join("web-2.0-7");
    fs::create_dir_all(&about_to_be_entered).unwrap();
    fs::write(foreign.join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
    remove_abandoned(base.path());
    assert!(about_to_be_entered.exists());
    fs::write(foreign.join("cgroup.events"), "populated 0\nfrozen 0\n").unwrap();
    remove_abandoned(base.path());
    assert!(!about_to_be_entered.exists());
}

#[test]
fn a_realm_that_is_held_stays_whether_or_not_its_process_can_be_seen() {
    let base = above("");
    let realm = Realm::found(base.path(), &Stat { pid: i32::MAX, ..process() }).unwrap();
    let group = realm.group("web-1.0-7").unwrap();
    remove_abandoned(base.path());
    assert!(group.folder().exists(), "nobody is in it, and somebody may soon be");
    let folder = realm.folder.clone();
    std::mem::forget(group);
    drop(realm);
    assert!(folder.exists(), "a group is in it");
    remove_abandoned(base.path());
    assert!(!folder.exists());
}

#[test]
fn on_this_machine_a_group_ends_all_that_is_in_it() {
    let Some(realm) = Realm::claim().unwrap() else {
        eprintln!("skipped: no control groups to use on this machine");
        return;
    };
    let claim = File::open(&realm.folder).unwrap().try_lock();
    assert!(matches!(claim, Err(fs::TryLockError::WouldBlock)), "the kernel locks its folders, too: {claim:?}");
    let group = realm.group("a-test").unwrap();
    let mut sleeper = std::process::Command::new("sleep").arg("3600").spawn().unwrap();
    fs::write(realm.folder.join("a-test/cgroup.procs"), sleeper.id().to_string()).unwrap();
    assert_eq!(group.processes(), [i32::try_from(sleeper.id()).unwrap()]);
    group.kill();
    assert!(!sleeper.wait().unwrap().success());
    drop(group);
    assert!(!realm.folder.join("a-test").exists(), "the group is gone");
}
