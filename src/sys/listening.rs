//! On which addresses a running program listens: what of `/proc` belongs to it, joined by the numbers of its sockets.
//!
//! A look that changes nothing and may find nothing: processes come and go meanwhile, and of another user's only root is
//! shown the descriptors. TCP only; what the addresses are for is not known here.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::stat::census;
use super::tree::Tree;

/// Descriptors of one process that are looked at.
const MOST_DESCRIPTORS: usize = 4096;

/// Where the processes of a program listen, in order, each address once.
#[must_use]
pub fn addresses(tree: &Tree) -> Vec<SocketAddr> {
    let everybody = census();
    let members: Vec<i32> = tree.members(&everybody).into_iter().map(|stat| stat.pid).collect();
    listened_on(&members)
}

fn listened_on(members: &[i32]) -> Vec<SocketAddr> {
    let sockets: HashSet<u64> = members.iter().flat_map(|pid| sockets(*pid)).collect();
    let Some(any) = members.first().filter(|_| !sockets.is_empty()) else { return Vec::new() };
    // The table of the network that the program itself sees.
    let table = |name| fs::read_to_string(format!("/proc/{any}/net/{name}")).unwrap_or_default();
    let listeners = ["tcp", "tcp6"].map(table);
    let all = listeners.iter().flat_map(|table| table.lines().skip(1)).filter_map(listener);
    let mut found: Vec<SocketAddr> =
        all.filter(|(_, inode)| sockets.contains(inode)).map(|(address, _)| address).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The numbers of the sockets that a process has open.
fn sockets(pid: i32) -> Vec<u64> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let links = descriptors.filter_map(Result::ok).take(MOST_DESCRIPTORS);
    let links = links.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

/// Address and socket of a line of `/proc/net/tcp` or `tcp6` (`proc_net_tcp(5)`), if it is that of a listener.
fn listener(line: &str) -> Option<(SocketAddr, u64)> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.get(3)? != LISTEN {
        return None;
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::new(ip(address)?, port), fields.get(9)?.parse().ok()?))
}

/// An address as the kernel prints it: words of four bytes, each in the order of this machine.
fn ip(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, place) in (0..32).step_by(8).zip(bytes.chunks_exact_mut(4)) {
                place.copy_from_slice(&word(at)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn lines_of_the_kernels_table_are_read() {
        let line =
            "   1: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 4711 1 0 100 0";
        assert_eq!(listener(line), Some(("127.0.0.1:3000".parse().unwrap(), 4711)));
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None, "a connection is no listener");
        let any = "   1: 00000000000000000000000000000000:0BB8 0:0 0A 0:0 00:0 0  1000  0 4712 1";
        assert_eq!(listener(any), Some(("[::]:3000".parse().unwrap(), 4712)));
        let local = any.replace(&"0".repeat(32), "00000000000000000000000001000000");
        assert_eq!(listener(&local), Some(("[::1]:3000".parse().unwrap(), 4712)));
        for wrong in ["", "1:", "1: 7F:1 0 0A 0 0 0 0 0 1", "1: é000007F:1 0 0A 0 0 0 0 0 1", "1: 0100007F:1 0 0A"] {
            assert_eq!(listener(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn our_own_listeners_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        let ours = [rustix::process::getpid().as_raw_pid()];
        assert!(sockets(ours[0]).len() < MOST_DESCRIPTORS);
        assert!(listened_on(&ours).contains(&here));
        drop(listener);
        assert!(!listened_on(&ours).contains(&here));
    }

    #[test]
    fn who_is_not_there_listens_nowhere() {
        assert_eq!(listened_on(&[]), []);
        assert_eq!(listened_on(&[i32::MAX]), []);
    }
}
