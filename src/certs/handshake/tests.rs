//! Whole handshakes between rustls' client and our server, in memory.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, HandshakeKind, ProtocolVersion, RootCertStore,
    ServerConnection, SupportedProtocolVersion,
};

use super::*;
use crate::certs::{Parsed, parse, ticket_key};

/// Signs what the server shows; the only one whom the client trusts.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(parameters.self_signed(&key).unwrap().der().clone()).unwrap();
        Self { issuer: Issuer::new(parameters, key), roots }
    }

    fn issue(&self, names: &[&str]) -> Parsed {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        parse(&certificate.pem(), &key.serialize_pem()).unwrap()
    }

    /// A client that remembers sessions.
    fn client(&self, versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(self.roots.clone());
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }
}

const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];
const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

fn server(certificates: Vec<Parsed>) -> (Arc<Store>, Arc<ServerConfig>) {
    let store = Arc::new(Store::build(certificates));
    let (name, secret) = ticket_key().unwrap();
    let config = sharing(&store, &[(&name, &secret)]);
    (store, config)
}

/// A server with these keys, the newest first.
fn sharing(store: &Arc<Store>, keys: &[(&[u8; 16], &[u8; 32])]) -> Arc<ServerConfig> {
    let tickets = Arc::new(Tickets::default());
    tickets.swap(keys.iter().copied());
    Arc::new(server_config(Arc::clone(store), tickets, &[H2, HTTP1]).unwrap())
}

/// Shakes hands and lets the tickets arrive.
fn connect(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> Result<ClientConnection, Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    for _round in 0..5 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets()?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(client)
}

/// The names of the certificate that was shown.
fn shown(connection: &ClientConnection) -> Vec<String> {
    let der = &connection.peer_certificates().unwrap()[0];
    let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    names.value.general_names.iter().map(ToString::to_string).collect()
}

#[test]
fn the_name_asked_for_chooses_the_certificate() {
    let authority = Authority::new();
    let (_, server) = server(vec![
        authority.issue(&["first.test", "127.0.0.1"]),
        authority.issue(&["*.wild.test"]),
        authority.issue(&["exact.wild.test", "other.test"]),
    ]);
    let client = authority.client(BOTH, &[]);
    for (name, expected) in [
        ("first.test", "DNSName(first.test)"),
        ("a.wild.test", "DNSName(*.wild.test)"),
        ("exact.wild.test", "DNSName(exact.wild.test)"),
        ("EXACT.wild.TEST", "DNSName(exact.wild.test)"),
        ("other.test", "DNSName(exact.wild.test)"),
        // An address is not sent as a name, so this client names no server.
        ("127.0.0.1", "DNSName(first.test)"),
    ] {
        let connection = connect(&client, &server, name).unwrap();
        assert_eq!(shown(&connection)[0], expected, "{name}");
    }
}

#[test]
fn a_client_that_asks_for_an_unknown_name_is_shown_the_first_certificate() {
    let authority = Authority::new();
    let (_, server) = server(vec![authority.issue(&["first.test"]), authority.issue(&["*.wild.test"])]);
    let client = authority.client(BOTH, &[]);
    for unknown in ["unknown.test", "wild.test", "a.b.wild.test"] {
        match connect(&client, &server, unknown).map(|_| ()) {
            Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. })) => {
                assert!(presented[0].contains("first.test"), "{unknown}: {presented:?}");
            }
            other => panic!("{unknown}: {other:?}"),
        }
    }
}

#[test]
fn of_two_certificates_for_one_name_the_first_counts() {
    let authority = Authority::new();
    let (_, server) = server(vec![authority.issue(&["a.test", "one.test"]), authority.issue(&["a.test", "two.test"])]);
    let connection = connect(&authority.client(BOTH, &[]), &server, "a.test").unwrap();
    assert_eq!(shown(&connection)[1], "DNSName(one.test)");
}

#[test]
fn two_servers_are_the_same_if_they_show_the_same_certificate() {
    let authority = Authority::new();
    let issue = |names: &[&str]| authority.issue(names);
    let (store, _) = server(vec![issue(&["a.test"])]);
    let same = |store: &Store, one, other| store.is_same(one, other);
    assert!(same(&store, None, "a.test") && same(&store, Some("a.test"), "other.test"), "there is but one");
    store.swap(vec![issue(&["a.test", "b.test"]), issue(&["*.c.test"])]);
    for (one, other, expected) in [
        (None, "a.test", true),
        (None, "other.test", true),
        (Some("a.test"), "b.test", true),
        (Some("x.c.test"), "y.c.test", true),
        (None, "x.c.test", false),
        (Some("x.c.test"), "a.test", false),
        (Some("other.test"), "x.c.test", false),
    ] {
        assert_eq!(same(&store, one, other), expected, "{one:?} {other}");
    }
    store.swap(Vec::new());
    assert!(!same(&store, None, "a.test"), "there is none");
}

