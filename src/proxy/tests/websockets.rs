//! Tunnels end to end: whatever frames a tunnel carries, it alters no byte, in neither direction.
//!
//! What frames mean is the business of its two ends: fragments, control frames between them, codes of a close, text that is no
//! UTF-8, and what no RFC allows, all have to arrive as they were sent.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::Rig;
use super::run;
use super::tunnels::HANDSHAKE;
use super::worker::Worker;

/// What a worker answers to [`HANDSHAKE`] (RFC 6455, section 1.3).
const CONSENT: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A frame; `mask`: as clients send them.
fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(masked | length as u8),
        length @ 126..=0xffff => {
            frame.push(masked | 0x7e);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(masked | 0x7f);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| frame.extend(mask)).unwrap_or_default();
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Frames of all kinds, one behind the other; the last ones are closes.
fn conversation(mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut say = |first, payload: &[u8]| all.extend(frame(first, mask, payload));
    // A message in three fragments, with a ping and a pong between them.
    say(0x01, "gr\u{fc}".as_bytes());
    say(0x89, b"are you there");
    say(0x00, &[]);
    say(0x8a, b"nobody asked");
    say(0x80, "\u{df}e".as_bytes());
    // Lengths of each form, and at their ends.
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
        say(0x82, &vec![length as u8; length]);
    }
    // Text that is no UTF-8, also cut within a character; bits and opcodes that are reserved; a long ping.
    say(0x81, b"\xff\xfe\xc0\x80\xed\xa0\x80");
    say(0x01, b"\xe2\x82");
    say(0x80, b"\xac");
    say(0xf1, b"compressed or not");
    say(0x83, b"reserved");
    say(0x8f, b"reserved");
    say(0x09, &[7; 200]);
    // Closes of every kind: none of them ends the tunnel, since it does not read them.
    say(0x88, &[]);
    say(0x88, &[3]);
    for code in [1000_u16, 1001, 1005, 1006, 1015, 2999, 3000, 4999, 65_535] {
        say(0x88, &[&code.to_be_bytes()[..], b"bye \xff"].concat());
    }
    all
}

async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Writes in pieces of many sizes, and reads as much as the other side writes.
async fn exchange(socket: &mut TcpStream, said: &[u8], expected: &[u8]) {
    let (mut reader, mut writer) = socket.split();
    let write = async {
        let mut rest = said;
        for size in [1, 2, 3, 7, 100, 4_000, 70_000].into_iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(size));
            writer.write_all(piece).await.unwrap();
            rest = after;
            if rest.is_empty() {
                return;
            }
        }
    };
    let read = async {
        let mut heard = vec![0; expected.len()];
        reader.read_exact(&mut heard).await.unwrap();
        assert!(heard == expected, "something was altered");
    };
    tokio::join!(write, read);
}

#[test]
fn a_tunnel_alters_no_byte_of_any_frame() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let (from_client, from_worker) = (conversation(Some([0x37, 0xfa, 0x21, 0x3d])), conversation(None));
        let mut client = TcpStream::connect(rig.http).await.unwrap();
        // What comes right behind the handshake belongs to the tunnel already, if there is going to be one.
        client.write_all(&[HANDSHAKE.as_bytes(), &from_client[..9]].concat()).await.unwrap();
        let mut far = worker.accept_tcp().await;
        let asked = read_head(&mut far).await;
        assert!(asked.contains("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "{asked}");
        far.write_all(&[CONSENT, &from_worker[..5]].concat()).await.unwrap();
        let answered = read_head(&mut client).await;
        assert!(answered.starts_with("HTTP/1.1 101 "), "{answered}");
        tokio::join!(
            exchange(&mut client, &from_client[9..], &from_worker),
            exchange(&mut far, &from_worker[5..], &from_client)
        );
        drop(far);
        assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0, "the end of one side is that of the other");
        rig.stop().await;
    });
}
