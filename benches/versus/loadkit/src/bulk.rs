//! Large bodies, in one direction at a time, on keep-alive connections.

use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Result;
use crate::connection::{Stream, Target};
use crate::http::{field, read_head};
use crate::report::{Counter, Report};

const CHUNK: usize = 256 * 1024;

/// `transfers` bodies of `bytes`, shared out among `connections`.
pub(crate) async fn run(target: Target, up: bool, bytes: u64, connections: usize, transfers: u64) -> Result<()> {
    let (left, failed) = (Arc::new(Counter::from(transfers)), Arc::new(Counter::default()));
    let start = Instant::now();
    let client = || tokio::spawn(client(target.clone(), up, bytes, left.clone(), failed.clone()));
    for client in (0..connections).map(|_| client()).collect::<Vec<_>>() {
        client.await?;
    }
    let done = transfers - failed.get();
    let report = Report::default().number("count", done).number("bytes", done * bytes);
    report.number("failed", failed.get()).seconds("seconds", start.elapsed()).print();
    Ok(())
}

async fn client(target: Target, up: bool, bytes: u64, left: Arc<Counter>, failed: Arc<Counter>) {
    let mut scratch = vec![b'u'; CHUNK];
    let mut open = None;
    while left.take() {
        open = match transfer(open, &target, up, bytes, &mut scratch).await {
            Ok(stream) => Some(stream),
            Err(_) => {
                failed.add(1);
                None
            }
        };
    }
}

/// Gives back the connection for the next transfer.
async fn transfer(
    open: Option<Box<dyn Stream>>,
    target: &Target,
    up: bool,
    bytes: u64,
    scratch: &mut [u8],
) -> Result<Box<dyn Stream>> {
    let mut stream = match open {
        Some(stream) => stream,
        None => target.connect().await?,
    };
    if up {
        upload(&mut *stream, bytes, scratch).await?
    } else {
        download(&mut *stream, bytes, scratch).await?
    }
    Ok(stream)
}

async fn download(stream: &mut dyn Stream, bytes: u64, scratch: &mut [u8]) -> Result<()> {
    let request = format!("GET /bytes/{bytes} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: loadkit\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let (head, mut received) = response_head(stream).await?;
    if field(&head, "content-length") != Some(&bytes.to_string()) {
        return Err("another length".into());
    }
    while received < bytes {
        match stream.read(scratch).await? {
            0 => return Err("closed within a body".into()),
            count => received += count as u64,
        }
    }
    Ok(())
}

async fn upload(stream: &mut dyn Stream, bytes: u64, chunk: &[u8]) -> Result<()> {
    let request = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nUser-Agent: loadkit\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut left = bytes;
    while left > 0 {
        let part = left.min(chunk.len() as u64);
        stream.write_all(&chunk[..part as usize]).await?;
        left -= part;
    }
    stream.flush().await?;
    let mut buffer = Vec::new();
    let length = read_head(stream, &mut buffer).await?;
    let wanted = format!("{{\"received\":{bytes}}}");
    while buffer.len() < length + wanted.len() {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err("closed within a response".into());
        }
    }
    if buffer[length..] == *wanted.as_bytes() { Ok(()) } else { Err("the origin received another length".into()) }
}

/// The head of a good response, and how many bytes of its body came with it.
async fn response_head(stream: &mut dyn Stream) -> Result<(String, u64)> {
    let mut buffer = Vec::with_capacity(CHUNK);
    let length = read_head(stream, &mut buffer).await?;
    let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
    if head.starts_with("HTTP/1.1 200 ") { Ok((head, (buffer.len() - length) as u64)) } else { Err("refused".into()) }
}
