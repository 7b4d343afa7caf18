//! As little HTTP/1.1 as both sides need: heads found in a buffer, header fields in a head, one request at a time.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Result;
use crate::connection::Stream;

/// A small request on a connection that stays open.
pub(crate) const GET: &[u8] = b"GET /small HTTP/1.1\r\nHost: localhost\r\nUser-Agent: loadkit\r\nAccept: */*\r\n\r\n";

/// A small request that is the last on its connection.
pub(crate) const GET_AND_CLOSE: &[u8] =
    b"GET /small HTTP/1.1\r\nHost: localhost\r\nUser-Agent: loadkit\r\nAccept: */*\r\nConnection: close\r\n\r\n";

/// An order of this name, which is taken once.
pub(crate) fn order(name: &str, close: bool) -> Vec<u8> {
    let connection = if close { "Connection: close\r\n" } else { "" };
    format!(
        "POST /orders/{name} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: loadkit\r\nAccept: */*\r\n{connection}\
         Content-Type: text/plain\r\nContent-Length: 10\r\n\r\none order\n"
    )
    .into_bytes()
}

/// The place of a sequence of bytes.
pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// How long the head is, its empty line included, once it is there.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    find(bytes, b"\r\n\r\n").map(|end| end + 4)
}

/// The value of a header field.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Does the message say that it is the last on its connection?
pub(crate) fn is_last(head: &str) -> bool {
    field(head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

/// Reads until a head is complete; what came after it is in the buffer as well.
pub(crate) async fn read_head(stream: &mut (impl Stream + ?Sized), buffer: &mut Vec<u8>) -> Result<usize> {
    loop {
        if let Some(length) = head_length(buffer) {
            return Ok(length);
        }
        if buffer.len() > 60_000 {
            return Err("a head without an end".into());
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err("closed before a head".into());
        }
    }
}

/// One request and its whole response; may the connection be used again?
pub(crate) async fn exchange(
    stream: &mut (impl Stream + ?Sized),
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<bool> {
    buffer.clear();
    stream.write_all(request).await?;
    stream.flush().await?;
    let length = read_head(stream, buffer).await?;
    let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("answered {}", head.lines().next().unwrap_or_default()).into());
    }
    let body: usize = field(&head, "content-length").ok_or("no content-length")?.parse()?;
    while buffer.len() < length + body {
        if stream.read_buf(buffer).await? == 0 {
            return Err("closed within a response".into());
        }
    }
    Ok(!is_last(&head))
}
