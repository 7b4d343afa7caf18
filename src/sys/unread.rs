//! What a server has been sent over TCP and has not read, connection by connection, as the kernel counts it.
//!
//! Only reads `/proc/net/tcp` and `tcp6` (`proc_pid_net(5)`), so sockets of our own network namespace. A count is out of
//! date at once, unless whoever reads the sockets stands still: see [`super::standstill`]. Invariant: no more is said to be unread
//! than is; what is still on its way to the server is not counted.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One connection of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The client's end.
    pub client: SocketAddr,
    /// The last so many bytes that the client has sent are unread.
    pub bytes: u32,
}

/// Both kinds of connections in which bytes may lie: open, and open on the server's side only.
const ESTABLISHED: &str = "01";
const CLOSE_WAIT: &str = "08";

/// The connections of the server at this address with unread bytes, also those that it has not accepted.
///
/// # Errors
/// When the kernel shows none.
pub fn unread(server: SocketAddr) -> io::Result<Vec<Unread>> {
    let mut all = read(BufReader::new(fs::File::open("/proc/net/tcp")?), server)?;
    // A server that listens on IPv6 has IPv4 clients there. Where there is no IPv6 there is no such file.
    if let Ok(file) = fs::File::open("/proc/net/tcp6") {
        all.extend(read(BufReader::new(file), server)?);
    }
    Ok(all)
}

fn read(lines: impl BufRead, server: SocketAddr) -> io::Result<Vec<Unread>> {
    let mut found = Vec::new();
    for line in lines.lines() {
        found.extend(connection(&line?, server));
    }
    Ok(found)
}

/// `sl: local remote state sent:unread ...`, where the heading has no addresses.
fn connection(line: &str, server: SocketAddr) -> Option<Unread> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote, state) = (address(words.next()?)?, address(words.next()?)?, words.next()?);
    let bytes = u32::from_str_radix(words.next()?.split_once(':')?.1, 16).ok()?;
    let is_open = state == ESTABLISHED || state == CLOSE_WAIT;
    (local == server && is_open && bytes > 0).then_some(Unread { client: remote, bytes })
}

/// Words of memory as this machine has them, in hexadecimal digits; IPv4 in IPv6 clothes is IPv4.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(8 * at..8 * at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_was_not_read_is_counted_whether_or_not_the_connection_was_accepted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(server).unwrap();
        client.write_all(b"hello, world").unwrap();
        let of = |bytes| vec![Unread { client: client.local_addr().unwrap(), bytes }];
        assert_eq!(unread(server).unwrap(), of(12), "it waits to be accepted");
        let mut accepted = listener.accept().unwrap().0;
        assert_eq!(unread(server).unwrap(), of(12));
        accepted.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(unread(server).unwrap(), of(7));
        accepted.read_exact(&mut [0; 7]).unwrap();
        assert_eq!(unread(server).unwrap(), []);
    }

    #[test]
    fn a_server_on_all_addresses_of_ipv6_has_clients_of_ipv4() {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port()));
        let mut client = TcpStream::connect(server).unwrap();
        client.write_all(b"abc").unwrap();
        assert_eq!(unread(server).unwrap(), [Unread { client: client.local_addr().unwrap(), bytes: 3 }]);
    }

    #[test]
    fn lines_about_others_and_those_that_are_none_are_passed_over() {
        let server = "127.0.0.1:8080".parse().unwrap();
        let local = format!("{:08X}:1F90", u32::from_ne_bytes([127, 0, 0, 1]));
        let line =
            |local: &str, state: &str, queues: &str| format!("  1: {local} {local} {state} {queues} 00:00 0 0 0 1");
        assert!(connection(&line(&local, "01", "00000000:00000010"), server).is_some());
        assert!(connection(&line(&local, "08", "00000000:00000010"), server).is_some());
        for bad in [
            line(&local, "0A", "00000000:00000010"),
            line(&local, "01", "00000010:00000000"),
            line("0100007F:1F91", "01", "00000000:00000010"),
            line("0100007F", "01", "00000000:00000010"),
            line(&local, "01", "10"),
            "  sl  local_address rem_address   st tx_queue rx_queue".to_owned(),
            String::new(),
        ] {
            assert_eq!(connection(&bad, server), None, "{bad}");
        }
    }
}
