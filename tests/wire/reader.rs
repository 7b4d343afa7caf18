//! A strict reader of HTTP/1.1 messages: it takes what every reader reads in the same way, and nothing else.
//!
//! The oracle of all tests about what a worker was made to see. Narrower than RFC 9112 on purpose: one form for everything
//! that may be written in several. Text is Latin-1: a character is the byte of its number.

/// A message, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) start: String,
    /// Names and values, as they came.
    pub(crate) fields: Vec<(String, String)>,
    /// Without its framing.
    pub(crate) body: Vec<u8>,
}

/// What the bytes so far are.
#[derive(Debug)]
pub(crate) enum Read {
    /// A message, and how many of the bytes it is.
    Whole(Message, usize),
    /// A beginning.
    Part,
    /// Nothing that a strict reader takes, and why.
    Wrong(String),
}

/// How a response ends that does not say so itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// By HEAD.
    pub(crate) is_head: bool,
    /// The connection has ended behind these bytes.
    pub(crate) is_over: bool,
}

/// Fields that belong to one connection, and others that no worker should get.
const NOT_FOR_WORKERS: [&str; 9] = [
    "te",
    "trailer",
    "keep-alive",
    "proxy",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "http2-settings",
    "expect",
];

const ONCE: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "cookie"];

/// What a worker may put in names, which are the client's matter.
const TOKEN: &str = "!#$%&'*+.^_`|~";

/// Characters that stand in a path as they are.
const IN_PATHS: &[u8] = b"-._~!$&'()*+,;=:@/";

impl Message {
    /// How often a field is there.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.fields.iter().filter(|(of, _)| of == name).count()
    }

    /// The value of a field that is there once.
    pub(crate) fn only(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(of, _)| of == name);
        let (_, first) = values.next()?;
        values.next().is_none().then_some(first)
    }

    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// Of a response; 0 when there is none.
    pub(crate) fn status(&self) -> u16 {
        self.target().parse().unwrap_or_default()
    }
}

/// Reads a request as a worker is to get it.
pub(crate) fn request(bytes: &[u8]) -> Read {
    let Some((message, head)) = read_head(bytes) else { return Read::Part };
    let checked = check_fields(&message, "").and_then(|()| check_request(&message));
    let length = match checked.and_then(|()| length_of(&message)) {
        Ok(length) => length.unwrap_or(Length::Bytes(0)),
        Err(why) => return Read::Wrong(format!("{why} in {message:?}")),
    };
    with_body(message, bytes, head, length)
}

/// Reads a response as a client is to get it.
pub(crate) fn response(bytes: &[u8], asked: Asked) -> Read {
    let Some((message, head)) = read_head(bytes) else { return Read::Part };
    let status = message.status();
    let is_line = message.start.starts_with("HTTP/1.1 ") || message.start.starts_with("HTTP/1.0 ");
    let has_none = asked.is_head || matches!(status, 100..=199 | 204 | 304);
    let length = match check_fields(&message, TOKEN).and_then(|()| length_of(&message)) {
        Ok(_) if !is_line || !(100..600).contains(&status) => return Read::Wrong(format!("{message:?}")),
        Ok(Some(_)) if matches!(status, 100..=199 | 204) => return Read::Wrong(format!("framing in {message:?}")),
        Ok(_) if has_none => Length::Bytes(0),
        Ok(Some(length)) => length,
        Ok(None) if asked.is_over => Length::Bytes(bytes.len() - head),
        Ok(None) => return Read::Part,
        Err(why) => return Read::Wrong(format!("{why} in {message:?}")),
    };
    with_body(message, bytes, head, length)
}

/// The message with the body that follows its head.
fn with_body(mut message: Message, bytes: &[u8], head: usize, length: Length) -> Read {
    match read_body(&bytes[head..], length) {
        Ok(Some((body, taken))) => {
            message.body = body;
            Read::Whole(message, head + taken)
        }
        Ok(None) => Read::Part,
        Err(why) => Read::Wrong(format!("{why} behind {message:?}")),
    }
}

/// The bytes of a text of Latin-1.
pub(crate) fn bytes_of(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("the text is Latin-1")).collect()
}

