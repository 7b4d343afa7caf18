//! The head of a response as it is read from a worker's connection (RFC 9112, sections 2 to 6).
//!
//! Pure. Strict, for what a worker says may have come from somebody else: what the parser takes for no head is none, fields
//! are not folded, lengths agree. What a response says beyond its framing is looked over by `policy::answer`. Invariant:
//! a response has one end, whichever fields it has.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, Version};
use smallvec::SmallVec;

use crate::proxy::headers::Survey;

/// Fields that a response may have.
const MOST_FIELDS: usize = 100;

/// Bytes that the head of a response may have.
const MOST_BYTES: usize = 128 * 1024;

/// What came is no HTTP, or is that in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

/// How the body of a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// After so many bytes, maybe none.
    Length(u64),
    /// With the last chunk.
    Chunks,
    /// With the connection.
    Close,
}

/// What was read, beside the response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Of its fields.
    pub(super) survey: Survey,
    pub(super) ending: Ending,
    /// May another exchange follow on the connection?
    pub(super) may_stay: bool,
}

/// Takes the head of the response out of what has come, and the interim ones before it (RFC 9110, section 15.2), which are
/// dropped; `None`: more must come first. Written into `response`, whose map may have room from before.
///
/// # Errors
/// When what has come is no beginning of a response.
pub(super) fn read(from: &mut BytesMut, is_head: bool, response: &mut Response<()>) -> Result<Option<Head>, Nonsense> {
    loop {
        let mut places = Places::new();
        let Some((status, version, length)) = parse(from, &mut places)? else {
            return if from.len() < MOST_BYTES { Ok(None) } else { Err(Nonsense) };
        };
        let bytes = from.split_to(length).freeze();
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            continue;
        }
        (*response.status_mut(), *response.version_mut()) = (status, version);
        let (survey, says_close) = collect(&bytes, &places, response.headers_mut())?;
        let ending = ending(response, survey, is_head)?;
        let is_last = says_close || (survey.has_connection() && closes(response.headers()));
        let may_stay = status != StatusCode::SWITCHING_PROTOCOLS && !is_last;
        return Ok(Some(Head { survey, ending, may_stay }));
    }
}

/// Where name and value of a field lie in the head.
struct Place {
    name: (u32, u32),
    value: (u32, u32),
}

/// The places of all fields; those of most heads need no memory of their own.
type Places = SmallVec<[Place; 32]>;

/// Reads a head: its status and version, its length in bytes, and where its fields lie.
fn parse(bytes: &[u8], places: &mut Places) -> Result<Option<(StatusCode, Version, usize)>, Nonsense> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length <= MOST_BYTES => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        _ => return Err(Nonsense),
    };
    let begin = bytes.as_ptr() as usize;
    let place = |part: &[u8]| {
        let start = part.as_ptr() as usize - begin;
        (start as u32, (start + part.len()) as u32)
    };
    let fields = parsed.headers.iter();
    places.extend(fields.map(|field| Place { name: place(field.name.as_bytes()), value: place(field.value) }));
    let status = StatusCode::from_u16(parsed.code.ok_or(Nonsense)?).map_err(|_| Nonsense)?;
    let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    Ok(Some((status, version, length)))
}

/// The fields of a head, whose values share its memory, looked over on the way; and is the connection to be closed? A field
/// that says only this, or that it is not, goes no further, and so is not among them.
fn collect(bytes: &Bytes, places: &[Place], fields: &mut HeaderMap) -> Result<(Survey, bool), Nonsense> {
    let range = |(start, end): (u32, u32)| start as usize..end as usize;
    if !fields.is_empty() {
        // Of an attempt before this one.
        fields.clear();
    }
    fields.reserve(places.len() + 1);
    let (mut survey, mut says_close) = (Survey::default(), false);
    for place in places {
        let (name, value) = (name(&bytes[range(place.name)])?, range(place.value));
        if name == header::CONNECTION
            && let Some(is_last) = closes_only(&bytes[value.clone()])
        {
            says_close |= is_last;
            continue;
        }
        let value = HeaderValue::from_maybe_shared(bytes.slice(value)).map_err(|_| Nonsense)?;
        survey.note_answered(&name, &value);
        fields.append(name, value);
    }
    Ok((survey, says_close))
}

/// Is a connection with this one option to be closed? `None`: it has another one, or several.
fn closes_only(option: &[u8]) -> Option<bool> {
    match option {
        b"keep-alive" | b"Keep-Alive" => Some(false),
        b"close" | b"Close" => Some(true),
        _ => None,
    }
}

/// The name of a field. Most are among these, as servers spell them, and need no closer look.
fn name(bytes: &[u8]) -> Result<HeaderName, Nonsense> {
    Ok(match bytes {
        b"Content-Type" | b"content-type" => header::CONTENT_TYPE,
        b"Content-Length" | b"content-length" => header::CONTENT_LENGTH,
        b"Date" | b"date" => header::DATE,
        b"Server" | b"server" => header::SERVER,
        b"Connection" | b"connection" => header::CONNECTION,
        b"Cache-Control" | b"cache-control" => header::CACHE_CONTROL,
        b"ETag" | b"etag" => header::ETAG,
        b"Set-Cookie" | b"set-cookie" => header::SET_COOKIE,
        b"Vary" | b"vary" => header::VARY,
        _ => HeaderName::from_bytes(bytes).map_err(|_| Nonsense)?,
    })
}

