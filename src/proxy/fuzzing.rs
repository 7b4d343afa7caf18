//! What must hold of the proxy's readers whatever they are given: for `fuzz/`, and for a test that runs always.
//!
//! Each function takes any bytes and panics when a promise is broken. They know the insides of this room so that nobody else has
//! to. Invariant: none of them waits, or opens anything.

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};

use super::events::Events;
use super::frames::Frames;
use super::headers::{self, Framing, Survey};
use super::policy::{self, Checked, Clients, Identity, Trace, answer};
use super::request_head::{self, ClientLines, Vouched};
use super::world::World;
use super::{introduction, policy::canonical};
use crate::link;

const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const FRONT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut world = World::empty();
    // Room for what we add ourselves.
    world.limits.header_count = 1000;
    let trusted = vec!["10.0.0.0/8".parse().expect("a network")];
    let said = link::Clients { trusted, forwarded: true, start_traces: true, ..link::Clients::default() };
    world.clients = Clients::new(&said);
    world
});

/// A body of which only the framing matters.
struct Shape(Framing);

impl Body for Shape {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.0 == Framing::Empty
    }

    fn size_hint(&self) -> SizeHint {
        match self.0 {
            Framing::Length(length) => SizeHint::with_exact(length),
            Framing::Empty | Framing::Chunked => SizeHint::default(),
        }
    }
}

/// `name:value` in each line; `None` when one of them could not have been read.
fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    for line in lines.filter(|line| !line.is_empty()).take(200) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..]));
        fields.append(name.ok()?, value.ok()?);
    }
    Some(fields)
}

/// What a byte of choices, a line of method and target, and lines of fields make.
fn request(data: &[u8]) -> Option<(Request<Shape>, IpAddr)> {
    let (choices, text) = data.split_first()?;
    let mut lines = text.split(|byte| *byte == b'\n');
    let first = lines.next()?;
    let space = first.iter().position(|byte| *byte == b' ')?;
    let framing = match (choices >> 2) & 3 {
        0 | 1 => Framing::Empty,
        2 => Framing::Length(u64::from(*choices)),
        _ => Framing::Chunked,
    };
    let mut request = Request::new(Shape(framing));
    *request.method_mut() = Method::from_bytes(&first[..space]).ok()?;
    *request.uri_mut() = Uri::try_from(&first[space + 1..]).ok()?;
    *request.version_mut() =
        [Version::HTTP_11, Version::HTTP_2, Version::HTTP_10, Version::HTTP_11][usize::from(choices & 3)];
    *request.headers_mut() = fields(lines)?;
    Some((request, if choices & 0x10 == 0 { STRANGER } else { FRONT }))
}

/// Whatever is let in says one thing, and what is made of it would be let in again, and mean the same.
///
/// # Panics
/// When that does not hold.
pub fn request_policy(data: &[u8]) {
    let Some((request, peer)) = request(data) else { return };
    let Ok(checked) = policy::check(&request, peer, &WORLD) else { return };
    let (host, path) = (checked.host.clone(), checked.path(request.uri()).to_owned());
    let sent = toward_worker(&request, &checked);
    assert_eq!(sent.headers().get_all(header::HOST).iter().collect::<Vec<_>>(), [host.value()]);
    assert_fields(sent.headers());
    assert_path(&path);
    let target = sent.uri().to_string();
    assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{target}");
    assert_eq!(target.split('?').next(), Some(&*path));
    let again = policy::check(&sent, STRANGER, &WORLD).expect("what was let in is let in");
    assert_eq!((again.host.value(), again.path(sent.uri())), (host.value(), &*path));
    assert!(again.target(sent.uri()) == target, "the one form is itself");
}

/// What a worker reads of it.
fn toward_worker(request: &Request<Shape>, checked: &Checked) -> Request<Shape> {
    let id = HeaderValue::from_static("0123456789abcdef0123456789abcdef");
    let (host, said) = (checked.host.value(), checked.identity.as_deref());
    let is_https = said.and_then(|said| said.is_https).unwrap_or_default();
    let chain = said.map_or_else(|| "192.0.2.1".to_owned(), Identity::forwarded_for);
    let vouched = Vouched {
        host,
        client: &ClientLines::new(&chain, "192.0.2.1", is_https),
        forwarded_host: said.and_then(|said| said.host.as_ref()).unwrap_or(host),
        forwarded: said.and_then(|said| policy::forwarded(&said.chain, true, host)),
        trace: Trace::of(request.headers(), checked.survey, checked.starts_trace, &id, true),
        start: request_head::Start::Untold,
        id: &id,
        framing: checked.framing,
        is_websocket: checked.websocket.is_some(),
        refused: &checked.refused,
    };
    let target = checked.target(request.uri());
    let text = request_head::write(request.method(), target, request.headers(), checked.survey, &vouched);
    let framing = if checked.framing == Framing::Length(0) { Framing::Empty } else { checked.framing };
    request_head::read(&text).map(|()| Shape(framing))
}

