//! Clients that ask, send, or listen until they are told to stop.
//!
//! Each keeps its connection for as long as the server does. A connection that was closed between two requests is made
//! anew and is no loss; an answer that does not come, or not whole, is one.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioExecutor;
use tokio::sync::watch;

use super::course::Course;
use super::tally::Tally;

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_mins(1);

/// Between two requests of a client, at most: enough that an app is not at its limit.
const PAUSE: Duration = Duration::from_millis(40);

/// Pieces of an upload, each so long after the one before.
const PIECES: usize = 8;
const STEP: Duration = Duration::from_millis(60);

type Body = BoxBody<Bytes, std::convert::Infallible>;

/// One connection.
enum Speaker {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

impl Speaker {
    async fn open(course: &Course, http2: bool) -> anyhow::Result<Self> {
        let io = course.connect(http2).await?;
        if http2 {
            let (speaker, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            return Ok(Self::Two(speaker));
        }
        let (speaker, connection) = http1::handshake(io).await?;
        tokio::spawn(connection);
        Ok(Self::One(speaker))
    }

    /// Can it take a request? It cannot any more when the server has closed.
    async fn is_open(&mut self) -> bool {
        match self {
            Self::One(speaker) => speaker.ready().await.is_ok(),
            Self::Two(speaker) => speaker.ready().await.is_ok(),
        }
    }

    async fn send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(speaker) => speaker.send_request(request).await,
            Self::Two(speaker) => speaker.send_request(request).await,
        }
    }
}

/// One client with its books.
struct Visitor {
    course: Course,
    http2: bool,
    speaker: Option<Speaker>,
    tally: Tally,
}

impl Visitor {
    fn new(course: Course, http2: bool) -> Self {
        Self { course, http2, speaker: None, tally: Tally::default() }
    }

    /// Sends one request and takes its answer in full.
    async fn visit(&mut self, method: Method, path: &str, id: &str, body: Body) {
        let Some(mut speaker) = self.speaker().await else { return };
        let request = request(&self.course, self.http2, (method, path, id), body);
        self.tally.sent += 1;
        let began = Instant::now();
        match tokio::time::timeout(PATIENCE, whole(&mut speaker, request)).await {
            Ok(Ok(())) => {
                self.tally.answer(began.elapsed());
                self.speaker = Some(speaker);
            }
            Ok(Err(why)) => self.tally.fail(why),
            Err(_) => self.tally.fail("no answer within a minute"),
        }
    }

    /// The connection that there is, or a new one; it is put back by whoever it has served well.
    async fn speaker(&mut self) -> Option<Speaker> {
        if let Some(mut speaker) = self.speaker.take() {
            if speaker.is_open().await {
                return Some(speaker);
            }
            self.tally.reconnected += 1;
        }
        let opened = Speaker::open(&self.course, self.http2).await;
        if opened.is_err() {
            self.tally.sent += 1;
            self.tally.fail("no connection");
            tokio::time::sleep(PAUSE).await;
        }
        opened.ok()
    }
}

async fn whole(speaker: &mut Speaker, request: Request<Body>) -> Result<(), String> {
    let response = speaker.send(request).await.map_err(|error| unanswered(&error))?;
    let status = response.status();
    response.into_body().collect().await.map_err(|_| "answer cut off".to_owned())?;
    if status.is_server_error() { Err(format!("status {}", status.as_u16())) } else { Ok(()) }
}

fn unanswered(error: &hyper::Error) -> String {
    let what = if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        "closed without an answer"
    } else if error.is_parse() {
        "answer makes no sense"
    } else {
        "connection broke"
    };
    what.to_owned()
}

/// Asks without an end, for the first path and, if there is a second one, in turn by POST for that.
pub(super) async fn ask(
    course: Course,
    number: u32,
    [path, post]: [String; 2],
    ending: watch::Receiver<bool>,
) -> Tally {
    let http2 = course.is_tls() && number % 2 == 1;
    let mut visitor = Visitor::new(course, http2);
    for turn in 0_u64.. {
        if *ending.borrow() {
            break;
        }
        let id = format!("{:x}-{number}-{turn}", std::process::id());
        if turn % 2 == 1 && !post.is_empty() {
            visitor.tally.ids.push(id.clone());
            let body = Full::new(Bytes::from(format!("{{\"id\":\"{id}\"}}\n"))).boxed();
            visitor.visit(Method::POST, &post, &id, body).await;
        } else {
            visitor.visit(Method::GET, &path, &id, Full::default().boxed()).await;
        }
        tokio::time::sleep(PAUSE.mul_f64(fastrand::f64())).await;
    }
    visitor.tally
}

/// Sends bodies bit by bit, without an end.
pub(super) async fn upload(course: Course, number: u32, path: String, ending: watch::Receiver<bool>) -> Tally {
    let http2 = course.is_tls() && number % 2 == 1;
    let mut visitor = Visitor::new(course, http2);
    for turn in 0_u64.. {
        if *ending.borrow() {
            break;
        }
        let id = format!("{:x}-u{number}-{turn}", std::process::id());
        visitor.tally.ids.push(id.clone());
        let (mut sender, body) = Channel::new(1);
        let pieces = tokio::spawn(async move {
            for _ in 0..PIECES {
                tokio::time::sleep(STEP).await;
                if sender.send_data(Bytes::from_static(b"a piece of it\n")).await.is_err() {
                    break;
                }
            }
        });
        visitor.visit(Method::POST, &path, &id, body.boxed()).await;
        pieces.abort();
    }
    visitor.tally
}

/// Listens to a stream; when it ends it listens anew. A stream that ends at its end is no loss.
pub(super) async fn listen(course: Course, path: String, mut ending: watch::Receiver<bool>) -> Tally {
    let mut visitor = Visitor::new(course, false);
    while !*ending.borrow() {
        let Some(mut speaker) = visitor.speaker().await else { continue };
        let request = request(&visitor.course, false, (Method::GET, &path, "events"), Full::default().boxed());
        visitor.tally.held += 1;
        let stream = async {
            let response = speaker.send(request).await.map_err(|error| unanswered(&error))?;
            let status = response.status();
            let end = response.into_body().collect().await.map_err(|_| "stream broke".to_owned());
            if status.is_server_error() { Err(format!("stream: status {}", status.as_u16())) } else { end.map(drop) }
        };
        tokio::select! {
            end = stream => match end {
                Ok(()) => visitor.tally.parted += 1,
                Err(why) => visitor.tally.fail(why),
            },
            _ = ending.wait_for(|end| *end) => visitor.tally.parted += 1,
        }
    }
    visitor.tally
}

/// What stands there.
pub(super) async fn read(course: &Course, path: &str) -> anyhow::Result<String> {
    let mut speaker = Speaker::open(course, false).await?;
    let request = request(course, false, (Method::GET, path, "ledger"), Full::default().boxed());
    let body = speaker.send(request).await?.into_body().collect().await?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

fn request(course: &Course, http2: bool, what: (Method, &str, &str), body: Body) -> Request<Body> {
    let (method, path, id) = what;
    let uri = if http2 { format!("{course}{path}") } else { path.to_owned() };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    // A path that is none is told by the answer of the server.
    *request.uri_mut() = uri.parse().unwrap_or_default();
    let fields = request.headers_mut();
    if !http2 && let Ok(host) = HeaderValue::from_str(&course.authority) {
        fields.insert(http::header::HOST, host);
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        fields.insert("prove-id", id);
    }
    request
}
