//! Tells whoever asked what was said, and goes on for as long as they listen.
//!
//! Invariant: a listener that is slow or gone holds up nobody but itself.

use tokio::sync::mpsc;

use super::feed::{News, Reader};
use super::{Feed, Stream};
use crate::control::words::{LogEntry, LogLine, LogQuery, LogStream, Refusal, RefusalKind};
use crate::id::AppName;
use crate::supervisor::Supervisor;

/// Entries that wait for the listener.
const QUEUED_ENTRIES: usize = 256;

impl Supervisor {
    /// What workers have printed, told to whoever asks.
    pub(in crate::supervisor) fn logs(&self, query: LogQuery) -> Result<mpsc::Receiver<LogEntry>, Refusal> {
        if let Some(unknown) = query.apps.iter().find(|app| !self.sites.contains_key(*app)) {
            let known: Vec<_> = self.sites.keys().map(AppName::as_str).collect();
            let error = format!("no app `{unknown}`; there is: {}", known.join(", "));
            return Err(Refusal::new(RefusalKind::UnknownApp, error));
        }
        Ok(self.starter.feed.tell(query, &self.starter.tasks))
    }
}

impl Feed {
    /// Answers the query in a task of its own; what comes out ends with the past, or when it is not followed any more.
    fn tell(&self, query: LogQuery, tasks: &tokio_util::task::TaskTracker) -> mpsc::Receiver<LogEntry> {
        let (entries, listener) = mpsc::channel(QUEUED_ENTRIES);
        let reader = self.reader(query.apps.clone());
        tasks.spawn(async move {
            // Fails when the listener is gone, which is how following ends.
            let _ = tell(reader, &query, &entries).await;
        });
        listener
    }
}

async fn tell(
    mut reader: Reader,
    query: &LogQuery,
    entries: &mpsc::Sender<LogEntry>,
) -> Result<(), mpsc::error::SendError<LogEntry>> {
    let mut past = reader.news();
    let wanted = query.lines.unwrap_or(usize::MAX);
    past.lines.drain(..past.lines.len().saturating_sub(wanted));
    send(past, entries).await?;
    if !query.follow {
        return Ok(());
    }
    entries.send(LogEntry::Now { now: true }).await?;
    loop {
        tokio::select! {
            there_may_be_news = reader.wait() => if !there_may_be_news { return Ok(()) },
            () = entries.closed() => return Ok(()),
        }
        send(reader.news(), entries).await?;
    }
}

async fn send(news: News, entries: &mpsc::Sender<LogEntry>) -> Result<(), mpsc::error::SendError<LogEntry>> {
    if news.missed > 0 {
        entries.send(LogEntry::Gap { missed: news.missed }).await?;
    }
    for (app, said) in news.lines {
        let (time, worker) = said.by.unzip();
        let line = LogLine {
            time: time.map(|time| time.to_string()),
            app,
            generation: worker.as_ref().map(|worker| worker.generation),
            slot: worker.map(|worker| worker.slot),
            stream: match said.stream {
                Stream::Stdout => LogStream::Stdout,
                Stream::Stderr => LogStream::Stderr,
            },
            line: said.text.to_string(),
        };
        entries.send(LogEntry::Line(line)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::id::{Generation, Slot, WorkerId};

    fn say(feed: &Feed, line: &str) {
        let worker = WorkerId { app: "web".parse().unwrap(), generation: Generation(2), slot: Slot(1) };
        feed.push(&worker, Stream::Stderr, &[line.to_owned()]);
    }

    fn line(entry: Option<LogEntry>) -> String {
        match entry {
            Some(LogEntry::Line(line)) => line.line,
            other => panic!("no line: {other:?}"),
        }
    }

    #[tokio::test]
    async fn the_past_is_told_as_far_as_it_is_wanted_and_then_it_ends() {
        let (feed, tasks) = (Feed::default(), TaskTracker::new());
        for line in ["one", "two", "three"] {
            say(&feed, line);
        }
        let mut told = feed.tell(LogQuery { lines: Some(2), ..LogQuery::default() }, &tasks);
        assert_eq!((line(told.recv().await), line(told.recv().await)), ("two".into(), "three".into()));
        assert_eq!(told.recv().await, None);
    }

    #[tokio::test]
    async fn a_follower_hears_what_comes_and_the_task_ends_with_it() {
        let (feed, tasks) = (Feed::default(), TaskTracker::new());
        say(&feed, "past");
        let mut told = feed.tell(LogQuery { lines: Some(0), follow: true, ..LogQuery::default() }, &tasks);
        assert_eq!(told.recv().await, Some(LogEntry::Now { now: true }));
        say(&feed, "now");
        let Some(LogEntry::Line(now)) = told.recv().await else { panic!("no line") };
        assert_eq!((now.line.as_str(), now.slot, now.stream), ("now", Some(Slot(1)), LogStream::Stderr));
        assert!(now.time.is_some_and(|time| time.ends_with('Z')));
        drop(told);
        tasks.close();
        tasks.wait().await;
    }
}
