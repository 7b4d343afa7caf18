//! A configuration in JavaScript, evaluated by the user's own `node`: nothing else can say what it means.
//!
//! The file is code of the user's, run as PM2 would run it, with the same rights and environment. Invariants: it has
//! [`LIMIT`] to end, what it may print is bounded, and the process that evaluates it is gone when this returns.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Time to evaluate a file.
const LIMIT: Duration = Duration::from_secs(15);

/// More than this is no configuration.
const MOST_BYTES: u64 = 8 << 20;

const EVALUATE: &str = include_str!("evaluate.js");

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    #[error("`node` is needed to read a configuration in JavaScript, and is not in PATH")]
    NoNode,
    #[error("`node` cannot be run: {0}")]
    NotRun(std::io::Error),
    #[error("it was not evaluated within {} s", LIMIT.as_secs())]
    TooLate,
    #[error("it means more than {} MiB", MOST_BYTES >> 20)]
    TooLong,
    #[error("node says:\n{0}")]
    Failed(String),
}

/// What the file at this absolute path means.
pub(super) fn evaluate(path: &Path) -> Result<Value, ScriptError> {
    let deadline = Instant::now() + LIMIT;
    let mut child = start(path)?;
    let outcome = converse(&mut child, deadline);
    // It has ended, or its time has; either way it is reaped here.
    let _ = child.kill();
    let _ = child.wait();
    outcome
}

fn start(path: &Path) -> Result<Child, ScriptError> {
    let spawned = Command::new("node")
        .args(["--input-type=commonjs", "-"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    spawned.map_err(|error| match error.kind() {
        ErrorKind::NotFound => ScriptError::NoNode,
        _ => ScriptError::NotRun(error),
    })
}

fn converse(child: &mut Child, deadline: Instant) -> Result<Value, ScriptError> {
    let out = read(child.stdout.take());
    let err = read(child.stderr.take());
    if let Some(mut script) = child.stdin.take() {
        // One that does not read its script says why on standard error.
        let _ = script.write_all(EVALUATE.as_bytes());
    }
    let left = || deadline.saturating_duration_since(Instant::now());
    let text = out.recv_timeout(left()).map_err(|_| ScriptError::TooLate)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(ScriptError::TooLong);
    }
    if let Ok(value) = serde_json::from_slice(&text) {
        return Ok(value);
    }
    let said = err.recv_timeout(left()).map_err(|_| ScriptError::TooLate)?;
    Err(ScriptError::Failed(shown(&String::from_utf8_lossy(&said))))
}

/// Reads a stream to its end, or to the byte that is one too many.
fn read(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            // What was read before a failure is what there is.
            let _ = stream.take(MOST_BYTES + 1).read_to_end(&mut bytes);
        }
        // Nobody may be waiting any more.
        let _ = sender.send(bytes);
    });
    receiver
}

/// The lines of an error that are about the user's file: not the frames of node itself.
fn shown(text: &str) -> String {
    let is_frame = |line: &str| line.trim_start().starts_with("at ") && line.contains("node:");
    let is_ours = |line: &&str| !line.trim().is_empty() && !is_frame(line) && !line.contains("[stdin]");
    let lines: Vec<&str> = text.lines().filter(is_ours).take(20).collect();
    if lines.is_empty() { "nothing, and gave no value".to_owned() } else { lines.join("\n") }
}
