//! The latest lines of every app, for people who ask for them and for those who follow.
//!
//! One ring an app, so a talkative app does not push out what another one has said. A reader keeps the places up to which
//! it has read and nothing else: there is no queue to fill, and one that is too slow is told how many lines it has missed.
//! Invariants: a ring is bounded in lines and in bytes; lines come out in the order in which they came in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use super::Stream;
use crate::id::{AppName, WorkerId};

/// Lines kept of each app.
const KEPT_LINES: usize = 5_000;

/// Bytes kept of each app; the very last line is kept however long it is.
const KEPT_BYTES: usize = 1024 * 1024;

/// All rings; cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::supervisor) struct Feed {
    rings: Arc<Mutex<Rings>>,
    /// How many lines have ever come in.
    total: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Rings {
    total: u64,
    of: BTreeMap<AppName, Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Said>,
    bytes: usize,
    /// The place of the oldest line; the first that came in has place 0, what was there before it a negative one.
    first: i64,
}

/// A line that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::supervisor) struct Said {
    /// Numbers the lines of all apps as they came in; 0: it was there before.
    number: u64,
    /// `None`: it was found in a log file, where it had been before we were.
    pub(in crate::supervisor) by: Option<(Timestamp, WorkerId)>,
    pub(in crate::supervisor) stream: Stream,
    pub(in crate::supervisor) text: Arc<str>,
}

/// What a reader gets: lines of some apps, in order, and how many are gone that it has never seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::supervisor) struct News {
    pub(in crate::supervisor) lines: Vec<(AppName, Said)>,
    pub(in crate::supervisor) missed: u64,
}

/// Reads the lines of some apps, or of all.
#[derive(Debug)]
pub(in crate::supervisor) struct Reader {
    feed: Feed,
    total: watch::Receiver<u64>,
    /// Empty: all.
    apps: Vec<AppName>,
    /// The place of the next line of each app.
    places: BTreeMap<AppName, i64>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { rings: Arc::default(), total: watch::Sender::new(0) }
    }
}

impl Feed {
    pub(super) fn push(&self, worker: &WorkerId, stream: Stream, lines: &[String]) {
        let by = Some((Timestamp::now(), worker.clone()));
        let mut rings = self.lock();
        for line in lines {
            rings.push(&worker.app, Said { number: 0, by: by.clone(), stream, text: line.as_str().into() });
        }
        let total = rings.total;
        drop(rings);
        self.total.send_replace(total);
    }

    /// Puts lines from before our time in front of all others of this app; too late once there are any.
    pub(in crate::supervisor) fn remember(&self, app: &AppName, lines: Vec<(Stream, String)>) {
        let mut rings = self.lock();
        let ring = rings.of.entry(app.clone()).or_default();
        if ring.first != 0 {
            return;
        }
        for (stream, line) in lines.into_iter().rev() {
            ring.bytes += line.len();
            ring.lines.push_front(Said { number: 0, by: None, stream, text: line.into() });
            ring.first -= 1;
        }
        ring.bound();
    }

    /// Drops the lines that an app has said so far. Those who read on from there miss nothing that comes.
    pub(super) fn flush(&self, app: &AppName) {
        if let Some(ring) = self.lock().of.get_mut(app) {
            ring.first = ring.end();
            ring.lines.clear();
            ring.bytes = 0;
        }
    }

    /// Forgets what an app has said.
    pub(in crate::supervisor) fn forget(&self, app: &AppName) {
        self.lock().of.remove(app);
    }

