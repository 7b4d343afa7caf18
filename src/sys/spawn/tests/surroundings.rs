//! What a program is given: arguments, variables, descriptors, signals, a directory, an identity and bounds.
//!
//! It has what was asked for and nothing else of this process. How it ends is not looked at.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::{SigSet, SigmaskHow};

use super::{Script, in_time, shell};
use crate::sys::socket::pair;
use crate::sys::spawn::{Exit, Limit, Limited, Spawn, Stdio, Step, identity};

#[tokio::test]
async fn a_variable_may_have_the_programs_own_process_id() {
    let text = "echo $$ $LISTEN_PID $WATCHDOG_PID";
    let script = Script::start_with(text, |spawn| spawn.pid_variables = vec!["LISTEN_PID", "WATCHDOG_PID"]);
    let pid = script.child.pid();
    assert_eq!(script.finish().await, (format!("{pid} {pid} {pid}\n"), Exit::Code(0)));
}

#[tokio::test]
async fn a_program_gets_its_arguments_and_exactly_its_environment() {
    let mut spawn = Spawn::new("/usr/bin/env");
    spawn.env = vec![("PORT".into(), "3000".into()), ("EMPTY".into(), "".into())];
    let (reader, writer) = std::io::pipe().unwrap();
    spawn.stdout = Stdio::Fd(writer.into());
    let output = fs::File::from(OwnedFd::from(reader));
    let env = Script { child: super::spawn(spawn).unwrap(), output };
    assert_eq!(env.finish().await, ("PORT=3000\nEMPTY=\n".to_owned(), Exit::Code(0)));

    let args = Script::start_with("printf '%s|' \"$0\" \"$@\"", |spawn| {
        spawn.args.extend(["zero", "a b", "", "$HOME"].map(OsString::from));
    });
    assert_eq!(args.finish().await.0, "zero|a b||$HOME|");
}

#[tokio::test]
async fn the_name_that_a_program_sees_is_not_its_path() {
    let script = Script::start_with("tr '\\0' ' ' < /proc/$$/cmdline; :", |spawn| {
        spawn.args[0] = "portreeve: proxy 7".into();
    });
    assert!(script.finish().await.0.starts_with("portreeve: proxy 7 -c "));
}

#[tokio::test]
async fn only_the_descriptors_asked_for_are_open() {
    let list = "ls -l /proc/$$/fd; :";
    let _leak = rustix::io::dup(std::io::stderr()).unwrap();
    let bare = Script::start(list).finish().await.0;
    assert_eq!(open_numbers(&bare), BTreeSet::from([0, 1, 2]), "{bare}");
    assert_eq!(bare.matches("/dev/null").count(), 2, "stdin and stderr: {bare}");

    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let second = pair().unwrap().0;
    let placed = Script::start_with("echo over the link >&9; ls -l /proc/$$/fd; :", |spawn| {
        spawn.descriptors = vec![(theirs.into(), 9), (second, 4)];
    });
    let text = placed.finish().await.0;
    assert_eq!(open_numbers(&text), BTreeSet::from([0, 1, 2, 4, 9]), "{text}");
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    assert_eq!(said, "over the link\n");
}

fn open_numbers(listing: &str) -> BTreeSet<u32> {
    let number = |line: &str| line.split_once(" -> ")?.0.rsplit(' ').next()?.parse().ok();
    listing.lines().filter_map(number).collect()
}

/// Each of them is to stand at the number at which another one stands now.
#[tokio::test]
async fn descriptors_that_trade_places_do_not_overwrite_each_other() {
    let files: Vec<OwnedFd> = ["left", "middle", "right"]
        .map(|text| {
            let (reader, mut writer) = std::io::pipe().unwrap();
            writer.write_all(text.as_bytes()).unwrap();
            OwnedFd::from(reader)
        })
        .into();
    let numbers: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).collect();
    let [a, b, c] = numbers[..] else { unreachable!("three files") };
    let script = Script::start_with(&format!("for n in {a} {b} {c}; do cat /dev/fd/$n; echo; done"), |spawn| {
        spawn.descriptors = files.into_iter().zip([b, c, a]).collect();
    });
    assert_eq!(script.finish().await, ("right\nleft\nmiddle\n".to_owned(), Exit::Code(0)));
}

