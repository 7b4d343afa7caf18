//! What the clients have seen, added up, and the verdict.
//!
//! Pure. Invariant: every request that was sent was answered or has failed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

/// Counts of one client, or of all.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) answered: u64,
    /// What was not answered, by why.
    pub(super) failed: BTreeMap<String, u64>,
    /// Connections that were made anew because the old one was closed between two requests.
    pub(super) reconnected: u64,
    /// Streams (and sockets) that were held, and those that ended with a good word.
    pub(super) held: u64,
    pub(super) parted: u64,
    /// Answers by the longest wait for one.
    pub(super) longest: Duration,
    /// The ids of what was sent, by POST.
    pub(super) ids: Vec<String>,
    /// Those that were handled more than once, and never; `None`: nobody can tell.
    pub(super) handled: Option<(u64, u64)>,
    pub(super) reloads: u64,
    pub(super) kills: u64,
    /// Orders to the supervisor that did not end well.
    pub(super) refused: Vec<String>,
}

impl Tally {
    pub(super) fn fail(&mut self, why: impl Into<String>) {
        *self.failed.entry(why.into()).or_default() += 1;
    }

    pub(super) fn answer(&mut self, took: Duration) {
        self.answered += 1;
        self.longest = self.longest.max(took);
    }

    pub(super) fn add(&mut self, more: Self) {
        self.sent += more.sent;
        self.answered += more.answered;
        self.reconnected += more.reconnected;
        self.held += more.held;
        self.parted += more.parted;
        self.reloads += more.reloads;
        self.kills += more.kills;
        self.longest = self.longest.max(more.longest);
        self.ids.extend(more.ids);
        self.refused.extend(more.refused);
        for (why, count) in more.failed {
            *self.failed.entry(why).or_default() += count;
        }
    }

    /// Counts in the app's own words how often each id was handled.
    pub(super) fn compare(&mut self, ledger: &str) {
        let mut times: BTreeMap<&str, u64> = BTreeMap::new();
        for word in ledger.split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            *times.entry(word).or_default() += 1;
        }
        let count = |id: &String| times.get(id.as_str()).copied().unwrap_or(0);
        let twice = self.ids.iter().filter(|id| count(id) > 1).count();
        let never = self.ids.iter().filter(|id| count(id) == 0).count();
        self.handled = Some((twice as u64, never as u64));
    }

    pub(super) fn lost(&self) -> u64 {
        self.failed.values().sum()
    }

    pub(super) fn is_flawless(&self) -> bool {
        let is_known_good = self.handled.is_none_or(|handled| handled == (0, 0));
        self.lost() == 0 && is_known_good && self.refused.is_empty() && self.answered > 0
    }

    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |what: &str, number: String| {
            let _ = writeln!(text, "  {what:<28}{number:>10}");
        };
        line("reloads", self.reloads.to_string());
        if self.kills > 0 {
            line("processes killed", self.kills.to_string());
        }
        line("requests sent", self.sent.to_string());
        line("answered", self.answered.to_string());
        line("failed", self.lost().to_string());
        for (why, count) in &self.failed {
            line(&format!("  {why}"), count.to_string());
        }
        if let Some((twice, never)) = self.handled {
            line("handled twice", twice.to_string());
            line("never handled", never.to_string());
        }
        line("connections made anew", self.reconnected.to_string());
        if self.held > 0 {
            line("streams held", self.held.to_string());
            line("  ended in good order", self.parted.to_string());
        }
        line("longest wait", format!("{:.0} ms", self.longest.as_secs_f64() * 1000.0));
        for refusal in &self.refused {
            let _ = writeln!(text, "  {refusal}");
        }
        let verdict = match (self.is_flawless(), self.lost()) {
            (true, _) => "nothing was lost".to_owned(),
            (false, 0) if self.answered == 0 => "nothing was answered, so nothing is proved".to_owned(),
            (false, 0) => "nothing was lost, but not all is well".to_owned(),
            (false, lost) => format!("{lost} of {} requests were lost", self.sent),
        };
        let _ = writeln!(text, "{verdict}");
        text
    }

    pub(super) fn told(&self) -> serde_json::Value {
        json!({
            "reloads": self.reloads, "kills": self.kills, "sent": self.sent, "answered": self.answered,
            "failed": self.lost(), "failed_by_kind": self.failed, "reconnected": self.reconnected,
            "streams": self.held, "streams_ended_in_good_order": self.parted,
            "longest_wait_ms": self.longest.as_secs_f64() * 1000.0,
            "handled_twice": self.handled.map(|(twice, _)| twice),
            "never_handled": self.handled.map(|(_, never)| never),
            "refused": self.refused, "flawless": self.is_flawless(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Tally {
        let ids = ["a-1", "a-2"].map(str::to_owned).to_vec();
        Tally { sent: 3, answered: 3, reloads: 2, longest: Duration::from_millis(12), ids, ..Tally::default() }
    }

    #[test]
    fn whoever_gets_all_answers_has_lost_nothing() {
        let tally = good();
        assert!(tally.is_flawless());
        assert!(
            tally.table().ends_with("longest wait                     12 ms\nnothing was lost\n"),
            "{}",
            tally.table()
        );
    }

    #[test]
    fn one_request_without_an_answer_is_a_loss_and_is_named() {
        let mut tally = good();
        tally.add(Tally { sent: 2, failed: BTreeMap::from([("answer cut off".to_owned(), 1)]), ..Tally::default() });
        tally.fail("status 502");
        assert!(!tally.is_flawless());
        let table = tally.table();
        assert!(table.contains("  answer cut off                     1\n"), "{table}");
        assert!(table.ends_with("2 of 5 requests were lost\n"), "{table}");
        assert_eq!(tally.told()["failed_by_kind"]["status 502"], 1);
    }

    #[test]
    fn the_apps_own_ledger_tells_what_was_handled_twice_or_never() {
        for (ledger, handled) in [
            ("a-1\na-2\n", (0, 0)),
            ("[\"a-2\",\"a-1\"]", (0, 0)),
            ("a-1 a-2 a-1", (1, 0)),
            ("a-1 a-22", (0, 1)),
            ("", (0, 2)),
        ] {
            let mut tally = good();
            tally.compare(ledger);
            assert_eq!(tally.handled, Some(handled), "{ledger}");
            assert_eq!(tally.is_flawless(), handled == (0, 0));
        }
    }

    #[test]
    fn nothing_answered_proves_nothing() {
        assert!(!Tally::default().is_flawless());
    }
}