/// Of a request for a worker.
fn assert_fields(fields: &HeaderMap) {
    let count = |name: &str| fields.get_all(name).iter().count();
    let (length, coding) = (count("content-length"), count("transfer-encoding"));
    assert!(length + coding <= 1, "{fields:?}");
    assert!(coding == 0 || fields["transfer-encoding"] == "chunked", "{fields:?}");
    for once in ["x-forwarded-for", "x-real-ip", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "traceparent"]
    {
        assert_eq!(count(once), 1, "{once} in {fields:?}");
    }
    assert!(count("cookie") <= 1 && count("forwarded") <= 1, "{fields:?}");
    assert_eq!(
        (count("connection"), count("upgrade")),
        if count("upgrade") > 0 { (1, 1) } else { (0, 0) },
        "{fields:?}"
    );
    assert!(count("upgrade") == 0 || (fields["connection"] == "upgrade" && fields["upgrade"] == "websocket"));
    for gone in
        ["keep-alive", "proxy-connection", "te", "trailer", "http2-settings", "expect", "proxy", "proxy-authorization"]
    {
        assert_eq!(count(gone), 0, "{gone} in {fields:?}");
    }
    for name in fields.keys() {
        let is_plain = name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        assert!(is_plain, "{name}");
    }
}

fn assert_path(path: &str) {
    assert!(path.starts_with('/') || path == "*", "{path}");
    assert!(path.split('/').all(|segment| !matches!(segment.split(';').next(), Some("." | ".."))), "{path}");
    assert!(!path.contains(['\\', '"', '#', '?', ' ']) && !path.contains("%00"), "{path}");
}

/// The one form of a path is itself, and holds nothing that is read in two ways.
///
/// # Panics
/// When that does not hold.
pub fn path_normaliser(data: &[u8]) {
    let Ok(uri) = Uri::try_from(data) else { return };
    let Ok(form) = canonical(&uri) else { return };
    let form = form.map_or(uri, Uri::from);
    // `*` and an authority have no path; who lets them in is the policy's affair.
    if form.path().starts_with('/') {
        assert_path(form.path());
        let bare = form.into_parts().path_and_query.map(Uri::from).expect("there is a path");
        assert_eq!(canonical(&bare), Ok(None), "{bare}");
    }
}

/// A client is believed only as far as every front behind it is trusted.
///
/// # Panics
/// When that does not hold.
pub fn forwarded_parser(data: &[u8]) {
    let mut fields = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(100) {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        fields.append(headers::FORWARDED_FOR, value);
    }
    assert_eq!(Identity::of(&fields, STRANGER, &WORLD.clients), None);
    let said = Identity::of(&fields, FRONT, &WORLD.clients).expect("a front is believed");
    assert!(said.chain.last() == Some(&FRONT) && said.chain.len() <= 33, "{said:?}");
    assert!(said.chain[1..].iter().all(|front| WORLD.clients.trusts(*front)), "{said:?}");
    let told = policy::forwarded(&said.chain, false, &HeaderValue::from_static("a")).expect("addresses can be told");
    assert!(told.to_str().is_ok_and(|told| told.matches("for=").count() == said.chain.len()), "{told:?}");
    // Whoever reads what we write reads the same.
    let written = HeaderMap::from_iter([(headers::FORWARDED_FOR, said.forwarded_for().try_into().expect("a field"))]);
    let again = Identity::of(&written, FRONT, &WORLD.clients).expect("a front is believed");
    assert_eq!(again.client(), said.client());
}

