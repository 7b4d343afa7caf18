//! The origin: an HTTP/1.1 server that is much cheaper than any proxy in front of it.
//!
//! `GET /small` answers 1 KiB, `GET /bytes/N` answers N bytes, `POST` reads the body and answers its length, an upgrade to
//! WebSocket echoes. Bodies are neither made nor kept.

use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{LocalSet, spawn_local};

use crate::connection::Stream;
use crate::http::{field, find, head_length, is_last};
use crate::{Result, websocket};

const CHUNK: usize = 256 * 1024;

/// What every connection answers with.
struct Content {
    small: Vec<u8>,
    chunk: Vec<u8>,
}

impl Content {
    fn new() -> Self {
        let head = "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n\
                    Cache-Control: no-cache\r\nContent-Length: 1024\r\n\r\n";
        Self { small: [head.as_bytes(), &[b'a'; 1024]].concat(), chunk: vec![b'x'; CHUNK] }
    }
}

/// Serves on these loopback ports and paths of Unix sockets, joined by commas, until killed.
pub(crate) async fn run(places: &str) -> Result<()> {
    let content = Rc::new(Content::new());
    let local = LocalSet::new();
    for place in places.split(',') {
        if place.starts_with('/') {
            local.spawn_local(accept_unix(listen_unix(place)?, content.clone()));
        } else {
            local.spawn_local(accept(listen(place.parse()?)?, content.clone()));
        }
    }
    local.await;
    Ok(())
}

fn listen(port: u16) -> Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(4096)?;
    Ok(TcpListener::from_std(socket.into())?)
}

/// For whoever connects, as whom ever it runs.
fn listen_unix(path: &str) -> Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(listener)
}

async fn accept(listener: TcpListener, content: Rc<Content>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) if stream.set_nodelay(true).is_ok() => begin(stream, &content),
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn accept_unix(listener: UnixListener, content: Rc<Content>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => begin(stream, &content),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

fn begin(stream: impl Stream + 'static, content: &Rc<Content>) {
    let content = content.clone();
    spawn_local(async move {
        // A client that breaks off is none of our business.
        let _ = serve(stream, &content).await;
    });
}

async fn serve(mut stream: impl Stream, content: &Content) -> Result<()> {
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        let Some(length) = next_head(&mut stream, &mut buffer).await? else { return Ok(()) };
        // The hot path: the small body takes no look at the header.
        if buffer.starts_with(b"GET /small ") && find(&buffer[..length], b"lose\r\n").is_none() {
            stream.write_all(&content.small).await?;
            buffer.drain(..length);
            continue;
        }
        let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
        buffer.drain(..length);
        if field(&head, "upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
            return websocket::echo(stream, buffer).await;
        }
        answer(&mut stream, &head, &mut buffer, content).await?;
        if is_last(&head) {
            return Ok(());
        }
    }
}

/// `None` at the end of the connection.
async fn next_head(stream: &mut impl Stream, buffer: &mut Vec<u8>) -> Result<Option<usize>> {
    loop {
        if let Some(length) = head_length(buffer) {
            return Ok(Some(length));
        }
        if buffer.len() > 60_000 || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

async fn answer(stream: &mut impl Stream, head: &str, buffer: &mut Vec<u8>, content: &Content) -> Result<()> {
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method == "POST" || method == "PUT" {
        return take_body(stream, head, buffer).await;
    }
    match path.strip_prefix("/bytes/").and_then(|bytes| bytes.parse().ok()) {
        Some(bytes) => give_bytes(stream, bytes, &content.chunk).await,
        None => Ok(stream.write_all(&content.small).await?),
    }
}

async fn give_bytes(stream: &mut impl Stream, bytes: u64, chunk: &[u8]) -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut left = bytes;
    while left > 0 {
        let part = left.min(chunk.len() as u64);
        stream.write_all(&chunk[..part as usize]).await?;
        left -= part;
    }
    Ok(())
}

async fn take_body(stream: &mut impl Stream, head: &str, buffer: &mut Vec<u8>) -> Result<()> {
    if field(head, "expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let received = if field(head, "transfer-encoding").is_some() {
        skip_chunked(stream, buffer).await?
    } else {
        let length = field(head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        skip(stream, buffer, length).await?;
        length
    };
    let body = format!("{{\"received\":{received}}}");
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    Ok(stream.write_all(head.as_bytes()).await?)
}

async fn skip(stream: &mut impl Stream, buffer: &mut Vec<u8>, bytes: u64) -> Result<()> {
    let buffered = bytes.min(buffer.len() as u64);
    buffer.drain(..buffered as usize);
    let mut left = bytes - buffered;
    let mut scratch = vec![0; CHUNK.min(left as usize)];
    while left > 0 {
        let most = left.min(scratch.len() as u64) as usize;
        match stream.read(&mut scratch[..most]).await? {
            0 => return Err("closed within a body".into()),
            count => left -= count as u64,
        }
    }
    Ok(())
}

/// RFC 9112, section 7.1. Trailers are not expected.
async fn skip_chunked(stream: &mut impl Stream, buffer: &mut Vec<u8>) -> Result<u64> {
    let mut total = 0;
    loop {
        let end = loop {
            if let Some(end) = find(buffer, b"\r\n") {
                break end;
            }
            if buffer.len() > CHUNK || stream.read_buf(buffer).await? == 0 {
                return Err("closed within a chunk's size".into());
            }
        };
        let line = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)?;
        buffer.drain(..end + 2);
        skip(stream, buffer, size + 2).await?;
        if size == 0 {
            return Ok(total);
        }
        total += size;
    }
}
