//! Real programs: what they get, how they end, and what a start that fails says.

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::sys::socket::pair;
use crate::sys::testing::{LIMIT, eventually, run_test_in_child};

/// A shell script whose output is read by the test.
struct Script {
    child: Child,
    output: fs::File,
}

impl Script {
    fn start(text: &str) -> Self {
        Self::start_with(text, |_| {})
    }

    fn start_with(text: &str, adjust: impl FnOnce(&mut Spawn)) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut spawn = shell(text);
        spawn.stdout = Stdio::Fd(writer.into());
        adjust(&mut spawn);
        Self { child: super::spawn(spawn).unwrap(), output: OwnedFd::from(reader).into() }
    }

    /// Reads up to the end of a line, so that the script is known to have come that far.
    fn line(&mut self) -> String {
        let mut line = String::new();
        let mut byte = [0];
        while self.output.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
            line.push(char::from(byte[0]));
        }
        line
    }

    async fn finish(mut self) -> (String, Exit) {
        let exit = in_time(self.child.wait()).await.unwrap();
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        (text, exit)
    }
}

fn shell(text: &str) -> Spawn {
    let mut spawn = Spawn::new("/bin/sh");
    spawn.args = ["sh", "-c", text].map(OsString::from).into();
    spawn.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    spawn
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("it ends in time")
}

fn is_running(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

const KILLED: Exit = Exit::Signal { signal: 9, core: false };
const TERMINATED: Exit = Exit::Signal { signal: 15, core: false };

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
async fn exits_are_told_apart_and_remembered() {
    let in_a_task = tokio::spawn(Script::start("exit 7").finish());
    assert_eq!(in_a_task.await.unwrap().1, Exit::Code(7));
    assert_eq!(Script::start("kill -TERM $$").finish().await.1, TERMINATED);
    let mut child = super::spawn(shell("exit 3")).unwrap();
    assert_eq!(in_time(child.wait()).await.unwrap(), Exit::Code(3));
    assert_eq!(in_time(child.wait()).await.unwrap(), Exit::Code(3));
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

#[test]
fn a_program_ends_with_the_thread_that_has_started_it_if_it_is_to() {
    for (death_signal, expected) in [(Some(Signal::Term), Some(15)), (None, None)] {
        let started = std::thread::spawn(move || {
            let mut spawn = shell("exec sleep 3600");
            spawn.bounds.death_signal = death_signal;
            super::spawn(spawn).unwrap()
        });
        let child = started.join().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut child = child;
            if expected.is_none() {
                child.tell(Signal::Usr1).unwrap();
            }
            let exit = in_time(child.wait()).await.unwrap();
            let Exit::Signal { signal, .. } = exit else { panic!("{exit}") };
            assert_eq!(signal, expected.unwrap_or(10), "{exit}");
        });
    }
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

#[test]
fn becoming_somebody_without_the_right_to_is_a_named_step() {
    run_test_in_child("sys::spawn::tests::in_a_child_without_rights_become_root");
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
    run_test_in_child("sys::spawn::tests::in_a_child_fail_to_start");
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

#[tokio::test]
async fn a_signal_reaches_the_whole_group_and_the_trap_runs() {
    let mut script = Script::start("trap 'echo stopping; exit 5' TERM; sh -c 'echo $$; exec sleep 1000' & wait");
    let grandchild = script.line();
    assert!(is_running(&grandchild));
    script.child.signal(Signal::Term).unwrap();
    assert_eq!(script.finish().await, ("stopping\n".to_owned(), Exit::Code(5)));
    assert!(!is_running(&grandchild));
}

#[tokio::test]
async fn a_group_that_ignores_term_dies_by_kill_with_its_grandchildren() {
    let mut script = Script::start("trap '' TERM; (sleep 1000 & echo $!; wait) & echo $!; wait; wait; wait");
    let descendants = [script.line(), script.line()];
    script.child.signal(Signal::Term).unwrap();
    let early = tokio::time::timeout(Duration::from_millis(100), script.child.wait()).await;
    assert!(early.is_err(), "it ignores the signal: {early:?}");
    script.child.kill().unwrap();
    assert_eq!(in_time(script.child.wait()).await.unwrap(), KILLED);
    for pid in descendants {
        assert!(!is_running(&pid), "{pid}");
    }
}

#[tokio::test]
async fn a_leader_that_crashes_takes_its_group_with_it() {
    let mut script = Script::start("sleep 1000 & echo $!; kill -KILL $$");
    let orphan = script.line();
    assert_eq!(in_time(script.child.wait()).await.unwrap(), KILLED);
    assert!(!is_running(&orphan));
}

/// `npm start` and `sh -c 'prepare; node server.js'` die of SIGTERM at once; the server behind them has work to finish.
#[tokio::test]
async fn a_server_behind_a_shell_that_was_asked_to_stop_may_finish() {
    let server = "trap 'echo finished; exit' TERM; echo ready; read forever <&9";
    let (hold, theirs) = pair().unwrap();
    let mut script = Script::start_with(&format!("sh -c {server:?}; echo never"), |spawn| {
        spawn.descriptors = vec![(theirs, 9)];
    });
    assert_eq!(script.line(), "ready");
    script.child.signal(Signal::Term).unwrap();
    let (text, exit) = script.finish().await;
    assert_eq!((text.as_str(), exit), ("finished\n", TERMINATED));
    drop(hold);
}

#[tokio::test]
async fn what_does_not_finish_after_its_leader_dies_by_kill() {
    let mut script = Script::start("sh -c \"trap '' TERM; echo \\$\\$; sleep 1000; :\"; :");
    let stubborn = script.line();
    script.child.signal(Signal::Term).unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), script.child.wait()).await;
    assert!(early.is_err(), "one of the group goes on: {early:?}");
    assert!(is_running(&stubborn));
    script.child.kill().unwrap();
    assert_eq!(in_time(script.child.wait()).await.unwrap(), TERMINATED, "the exit is the leader's");
    assert!(!is_running(&stubborn));
}

