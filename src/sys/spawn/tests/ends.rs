//! How programs end: by themselves, when they are asked, and when they are killed, with all that they have started.
//!
//! An end is told once and for good, and leaves neither a zombie nor a process of the group.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Script, in_time, shell};
use crate::sys::socket::pair;
use crate::sys::spawn::{Exit, Signal, Spawn, Stdio};
use crate::sys::testing::{eventually, run_test_in_child};

fn is_running(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

const KILLED: Exit = Exit::Signal { signal: 9, core: false };

const TERMINATED: Exit = Exit::Signal { signal: 15, core: false };

#[tokio::test]
async fn exits_are_told_apart_and_remembered() {
    let in_a_task = tokio::spawn(Script::start("exit 7").finish());
    assert_eq!(in_a_task.await.unwrap().1, Exit::Code(7));
    assert_eq!(Script::start("kill -TERM $$").finish().await.1, TERMINATED);
    let mut child = super::spawn(shell("exit 3")).unwrap();
    assert_eq!(in_time(child.wait()).await.unwrap(), Exit::Code(3));
    assert_eq!(in_time(child.wait()).await.unwrap(), Exit::Code(3));
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
    run_test_in_child("sys::spawn::tests::ends::in_a_child_be_a_subreaper");
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
    run_test_in_child("sys::spawn::tests::ends::in_a_child_end_strays");
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
