//! The scripted worker: a web app that behaves as it is told, and misbehaves on demand.
//!
//! Words on its command line (and in files named by `script=FILE`, one word a line) say how it boots, serves and stops;
//! see [`script`]. What its routes do stands in [`routes`]. It listens on `$PORT`, a port or a path, prints one line once it does, and ends
//! on `SIGTERM` as a well-behaved app does: no new connection, idle ones closed, the rest finished, exit 0.
//! It knows nothing of portreeve beyond the environment that a worker is given.

mod body;
mod ledger;
mod pattern;
mod query;
mod routes;
mod script;
mod serve;
mod tell;
mod websocket;

use std::process::{Command, ExitCode};

use script::{Boot, Script};

fn main() -> ExitCode {
    let script = match Script::read(std::env::args().skip(1)) {
        Ok(script) => script,
        Err(fault) => {
            eprintln!("scripted-worker: {fault}");
            return ExitCode::from(64);
        }
    };
    if let Some(code) = boot(&script.boot) {
        return ExitCode::from(code);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let code = runtime.block_on(serve::run(script));
    // A crash must not wait for anything.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Says its lines and forks its child; the code to exit with, when it is told to exit at boot.
fn boot(boot: &Boot) -> Option<u8> {
    for line in &boot.say {
        eprintln!("{line}");
    }
    if let Some(message) = &boot.tell {
        tell::tell(message);
    }
    if boot.hoard > 0 {
        // For as long as the process lives.
        vec![1_u8; boot.hoard].leak();
    }
    if boot.fork {
        fork_child();
    }
    boot.exit
}

/// Starts a child of the same program that holds so many bytes, and nothing else. Returns its pid.
fn breed(bytes: usize) -> u32 {
    let program = std::env::current_exe().expect("a program knows where it is");
    let words = [format!("hoard={bytes}"), "late=3600s".to_owned()];
    Command::new(program).args(words).spawn().expect("it can be started once more").id()
}

/// Starts a grandchild of the supervisor that nobody waits for and that would live on for an hour. Returns its pid.
fn fork_child() -> u32 {
    Command::new("sleep").arg("3600").spawn().expect("there is a sleep(1)").id()
}