/// A header is read to its end and not beyond it, or refused.
///
/// # Panics
/// When that does not hold.
pub fn proxy_header(data: &[u8]) {
    let mut rest = data;
    let said = {
        let mut reading = pin!(introduction::read_header(&mut rest));
        reading.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
    let Poll::Ready(said) = said else { unreachable!("bytes that are here are not waited for") };
    let Ok(said) = said else { return };
    assert!(said.is_none_or(|client| client.ip() == client.ip().to_canonical()));
    let read = data.len() - rest.len();
    let header = &data[..read];
    let is_whole = if header.starts_with(b"PROXY ") {
        header.ends_with(b"\r\n") && read <= 107 && !header[..read - 1].contains(&b'\n')
    } else {
        read == 16 + usize::from(u16::from_be_bytes([header[14], header[15]])) && read <= 16 + 4096
    };
    assert!(is_whole, "{}", header.escape_ascii());
}

/// What a client is sent has one framing and nothing of the worker's connection.
///
/// # Panics
/// When that does not hold.
pub fn response_policy(data: &[u8]) {
    let Some((status, text)) = data.split_at_checked(3) else { return };
    let Ok(status) = StatusCode::from_bytes(status) else { return };
    let Some(fields) = fields(text.split(|byte| *byte == b'\n')) else { return };
    let mut response = Response::new(());
    (*response.status_mut(), *response.headers_mut()) = (status, fields);
    let mut survey = Survey::default();
    response.headers().iter().for_each(|(name, value)| survey.note_answered(name, value));
    if answer::check(&response, survey, None).is_err() {
        return;
    }
    let is_204 = status == StatusCode::NO_CONTENT;
    headers::toward_client(response.headers_mut(), survey, is_204, &HeaderValue::from_static("id"));
    let count = |name: &str| response.headers().get_all(name).iter().count();
    for gone in
        ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "x-accel-redirect", "x-sendfile"]
    {
        assert_eq!(count(gone), 0, "{gone} in {response:?}");
    }
    assert!(status != StatusCode::SWITCHING_PROTOCOLS && status.as_u16() < 600 && count("x-request-id") == 1);
    assert!(!is_204 || count("content-length") == 0);
}

/// The first byte says how long the pieces are in which the others come.
fn pieces(data: &[u8]) -> Option<(&[u8], usize)> {
    let (length, rest) = data.split_first()?;
    Some((rest, usize::from(*length).max(1)))
}

/// However frames are cut, their ends are the same; who reads as much as there is room for never goes beyond one.
///
/// # Panics
/// When that does not hold.
pub fn websocket_frames(data: &[u8]) {
    let Some((text, length)) = pieces(data) else { return };
    let mut by_bytes = Frames::default();
    let mut places = vec![by_bytes.may_speak()];
    for byte in text {
        assert!(by_bytes.room() > 0);
        by_bytes.pass(&[*byte]);
        places.push(by_bytes.may_speak());
    }
    let (mut by_pieces, mut at) = (Frames::default(), 0);
    for piece in text.chunks(length) {
        at += piece.len();
        by_pieces.pass(piece);
        assert_eq!(by_pieces.may_speak(), places[at], "at {at}");
    }
    assert_eq!(by_bytes, by_pieces);
    let (mut by_room, mut at) = (Frames::default(), 0);
    while at < text.len() {
        let room = usize::try_from(by_room.room()).unwrap_or(usize::MAX);
        let end = at.saturating_add(room).min(text.len());
        assert!(!places[at + 1..end].contains(&true), "it went beyond a place between two messages");
        by_room.pass(&text[at..end]);
        at = end;
    }
    assert_eq!(by_bytes, by_room);
}

/// However an event stream is cut, its events end at the same places, and each of these is behind an empty line.
///
/// # Panics
/// When that does not hold.
pub fn event_stream(data: &[u8]) {
    let Some((text, length)) = pieces(data) else { return };
    let mut by_bytes = Events::default();
    let mut ends = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        let is_end = by_bytes.whole(&[*byte]).is_some();
        by_bytes.pass(&[*byte]);
        assert_eq!(is_end, by_bytes.is_between());
        if is_end {
            let lines = [&b"\n\n"[..], b"\n\r\n", b"\r\r"];
            assert!(at < 2 || lines.iter().any(|line| text[..=at].ends_with(line)));
            ends.push(at + 1);
        }
    }
    let (mut by_pieces, mut at) = (Events::default(), 0);
    for piece in text.chunks(length) {
        let last = ends.iter().rev().find(|end| **end > at && **end <= at + piece.len());
        assert_eq!(by_pieces.whole(piece).map(|whole| at + whole), last.copied());
        by_pieces.pass(piece);
        at += piece.len();
    }
    assert_eq!(by_bytes, by_pieces);
}
