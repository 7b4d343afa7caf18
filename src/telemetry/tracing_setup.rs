//! portreeve's own log: one line per event on standard error, as text or as JSON.
//!
//! Knows no event. The subscriber is the one global of the program: libraries report to it too. Invariant: a filter that
//! would silently show the wrong things is refused.

use std::fmt;
use std::io::{self, IsTerminal};

use jiff::Timestamp;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error(
        "{filter:?} is no log level: use off, error, warn, info, debug or trace, also for one part of the program, as in \"info,portreeve::proxy=debug\""
    )]
    Level { filter: String },
    #[error("the log filter {filter:?} cannot be understood: {source}")]
    Filter { filter: String, source: ParseError },
    #[error("a log has been set up already")]
    Twice,
}

/// Sends the program's events to standard error, for the rest of the process's life.
///
/// `level` is a filter as [`filter`] reads it. Text is coloured when standard error is a terminal and `NO_COLOR`
/// (no-color.org) is not set.
///
/// # Errors
/// When the filter is bad, or when this has been called before.
pub fn install(level: &str, json: bool) -> Result<(), InstallError> {
    let filter = filter(level)?;
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let installed = if json {
        tracing::subscriber::set_global_default(json_subscriber(filter, io::stderr))
    } else {
        tracing::subscriber::set_global_default(text_subscriber(filter, colours, io::stderr))
    };
    installed.map_err(|_| InstallError::Twice)
}

/// Reads a filter: levels and `target=level` pairs, joined by commas, as [`EnvFilter`] does, with one difference: a lone
/// word must be a level. `EnvFilter` takes `inof` for a target, and shows nothing.
///
/// # Errors
/// When a part is neither a level nor a pair.
pub fn filter(text: &str) -> Result<EnvFilter, InstallError> {
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    let bad = parts.iter().find(|part| !part.contains(['=', '[', '{', '}', ']']) && !is_level(part));
    if let Some(word) = bad {
        return Err(InstallError::Level { filter: (*word).to_owned() });
    }
    let parsed = EnvFilter::builder().parse(parts.join(","));
    parsed.map_err(|source| InstallError::Filter { filter: text.to_owned(), source })
}

fn text_subscriber<W>(filter: EnvFilter, colours: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_timer(UtcTime);
    builder.with_ansi(colours).with_target(false).finish()
}

fn json_subscriber<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_timer(UtcTime);
    builder.json().flatten_event(true).with_current_span(false).finish()
}

/// `2026-11-23T04:12:59.007Z`: sorts as text, and is short enough for a terminal.
struct UtcTime;

impl FormatTime for UtcTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.3}", Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn writer(written: &Written) -> impl for<'a> MakeWriter<'a> + Send + Sync + 'static {
        let written = written.clone();
        move || written.clone()
    }

    #[test]
    fn a_text_line_begins_with_a_short_utc_time() {
        let written = Written::default();
        let subscriber = text_subscriber(filter("info").unwrap(), false, writer(&written));
        tracing::subscriber::with_default(subscriber, || tracing::info!(app = "web", "ready"));
        let text = written.text();
        let (time, rest) = text.split_once(' ').unwrap();
        assert_eq!(time.len(), "2026-11-23T04:12:59.007Z".len(), "{time}");
        assert!(time.parse::<Timestamp>().is_ok() && time.ends_with('Z'), "{time}");
        assert_eq!(rest.trim_start(), "INFO ready app=\"web\"\n");
    }

    #[test]
    fn only_a_terminal_gets_colours() {
        for colours in [false, true] {
            let written = Written::default();
            let subscriber = text_subscriber(filter("info").unwrap(), colours, writer(&written));
            tracing::subscriber::with_default(subscriber, || tracing::info!("ready"));
            assert_eq!(written.text().contains('\u{1b}'), colours);
        }
    }

    #[test]
    fn a_json_line_is_one_flat_object() {
        let written = Written::default();
        let subscriber = json_subscriber(filter("info").unwrap(), writer(&written));
        tracing::subscriber::with_default(subscriber, || tracing::warn!(app = "web", "line\nbreak"));
        assert_eq!(written.text().lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&written.text()).unwrap();
        assert_eq!(line["message"], "line\nbreak");
        assert_eq!(line["app"], "web");
        assert_eq!(line["level"], "WARN");
        assert!(line["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{line}");
    }

    #[test]
    fn a_filter_decides_per_target() {
        let written = Written::default();
        let filter = filter("warn, portreeve::proxy=debug").unwrap();
        tracing::subscriber::with_default(text_subscriber(filter, false, writer(&written)), || {
            tracing::debug!(target: "portreeve::proxy", "shown");
            tracing::info!(target: "portreeve::supervisor", "not shown");
        });
        assert!(written.text().contains("DEBUG shown") && !written.text().contains("not shown"), "{}", written.text());
    }

    #[test]
    fn a_misspelt_level_is_refused_by_name() {
        for (bad, word) in [("inof", "inof"), ("info,hyper", "hyper"), ("", "")] {
            let error = filter(bad).unwrap_err();
            assert!(matches!(&error, InstallError::Level { filter } if filter == word), "{bad}: {error}");
            assert!(error.to_string().contains("use off, error, warn, info, debug or trace"), "{error}");
        }
    }

    #[test]
    fn a_pair_with_a_bad_level_is_refused_with_the_filter() {
        let error = filter("info,portreeve=loud").unwrap_err();
        assert!(matches!(error, InstallError::Filter { .. }), "{error}");
        assert!(error.to_string().contains("\"info,portreeve=loud\""), "{error}");
    }

    #[test]
    fn every_level_is_understood_in_any_case() {
        for level in LEVELS {
            assert!(filter(level).is_ok() && filter(&level.to_uppercase()).is_ok(), "{level}");
        }
    }
}
