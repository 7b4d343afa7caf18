//! Shared by this room's tests: a test that must not touch its own process runs in a child of it,
//! and waits for processes have a limit.

use std::process::Command;
use std::time::Duration;

/// The longest that a test waits for a process to do what it should do at once.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// The command that runs one `#[ignore]`d test of this test binary in a process of its own.
pub(crate) fn test_in_child(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command
}

/// Runs such a test and fails when it fails, or when there is no test of that name.
pub(crate) fn run_test_in_child(name: &str) {
    must_pass(&mut test_in_child(name));
}

pub(crate) fn must_pass(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Tries again, up to the limit, what depends on a process that gives no sign when it is done: a killed one that is not
/// ours, or one forked by a test beside this one, which has a copy of every descriptor of ours until its exec.
pub(crate) fn eventually<T, E: std::fmt::Debug>(mut attempt: impl FnMut() -> Result<T, E>) -> T {
    let begun = std::time::Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(error) => assert!(begun.elapsed() < LIMIT, "{error:?}"),
        }
        std::thread::yield_now();
    }
}

/// Says that a tool is missing, so that a skipped test does not look like a passed one. Where everything was to be
/// installed (the variable `CI` is set) that is a failure.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    eprintln!("skipped: {reason}");
}
