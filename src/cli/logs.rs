//! `portreeve logs`: what the workers have printed, and print.
//!
//! Chooses among the lines that the supervisor hands out, and says how they look; where they are kept is not known here.

use std::io::{self, Write};
use std::time::SystemTime;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use regex::Regex;

use super::target::Target;
use super::{Code, Wrong, block_on, paint, select};
use crate::control::words::{LogEntry, LogLine, LogQuery, LogStream};
use crate::id::{AppName, Generation, Slot};

/// Colours of names, by their SGR numbers (ECMA-48); no red, which is for standard error.
const COLOURS: [u8; 5] = [36, 32, 33, 34, 35];

/// Whose lines, which of them, and how they look.
#[derive(Args, Debug)]
#[command(after_help = "\
In front of each line stands who has printed it: the app, its generation and the slot of the worker. It goes on until Ctrl-C.

Examples:
  portreeve logs                           the latest lines of all apps, and what comes
  portreeve logs web --err --lines 100
  portreeve logs web --since 10m --grep 'timeout|refused' --nostream
  portreeve logs 'api-*' --json | jq -r .line")]
pub(super) struct Logs {
    /// Names, ids, patterns such as 'web-*', or all, which is also meant when none is named
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// How many lines of the past to show
    #[arg(short = 'n', long, value_name = "N", default_value_t = 15)]
    lines: usize,
    #[command(flatten)]
    choice: Choice,
    /// Show the past and end, instead of going on
    #[arg(long, visible_alias = "no-follow")]
    nostream: bool,
    /// The lines as they were printed, standard error to standard error
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Put the time in front of each line
    #[arg(long, visible_alias = "time", conflicts_with_all = ["raw", "json"])]
    timestamp: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Which lines are taken.
#[derive(Args, Debug)]
struct Choice {
    /// Only standard error
    #[arg(long, conflicts_with = "out")]
    err: bool,
    /// Only standard output
    #[arg(long)]
    out: bool,
    /// Only lines that match this regular expression
    #[arg(short, long, value_name = "REGEX")]
    grep: Option<Regex>,
    /// Only lines since then: a time span such as 10m, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    since: Option<Timestamp>,
    /// Only the worker in this slot
    #[arg(long, value_name = "N")]
    slot: Option<u32>,
    /// Only workers of this generation
    #[arg(long, value_name = "N")]
    generation: Option<u64>,
}

/// `10m`, or a time.
fn point_in_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(span) = text.parse::<SignedDuration>() {
        let now = Timestamp::try_from(SystemTime::now()).map_err(|error| error.to_string())?;
        return now.checked_sub(span.abs()).map_err(|error| error.to_string());
    }
    text.parse().map_err(|_| "neither a time span such as 10m nor a time such as 2026-01-31T12:00:00Z".to_owned())
}

pub(super) fn logs(logs: &Logs) -> anyhow::Result<Code> {
    let client = logs.target.client()?;
    // A line that is chosen for what it is may be further back than the latest ones of all.
    let lines = (!logs.choice.is_choosy()).then_some(logs.lines);
    let apps = match &logs.apps[..] {
        [] => Vec::new(),
        // Whatever there is, and comes.
        [all] if all == "all" => Vec::new(),
        words => select::find(words, &block_on(client.status())??.apps).map_err(Wrong)?,
    };
    let query = LogQuery { apps, lines, follow: !logs.nostream };
    let style = Style::of(logs);
    block_on(async {
        let mut entries = client.logs(&query).await?;
        let mut past = Vec::new();
        loop {
            match entries.next().await? {
                Some(LogEntry::Now { .. }) | None => break,
                Some(LogEntry::Line(line)) if !logs.choice.wants(&line) => {}
                Some(entry) => past.push(entry),
            }
        }
        for entry in past.drain(past.len().saturating_sub(logs.lines)..) {
            style.show(&entry)?;
        }
        while let Some(entry) = entries.next().await? {
            if !matches!(&entry, LogEntry::Line(line) if !logs.choice.wants(line)) {
                style.show(&entry)?;
            }
        }
        Ok::<_, anyhow::Error>(())
    })?
    .or_else(nobody_reads)?;
    if logs.nostream {
        return Ok(Code::Done);
    }
    eprintln!("portreeve: the supervisor has ended");
    Ok(Code::Unavailable)
}

/// A reader that has seen enough, such as `head`, is no failure.
fn nobody_reads(error: anyhow::Error) -> anyhow::Result<()> {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    if kind == Some(io::ErrorKind::BrokenPipe) { Ok(()) } else { Err(error) }
}

impl Choice {
    /// Does it take some lines of an app and not others?
    fn is_choosy(&self) -> bool {
        let by_text = self.err || self.out || self.grep.is_some();
        by_text || self.since.is_some() || self.slot.is_some() || self.generation.is_some()
    }

    fn wants(&self, line: &LogLine) -> bool {
        let stream = match line.stream {
            LogStream::Stdout => !self.err,
            LogStream::Stderr => !self.out,
        };
        // Where a line does not say when it was, or by whom, it cannot be what is asked for.
        let time = line.time.as_ref().and_then(|time| time.parse::<Timestamp>().ok());
        let since = self.since.is_none_or(|since| time.is_some_and(|time| time >= since));
        let slot = self.slot.is_none_or(|slot| line.slot == Some(Slot(slot)));
        let generation = self.generation.is_none_or(|generation| line.generation == Some(Generation(generation)));
        stream && since && slot && generation && self.grep.as_ref().is_none_or(|grep| grep.is_match(&line.line))
    }
}

/// How lines look.
struct Style {
    form: Form,
    is_coloured: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Raw,
    Json,
    Named,
    Timed,
}

