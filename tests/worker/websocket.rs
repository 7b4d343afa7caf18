//! A WebSocket that sends every message back (RFC 6455).
//!
//! Hand-made, because an echo needs no more: unmask a frame, send it back unmasked, answer a ping with a pong and a close
//! with a close. It keeps fragments as they come and checks nothing.

use std::io;

use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The value of `Sec-WebSocket-Accept`, when the request asks for a WebSocket.
pub(crate) fn accept(request: &Request<Incoming>) -> Option<String> {
    let key = request.headers().get("sec-websocket-key")?;
    Some(derive_accept_key(key.as_bytes()))
}

/// Echoes until the client closes or the connection ends.
pub(crate) async fn serve(request: Request<Incoming>) {
    if let Ok(upgraded) = hyper::upgrade::on(request).await {
        // The end of the connection is the end of the echo; there is nobody to tell why.
        let _ = echo(TokioIo::new(upgraded)).await;
    }
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    loop {
        let first = stream.read_u8().await?;
        let payload = read_payload(&mut stream).await?;
        let (fin, opcode) = (first & 0x80, first & 0x0F);
        let answer = if opcode == PING { PONG } else { opcode };
        write_frame(&mut stream, fin | answer, &payload).await?;
        if opcode == CLOSE {
            return stream.shutdown().await;
        }
    }
}

async fn read_payload(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let second = stream.read_u8().await?;
    let length = match second & 0x7F {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        short => u64::from(short),
    };
    let mut mask = [0; 4];
    if second & 0x80 != 0 {
        stream.read_exact(&mut mask).await?;
    }
    let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    stream.read_exact(&mut payload).await?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok(payload)
}

async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), first: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => frame.push(short),
        (_, Ok(medium)) => {
            frame.push(126);
            frame.extend(medium.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    stream.write_all(&frame).await?;
    stream.flush().await
}
