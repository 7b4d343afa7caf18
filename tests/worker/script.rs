//! The words that tell the worker what to do.
//!
//! A word is `name` or `name=value`; durations are `250ms` or `2s`. Unknown words are refused, so that a test with a
//! typing error fails at once. Later words override earlier ones.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything the worker was told.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) boot: Boot,
    pub(crate) health: Health,
    pub(crate) idle: Idle,
    pub(crate) stop: Stop,
    /// `dumps`: prints a line on `SIGUSR2`.
    pub(crate) dumps: bool,
    pub(crate) notify: Notify,
    /// `crash-on=N`: ends with code 1 on the Nth request, probes not counted.
    pub(crate) crash_on: Option<u64>,
    /// `answers=STATUS`: to every request but probes.
    pub(crate) answers: Option<u16>,
    /// `ledger=FILE`: where `/once` leaves its lines.
    pub(crate) ledger: Option<PathBuf>,
    /// `listen=ADDRESS` or `listen=unix:PATH`, instead of `$PORT`.
    pub(crate) listen: Option<Listen>,
}

/// What happens before it listens.
#[derive(Debug, Default)]
pub(crate) struct Boot {
    /// `say=TEXT`: a line on stderr, once a word.
    pub(crate) say: Vec<String>,
    /// `exit=CODE`: ends after its lines.
    pub(crate) exit: Option<u8>,
    /// `late=TIME`: does not listen before.
    pub(crate) late: Duration,
    /// `tells-first=TEXT`: on `$NOTIFY_SOCKET`; a `;` stands for a line end.
    pub(crate) tell: Option<String>,
    /// `hoard=BYTES`: holds so many.
    pub(crate) hoard: usize,
    /// `fork`: starts a child that nobody waits for.
    pub(crate) fork: bool,
}

/// What it tells its supervisor on `$NOTIFY_SOCKET`.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    /// `tells=TEXT`: once it listens; a `;` stands for a line end.
    pub(crate) text: Option<String>,
    /// `feeds=TIME`: says so often that it is well.
    pub(crate) feed: Option<Duration>,
}

/// What `/health` answers.
#[derive(Debug)]
pub(crate) struct Health {
    /// `health=STATUS`.
    pub(crate) status: u16,
    /// `ready-after=TIME`: 503 until this long after it listens.
    pub(crate) after: Duration,
    /// `crash-on-probe=N`: ends with code 1 on the Nth probe.
    pub(crate) crash_on: Option<u64>,
}

/// How it treats connections without a request.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// `close-idle=TIME`.
    pub(crate) close: Option<Duration>,
    /// `keep-alive=SECONDS`: announced in every response as `Keep-Alive: timeout=SECONDS`.
    pub(crate) announce: Option<u32>,
}

/// How it ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stop {
    /// `ignore-term`.
    pub(crate) ignore: bool,
    /// `stop-delay=TIME`: between the last request and the end.
    pub(crate) delay: Duration,
}

/// Where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Default for Health {
    fn default() -> Self {
        Self { status: 200, after: Duration::ZERO, crash_on: None }
    }
}

impl Script {
    /// Reads words, following `script=FILE`.
    pub(crate) fn read(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut script = Self::default();
        for word in words {
            match word.strip_prefix("script=") {
                None => script.take(&word)?,
                Some(file) => {
                    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
                    text.lines().try_for_each(|line| script.take(line))?;
                }
            }
        }
        Ok(script)
    }

    fn take(&mut self, word: &str) -> Result<(), String> {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "say" => self.boot.say.push(value.to_owned()),
            "exit" => self.boot.exit = Some(number(word, value)?),
            "late" => self.boot.late = duration(word, value)?,
            "tells-first" => self.boot.tell = Some(value.to_owned()),
            "tells" => self.notify.text = Some(value.to_owned()),
            "feeds" => self.notify.feed = Some(duration(word, value)?),
            "hoard" => self.boot.hoard = number(word, value)?,
            "fork" => self.boot.fork = true,
            "health" => self.health.status = number(word, value)?,
            "ready-after" => self.health.after = duration(word, value)?,
            "crash-on-probe" => self.health.crash_on = Some(number(word, value)?),
            "close-idle" => self.idle.close = Some(duration(word, value)?),
            "keep-alive" => self.idle.announce = Some(number(word, value)?),
            "ignore-term" => self.stop.ignore = true,
            "stop-delay" => self.stop.delay = duration(word, value)?,
            "dumps" => self.dumps = true,
            "crash-on" => self.crash_on = Some(number(word, value)?),
            "answers" => self.answers = Some(number(word, value)?),
            "ledger" => self.ledger = Some(value.into()),
            "listen" => self.listen = Some(listen(word, value)?),
            _ => return Err(format!("unknown word {word:?}")),
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(word: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("not a number: {word:?}"))
}

fn duration(word: &str, value: &str) -> Result<Duration, String> {
    match (value.strip_suffix("ms"), value.strip_suffix('s')) {
        (Some(millis), _) => number(word, millis).map(Duration::from_millis),
        (None, Some(seconds)) => number(word, seconds).map(Duration::from_secs),
        (None, None) => Err(format!("not a duration: {word:?}")),
    }
}

fn listen(word: &str, value: &str) -> Result<Listen, String> {
    match value.strip_prefix("unix:") {
        Some(path) => Ok(Listen::Unix(path.into())),
        None => value.parse().map(Listen::Tcp).map_err(|_| format!("not an address: {word:?}")),
    }
}
