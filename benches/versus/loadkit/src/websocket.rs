//! WebSocket (RFC 6455): the origin's echo, and clients that wait for each message's echo.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Result;
use crate::connection::{Stream, Target};
use crate::http::read_head;
use crate::report::{Counter, Report};

// The key and the accept value of RFC 6455's own example.
const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ACCEPT: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Where a frame's parts are.
struct Frame {
    opcode: u8,
    head: usize,
    mask: [u8; 4],
    payload: usize,
}

impl Frame {
    /// `None` until the whole frame is there.
    fn find(bytes: &[u8]) -> Option<Self> {
        let short = usize::from(*bytes.get(1)? & 0x7f);
        let (mut head, payload) = match short {
            126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into()),
            127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
            length => (2, length),
        };
        let mut mask = [0; 4];
        if bytes[1] & 0x80 != 0 {
            mask = bytes.get(head..head + 4)?.try_into().ok()?;
            head += 4;
        }
        (bytes.len() - head >= payload).then_some(Self { opcode: bytes[0] & 0x0f, head, mask, payload })
    }

    fn length(&self) -> usize {
        self.head + self.payload
    }

    fn payload<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
        let mask = self.mask;
        bytes[self.head..self.length()].iter().enumerate().map(move |(place, byte)| byte ^ mask[place % 4])
    }
}

/// Appends a frame; clients mask theirs.
fn put_frame(out: &mut Vec<u8>, opcode: u8, mask: Option<[u8; 4]>, payload: &[u8]) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    out.push(0x80 | opcode);
    match payload.len() {
        length @ 0..126 => out.push(masked | length as u8),
        length @ 126..0x1_0000 => {
            out.push(masked | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(masked | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(mask.iter().flatten());
    let mask = mask.unwrap_or_default();
    out.extend(payload.iter().enumerate().map(|(place, byte)| byte ^ mask[place % 4]));
}

/// Accepts the upgrade and sends back every message. `buffer` holds what came after the head.
pub(crate) async fn echo(mut stream: impl Stream, mut buffer: Vec<u8>) -> Result<()> {
    stream.write_all(ACCEPT).await?;
    let mut out = Vec::new();
    loop {
        out.clear();
        let mut done = 0;
        let mut is_closing = false;
        while let Some(frame) = Frame::find(&buffer[done..]) {
            let payload: Vec<u8> = frame.payload(&buffer[done..]).collect();
            put_frame(&mut out, if frame.opcode == PING { PONG } else { frame.opcode }, None, &payload);
            done += frame.length();
            is_closing |= frame.opcode == CLOSE;
        }
        buffer.drain(..done);
        stream.write_all(&out).await?;
        if is_closing || stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// `connections` clients, each with one message of `size` bytes under way.
pub(crate) async fn run(target: Target, connections: usize, time: Duration, size: usize) -> Result<()> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(upgrade(&target).await?);
    }
    let failed = Arc::new(Counter::default());
    let start = Instant::now();
    let clients: Vec<_> =
        open.into_iter().map(|stream| tokio::spawn(client(stream, size, start + time, failed.clone()))).collect();
    let mut seen = Vec::new();
    for client in clients {
        seen.extend(client.await?);
    }
    let report = Report::default().number("count", seen.len() as u64).number("failed", failed.get());
    report.seconds("seconds", start.elapsed()).latencies(seen).print();
    Ok(())
}

async fn upgrade(target: &Target) -> Result<Box<dyn Stream>> {
    let mut stream = target.connect().await?;
    stream.write_all(UPGRADE).await?;
    stream.flush().await?;
    let mut buffer = Vec::new();
    read_head(&mut *stream, &mut buffer).await?;
    if buffer.starts_with(b"HTTP/1.1 101 ") { Ok(stream) } else { Err("the upgrade was refused".into()) }
}

async fn client(mut stream: Box<dyn Stream>, size: usize, end: Instant, failed: Arc<Counter>) -> Vec<Duration> {
    let mut message = Vec::new();
    put_frame(&mut message, BINARY, Some([0x12, 0x34, 0x56, 0x78]), &vec![b'w'; size]);
    let mut buffer = Vec::with_capacity(size + 64);
    let mut seen = Vec::new();
    while Instant::now() < end {
        let sent = Instant::now();
        if round_trip(&mut *stream, &message, size, &mut buffer).await.is_err() {
            failed.add(1);
            break;
        }
        seen.push(sent.elapsed());
    }
    seen
}

async fn round_trip(stream: &mut dyn Stream, message: &[u8], size: usize, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.clear();
    stream.write_all(message).await?;
    stream.flush().await?;
    loop {
        if let Some(frame) = Frame::find(buffer) {
            let is_echo = frame.payload == size && frame.payload(buffer).all(|byte| byte == b'w');
            return if is_echo { Ok(()) } else { Err("another message came back".into()) };
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err("closed".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let payload: Vec<u8> = (0..length).map(|place| place as u8).collect();
                let mut bytes = Vec::new();
                put_frame(&mut bytes, BINARY, mask, &payload);
                assert!(Frame::find(&bytes[..bytes.len() - 1]).is_none(), "{length}");
                let frame = Frame::find(&bytes).expect("it is whole");
                assert_eq!((frame.opcode, frame.length()), (BINARY, bytes.len()));
                assert_eq!(frame.payload(&bytes).collect::<Vec<_>>(), payload);
            }
        }
    }
}
