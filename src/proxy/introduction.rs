//! The first bytes of a connection from a front that speaks the PROXY protocol: for whom it was made.
//!
//! Versions 1 and 2 (haproxy's proxy-protocol.txt). Does not know who may speak so. Invariants: exactly the header is read, not
//! a byte beyond; a connection that should have begun with one and did not is refused, since its peer's address would pass for
//! the client's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// How long a front may take to say for whom it speaks.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Shortest header: of version 1 for an unknown client.
const SHORTEST: usize = 15;
/// Longest header of version 1, line end included.
const LONGEST_LINE: usize = 107;
/// Before addresses and the rest, in version 2.
const FIXED: usize = 16;
/// Longest rest in version 2. What fronts add (names, a TLS certificate's subject) is far from it.
const LONGEST_REST: usize = 4096;

/// Reads the header; `None`: the front speaks for itself, as in a check of its own.
///
/// # Errors
/// When there is no header, a broken one, one for no TCP client, or none in time.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    timeout(PATIENCE, read_header(stream)).await?
}

pub(crate) async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; SHORTEST];
    stream.read_exact(&mut header).await?;
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        header.push(stream.read_u8().await?);
        let rest = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
        if rest > LONGEST_REST {
            return Err(broken());
        }
        header.resize(FIXED + rest, 0);
        stream.read_exact(&mut header[FIXED..]).await?;
        return of_version_2(&header);
    }
    while header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) && !header.ends_with(b"\n") && header.len() < LONGEST_LINE
    {
        header.push(stream.read_u8().await?);
    }
    of_version_1(&header)
}

fn of_version_1(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    // The library takes what stands behind UNKNOWN for granted, be it a line end of another kind.
    let line = header.strip_suffix(b"\r\n").ok_or_else(broken)?;
    if line.contains(&b'\n') {
        return Err(broken());
    }
    let header = v1::Header::try_from(header).map_err(|_| broken())?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(four) => Some(client(four.source_address.into(), four.source_port)),
        v1::Addresses::Tcp6(six) => Some(client(six.source_address.into(), six.source_port)),
    })
}

fn of_version_2(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    let header = v2::Header::try_from(header).map_err(|_| broken())?;
    match (header.command, header.protocol, header.addresses) {
        (v2::Command::Local, ..) | (_, _, v2::Addresses::Unspecified) => Ok(None),
        (_, v2::Protocol::Stream, v2::Addresses::IPv4(four)) => {
            Ok(Some(client(four.source_address.into(), four.source_port)))
        }
        (_, v2::Protocol::Stream, v2::Addresses::IPv6(six)) => {
            Ok(Some(client(six.source_address.into(), six.source_port)))
        }
        _ => Err(broken()),
    }
}

fn client(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no header of the PROXY protocol")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a header says, and what is left unread of what comes after it.
    fn said(header: &[u8]) -> (Result<Option<SocketAddr>, io::ErrorKind>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let bytes = [header, b"GET / HTTP/1.1"].concat();
            let mut rest = &bytes[..];
            (read(&mut rest).await.map_err(|error| error.kind()), rest.len())
        })
    }

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[command, family], &length, rest].concat()
    }

    #[test]
    fn a_header_names_the_client_and_nothing_is_read_beyond_it() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0, 80];
        let six = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 16], &[0x12, 0x34, 0, 80]].concat();
        let with_more = [&four[..], &[4, 0, 1, 42]].concat();
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\r\n".to_vec(), Some("192.0.2.1:4660")),
            (b"PROXY TCP6 2001:db8::1 ::1 4660 80\r\n".to_vec(), Some("[2001:db8::1]:4660")),
            (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 80\r\n".to_vec(), Some("192.0.2.1:1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ff:: ff:: 1 1\r\n".to_vec(), None),
            (version_2(0x21, 0x11, &four), Some("192.0.2.1:4660")),
            (version_2(0x21, 0x11, &with_more), Some("192.0.2.1:4660")),
            (version_2(0x21, 0x21, &six), Some("[2001:db8::1]:4660")),
            (version_2(0x20, 0x00, &[]), None),
            (version_2(0x20, 0x11, &four), None),
        ] {
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(said(&header), (Ok(expected), 14), "{}", header.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for header in [
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4660\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.256 10.0.0.1 1 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\n".to_vec(),
            b"PROXY UNKNOWN \n".to_vec(),
            b"PROXY UNKNOWN \nPROXY UNKNOWN\r\n".to_vec(),
            [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(),
            version_2(0x21, 0x11, &[1, 2, 3]),
            version_2(0x31, 0x11, &[0; 12]),
            version_2(0x21, 0x12, &[0; 12]),
            version_2(0x21, 0x31, &[0; 216]),
            version_2(0x21, 0x11, &[0; 5000]),
        ] {
            assert_eq!(said(&header).0, Err(io::ErrorKind::InvalidData), "{}", header.escape_ascii());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_front_that_says_nothing_is_not_waited_for() {
        let (mut near, _far) = tokio::io::duplex(64);
        assert_eq!(read(&mut near).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    proptest! {
        #[test]
        fn random_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..64), is_2 in any::<bool>()) {
            let prefix = if is_2 { v2::PROTOCOL_PREFIX } else { b"PROXY " };
            let _ = said(&[prefix, &bytes[..]].concat());
        }
    }
}
