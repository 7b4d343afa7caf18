//! What Node's channel carries: one JSON text a line, in both directions.
//!
//! Pure: bytes in, messages out. Knows of each message only whether it concerns us; what follows from it is decided
//! elsewhere. Invariants: no more than [`LONGEST_LINE`] bytes are kept, whatever comes; how the bytes were cut into
//! pieces makes no difference; no byte sequence is an error here, at worst it is [`Message::Garbage`].

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::cluster::{self, Said};

/// Bytes of a line, its end not counted, beyond which it is passed over; Node's own messages are far below.
pub(super) const LONGEST_LINE: usize = 1024 * 1024;

/// Capacity that stays after a long line.
const KEPT_CAPACITY: usize = 16 * 1024;

/// Asks the app to end, as PM2 does with `shutdown_with_message`.
pub(super) const SHUTDOWN: &[u8] = b"\"shutdown\"\n";

/// Answers [`Message::Handle`]: the handle did not arrive. A Node that gets no answer keeps back all later messages.
pub(super) const HANDLE_REFUSED: &[u8] = b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n";

/// One line, as far as it concerns us.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::supervisor) enum Message {
    /// `process.send('ready')`.
    Ready,
    /// A message with a socket or server, which must be answered.
    Handle,
    /// The handle that came last from us has arrived, or has not.
    Taken,
    NotTaken,
    /// What a worker of a cluster says to its primary.
    Cluster(Said),
    /// Any other message, of the app or of Node itself.
    Other,
    /// No JSON.
    Garbage,
    /// Longer than [`LONGEST_LINE`].
    TooLong,
}

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Lines {
    line: Vec<u8>,
    /// The rest of this line is passed over.
    passing: bool,
}

/// The one member of an object that Node gives a meaning: names that begin with `NODE_` are its own.
#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    cmd: serde_json::Value,
}

impl Lines {
    /// Takes in the next bytes and gives every message that they complete.
    pub(in crate::supervisor) fn feed(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            self.take(text);
            if is_whole {
                messages.push(self.finish());
            }
        }
        messages
    }

    /// Does a begun line wait for its end?
    pub(in crate::supervisor) fn is_within_a_line(&self) -> bool {
        self.passing || !self.line.is_empty()
    }

    fn take(&mut self, text: &[u8]) {
        self.passing |= self.line.len() + text.len() > LONGEST_LINE;
        if self.passing {
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(text);
        }
    }

    fn finish(&mut self) -> Message {
        let message = if self.passing { Message::TooLong } else { read(&self.line) };
        self.passing = false;
        self.line.clear();
        self.line.shrink_to(KEPT_CAPACITY);
        message
    }
}

fn read(line: &[u8]) -> Message {
    match line.trim_ascii_start().first() {
        Some(b'"') => said(serde_json::from_slice(line), |text: String| match text.as_str() {
            "ready" => Message::Ready,
            _ => Message::Other,
        }),
        Some(b'{') => said(serde_json::from_slice(line), |object: Object| match object.cmd.as_str() {
            Some("NODE_HANDLE") => Message::Handle,
            Some("NODE_HANDLE_ACK") => Message::Taken,
            Some("NODE_HANDLE_NACK") => Message::NotTaken,
            Some("NODE_CLUSTER") => of_cluster(line),
            _ => Message::Other,
        }),
        _ => said(serde_json::from_slice(line), |_: IgnoredAny| Message::Other),
    }
}

/// Most messages are the app's own: only these are worth reading as a whole.
fn of_cluster(line: &[u8]) -> Message {
    let members: Option<serde_json::Map<_, _>> = serde_json::from_slice(line).ok();
    members.and_then(|members| cluster::read(&members)).map_or(Message::Other, Message::Cluster)
}