impl Style {
    fn of(logs: &Logs) -> Self {
        let form = match logs {
            Logs { raw: true, .. } => Form::Raw,
            Logs { json: true, .. } => Form::Json,
            Logs { timestamp: true, .. } => Form::Timed,
            _ => Form::Named,
        };
        Self { form, is_coloured: paint::is_coloured() }
    }

    fn show(&self, entry: &LogEntry) -> anyhow::Result<()> {
        match entry {
            _ if self.form == Form::Json => writeln!(io::stdout(), "{}", serde_json::to_string(entry)?)?,
            LogEntry::Line(line) if self.form == Form::Raw && line.stream == LogStream::Stderr => {
                writeln!(io::stderr(), "{}", line.line)?;
            }
            LogEntry::Line(line) => writeln!(io::stdout(), "{}", self.line(line))?,
            LogEntry::Gap { missed } => eprintln!("({missed} lines came faster than they could be read)"),
            LogEntry::Now { .. } => {}
        }
        Ok(())
    }

    fn line(&self, line: &LogLine) -> String {
        if self.form == Form::Raw {
            return line.line.clone();
        }
        let worker = match (line.generation, line.slot) {
            (Some(generation), Some(slot)) => format!("{} {generation}.{slot}", line.app),
            _ => line.app.to_string(),
        };
        let time = line.time.as_ref().filter(|_| self.form == Form::Timed);
        let time = time.map_or_else(String::new, |time| format!("{time} "));
        if !self.is_coloured {
            return format!("{time}{worker} | {}", line.line);
        }
        let text = match line.stream {
            LogStream::Stdout => line.line.clone(),
            LogStream::Stderr => format!("\x1b[31m{}\x1b[0m", line.line),
        };
        format!("{time}\x1b[{}m{worker} |\x1b[0m {text}", colour(&line.app))
    }
}

/// The same for an app whenever it is seen.
fn colour(app: &AppName) -> u8 {
    let sum = app.as_str().bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    COLOURS[sum % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        logs: Logs,
    }

    fn logs(words: &str) -> Logs {
        Line::try_parse_from(format!("logs {words}").split_whitespace()).unwrap().logs
    }

    fn line(stream: LogStream) -> LogLine {
        LogLine {
            time: Some("2026-01-31T12:00:00.5Z".into()),
            app: "web".parse().unwrap(),
            generation: Some(Generation(3)),
            slot: Some(Slot(1)),
            stream,
            line: "GET /users 500".into(),
        }
    }

    #[test]
    fn lines_are_chosen_by_all_that_was_said() {
        let wants = |words: &str| logs(words).choice.wants(&line(LogStream::Stderr));
        for words in ["", "--err", "--grep 5..", "--slot 1", "--generation 3", "--since 2026-01-31T12:00:00Z"] {
            assert!(wants(words), "{words}");
        }
        for words in ["--out", "--grep ^200", "--slot 0", "--generation 2", "--since 1m", "--err --slot 2"] {
            assert!(!wants(words), "{words}");
        }
        let before_our_time = LogLine { time: None, slot: None, generation: None, ..line(LogStream::Stdout) };
        assert!(logs("web api").choice.wants(&before_our_time));
        assert!(!logs("--since 1h").choice.wants(&before_our_time) && !logs("--slot 1").choice.wants(&before_our_time));
    }

    #[test]
    fn a_line_looks_as_it_was_asked_for() {
        let shown = |form, is_coloured| Style { form, is_coloured }.line(&line(LogStream::Stderr));
        assert_eq!(shown(Form::Named, false), "web 3.1 | GET /users 500");
        assert_eq!(shown(Form::Timed, false), "2026-01-31T12:00:00.5Z web 3.1 | GET /users 500");
        assert_eq!(shown(Form::Raw, true), "GET /users 500");
        assert!(shown(Form::Named, true).ends_with("mweb 3.1 |\x1b[0m \x1b[31mGET /users 500\x1b[0m"));
    }

    #[test]
    fn lines_of_several_apps_stand_below_each_other_with_who_has_printed_them() {
        let by = |app: &str, worker: Option<(u64, u32)>, stream, text: &str| LogLine {
            app: app.parse().unwrap(),
            generation: worker.map(|(generation, _)| Generation(generation)),
            slot: worker.map(|(_, slot)| Slot(slot)),
            line: text.into(),
            ..line(stream)
        };
        let lines = [
            by("web", Some((3, 0)), LogStream::Stdout, "listening on 127.0.0.1:4000"),
            by("api-v2", Some((12, 1)), LogStream::Stdout, "GET /users 200"),
            by("web", Some((3, 1)), LogStream::Stderr, "Error: no database"),
            by("web", Some((3, 1)), LogStream::Stderr, "    at connect (db.js:7)"),
            by("report", None, LogStream::Stdout, "a line of an older log file"),
        ];
        let shown = |form, is_coloured| {
            let style = Style { form, is_coloured };
            lines.iter().map(|line| style.line(line) + "\n").collect::<String>()
        };
        let forms = [Form::Named, Form::Timed, Form::Raw].map(|form| format!("--- {form:?}\n{}", shown(form, false)));
        let coloured = shown(Form::Named, true).replace('\x1b', "^[");
        insta::assert_snapshot!(format!("{}--- coloured\n{coloured}", forms.concat()));
    }

    #[test]
    fn a_time_that_is_none_is_refused_with_an_example() {
        assert!(point_in_time("10m").unwrap() < point_in_time("5s").unwrap());
        assert!(point_in_time("yesterday").unwrap_err().contains("such as 10m"));
    }
}
