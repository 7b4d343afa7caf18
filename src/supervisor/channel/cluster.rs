//! What a worker and the primary of a Node cluster say to each other on the channel (Node's `lib/internal/cluster`).
//!
//! Pure: a line in, what it says out; and the lines that answer. Which socket a worker is given is decided elsewhere.
//! Invariants: no line is an error here, at worst it says nothing that concerns us; a question is answered by its number,
//! and with the data that it came with, for a TLS server reads its own session keys from there.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::sys::handout::Options;

/// Asks a worker to close its listeners, finish what it has in hand, and leave the channel.
pub(in crate::supervisor) const DISCONNECT: &[u8] = b"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"disconnect\"}\n";

/// Bytes of data that a question may come with; session keys are far below.
const MOST_DATA: usize = 4096;

/// Flags of a question, as libuv has them.
const ONLY_V6: u64 = 1;
const REUSE: u64 = 4;

/// What a worker says to its primary.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::supervisor) enum Said {
    /// It wants to listen, and waits for the answer.
    Query(Query),
    /// It listens on this port.
    Listening { port: u16 },
    /// It no longer listens on what it was given under this key.
    Close { key: u64 },
    /// It is about to leave the channel of its own will, and waits for us to know.
    Leaving { number: u64 },
}

/// A question for a socket.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::supervisor) struct Query {
    number: u64,
    data: Value,
    pub(in crate::supervisor) wanted: Wanted,
}

/// What is to be listened on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::supervisor) enum Wanted {
    /// `None`: every address.
    Tcp {
        address: Option<IpAddr>,
        port: u16,
        options: Options,
    },
    Udp {
        address: IpAddr,
        port: u16,
        options: Options,
    },
    /// A Unix socket.
    Path(PathBuf),
    /// A descriptor of the primary's, or an address that only the worker could understand.
    Unknown,
}

/// Why a worker does not get what it wants; Node makes an exception of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervisor) struct Errno(pub(in crate::supervisor) i32);

/// The line of a worker, if it says anything that concerns us.
pub(super) fn read(line: &Map<String, Value>) -> Option<Said> {
    let number = |name: &str| line.get(name).and_then(Value::as_u64);
    match line.get("act")?.as_str()? {
        "queryServer" => {
            let data = line.get("data").filter(|data| data.to_string().len() <= MOST_DATA);
            let data = data.cloned().unwrap_or(Value::Null);
            Some(Said::Query(Query { number: number("seq")?, data, wanted: wanted(line).unwrap_or(Wanted::Unknown) }))
        }
        "listening" => Some(Said::Listening { port: u16::try_from(number("port")?).ok()? }),
        "close" => Some(Said::Close { key: line.get("key")?.as_str()?.parse().ok()? }),
        // The second is what it was called before Node 8.
        "exitedAfterDisconnect" | "suicide" => Some(Said::Leaving { number: number("seq")? }),
        _ => None,
    }
}

fn wanted(line: &Map<String, Value>) -> Option<Wanted> {
    if line.get("fd").and_then(Value::as_i64).is_some_and(|descriptor| descriptor >= 0) {
        return None;
    }
    let text = line.get("address").and_then(Value::as_str);
    let address = text.filter(|text| !text.is_empty());
    let flags = line.get("flags").and_then(Value::as_u64).unwrap_or(0);
    let options = Options { only_v6: flags & ONLY_V6 != 0, reuse: flags & REUSE != 0 };
    let kind = line.get("addressType")?;
    if kind.as_i64() == Some(-1) {
        let path = PathBuf::from(address?);
        return path.is_absolute().then_some(Wanted::Path(path));
    }
    let port = u16::try_from(line.get("port")?.as_i64()?).ok()?;
    let ip = |any: &str| address.unwrap_or(any).parse().ok();
    match (kind.as_i64(), kind.as_str()) {
        (Some(4 | 6), _) => {
            let address = address.map(|text| text.parse().ok()).map_or(Some(None), |ip| ip.map(Some))?;
            // A listener is always alone on its address, whatever it says.
            Some(Wanted::Tcp { address, port, options: Options { reuse: false, ..options } })
        }
        (_, Some("udp4")) => Some(Wanted::Udp { address: ip("0.0.0.0")?, port, options }),
        (_, Some("udp6")) => Some(Wanted::Udp { address: ip("::")?, port, options }),
        _ => None,
    }
}

