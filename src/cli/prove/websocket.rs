//! Clients that hold a WebSocket: they read what comes, and how it ends is counted.
//!
//! Knows the frames of RFC 6455 section 5.2 as far as their lengths, and the Close frame. A Close is a good end, and so is
//! one that we make; a connection that ends otherwise has been cut.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::course::Course;
use super::tally::Tally;

/// Before the next try after one that failed.
const PAUSE: Duration = Duration::from_millis(40);

const CLOSE: u8 = 8;
const PING: u8 = 9;

/// Holds one until it is told to stop; one that ends is opened anew.
pub(super) async fn hold(course: Course, path: String, mut ending: watch::Receiver<bool>) -> Tally {
    let mut tally = Tally::default();
    while !*ending.borrow() {
        tally.held += 1;
        let end = tokio::select! {
            end = follow(&course, &path) => end,
            _ = ending.wait_for(|end| *end) => Ok(()),
        };
        match end {
            Ok(()) => tally.parted += 1,
            Err(why) => {
                tally.fail(why);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    tally
}

/// Reads to the end; well if that was a Close.
async fn follow(course: &Course, path: &str) -> Result<(), String> {
    let mut socket = open(course, path).await?;
    loop {
        let (kind, body) = frame(&mut socket).await.map_err(|_| "WebSocket cut off".to_owned())?;
        let answer = match kind {
            CLOSE => CLOSE,
            PING => PING + 1,
            _ => continue,
        };
        let sent = socket.write_all(&masked(answer, &body)).await;
        if kind == CLOSE {
            return Ok(());
        }
        sent.map_err(|_| "WebSocket cut off".to_owned())?;
    }
}

async fn open(course: &Course, path: &str) -> Result<TokioIo<Upgraded>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("no WebSocket: {error}");
    let io = course.connect(false).await.map_err(|error| failed(&error))?;
    let (mut speaker, connection) = http1::handshake(io).await.map_err(|error| failed(&error))?;
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = path.parse().map_err(|error| failed(&error))?;
    let fields = request.headers_mut();
    fields.insert(header::HOST, HeaderValue::from_str(&course.authority).map_err(|error| failed(&error))?);
    for (name, value) in [
        (header::CONNECTION, "Upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::SEC_WEBSOCKET_KEY, "cG9ydHJlZXZlIHByb3Zlcw=="),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    let response = speaker.send_request(request).await.map_err(|error| failed(&error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(failed(&format!("status {}", response.status().as_u16())));
    }
    hyper::upgrade::on(response).await.map(TokioIo::new).map_err(|error| failed(&error))
}

/// The next frame: its opcode, and its body if it is a control frame.
async fn frame(socket: &mut TokioIo<Upgraded>) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    socket.read_exact(&mut head).await?;
    let length = match head[1] & 0x7F {
        126 => u64::from(socket.read_u16().await?),
        127 => socket.read_u64().await?,
        short => u64::from(short),
    };
    let kind = head[0] & 0x0F;
    if kind < CLOSE {
        tokio::io::copy(&mut socket.take(length), &mut tokio::io::sink()).await?;
        return Ok((kind, Vec::new()));
    }
    let mut body = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(125)];
    socket.read_exact(&mut body).await?;
    Ok((kind, body))
}

/// A control frame of a client, with a mask of zeroes.
fn masked(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap_or(125).min(125);
    [&[0x80 | kind, 0x80 | length, 0, 0, 0, 0][..], &body[..usize::from(length)]].concat()
}