#[tokio::test]
async fn streams_are_inherited_when_asked() {
    let own = fs::read_link("/proc/self/fd/2").unwrap();
    let script = Script::start_with("readlink /proc/self/fd/2", |spawn| spawn.stderr = Stdio::Inherit);
    assert_eq!(Path::new(script.finish().await.0.trim()), own);
}

#[tokio::test]
async fn no_signal_is_blocked_or_ignored_in_the_child() {
    // Rust ignores SIGPIPE in this process, and the test blocks one more.
    let mut blocked = SigSet::empty();
    blocked.add(nix::sys::signal::Signal::SIGUSR1);
    let before = blocked.thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap();
    let script = Script::start("exec cat /proc/self/status");
    before.thread_set_mask().unwrap();
    let (status, _) = script.finish().await;
    for kind in ["SigBlk", "SigIgn", "SigCgt"] {
        assert!(status.contains(&format!("{kind}:\t0000000000000000\n")), "{status}");
    }
}

#[tokio::test]
async fn a_program_leads_a_session_and_group_of_its_own() {
    let script = Script::start("cut -d' ' -f5,6 /proc/$$/stat");
    let pid = script.child.pid();
    assert_eq!(script.finish().await.0, format!("{pid} {pid}\n"));
}

#[tokio::test]
async fn a_program_runs_in_its_directory() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let script = Script::start_with("pwd -P", |spawn| spawn.directory = Some(folder.clone()));
    assert_eq!(Path::new(script.finish().await.0.trim_end()), folder);
}

#[tokio::test]
async fn privileges_can_be_frozen() {
    let state = "grep NoNewPrivs /proc/self/status | cut -f2";
    assert_eq!(Script::start_with(state, |spawn| spawn.no_new_privs = true).finish().await.0, "1\n");
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("NoNewPrivs:\t")).unwrap();
    assert_eq!(Script::start(state).finish().await.0, format!("{own}\n"));
}

#[tokio::test]
async fn root_can_start_a_program_as_somebody_else() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let nobody = identity("nobody").unwrap();
    let expected = format!("{0} {0} {1} {1}\n", nobody.uid, nobody.gid);
    let ids = "echo $(id -u) $(id -ru) $(id -g) $(id -G); kill -0 1 2>/dev/null && echo may signal init; :";
    let script = Script::start_with(ids, |spawn| spawn.identity = Some(nobody.clone()));
    assert_eq!(script.finish().await.0, expected);

    let mut same_program = Spawn::new("/proc/self/exe");
    same_program.args = vec!["proxy".into(), "--list".into()];
    same_program.identity = Some(nobody.clone());
    let mut child = super::spawn(same_program).unwrap();
    assert!(in_time(child.wait()).await.unwrap().is_success(), "one's own program can be started as somebody else");

    let private = tempfile::tempdir().unwrap();
    fs::set_permissions(private.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut spawn = shell("true");
    spawn.identity = Some(nobody);
    spawn.directory = Some(private.path().into());
    let error = super::spawn(spawn).unwrap_err();
    assert_eq!((error.step, error.source.kind()), (Step::Directory, ErrorKind::PermissionDenied));
}

#[tokio::test]
async fn a_program_is_bound_before_it_begins() {
    let limit = |limited, soft, hard| Limit { limited, soft: Some(soft), hard: Some(hard) };
    let text = "ulimit -Sn; ulimit -Hn; ulimit -c; umask; nice; cat /proc/self/oom_score_adj";
    let script = Script::start_with(text, |spawn| {
        spawn.bounds.limits = vec![limit(Limited::OpenFiles, 123, 234), limit(Limited::Core, 0, 0)];
        spawn.bounds.umask = Some(0o027);
        spawn.bounds.nice = Some(19);
        spawn.bounds.oom_score_adj = Some(321);
    });
    assert_eq!(script.finish().await.0, "123\n234\n0\n0027\n19\n321\n");
}
