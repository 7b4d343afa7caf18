//! How a client is introduced to a worker that wants to know whom a connection is for: a header of the PROXY protocol.
//!
//! Version 2 (haproxy's proxy-protocol.txt). Pure: who wants it, and which connection it goes out on, is not known here.
//! Invariant: all that tells clients apart is in the header, so two requests may share a connection exactly when their
//! headers are equal.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ppp::v2::{Addresses, Builder, Command, IPv4, IPv6, Protocol, Type, Version};
use rustls::ProtocolVersion;

use super::peer::Peer;

/// `PP2_CLIENT_SSL`: the client came over TLS.
const CLIENT_SSL: u8 = 1;
/// `verify` of `PP2_TYPE_SSL`: the client has shown no certificate.
const NOT_VERIFIED: u32 = 1;

/// A header, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Introduction(Box<[u8]>);

impl Introduction {
    /// Of the connection that a request came on, or of the client whom a trusted front has named; its port is not known then.
    ///
    /// What the client speaks is not in it (`PP2_TYPE_ALPN`): the worker would take it for what we speak.
    pub(crate) fn of(peer: &Peer, client: Option<IpAddr>) -> Self {
        let source = client.map_or(peer.address, |client| SocketAddr::new(client, 0));
        let tls = peer.tls_version.map(|version| (version, peer.server_name.as_deref()));
        Self(header(source, peer.reached, tls).expect("a name in a handshake is short").into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// `tls`: the version, and the server that was asked for by name.
fn header(
    source: SocketAddr,
    destination: SocketAddr,
    tls: Option<(ProtocolVersion, Option<&str>)>,
) -> io::Result<Vec<u8>> {
    let mut builder =
        Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Stream, addresses(source, destination));
    if let Some((version, name)) = tls {
        if let Some(name) = name {
            builder = builder.write_tlv(Type::Authority, name.as_bytes())?;
        }
        builder = builder.write_tlv(Type::SSL, &ssl(version))?;
    }
    builder.build()
}

/// One family for both: where they differ, IPv4 is written as IPv6 has it.
fn addresses(source: SocketAddr, destination: SocketAddr) -> Addresses {
    let (ports, ends) = ((source.port(), destination.port()), (source.ip(), destination.ip()));
    match (ends.0.to_canonical(), ends.1.to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => IPv4::new(from, to, ports.0, ports.1).into(),
        (from, to) => IPv6::new(in_six(from), in_six(to), ports.0, ports.1).into(),
    }
}

fn in_six(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped(),
        IpAddr::V6(six) => six,
    }
}

/// What `PP2_TYPE_SSL` says: over TLS, without a certificate of the client's, in this version.
fn ssl(version: ProtocolVersion) -> Vec<u8> {
    let mut said = vec![CLIENT_SSL];
    said.extend_from_slice(&NOT_VERIFIED.to_be_bytes());
    let name: &[u8] = if version == ProtocolVersion::TLSv1_2 { b"TLSv1.2" } else { b"TLSv1.3" };
    said.extend_from_slice(&[Type::SSLVersion.into(), 0, 7]);
    said.extend_from_slice(name);
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    fn written(source: &str, destination: &str, tls: Option<(ProtocolVersion, Option<&str>)>) -> Vec<u8> {
        header(source.parse().unwrap(), destination.parse().unwrap(), tls).unwrap()
    }

    #[test]
    fn addresses_are_of_one_family() {
        let four = [PREFIX, &[0x21, 0x11, 0, 12, 192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0, 80]].concat();
        assert_eq!(written("192.0.2.1:4660", "10.0.0.1:80", None), four);
        assert_eq!(written("[::ffff:192.0.2.1]:4660", "[::ffff:10.0.0.1]:80", None), four);
        let [one, mapped] = ["2001:db8::1", "::ffff:10.0.0.1"].map(|ip| ip.parse::<Ipv6Addr>().unwrap().octets());
        let six = [PREFIX, &[0x21, 0x21, 0, 36], &one, &mapped, &[0x12, 0x34, 0, 80]].concat();
        assert_eq!(written("[2001:db8::1]:4660", "10.0.0.1:80", None), six);
    }

    #[test]
    fn tls_is_told_with_its_version_and_the_name_that_was_asked_for() {
        let ssl = [&[0x20, 0, 15, 1, 0, 0, 0, 1, 0x21, 0, 7][..], b"TLSv1.3"].concat();
        let addresses = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 1, 0xbb];
        let named = [PREFIX, &[0x21, 0x11, 0, 34], &addresses, &[2, 0, 1, b'a'], &ssl].concat();
        let tls = |name| Some((ProtocolVersion::TLSv1_3, name));
        assert_eq!(written("192.0.2.1:4660", "10.0.0.1:443", tls(Some("a"))), named);
        let unnamed = [PREFIX, &[0x21, 0x11, 0, 30], &addresses, &ssl].concat();
        assert_eq!(written("192.0.2.1:4660", "10.0.0.1:443", tls(None)), unnamed);
        let old = written("192.0.2.1:4660", "10.0.0.1:443", Some((ProtocolVersion::TLSv1_2, None)));
        assert!(old.ends_with(b"TLSv1.2"));
    }

    #[test]
    fn what_is_written_is_what_our_own_reader_reads() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for source in ["192.0.2.1:4660", "[2001:db8::1]:1"] {
            let header = written(source, "[::1]:443", Some((ProtocolVersion::TLSv1_3, Some("example.com"))));
            let said = runtime.block_on(super::super::introduction::read(&mut &header[..])).unwrap();
            assert_eq!(said, Some(source.parse().unwrap()));
        }
    }
}