impl Query {
    /// The line that comes with the socket. Without an error number in it Node does not compare ports.
    pub(in crate::supervisor) fn grant(&self, key: u64) -> Vec<u8> {
        let kind = if matches!(self.wanted, Wanted::Udp { .. }) { "dgram.Native" } else { "net.Native" };
        let answer = json!({ "cmd": "NODE_CLUSTER", "ack": self.number, "key": key.to_string(), "data": self.data });
        line(&json!({ "cmd": "NODE_HANDLE", "type": kind, "msg": answer }))
    }

    pub(in crate::supervisor) fn refuse(&self, key: u64, Errno(number): Errno) -> Vec<u8> {
        let (ack, key) = (self.number, key.to_string());
        line(&json!({ "cmd": "NODE_CLUSTER", "ack": ack, "errno": -number, "key": key, "data": self.data }))
    }
}

/// The line that acknowledges.
pub(in crate::supervisor) fn acknowledge(number: u64) -> Vec<u8> {
    line(&json!({ "cmd": "NODE_CLUSTER", "ack": number }))
}

fn line(message: &Value) -> Vec<u8> {
    let mut text = message.to_string().into_bytes();
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(members: &str) -> Option<Said> {
        let text = format!("{{\"cmd\":\"NODE_CLUSTER\",{members}}}");
        read(serde_json::from_str::<Value>(&text).unwrap().as_object().unwrap())
    }

    fn asked(members: &str) -> Wanted {
        match said(&format!("\"act\":\"queryServer\",\"seq\":7,\"data\":null,{members}")) {
            Some(Said::Query(query)) => query.wanted,
            other => panic!("{members}: {other:?}"),
        }
    }

    fn tcp(address: Option<&str>, port: u16, only_v6: bool) -> Wanted {
        let address = address.map(|address| address.parse().unwrap());
        Wanted::Tcp { address, port, options: Options { only_v6, reuse: false } }
    }

    #[test]
    fn every_kind_of_listener_is_understood() {
        let udp = |address: &str, port, reuse| Wanted::Udp {
            address: address.parse().unwrap(),
            port,
            options: Options { only_v6: false, reuse },
        };
        for (question, wanted) in [
            (r#""address":null,"port":3000,"addressType":4,"backlog":0"#, tcp(None, 3000, false)),
            (r#""address":"127.0.0.1","port":0,"addressType":4,"flags":0"#, tcp(Some("127.0.0.1"), 0, false)),
            (r#""address":"::","port":3000,"addressType":6,"flags":1"#, tcp(Some("::"), 3000, true)),
            (r#""address":"::1","port":3000,"addressType":6,"fd":-1"#, tcp(Some("::1"), 3000, false)),
            (r#""address":"0.0.0.0","port":53,"addressType":"udp4","flags":4"#, udp("0.0.0.0", 53, true)),
            (r#""address":null,"port":53,"addressType":"udp6""#, udp("::", 53, false)),
            (r#""address":"/run/x.sock","port":-1,"addressType":-1"#, Wanted::Path("/run/x.sock".into())),
            (r#""address":"x.sock","port":-1,"addressType":-1"#, Wanted::Unknown),
            (r#""address":null,"port":null,"addressType":null,"fd":3"#, Wanted::Unknown),
            (r#""address":"fe80::1%eth0","port":3000,"addressType":6"#, Wanted::Unknown),
            (r#""address":null,"port":70000,"addressType":4"#, Wanted::Unknown),
            (r#""address":null,"port":"3000","addressType":4"#, Wanted::Unknown),
            (r#""address":null,"port":1,"addressType":5"#, Wanted::Unknown),
        ] {
            assert_eq!(asked(question), wanted, "{question}");
        }
    }

    #[test]
    fn the_rest_of_what_a_worker_says_is_understood_or_passed_over() {
        for (line, meaning) in [
            (r#""act":"listening","port":41234,"addressType":4,"seq":2"#, Some(Said::Listening { port: 41234 })),
            (r#""act":"listening","port":-1,"addressType":-1,"seq":2"#, None),
            (r#""act":"close","key":"3","seq":3"#, Some(Said::Close { key: 3 })),
            (r#""act":"close","key":3,"seq":3"#, None),
            (r#""act":"exitedAfterDisconnect","seq":4"#, Some(Said::Leaving { number: 4 })),
            (r#""act":"suicide","seq":4"#, Some(Said::Leaving { number: 4 })),
            (r#""act":"online","seq":0"#, None),
            (r#""act":"queryServer","port":1"#, None),
            (r#""act":7"#, None),
            (r#""ack":1"#, None),
        ] {
            assert_eq!(said(line), meaning, "{line}");
        }
    }

    #[test]
    fn an_answer_has_the_number_and_the_data_of_its_question() {
        let ask = |kind: &str, data: &str| {
            let line = format!("\"act\":\"queryServer\",\"seq\":7,\"data\":{data},\"port\":1,\"addressType\":{kind}");
            match said(&line) {
                Some(Said::Query(query)) => query,
                other => panic!("{other:?}"),
            }
        };
        let parse = |line: Vec<u8>| serde_json::from_slice::<Value>(line.strip_suffix(b"\n").unwrap()).unwrap();
        let granted = parse(ask("4", "{\"ticketKeys\":\"ab\"}").grant(12));
        assert_eq!((&granted["cmd"], &granted["type"]), (&json!("NODE_HANDLE"), &json!("net.Native")));
        let answer = json!({ "cmd": "NODE_CLUSTER", "ack": 7, "key": "12", "data": { "ticketKeys": "ab" } });
        assert_eq!(granted["msg"], answer);
        assert_eq!(parse(ask("\"udp4\"", "null").grant(1))["type"], "dgram.Native");
        let refused = parse(ask("4", "null").refuse(13, Errno(98)));
        assert_eq!(refused, json!({ "cmd": "NODE_CLUSTER", "ack": 7, "errno": -98, "key": "13", "data": null }));
        let long = format!("\"{}\"", "x".repeat(MOST_DATA));
        assert_eq!(ask("4", &long).data, Value::Null);
        assert_eq!(parse(acknowledge(4)), json!({ "cmd": "NODE_CLUSTER", "ack": 4 }));
        assert_eq!(parse(DISCONNECT.to_vec())["act"], "disconnect");
    }

    /// Members as Node has them, with values as nobody has them.
    fn member() -> impl Strategy<Value = (String, Value)> {
        const NAMES: &[&str] = &["act", "seq", "data", "address", "port", "addressType", "fd", "flags", "key"];
        const WORDS: &[&str] = &["queryServer", "listening", "close", "suicide", "udp4", "::", "/x", ""];
        let value = prop_oneof![
            any::<i64>().prop_map(Value::from),
            (-1..70_000_i64).prop_map(Value::from),
            any::<f64>().prop_map(|number| json!(number)),
            proptest::sample::select(WORDS).prop_map(Value::from),
            Just(json!([{ "a": null }])),
        ];
        (proptest::sample::select(NAMES).prop_map(str::to_owned), value)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn whatever_a_worker_says_is_read_and_what_is_asked_can_be_answered(
            members in proptest::collection::vec(member(), 0..9),
        ) {
            if let Some(Said::Query(query)) = read(&members.into_iter().collect()) {
                for line in [query.grant(1), query.refuse(1, Errno(98))] {
                    let text = line.strip_suffix(b"\n").expect("a line has an end");
                    prop_assert!(!text.contains(&b'\n') && serde_json::from_slice::<Value>(text).is_ok());
                }
            }
        }
    }
}
