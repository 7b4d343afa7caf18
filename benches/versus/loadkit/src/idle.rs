//! Connections that do nothing, for measuring what each of them costs.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Result;
use crate::connection::{Stream, Target};
use crate::http::{GET, exchange};
use crate::report::Report;

/// What an HTTP/2 client begins with (RFC 9113, section 3.4), and one request: SETTINGS, HEADERS that end stream 1, whose fields are of
/// HPACK's static table or written out (RFC 7541).
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \x00\x00\x00\x04\x00\x00\x00\x00\x00\
    \x00\x00\x15\x01\x05\x00\x00\x00\x01\x82\x87\x04\x06/small\x01\x09localhost";

/// It has heard the server's settings.
const SETTINGS_HEARD: &[u8] = b"\x00\x00\x00\x04\x01\x00\x00\x00\x00";

/// Flag of DATA and HEADERS: the stream's last frame.
const END_STREAM: u8 = 1;

/// Opens connections one after the other, makes one request on each, reports, and holds them until stdin closes.
pub(crate) async fn run(target: Target, count: usize) -> Result<()> {
    let mut held = Vec::with_capacity(count);
    let mut buffer = Vec::new();
    for _ in 0..count {
        let Ok(mut stream) = target.connect().await else { continue };
        let is_answered = match target.is_http2() {
            true => exchange_http2(&mut *stream).await.is_ok(),
            false => exchange(&mut *stream, GET, &mut buffer).await.is_ok(),
        };
        if is_answered {
            held.push(stream);
        }
    }
    let failed = count - held.len();
    Report::default().number("count", held.len() as u64).number("failed", failed as u64).print();
    let _ = tokio::io::stdin().read(&mut [0]).await?;
    Ok(())
}

/// Asks, and reads until the answer has ended.
async fn exchange_http2(stream: &mut dyn Stream) -> Result<()> {
    stream.write_all(HTTP2).await?;
    stream.write_all(SETTINGS_HEARD).await?;
    loop {
        // A frame's head: 24 bits of length, type, flags, stream (RFC 9113, section 4.1).
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [first, second, third, kind, flags, _, _, _, number] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, first, second, third]) as usize];
        stream.read_exact(&mut payload).await?;
        match (kind, number) {
            (0 | 1, 1) if flags & END_STREAM != 0 => return Ok(()),
            (3, 1) | (7, _) => return Err("the server has refused it".into()),
            _ => {}
        }
    }
}
