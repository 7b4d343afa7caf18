//! How an answer that lasts ends when its worker leaves: an event stream behind an event, as if that had been all of it; and if
//! nothing is to be waited for, whatever is old enough breaks off.
//!
//! Does not know why and when. Invariant: only what may end anywhere, an event stream of no given length, is ended as if it were
//! whole.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::{self, HeaderMap};
use tokio::time::{Instant, sleep_until};

use super::body::Carriage;
use super::events::Events;
use super::farewell::{self, Course};
use super::peer::Peer;
use super::world::App;
use crate::telemetry::exchange_metrics::{StreamEnd, StreamKind};
use crate::upstream::Streams;

/// An answer that is older is one that lasts.
const OLD: Duration = Duration::from_secs(30);

/// What is kept of an answer that may have to end before its time.
pub(crate) struct Parting {
    due: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_due: bool,
    /// `None`: it breaks off.
    events: Option<Events>,
    /// Of an event stream.
    course: Option<Course>,
}

impl Parting {
    /// `None`: such an answer is waited for.
    pub(crate) fn of(
        peer: &Peer,
        app: Option<&Arc<App>>,
        response: &Response<()>,
        carriage: &Carriage,
    ) -> Option<Self> {
        let (lease, wire) = (&carriage.lease, &carriage.wire);
        if wire.is_over() {
            return None;
        }
        let is_open = wire.size_hint().exact().is_none() && is_event_stream(response.headers());
        let due = || farewell::due(lease, &peer.proxy);
        let course = app.filter(|_| is_open).map(|app| Course::of(lease, &peer.proxy, app, StreamKind::Events));
        let parting = match lease.streams() {
            Streams::Notify { .. } => is_open.then(|| Self::new(due(), Some(Events::default()))),
            // One that may wait is never due, so nobody has to know where its events end; how it ends is counted.
            Streams::Wait => is_open.then(|| Self::new(due(), None)),
            Streams::Cut => {
                let old = if is_open { Instant::now() } else { Instant::now() + OLD };
                let due = due();
                let due = async move {
                    due.await;
                    sleep_until(old).await;
                };
                Some(Self::new(due, None))
            }
        };
        parting.map(|parting| Self { course, ..parting })
    }

    /// It ends in this way.
    pub(crate) fn end(&mut self, end: StreamEnd) {
        if let Some(course) = &mut self.course {
            course.end(end);
        }
    }

    fn new(due: impl Future<Output = ()> + Send + 'static, events: Option<Events>) -> Self {
        Self { due: Box::pin(due), is_due: false, events, course: None }
    }

    /// Is it time to end? If not, the task is woken when it is.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.is_due = self.is_due || self.due.as_mut().poll(cx).is_ready();
        if self.is_due { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Does it break off?
    pub(crate) fn is_cut(&self) -> bool {
        self.events.is_none()
    }

    /// So much of the answer goes to the client.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        if let Some(events) = &mut self.events {
            events.pass(bytes);
        }
    }

    /// May it end here?
    pub(crate) fn may_end(&self) -> bool {
        self.events.as_ref().is_some_and(Events::is_between)
    }

    /// Takes away what would begin another event, if it is time to end.
    pub(crate) fn shorten(&self, rest: &mut Bytes) {
        let Some(events) = self.events.as_ref().filter(|_| self.is_due) else { return };
        match events.whole(rest) {
            Some(whole) => rest.truncate(whole),
            None if events.is_between() => rest.clear(),
            None => {}
        }
    }
}

/// Can it be seen where an event ends?
fn is_event_stream(fields: &HeaderMap) -> bool {
    let kind = fields.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    let coding = fields.get(header::CONTENT_ENCODING);
    kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
        && coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stream_is_known_by_its_type_unless_it_is_compressed() {
        for (kind, coding, is_one) in [
            ("text/event-stream", None, true),
            ("Text/Event-Stream; charset=utf-8", None, true),
            ("text/event-stream", Some("identity"), true),
            ("text/event-stream", Some("gzip"), false),
            ("text/event-streams", None, false),
            ("text/plain", None, false),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            coding.map(|coding| fields.insert(header::CONTENT_ENCODING, coding.parse().unwrap()));
            assert_eq!(is_event_stream(&fields), is_one, "{kind}, {coding:?}");
        }
        assert!(!is_event_stream(&HeaderMap::new()));
    }

    #[test]
    fn what_is_due_ends_behind_the_last_event_that_is_here() {
        let mut parting = Parting::new(std::future::ready(()), Some(Events::default()));
        let mut rest = Bytes::from_static(b"data: 1\n\ndata: 2\n\ndata: 3");
        parting.shorten(&mut rest);
        assert_eq!(rest.len(), 25, "it is not due");
        assert!(parting.poll_due(&mut Context::from_waker(std::task::Waker::noop())).is_ready());
        parting.shorten(&mut rest);
        assert_eq!(rest, &b"data: 1\n\ndata: 2\n\n"[..]);
        parting.pass(&rest);
        assert!(parting.may_end());
        let mut next = Bytes::from_static(b"data: 3\n");
        parting.shorten(&mut next);
        assert!(next.is_empty(), "an event that would not be whole is not begun");
        parting.pass(b"data: 3");
        let mut next = Bytes::from_static(b"\n");
        parting.shorten(&mut next);
        assert!(!next.is_empty() && !parting.may_end(), "one that was begun is waited for");
    }
}