/// How the body ends (RFC 9112, section 6.3). A coding ranks before a length; which codings there may be is for
/// `policy::answer` to say, and what is not chunked has no other end than the connection's.
fn ending(response: &Response<()>, survey: Survey, is_head: bool) -> Result<Ending, Nonsense> {
    let (status, fields) = (response.status(), response.headers());
    let is_bare = matches!(status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if is_bare || is_head {
        return Ok(Ending::Length(0));
    }
    if survey.has_coding()
        && let Some(coding) = fields.get_all(header::TRANSFER_ENCODING).iter().next_back()
    {
        return match response.version() {
            Version::HTTP_10 => Err(Nonsense),
            _ if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(Ending::Chunks),
            _ => Ok(Ending::Close),
        };
    }
    if let Some(length) = survey.length {
        return Ok(Ending::Length(length));
    }
    if survey.lengths == 0 {
        return Ok(Ending::Close);
    }
    let mut length = None;
    for value in fields.get_all(header::CONTENT_LENGTH) {
        for member in value.as_bytes().split(|byte| *byte == b',') {
            let member = digits(member.trim_ascii()).ok_or(Nonsense)?;
            if *length.get_or_insert(member) != member {
                return Err(Nonsense);
            }
        }
    }
    Ok(length.map_or(Ending::Close, Ending::Length))
}

fn digits(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

/// Does any `Connection` ask for the end?
fn closes(fields: &HeaderMap) -> bool {
    let mut members =
        fields.get_all(header::CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    members.any(|member| member.trim_ascii().eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Option<Head>, Nonsense> {
        read(&mut BytesMut::from(text), false, &mut Response::new(()))
    }

    fn ending_of(text: &str) -> Result<Ending, Nonsense> {
        read_text(text).map(|head| head.expect("a whole head").ending)
    }

    #[test]
    fn a_head_is_read_once_it_is_whole_and_what_follows_is_left() {
        let text = "HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\nHTTP/1.1 404 Not Found\r\na: 1\r\na: 2\r\nb:\r\n\r\n";
        for length in 0..text.len() {
            let mut begun = BytesMut::from(&text[..length]);
            assert!(read(&mut begun, false, &mut Response::new(())).unwrap().is_none(), "{length}");
        }
        let mut whole = BytesMut::from(format!("{text}rest").as_bytes());
        let mut response = Response::new(());
        response.headers_mut().insert("x", HeaderValue::from_static("of an attempt before this one"));
        let head = read(&mut whole, false, &mut response).unwrap().unwrap();
        assert_eq!((response.status(), &whole[..]), (StatusCode::NOT_FOUND, &b"rest"[..]));
        assert_eq!(response.headers().get_all("a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((&response.headers()["b"], response.headers().len()), (&HeaderValue::from_static(""), 3));
        assert!(head.may_stay);
    }

    #[test]
    fn a_name_is_the_same_in_whatever_way_it_is_spelt() {
        for spelt in ["Content-Type", "content-length", "DATE", "sErver", "connection", "Etag", "X-Own", "vary"] {
            assert_eq!(
                name(spelt.as_bytes()),
                HeaderName::from_bytes(spelt.as_bytes()).map_err(|_| Nonsense),
                "{spelt}"
            );
        }
        assert_eq!(name(b"a b"), Err(Nonsense));
    }

    #[test]
    fn a_body_has_one_end() {
        let with = |fields: &str| ending_of(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
        assert_eq!(with(""), Ok(Ending::Close));
        for five in ["5", "005", "5, 5", "5,5\r\ncontent-length: 5", "5\r\nConnection: close"] {
            assert_eq!(with(&format!("content-length: {five}\r\n")), Ok(Ending::Length(5)), "{five}");
        }
        for bad in ["", "x", "+5", "-5", "5 5", "5,6", "5\r\ncontent-length: 6", "5,", "0x5", "18446744073709551616"] {
            assert_eq!(with(&format!("content-length: {bad}\r\n")), Err(Nonsense), "{bad}");
        }
        assert_eq!(with("content-length: 9\r\ntransfer-encoding: Chunked\r\n"), Ok(Ending::Chunks));
        assert_eq!(with("transfer-encoding: gzip\r\n"), Ok(Ending::Close));
        assert_eq!(ending_of("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), Err(Nonsense));
    }

    #[test]
    fn some_responses_have_no_body_whatever_they_say() {
        for status in [101, 204, 304] {
            assert_eq!(ending_of(&format!("HTTP/1.1 {status} x\r\ncontent-length: 5\r\n\r\n")), Ok(Ending::Length(0)));
        }
        let mut text = BytesMut::from("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
        assert_eq!(read(&mut text, true, &mut Response::new(())).unwrap().unwrap().ending, Ending::Length(0));
    }

    #[test]
    fn what_is_no_head_is_nonsense() {
        for text in [
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "hello",
            "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: \0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
            &format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MOST_FIELDS + 1)),
            &format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(MOST_BYTES)),
        ] {
            assert!(read_text(text).is_err(), "{:?}", &text[..text.len().min(80)]);
        }
    }

    #[test]
    fn a_connection_that_is_to_close_does_not_stay() {
        for (field, may_stay) in [("keep-alive", true), ("x, Close", false), ("keep-alive\r\nconnection: close", false)]
        {
            let head = read_text(&format!("HTTP/1.1 200 OK\r\nconnection: {field}\r\n\r\n")).unwrap().unwrap();
            assert_eq!(head.may_stay, may_stay, "{field}");
        }
        assert!(!read_text("HTTP/1.1 101 x\r\n\r\n").unwrap().unwrap().may_stay);
    }
}