fn said<T>(parsed: serde_json::Result<T>, meaning: impl FnOnce(T) -> Message) -> Message {
    parsed.map_or(Message::Garbage, meaning)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn messages(text: impl AsRef<[u8]>) -> Vec<Message> {
        Lines::default().feed(text.as_ref())
    }

    #[test]
    fn each_line_is_one_message_and_only_its_own_meaning_counts() {
        for (line, message) in [
            ("\"ready\"", Message::Ready),
            ("\"re\\u0061dy\"\r", Message::Ready),
            ("\"ready to go\"", Message::Other),
            ("[\"ready\"]", Message::Other),
            ("{\"type\":\"ready\"}", Message::Other),
            ("{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":{\"a\":1}}", Message::Handle),
            ("{\"cmd\":\"NODE_HANDLE_ACK\"}", Message::Taken),
            ("{\"cmd\":\"NODE_HANDLE_NACK\"}", Message::NotTaken),
            (
                "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"port\":80}",
                Message::Cluster(Said::Listening { port: 80 }),
            ),
            ("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"port\":80", Message::Garbage),
            ("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}", Message::Other),
            ("{\"cmd\":[7],\"msg\":{\"cmd\":\"NODE_HANDLE\"}}", Message::Other),
            ("{}", Message::Other),
            ("null", Message::Other),
            ("-1.5e3", Message::Other),
            ("", Message::Garbage),
            ("ready", Message::Garbage),
            ("\"ready", Message::Garbage),
            ("\"ready\" \"ready\"", Message::Garbage),
            ("{\"cmd\":\"NODE_HANDLE\"", Message::Garbage),
        ] {
            assert_eq!(messages(format!("{line}\n")), [message], "{line}");
        }
        assert_eq!(messages(b"\"\xff\"\n\x00\x01\n\"ready\"\n"), [Message::Garbage, Message::Garbage, Message::Ready]);
        assert_eq!(messages("[".repeat(100_000) + "\n"), [Message::Garbage]);
    }

    #[test]
    fn a_line_beyond_the_limit_is_passed_over_and_not_kept() {
        let of = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
        assert_eq!(messages(of(LONGEST_LINE) + "\n"), [Message::Other]);
        assert_eq!(messages(of(LONGEST_LINE + 1) + "\n\"ready\"\n"), [Message::TooLong, Message::Ready]);
        let mut lines = Lines::default();
        for _ in 0..1000 {
            assert_eq!(lines.feed(&[b'x'; 10_000]), []);
            assert!(lines.line.capacity() <= 2 * LONGEST_LINE);
        }
        assert!(lines.is_within_a_line());
        assert_eq!(lines.feed(b"\n"), [Message::TooLong]);
        assert!(!lines.is_within_a_line() && lines.line.capacity() <= KEPT_CAPACITY);
    }

    #[test]
    fn what_we_say_is_json_on_one_line() {
        for said in [SHUTDOWN, HANDLE_REFUSED, cluster::DISCONNECT] {
            let (end, text) = said.split_last().unwrap();
            assert_eq!((*end, text.contains(&b'\n')), (b'\n', false));
            serde_json::from_slice::<IgnoredAny>(text).unwrap();
        }
    }

    /// Lines of all kinds: JSON, pieces of it, and any bytes but the one that ends a line.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let json = prop_oneof![
            Just(&b"\"ready\""[..]),
            Just(&b"{\"cmd\":\"NODE_HANDLE\"}"[..]),
            Just(&b"{\"a\":[1,{}]}"[..]),
            Just(&b"\"re"[..]),
        ];
        let bytes = vec(any::<u8>().prop_filter("ends a line", |byte| *byte != b'\n'), 0..40);
        prop_oneof![json.prop_map(<[u8]>::to_vec), bytes]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn the_pieces_in_which_bytes_come_make_no_difference(
            lines in vec(line(), 0..12),
            rest in line(),
            cuts in vec(1..30_usize, 1..200),
        ) {
            let mut stream: Vec<u8> = lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect();
            stream.extend(&rest);
            let expected: Vec<Message> = lines.iter().map(|line| read(line)).collect();
            let (mut splitter, mut found, mut left) = (Lines::default(), Vec::new(), stream.as_slice());
            for cut in cuts.iter().cycle() {
                let (piece, after) = left.split_at((*cut).min(left.len()));
                found.extend(splitter.feed(piece));
                left = after;
                if left.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, expected);
            prop_assert_eq!(splitter.is_within_a_line(), !rest.is_empty());
        }

        #[test]
        fn a_message_means_the_same_after_any_garbage(garbage in line()) {
            let ready = [&garbage[..], b"\n\"ready\"\n"].concat();
            let found = messages(ready);
            prop_assert_eq!(found.last(), Some(&Message::Ready));
        }
    }
}