/// The text of bytes, as Latin-1.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Where a pattern begins.
pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn read_head(bytes: &[u8]) -> Option<(Message, usize)> {
    let end = find(bytes, b"\r\n\r\n")?;
    let head = text_of(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let split = |line: &str| match line.split_once(": ") {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        // An empty value may be written without the space; a line without a colon is caught as a name that is none.
        None => (line.strip_suffix(':').unwrap_or("?").to_owned(), String::new()),
    };
    Some((Message { start, fields: lines.map(split).collect(), body: Vec::new() }, end + 4))
}

/// `more`: what may stand in names beside small letters, digits and hyphens.
fn check_fields(message: &Message, more: &str) -> Result<(), String> {
    for (name, value) in &message.fields {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || more.contains(c);
        let is_value = |c: char| c == '\t' || (c >= ' ' && c != '\u{7f}');
        let is_trimmed = value.trim_matches([' ', '\t']).len() == value.len();
        if name.is_empty() || !name.chars().all(is_name) || !value.chars().all(is_value) || !is_trimmed {
            return Err(format!("the field {name:?}: {value:?}"));
        }
    }
    let several = ONCE.iter().find(|name| message.count(name) > 1);
    several.map_or(Ok(()), |name| Err(format!("several {name}")))
}

fn check_request(message: &Message) -> Result<(), String> {
    let words: Vec<&str> = message.start.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else { return Err("the first line".into()) };
    let is_method = (1..=32).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    if !is_method || !is_target(method, target) {
        return Err("method or target".into());
    }
    if !message.only("host").is_some_and(is_host) {
        return Err("the host".into());
    }
    if let Some(name) = NOT_FOR_WORKERS.iter().find(|name| message.count(name) > 0) {
        return Err(format!("the field {name}"));
    }
    match (message.only("connection"), message.only("upgrade")) {
        (None, None) => Ok(()),
        (Some("upgrade"), Some("websocket")) if method == "GET" => Ok(()),
        _ => Err("connection or upgrade".into()),
    }
}

fn is_target(method: &str, target: &str) -> bool {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path == "*" {
        return method == "OPTIONS" && query.is_empty();
    }
    let is_segment = |segment: &str| {
        let bare = segment.split(';').next().unwrap_or_default();
        bare != "." && bare != ".."
    };
    let is_in_query = |b: u8| b.is_ascii_graphic() && b != b'#';
    path.starts_with('/')
        && is_path(path.as_bytes())
        && path.split('/').all(is_segment)
        && query.bytes().all(is_in_query)
}

/// Escaped is what must be, in capital letters, and nothing that ends a text or a line.
fn is_path(path: &[u8]) -> bool {
    let mut bytes = path.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            if !byte.is_ascii_alphanumeric() && !IN_PATHS.contains(&byte) {
                return false;
            }
            continue;
        }
        let digits: Vec<u8> = bytes.by_ref().take(2).collect();
        let is_capital = |b: &u8| b.is_ascii_digit() || (b'A'..=b'F').contains(b);
        let text = std::str::from_utf8(&digits).unwrap_or_default();
        let Some(escaped) = u8::from_str_radix(text, 16).ok().filter(|_| digits.iter().all(is_capital)) else {
            return false;
        };
        if digits.len() != 2 || matches!(escaped, 0 | b'\r' | b'\n') || escaped.is_ascii_alphanumeric() {
            return false;
        }
    }
    true
}

fn is_host(host: &str) -> bool {
    let is_name =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.' | b'[' | b']' | b':');
    !host.is_empty() && host.bytes().all(is_name) && !host.starts_with('.') && !host.contains("..")
}

#[derive(Clone, Copy)]
enum Length {
    Bytes(usize),
    Chunks,
}

fn length_of(message: &Message) -> Result<Option<Length>, String> {
    match (message.only("content-length"), message.only("transfer-encoding")) {
        (None, None) => Ok(None),
        (None, Some("chunked")) => Ok(Some(Length::Chunks)),
        (Some(digits), None) => {
            let length = digits.parse::<usize>().ok().filter(|length| length.to_string() == digits);
            length.map(|length| Some(Length::Bytes(length))).ok_or_else(|| format!("the length {digits:?}"))
        }
        (length, coding) => Err(format!("length {length:?} and coding {coding:?}")),
    }
}

/// The body, and how many bytes it took; `None` when it is not all here.
fn read_body(bytes: &[u8], length: Length) -> Result<Option<(Vec<u8>, usize)>, String> {
    match length {
        Length::Bytes(length) => Ok(bytes.get(..length).map(|body| (body.to_vec(), length))),
        Length::Chunks => read_chunks(bytes),
    }
}

fn read_chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else {
            let rest = &bytes[at..];
            return if rest.len() < 18 { Ok(None) } else { Err(format!("a chunk size {:?}", text_of(&rest[..18]))) };
        };
        let digits = text_of(&bytes[at..at + end]);
        let is_plain = digits.bytes().all(|b| b.is_ascii_hexdigit()) && (digits == "0" || !digits.starts_with('0'));
        let size = usize::from_str_radix(&digits, 16).ok().filter(|_| is_plain);
        let Some(size) = size else { return Err(format!("the chunk size {digits:?}")) };
        at += end + 2;
        let Some(chunk) = bytes.get(at..at.saturating_add(size).saturating_add(2)) else { return Ok(None) };
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk that is not as long as it says, or trailers".into());
        }
        at += chunk.len();
        if size == 0 {
            return Ok(Some((body, at)));
        }
        body.extend_from_slice(&chunk[..size]);
    }
}
