//! `streams` and `stream_spread` of an app: what becomes of web sockets and event streams when their worker leaves.
//!
//! Values; how a stream is ended is the proxy's affair.

use std::time::Duration;

use super::defaults;
use super::fault::Fault;
use super::reader::Table;
use super::value;

/// What becomes of exchanges that last when their worker is to take no more of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// They may go on until the drain is over.
    Wait,
    /// Each is ended in a way that its client understands, at a random moment within this time.
    Notify { spread: Duration },
    /// They end at once.
    Cut,
}

/// Words without the time that one of them has.
pub(super) const POLICIES: [(&str, Streams); 3] = [
    ("notify", Streams::Notify { spread: defaults::STREAM_SPREAD.default }),
    ("wait", Streams::Wait),
    ("cut", Streams::Cut),
];

pub(super) fn streams(table: &mut Table) -> Streams {
    let policy = table.take("streams", |value| value::word(value, &POLICIES));
    let spread = table.duration("stream_spread", &defaults::STREAM_SPREAD);
    match policy {
        Some(policy @ (Streams::Wait | Streams::Cut)) => {
            if table.has("stream_spread") {
                let fault = Fault::error(
                    table.span_of("stream_spread"),
                    "`stream_spread` has no meaning beside this `streams`",
                );
                table.report(fault.label("never looked at").related(table.span_of("streams"), "nobody is notified"));
            }
            policy
        }
        None | Some(Streams::Notify { .. }) => Streams::Notify { spread },
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bad, good};
    use super::*;

    fn read(keys: &str) -> Streams {
        let loaded = good(&format!("[app.web]\ncommand = 'x'\n{keys}"));
        loaded.config.apps.values().next().unwrap().forwarding.streams
    }

    #[test]
    fn streams_are_notified_unless_it_is_said_otherwise() {
        assert_eq!(read(""), Streams::Notify { spread: Duration::from_secs(30) });
        assert_eq!(read("stream_spread = '5s'\n"), Streams::Notify { spread: Duration::from_secs(5) });
        assert_eq!(read("streams = 'wait'\n"), Streams::Wait);
        assert_eq!(read("streams = 'cut'\n"), Streams::Cut);
    }

    #[test]
    fn a_spread_of_what_is_not_told_is_a_slip() {
        let problems = bad("[app.web]\ncommand = 'x'\nstreams = 'wait'\nstream_spread = '5s'\n");
        assert!(problems.render(false).contains("nobody is notified"));
        bad("[app.web]\ncommand = 'x'\nstreams = 'close'\n");
        bad("[app.api]\nupstream = '127.0.0.1:1'\nstreams = 'wait'\n");
        bad("[app.mail]\nkind = 'task'\ncommand = 'x'\nstreams = 'wait'\n");
    }
}
