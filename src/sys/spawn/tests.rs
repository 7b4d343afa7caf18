//! Real programs: what they get, how they end, and what a start that fails says.
//!
//! Most are shell scripts whose output the test reads; every wait has a limit.

mod ends;
mod failures;
mod surroundings;

use std::fs;
use std::future::Future;
use std::io::Read;

use super::*;
use crate::sys::testing::LIMIT;

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
