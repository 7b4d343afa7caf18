//! `warmup` and `slow_start` of an app: what a new worker is asked before it serves, and how long its share of the requests
//! grows.
//!
//! Values; who asks, and who shares out the requests, is known elsewhere. Invariant: whoever has nothing to say pays nothing.

use std::time::Duration;

use super::reader::Table;
use super::{defaults, names};

/// How a new worker comes to its full share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warm {
    /// Paths, asked for one after another; empty: it serves as soon as it is ready.
    pub requests: Vec<String>,
    /// The `Host` header sent.
    pub host: String,
    /// For all of them together.
    pub timeout: Duration,
    /// From its first request to its full share; zero: it has that at once.
    pub slow_start: Duration,
}

pub(super) fn warm(table: &mut Table, hosts: &[String]) -> Warm {
    let help = "leave it out, and a worker serves as soon as it is ready";
    let requests = table.filled_list("warmup", help, |value| names::request_path(value).map(str::to_owned));
    Warm {
        requests,
        host: names::first_host(hosts).to_owned(),
        timeout: table.duration("warmup_timeout", &defaults::WARMUP_TIMEOUT),
        slow_start: table.duration("slow_start", &defaults::SLOW_START),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Server;
    use super::super::testing::{bad, good};
    use super::*;

    fn warm_of(lines: &str) -> Warm {
        let config = good(&format!("[app.web]\ncommand = 'node x'\n{lines}\n")).config;
        let Server::Command(command) = config.apps.into_values().next().unwrap().server else { panic!("has workers") };
        command.deploy.warm
    }

    #[test]
    fn without_a_word_a_worker_serves_at_once_and_as_much_as_the_others() {
        let warm = warm_of("");
        assert_eq!((warm.requests.len(), warm.slow_start), (0, Duration::ZERO));
    }

    #[test]
    fn everything_is_read() {
        let warm = warm_of(
            "hosts = ['*.example.com', 'example.com']\nwarmup = ['/', '/heavy?all=1']\nwarmup_timeout = '3s'\n\
             slow_start = '20s'",
        );
        let expected = Warm {
            requests: vec!["/".to_owned(), "/heavy?all=1".to_owned()],
            host: "example.com".to_owned(),
            timeout: Duration::from_secs(3),
            slow_start: Duration::from_secs(20),
        };
        assert_eq!(warm, expected);
        assert_eq!(warm_of("warmup = '/'").requests, ["/"]);
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for (lines, said) in [
            ("command = 'x'\nwarmup = []", "leave it out"),
            ("command = 'x'\nwarmup = ['heavy']", "did you mean \"/heavy\"?"),
            ("command = 'x'\nkind = 'task'\nwarmup = ['/']", "`warmup` has no meaning for a task"),
            (
                "upstream = '127.0.0.1:9000'\nslow_start = '3s'",
                "`slow_start` has no meaning for an app with `upstream`",
            ),
        ] {
            let problems = bad(&format!("[app.web]\n{lines}\n")).render(false);
            assert!(problems.contains(said), "{problems}");
        }
    }
}