    /// Reads from the oldest line on; no apps: all, also those to come.
    pub(in crate::supervisor) fn reader(&self, apps: Vec<AppName>) -> Reader {
        Reader { feed: self.clone(), total: self.total.subscribe(), apps, places: BTreeMap::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rings {
    fn push(&mut self, app: &AppName, said: Said) {
        self.total += 1;
        let said = Said { number: self.total, ..said };
        match self.of.get_mut(app) {
            Some(ring) => ring.push(said),
            None => self.of.entry(app.clone()).or_default().push(said),
        }
    }
}

impl Ring {
    fn push(&mut self, said: Said) {
        self.bytes += said.text.len();
        self.lines.push_back(said);
        self.bound();
    }

    /// The place of the next line to come in.
    fn end(&self) -> i64 {
        self.first + i64::try_from(self.lines.len()).expect("the number of lines is bounded")
    }

    fn bound(&mut self) {
        while self.lines.len() > KEPT_LINES || (self.bytes > KEPT_BYTES && self.lines.len() > 1) {
            let oldest = self.lines.pop_front().map_or(0, |said| said.text.len());
            self.bytes -= oldest;
            self.first += 1;
        }
    }
}

impl Reader {
    /// What has come in since this was last asked.
    pub(in crate::supervisor) fn news(&mut self) -> News {
        self.total.mark_unchanged();
        let rings = self.feed.lock();
        let mut news = News::default();
        // An app that was forgotten, and comes back, begins anew.
        self.places.retain(|app, _| rings.of.contains_key(app));
        for (app, ring) in &rings.of {
            if !self.apps.is_empty() && !self.apps.contains(app) {
                continue;
            }
            let place = self.places.entry(app.clone()).or_insert(ring.first);
            news.missed += u64::try_from(ring.first - *place).unwrap_or(0);
            let read = usize::try_from(*place - ring.first).unwrap_or(0);
            news.lines.extend(ring.lines.iter().skip(read).map(|said| (app.clone(), said.clone())));
            *place = ring.end();
        }
        drop(rings);
        news.lines.sort_by_key(|(_, said)| said.number);
        news
    }

    /// Waits until there may be news; false when there never will be. Cancel safe.
    pub(in crate::supervisor) async fn wait(&mut self) -> bool {
        self.total.changed().await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Generation, Slot};

    fn worker(app: &str) -> WorkerId {
        WorkerId { app: app.parse().unwrap(), generation: Generation(1), slot: Slot(0) }
    }

    fn say(feed: &Feed, app: &str, lines: &[&str]) {
        feed.push(&worker(app), Stream::Stdout, &lines.iter().map(ToString::to_string).collect::<Vec<_>>());
    }

    fn texts(news: &News) -> Vec<String> {
        news.lines.iter().map(|(app, said)| format!("{app}: {}", said.text)).collect()
    }

    #[test]
    fn lines_of_several_apps_come_in_their_order_and_once() {
        let feed = Feed::default();
        let mut all = feed.reader(Vec::new());
        let mut web = feed.reader(vec!["web".parse().unwrap()]);
        say(&feed, "web", &["one"]);
        say(&feed, "api", &["two"]);
        say(&feed, "web", &["three"]);
        assert_eq!(texts(&all.news()), ["web: one", "api: two", "web: three"]);
        assert_eq!(texts(&web.news()), ["web: one", "web: three"]);
        say(&feed, "api", &["four"]);
        assert_eq!(texts(&all.news()), ["api: four"]);
        assert_eq!(web.news(), News::default());
    }

    #[test]
    fn a_ring_is_bounded_in_lines_and_in_bytes_and_a_slow_reader_is_told_what_it_missed() {
        let feed = Feed::default();
        let mut reader = feed.reader(Vec::new());
        say(&feed, "web", &["first"]);
        assert_eq!(texts(&reader.news()), ["web: first"]);
        (0..KEPT_LINES + 7).for_each(|n| say(&feed, "web", &[&n.to_string()]));
        let news = reader.news();
        assert_eq!((news.lines.len(), news.missed), (KEPT_LINES, 7), "the first line was read before it went");
        say(&feed, "web", &[&"x".repeat(2 * KEPT_BYTES)]);
        let mut late = feed.reader(Vec::new());
        let news = late.news();
        assert_eq!((news.lines.len(), news.missed), (1, 0), "who comes late has missed nothing");
    }

    #[test]
    fn what_was_before_our_time_stands_in_front() {
        let feed = Feed::default();
        say(&feed, "web", &["new"]);
        let mut early = feed.reader(Vec::new());
        assert_eq!(texts(&early.news()), ["web: new"]);
        let app = "web".parse().unwrap();
        feed.remember(&app, ["old", "older"].map(|line| (Stream::Stderr, line.into())).into_iter().rev().collect());
        let news = feed.reader(Vec::new()).news();
        assert_eq!(texts(&news), ["web: older", "web: old", "web: new"]);
        assert_eq!(early.news(), News::default(), "nothing is read twice");
        feed.remember(&app, vec![(Stream::Stdout, "again".into())]);
        assert_eq!(feed.reader(Vec::new()).news(), news, "only once");
        assert!(news.lines[1].1.by.is_none() && news.lines[2].1.by.is_some());
    }

    #[test]
    fn an_app_that_comes_back_is_read_from_its_new_beginning() {
        let feed = Feed::default();
        let mut reader = feed.reader(Vec::new());
        say(&feed, "web", &["one", "two"]);
        assert_eq!(reader.news().lines.len(), 2);
        feed.forget(&"web".parse().unwrap());
        assert_eq!(reader.news(), News::default());
        say(&feed, "web", &["three"]);
        assert_eq!(texts(&reader.news()), ["web: three"]);
    }

    #[test]
    fn after_a_flush_there_is_only_what_comes_and_a_follower_gets_all_of_that() {
        let feed = Feed::default();
        let mut follower = feed.reader(Vec::new());
        say(&feed, "web", &["one", "two"]);
        say(&feed, "api", &["other"]);
        assert_eq!(follower.news().lines.len(), 3);
        feed.flush(&"web".parse().unwrap());
        say(&feed, "web", &["three"]);
        assert_eq!(texts(&follower.news()), ["web: three"]);
        assert_eq!(texts(&feed.reader(Vec::new()).news()), ["api: other", "web: three"]);
    }

    #[tokio::test]
    async fn a_follower_is_woken_by_a_line() {
        let feed = Feed::default();
        let mut reader = feed.reader(Vec::new());
        reader.news();
        let (woken, ()) = tokio::join!(reader.wait(), async { say(&feed, "web", &["now"]) });
        assert!(woken);
        assert_eq!(texts(&reader.news()), ["web: now"]);
    }
}