#[tokio::test]
async fn a_wait_may_be_given_up_and_begun_again() {
    let (hold, theirs) = std::io::pipe().map(|(reader, writer)| (writer, reader)).unwrap();
    let mut script = Script::start_with("read line; exit 4", |spawn| spawn.stdin = Stdio::Fd(theirs.into()));
    for _ in 0..3 {
        let early = tokio::time::timeout(Duration::from_millis(5), script.child.wait()).await;
        assert!(early.is_err(), "{early:?}");
    }
    drop(hold);
    assert_eq!(in_time(script.child.wait()).await.unwrap(), Exit::Code(4));
}

#[tokio::test]
async fn after_its_end_was_awaited_a_child_is_no_zombie_and_takes_no_signal() {
    let mut child = super::spawn(shell("true")).unwrap();
    let path = format!("/proc/{}", child.pid());
    assert!(Path::new(&path).exists(), "unreaped, it keeps its number");
    in_time(child.wait()).await.unwrap();
    assert!(!Path::new(&path).exists());
    for refused in [child.signal(Signal::Term), child.kill()] {
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(nix::libc::ESRCH));
    }
}

#[tokio::test]
async fn other_children_of_this_process_are_not_reaped_here() {
    let mut other = std::process::Command::new("/bin/sh").args(["-c", "exit 9"]).spawn().unwrap();
    Script::start("exit 0").finish().await;
    assert_eq!(other.wait().unwrap().code(), Some(9));
}

#[test]
fn a_dropped_child_is_killed_with_its_group_and_reaped() {
    let mut script = Script::start("sleep 1000 & echo $!; wait");
    let grandchild = script.line();
    let path = format!("/proc/{}", script.child.pid());
    drop(script.child);
    assert!(!Path::new(&path).exists());
    // Killed, but not ours to wait for: somebody else has inherited it.
    eventually(|| if is_running(&grandchild) { Err("it still runs") } else { Ok(()) });
}

#[test]
fn a_subreaper_is_left_no_zombies() {
    run_test_in_child("sys::spawn::tests::in_a_child_be_a_subreaper");
}

#[test]
#[ignore = "run in a process of its own by the test above, as it adopts orphans"]
fn in_a_child_be_a_subreaper() {
    // What PID 1 of a container is for all processes in it.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut script = Script::start("(sleep 1000 & echo $!; sleep 1000) & read never; :");
        script.line();
        script.child.kill().unwrap();
        in_time(script.child.wait()).await.unwrap();
    });
    assert_eq!(nix::sys::wait::waitpid(None, None), Err(nix::errno::Errno::ECHILD));
}

/// A process that has left group, session and parent, and says its number.
const STRAY: &str = "setsid sh -c 'sleep 1000 >/dev/null 2>&1 & echo $!'";

#[test]
fn strays_end_with_their_program() {
    run_test_in_child("sys::spawn::tests::in_a_child_end_strays");
}

#[test]
#[ignore = "run in a process of its own by the test above, as it adopts orphans"]
fn in_a_child_end_strays() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let marked = |spawn: &mut Spawn| {
        spawn.env.push(("MARK".into(), "7".into()));
        spawn.bounds.mark = Some("MARK=7".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (order, rest) in [("crash", "exit 3"), ("kill", "read never <&9"), ("term", "read never <&9")] {
            let (hold, theirs) = pair().unwrap();
            let mut script = Script::start_with(&format!("{STRAY}; {rest}"), |spawn| {
                marked(spawn);
                spawn.descriptors = vec![(theirs, 9)];
            });
            let stray = script.line();
            match order {
                "kill" => script.child.kill().unwrap(),
                "term" => script.child.signal(Signal::Term).unwrap(),
                _ => {}
            }
            in_time(script.child.wait()).await.unwrap();
            assert!(!is_running(&stray), "{order}");
            drop(hold);
        }
        // One that is asked may finish, and one that does not is killed in the end.
        let deaf = "setsid sh -c 'trap \"echo asked\" TERM; echo up; while :; do sleep 0.01; done' & read never";
        let mut script = Script::start_with(deaf, marked);
        assert_eq!(script.line(), "up");
        script.child.signal(Signal::Term).unwrap();
        let early = tokio::time::timeout(Duration::from_millis(200), script.child.wait()).await;
        assert!(early.is_err(), "the stray goes on: {early:?}");
        assert_eq!(script.line(), "asked");
        script.child.kill().unwrap();
        in_time(script.child.wait()).await.unwrap();
    });
    eventually(|| {
        // What the strays had started died with them or after them.
        while let Ok(status) = nix::sys::wait::waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG)) {
            if status == nix::sys::wait::WaitStatus::StillAlive {
                return Err("a process is left");
            }
        }
        Ok(())
    });
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

#[test]
fn a_bound_that_is_refused_is_named() {
    run_test_in_child("sys::spawn::tests::in_a_child_without_rights_be_refused");
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

/// Threads of this process hold the allocator's lock at any moment; the forked child must not need it.
#[test]
fn programs_start_while_other_threads_allocate() {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::black_box(vec![0u8; 4096]);
                }
            });
        }
        for _ in 0..100 {
            super::spawn(Spawn::new("/bin/true")).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
