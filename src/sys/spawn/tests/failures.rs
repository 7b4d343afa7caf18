//! Starts that fail: each names its step and the reason, and leaves nothing behind.
//!
//! What would change the rights of this process, or counts what it has, runs in a child of it.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::RawFd;
use std::os::unix::fs::PermissionsExt;

use super::shell;
use crate::sys::socket::pair;
use crate::sys::spawn::{Bounds, Identity, Limit, Limited, Spawn, Step, identity};
use crate::sys::testing::run_test_in_child;

#[test]
fn becoming_somebody_without_the_right_to_is_a_named_step() {
    run_test_in_child("sys::spawn::tests::failures::in_a_child_without_rights_become_root");
}

#[test]
#[ignore = "run in a process of its own by the test above"]
fn in_a_child_without_rights_become_root() {
    if nix::unistd::geteuid().is_root() {
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        nix::unistd::setgroups(&[]).unwrap();
        nix::unistd::setgid(nobody.gid).unwrap();
        nix::unistd::setuid(nobody.uid).unwrap();
    }
    let mut as_root = shell("true");
    as_root.identity = Some(identity("root").unwrap());
    let error = super::spawn(as_root).unwrap_err();
    assert_eq!(error.to_string(), "setgroups 0 (user root): Operation not permitted (os error 1)");

    let mut as_oneself = shell("true");
    as_oneself.identity = Some(identity(&nix::unistd::geteuid().to_string()).unwrap());
    super::spawn(as_oneself).expect("one's own identity takes no rights");
}

#[test]
fn a_missing_directory_is_named() {
    let mut spawn = shell("true");
    spawn.directory = Some("/srv/no-such-app".into());
    let error = super::spawn(spawn).unwrap_err();
    assert_eq!(error.to_string(), "chdir /srv/no-such-app: No such file or directory (os error 2)");
    assert_eq!((error.step, error.source.raw_os_error()), (Step::Directory, Some(2)));
}

#[test]
fn a_program_that_cannot_run_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str, mode: u32| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    };
    let cases = [
        (folder.path().join("missing"), "", "No such file or directory (os error 2)"),
        (put("data", "#!/bin/sh\n", 0o644), "", "Permission denied (os error 13)"),
        (
            put("orphan", "#!/no/such/interpreter\n", 0o755),
            " (it is there, but its interpreter or loader is not)",
            "No such file or directory (os error 2)",
        ),
        (
            put("text", "true\n", 0o755),
            " (neither a program for this machine nor a script that begins with #!)",
            "Exec format error (os error 8)",
        ),
    ];
    for (program, hint, reason) in cases {
        let error = super::spawn(Spawn::new(&program)).unwrap_err();
        assert_eq!(error.to_string(), format!("exec {}{hint}: {reason}", program.display()));
    }
}

#[test]
fn what_no_program_can_be_given_is_refused_before_the_fork() {
    let mut nul = shell("true");
    nul.args.push("a\0b".into());
    let mut name = shell("true");
    name.env.push(("A=B".into(), "c".into()));
    let mut twice = shell("true");
    let (a, b) = pair().unwrap();
    twice.descriptors = vec![(a, 5), (b, 5)];
    let mut high = shell("true");
    high.descriptors = vec![(pair().unwrap().0, RawFd::MAX)];
    let mut unchanged = shell("true");
    unchanged.identity = Some(Identity { uid: u32::MAX, ..identity("root").unwrap() });
    for spawn in [nul, name, twice, high, unchanged] {
        let error = super::spawn(spawn).unwrap_err();
        assert_eq!((error.step, error.source.kind()), (Step::Prepare, ErrorKind::InvalidInput), "{error}");
    }
}

#[tokio::test]
async fn a_failed_start_leaves_no_zombie_and_no_descriptor() {
    run_test_in_child("sys::spawn::tests::failures::in_a_child_fail_to_start");
}

#[test]
#[ignore = "run in a process of its own by the test above, as it counts the children and descriptors of its process"]
fn in_a_child_fail_to_start() {
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    for _ in 0..50 {
        super::spawn(Spawn::new("/no/such/program")).unwrap_err();
    }
    assert_eq!(descriptors(), before);
    let none = nix::sys::wait::waitpid(None, None);
    assert_eq!(none, Err(nix::errno::Errno::ECHILD), "no child is left to wait for");
}

#[test]
fn a_bound_that_is_refused_is_named() {
    run_test_in_child("sys::spawn::tests::failures::in_a_child_without_rights_be_refused");
}

#[test]
#[ignore = "run in a process of its own by the test above"]
fn in_a_child_without_rights_be_refused() {
    let open_files = |hard| Limit { limited: Limited::OpenFiles, soft: Some(64), hard: Some(hard) };
    let own = rustix::process::Rlimit { current: Some(64), maximum: Some(128) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, own).unwrap();
    if nix::unistd::geteuid().is_root() {
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        nix::unistd::setgid(nobody.gid).unwrap();
        nix::unistd::setuid(nobody.uid).unwrap();
    }
    let refused = |adjust: &dyn Fn(&mut Bounds)| {
        let mut spawn = shell("true");
        adjust(&mut spawn.bounds);
        super::spawn(spawn).unwrap_err().to_string()
    };
    let many = refused(&|bounds| bounds.limits = vec![open_files(100), open_files(1 << 20)]);
    assert!(many.starts_with("set the limit of open files, 64 of 1048576: "), "{many}");
    assert!(refused(&|bounds| bounds.nice = Some(-5)).starts_with("set nice -5: "));
    assert!(refused(&|bounds| bounds.oom_score_adj = Some(-500)).starts_with("set oom_score_adj -500: "));
}
