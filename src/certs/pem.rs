//! Certificates and keys out of PEM text (RFC 7468).
//!
//! It does not know whether what it finds is of any use. Invariant: when there is nothing to find, the fault says what
//! is there instead.

use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::Fault;

/// All certificates, in their order; at least one.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let is_certificate = |(kind, _): &(SectionKind, Vec<u8>)| *kind == SectionKind::Certificate;
    let sections = sections(text)?.into_iter().filter(is_certificate);
    let certificates: Vec<_> = sections.map(|(_, der)| CertificateDer::from(der)).collect();
    if certificates.is_empty() { Err(missing(text, "certificate")) } else { Ok(certificates) }
}

/// The first private key.
pub(super) fn key(text: &str) -> Result<PrivateKeyDer<'static>, Fault> {
    // PKCS #8 says so in its label, the older form in a header (RFC 1421).
    if labels(text).any(|label| label == "ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(Fault::EncryptedKey);
    }
    let mut sections = sections(text)?.into_iter();
    sections.find_map(|(kind, der)| PrivateKeyDer::from_pem(kind, der)).ok_or_else(|| missing(text, "private key"))
}

fn sections(text: &str) -> Result<Vec<(SectionKind, Vec<u8>)>, Fault> {
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes());
    sections.collect::<Result<_, _>>().map_err(|error| Fault::Damaged(reason(&error)))
}

/// Says what a text holds that does not hold what is wanted.
fn missing(text: &str, wanted: &'static str) -> Fault {
    if text.trim().is_empty() {
        return Fault::Empty;
    }
    let has = |kind: &str| labels(text).any(|label| label.ends_with(kind));
    match wanted {
        _ if labels(text).next().is_none() => Fault::NoPem,
        "certificate" if has("PRIVATE KEY") => Fault::KeyForCertificate,
        "private key" if has("CERTIFICATE") => Fault::CertificateForKey,
        _ => Fault::WrongKind { wanted, found: labels(text).collect::<Vec<_>>().join(", ") },
    }
}

/// What the sections call themselves.
fn labels(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
}

fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("the section {} has no end; is the file cut short?", String::from_utf8_lossy(end_marker))
        }
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line is not complete".to_owned(),
        pem::Error::Base64Decode(_) => "a section is not valid base64".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    const REQUEST: &str = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";

    #[test]
    fn one_file_may_hold_both_with_words_in_between() {
        let both = format!("Bag Attributes\n{KEY}subject=x\n{CERTIFICATE}{CERTIFICATE}");
        assert_eq!(certificates(&both).unwrap().len(), 2);
        assert!(key(&both).is_ok());
        assert_eq!(certificates(&CERTIFICATE.replace('\n', "\r\n")).unwrap().len(), 1);
    }

    #[test]
    fn what_is_missing_is_told_by_what_is_there() {
        assert!(matches!(certificates(" \n"), Err(Fault::Empty)));
        assert!(matches!(certificates("hello"), Err(Fault::NoPem)));
        assert!(matches!(certificates(KEY), Err(Fault::KeyForCertificate)));
        assert!(matches!(key(""), Err(Fault::Empty)));
        assert!(matches!(key("hello"), Err(Fault::NoPem)));
        assert!(matches!(key(CERTIFICATE), Err(Fault::CertificateForKey)));
        let request = certificates(REQUEST).unwrap_err();
        assert_eq!(request.to_string(), "holds no certificate, only CERTIFICATE REQUEST");
    }

    #[test]
    fn an_encrypted_key_is_called_so_in_both_forms() {
        let new = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
                   -----END RSA PRIVATE KEY-----\n";
        assert!(matches!(key(new), Err(Fault::EncryptedKey)));
        assert!(matches!(key(old), Err(Fault::EncryptedKey)));
        assert!(matches!(certificates(new), Err(Fault::KeyForCertificate)));
    }

    #[test]
    fn damage_is_told() {
        let cut = &CERTIFICATE[..CERTIFICATE.len() - 10];
        let told = certificates(&CERTIFICATE.replace("AAAA", "A!")).unwrap_err().to_string();
        assert_eq!(told, "is damaged: a section is not valid base64");
        let told = certificates(cut.trim_end_matches("-----END CERT")).unwrap_err().to_string();
        assert!(told.contains("cut short"), "{told}");
        let told = key(&KEY.replacen("KEY-----", "KEY---", 1)).unwrap_err().to_string();
        assert!(told.contains("-----BEGIN line"), "{told}");
    }
}