#[test]
fn a_store_without_certificates_shakes_no_hands() {
    let authority = Authority::new();
    let (_, server) = server(Vec::new());
    assert!(connect(&authority.client(BOTH, &[]), &server, "a.test").is_err());
}

#[test]
fn both_versions_are_spoken_and_the_newer_is_preferred() {
    let authority = Authority::new();
    let (_, server) = server(vec![authority.issue(&["a.test"])]);
    for (offered, expected) in [
        (&[&TLS12][..], ProtocolVersion::TLSv1_2),
        (&[&TLS13][..], ProtocolVersion::TLSv1_3),
        (BOTH, ProtocolVersion::TLSv1_3),
    ] {
        let connection = connect(&authority.client(offered, &[]), &server, "a.test").unwrap();
        assert_eq!(connection.protocol_version(), Some(expected));
    }
}

#[test]
fn the_servers_preference_decides_the_protocol() {
    let authority = Authority::new();
    let (_, server) = server(vec![authority.issue(&["a.test"])]);
    for (offered, expected) in [(&[HTTP1, H2][..], Some(H2)), (&[HTTP1], Some(HTTP1)), (&[], None)] {
        let connection = connect(&authority.client(BOTH, offered), &server, "a.test").unwrap();
        assert_eq!(connection.alpn_protocol(), expected);
    }
    let stranger = authority.client(BOTH, &[b"spdy/1"]);
    assert!(connect(&stranger, &server, "a.test").is_err(), "RFC 7301 section 3.2: no overlap is fatal");
}

#[test]
fn clients_resume_across_a_swap_of_certificates() {
    let authority = Authority::new();
    for version in BOTH {
        let (store, server) = server(vec![authority.issue(&["a.test"])]);
        let client = authority.client(&[version], &[]);
        let kind = || connect(&client, &server, "a.test").unwrap().handshake_kind();
        assert_eq!(kind(), Some(HandshakeKind::Full), "{version:?}");
        assert_eq!(kind(), Some(HandshakeKind::Resumed), "{version:?}");
        store.swap(vec![authority.issue(&["a.test"])]);
        assert_eq!(kind(), Some(HandshakeKind::Resumed), "{version:?}");
    }
}

#[test]
fn clients_resume_at_another_server_that_has_the_key_and_at_no_other() {
    let authority = Authority::new();
    let [old, new] = [(); 2].map(|()| ticket_key().unwrap());
    let [old, new] = [&old, &new].map(|(name, secret)| (name, secret));
    for version in BOTH {
        let store = Arc::new(Store::build(vec![authority.issue(&["a.test"])]));
        let client = authority.client(&[version], &[]);
        let kind = |keys: &[_]| connect(&client, &sharing(&store, keys), "a.test").unwrap().handshake_kind();
        assert_eq!(kind(&[old]), Some(HandshakeKind::Full), "{version:?}");
        assert_eq!(kind(&[old]), Some(HandshakeKind::Resumed), "{version:?}");
        assert_eq!(kind(&[new, old]), Some(HandshakeKind::Resumed), "{version:?}: an old ticket");
        assert_eq!(kind(&[new]), Some(HandshakeKind::Resumed), "{version:?}: it got a new one for it");
        assert_eq!(kind(&[old]), Some(HandshakeKind::Full), "{version:?}: this one does not have the key");
        assert_eq!(kind(&[]), Some(HandshakeKind::Full), "{version:?}");
    }
}

#[test]
fn a_swap_counts_for_the_next_handshake() {
    let authority = Authority::new();
    let (store, server) = server(vec![authority.issue(&["a.test", "old.test"])]);
    let newcomer = || connect(&authority.client(BOTH, &[]), &server, "a.test").unwrap();
    assert_eq!(shown(&newcomer())[1], "DNSName(old.test)");
    store.swap(vec![authority.issue(&["a.test", "new.test"])]);
    assert_eq!(shown(&newcomer())[1], "DNSName(new.test)");
}

#[test]
fn a_store_shows_names_only() {
    let store = Store::build(vec![Authority::new().issue(&["*.a.test"])]);
    assert_eq!(format!("{store:?}"), r#"{"*.a.test"}"#);
}
