//! What is accepted, and what people really do wrong.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::*;
use crate::certs::self_signed;

/// A certificate for `names`, signed by an authority of its own.
struct Issued {
    own: String,
    authority: String,
    key: String,
}

fn issue(names: &[&str]) -> Issued {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let mut own = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    own.not_after = date_time_ymd(2031, 2, 3);
    let key = KeyPair::generate().unwrap();
    let own = own.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    Issued { own: own.pem(), authority: authority_pem, key: key.serialize_pem() }
}

/// The fault of two texts, as a person reads it.
fn fault(chain: &str, key: &str) -> String {
    parse(chain, key).unwrap_err().to_string()
}

#[test]
fn names_and_the_last_day_are_read_from_the_servers_own_certificate() {
    let issued = issue(&["Example.com", "*.example.com", "192.0.2.7", "2001:db8::7"]);
    let parsed = parse(&format!("{}{}", issued.own, issued.authority), &issued.key).unwrap();
    assert_eq!(parsed.names(), ["example.com", "*.example.com", "192.0.2.7", "2001:db8::7"]);
    let days_from_1970_to_2031_02_03 = 22_313;
    let not_after = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * days_from_1970_to_2031_02_03);
    assert_eq!(parsed.not_after(), not_after);
    assert_eq!(parsed.into_parts().1.cert.len(), 2);
}

#[test]
fn keys_of_all_common_kinds_are_known() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = CertificateParams::new(vec!["a.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        assert!(parse(&certificate.pem(), &key.serialize_pem()).is_ok(), "{algorithm:?}");
    }
}

#[test]
fn a_development_certificate_is_for_the_names_given() {
    let (chain, key) = self_signed(&["localhost", "127.0.0.1"]).unwrap();
    assert_eq!(parse(&chain, &key).unwrap().names(), ["localhost", "127.0.0.1"]);
    assert_eq!(self_signed(&["häuschen"]).unwrap_err().to_string(), "häuschen: neither a DNS name nor an IP address");
}

#[test]
fn a_certificate_without_alternative_names_is_for_nobody_in_particular() {
    let (chain, key) = self_signed(&[]).unwrap();
    assert!(parse(&chain, &key).unwrap().names().is_empty());
}

#[test]
fn swapped_texts_are_told() {
    let issued = issue(&["a.test"]);
    let told = fault(&issued.key, &issued.own);
    assert_eq!(told, "the certificate: holds a private key and no certificate; are certificate and key swapped?");
    assert!(fault(&issued.own, &issued.own).starts_with("the key: holds certificates and no private key"));
}

#[test]
fn a_key_of_another_certificate_is_told() {
    let (issued, other) = (issue(&["a.test"]), issue(&["a.test"]));
    let told = fault(&issued.own, &other.key);
    assert!(told.starts_with("the certificate and the key: the key does not belong to the certificate"), "{told}");
}

#[test]
fn a_chain_in_the_wrong_order_is_told() {
    let issued = issue(&["a.test"]);
    let told = fault(&format!("{}{}", issued.authority, issued.own), &issued.key);
    assert!(told.starts_with("the certificate: the key belongs to certificate 2"), "{told}");
}

#[test]
fn a_chain_without_the_servers_own_certificate_is_told() {
    let issued = issue(&["a.test"]);
    let told = fault(&issued.authority, &issued.key);
    assert!(told.starts_with("the certificate: begins with an authority's certificate"), "{told}");
}

#[test]
fn a_certificate_that_is_none_is_told_with_its_number() {
    let issued = issue(&["a.test"]);
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let told = fault(&format!("{}{bad}", issued.own), &issued.key);
    assert!(told.starts_with("the certificate: certificate 2 in it is not valid"), "{told}");
}

#[test]
fn a_key_that_is_none_is_told() {
    let issued = issue(&["a.test"]);
    let bad = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(fault(&issued.own, bad).starts_with("the key: holds a key of an unknown kind"));
}

#[test]
fn neither_debug_nor_any_fault_shows_the_key() {
    let issued = issue(&["a.test"]);
    let secret = issued.key.lines().nth(1).unwrap();
    let shown = format!("{:?}", parse(&issued.own, &issued.key).unwrap());
    assert!(shown.contains("a.test") && !shown.contains(secret), "{shown}");
    let cut = &issued.key[..issued.key.len() - 30];
    for error in [parse(&issued.own, cut), parse(&issued.key, &issued.own)] {
        let shown = format!("{:?}", error.unwrap_err());
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// A folder with a certificate and its key.
fn files() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("site.pem"), folder.path().join("site.key"));
    let issued = issue(&["a.test"]);
    fs::write(&cert, issued.own).unwrap();
    fs::write(&key, issued.key).unwrap();
    (folder, cert, key)
}

#[test]
fn files_are_loaded_as_they_are() {
    let (_folder, cert, key) = files();
    let (chain_pem, key_pem) = load(&cert, &key).unwrap();
    assert_eq!(chain_pem, fs::read_to_string(&cert).unwrap());
    assert_eq!(key_pem, fs::read_to_string(&key).unwrap());
}

#[test]
fn a_file_at_fault_is_named() {
    let (_folder, cert, key) = files();
    let told = |cert: &Path, key: &Path| load(cert, key).unwrap_err().to_string();
    let absent = cert.with_file_name("absent.pem");
    assert!(told(&absent, &key).starts_with(&format!("{}: cannot be read: No such file", absent.display())));
    assert!(told(&key, &cert).starts_with(&format!("{}: holds a private key and no certificate", key.display())));
    fs::write(&key, "").unwrap();
    assert_eq!(told(&cert, &key), format!("{}: is empty", key.display()));
    fs::write(&key, b"\x30\x82\xff").unwrap();
    assert!(told(&cert, &key).starts_with(&format!("{}: is not text", key.display())));
    fs::write(&key, issue(&["a.test"]).key).unwrap();
    assert!(told(&cert, &key).starts_with(&format!("{} and {}: the key does not", cert.display(), key.display())));
}
