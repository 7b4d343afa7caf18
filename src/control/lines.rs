//! The lines of workers on their way from the supervisor to whoever asked: one JSON object a line, for as long as both
//! sides go on.
//!
//! Knows how entries are written and read, not where they come from. Invariant: a reader that does not read holds up its own
//! connection and nothing else.

use std::convert::Infallible;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Either, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::client::Error;
use super::words::{LogEntry, LogQuery};

/// Batches that wait for the connection.
const QUEUED_BATCHES: usize = 16;

/// Bytes after which a batch is sent.
const BATCH_BYTES: usize = 16 * 1024;

/// The body of an answer: known at once, or coming.
pub(super) type Body = Either<Full<Bytes>, Channel<Bytes, Infallible>>;

impl LogQuery {
    /// The path that asks for it.
    fn path(&self) -> String {
        let lines = self.lines.map(|lines| format!("lines={lines}"));
        let apps = self.apps.iter().map(|app| format!("app={app}"));
        let parts: Vec<_> = lines.into_iter().chain(apps).chain([format!("follow={}", self.follow)]).collect();
        format!("/v1/logs?{}", parts.join("&"))
    }

    /// Reads the query of such a path; what is not understood is refused by name.
    pub(super) fn read(query: &str) -> Result<Self, String> {
        let mut read = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let bad = || format!("the query has a bad {key}: `{value}`");
            match key {
                "follow" => read.follow = value.parse().map_err(|_| bad())?,
                "lines" => read.lines = Some(value.parse().map_err(|_| bad())?),
                "app" => read.apps.push(value.parse().map_err(|_| bad())?),
                _ => return Err(format!("the query has an unknown key: `{key}`")),
            }
        }
        Ok(read)
    }
}

/// Answers with the entries as they come. Ends when there are no more, or when nobody reads.
pub(super) fn answer(mut entries: mpsc::Receiver<LogEntry>) -> Response<Body> {
    let (mut sender, body) = Channel::new(QUEUED_BATCHES);
    tokio::spawn(async move {
        while let Some(first) = entries.recv().await {
            if send(first, &mut entries, &mut sender).await.is_err() {
                return;
            }
        }
    });
    let mut response = Response::new(Either::Right(body));
    let kind = http::HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

/// Sends an entry, and all that are there already, at once.
async fn send(
    first: LogEntry,
    entries: &mut mpsc::Receiver<LogEntry>,
    sender: &mut Sender<Bytes, Infallible>,
) -> Result<(), http_body_util::channel::SendError> {
    let mut batch = Vec::new();
    let mut next = Some(first);
    while let Some(entry) = next.take() {
        serde_json::to_writer(&mut batch, &entry).expect("an entry has string keys only and a vector takes everything");
        batch.push(b'\n');
        if batch.len() < BATCH_BYTES {
            next = entries.try_recv().ok();
        }
    }
    sender.send_data(batch.into()).await
}

/// Entries as they come from a supervisor. Dropping it ends the call.
#[derive(Debug)]
pub struct Entries {
    body: Incoming,
    read: BytesMut,
    _connection: AbortOnDropHandle<()>,
}

impl Entries {
    /// Asks the supervisor behind this socket.
    pub(super) async fn open(socket: &Path, query: &LogQuery) -> Result<Self, Error> {
        let unreachable = |source| Error::Unreachable { socket: socket.to_owned(), source };
        let stream = UnixStream::connect(socket).await.map_err(unreachable)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
        let request = Request::get(query.path())
            .header(http::header::HOST, "portreeve")
            .body(Empty::<Bytes>::new())
            .expect("the call's path is valid");
        let response = sender.send_request(request).await?;
        if response.status().is_success() {
            return Ok(Self { body: response.into_body(), read: BytesMut::new(), _connection: connection });
        }
        let text = response.into_body().collect().await?.to_bytes();
        Err(Error::Refused(serde_json::from_slice(&text)?))
    }

    /// The next one; `None` when there are no more, be it that the supervisor has ended. Cancel safe.
    ///
    /// # Errors
    /// When the supervisor sends something else.
    pub async fn next(&mut self) -> Result<Option<LogEntry>, Error> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end + 1);
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            match self.body.frame().await.and_then(Result::ok) {
                Some(frame) => frame.data_ref().into_iter().for_each(|data| self.read.extend_from_slice(data)),
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_comes_back_as_it_was() {
        for query in [
            LogQuery::default(),
            LogQuery { apps: vec!["web".parse().unwrap(), "a_b-1".parse().unwrap()], lines: Some(7), follow: true },
        ] {
            let path = query.path();
            assert_eq!(LogQuery::read(path.split_once('?').unwrap().1), Ok(query));
        }
    }

    #[test]
    fn a_query_that_makes_no_sense_is_refused_by_name() {
        for (query, part) in
            [("lines=many", "bad lines: `many`"), ("app=", "bad app"), ("tail=1", "unknown key: `tail`")]
        {
            assert!(LogQuery::read(query).unwrap_err().contains(part), "{query}");
        }
        assert_eq!(LogQuery::read(""), Ok(LogQuery::default()));
    }
}
