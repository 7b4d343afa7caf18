//! A certificate chain with its key, checked as far as it can be without asking anybody.
//!
//! It does not know the time, nor whether clients trust the chain. Invariant: the key belongs to the first certificate.

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::error::{CertError, Fault};
use super::pem;

/// A certificate chain with its key, checked.
#[derive(Clone)]
pub struct Parsed {
    certified: Arc<CertifiedKey>,
    names: Vec<String>,
    not_after: SystemTime,
}

impl Parsed {
    /// What the certificate is for: DNS names in lower case, maybe with a leading `*.`, and IP addresses.
    ///
    /// Only the subject's alternative names count, as for clients (RFC 9525 section 2).
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// When clients stop to accept it.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// The names, and what is shown to a client that asks for one of them.
    pub(super) fn into_parts(self) -> (Vec<String>, Arc<CertifiedKey>) {
        (self.names, self.certified)
    }
}

impl fmt::Debug for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed").field("names", &self.names).field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// Reads a certificate chain and its key from two PEM files, checks them as [`parse`] does, and returns their texts.
///
/// # Errors
/// Names the file, what is wrong with it, and what to do about it.
pub fn load(cert: &Path, key: &Path) -> Result<(String, String), CertError> {
    let chain_pem = read(cert)?;
    let key_pem = read(key)?;
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    check(Pem { subject: &cert, text: &chain_pem }, Pem { subject: &key, text: &key_pem })?;
    Ok((chain_pem, key_pem))
}

/// Parses a certificate chain, the server's own certificate first, and its key, both PEM.
///
/// # Errors
/// Says which of the two is at fault, what is wrong with it, and what to do about it.
pub fn parse(chain_pem: &str, key_pem: &str) -> Result<Parsed, CertError> {
    check(Pem { subject: "the certificate", text: chain_pem }, Pem { subject: "the key", text: key_pem })
}

/// A text and what it is called in errors.
#[derive(Clone, Copy)]
struct Pem<'a> {
    subject: &'a str,
    text: &'a str,
}

fn read(path: &Path) -> Result<String, CertError> {
    let fault = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData => Fault::NotText,
        _ => Fault::Unreadable(error),
    };
    fs::read_to_string(path).map_err(|error| fault(error).of(path.display().to_string()))
}

fn check(chain: Pem<'_>, key: Pem<'_>) -> Result<Parsed, CertError> {
    let certificates = pem::certificates(chain.text).map_err(|fault| fault.of(chain.subject))?;
    let decoded = decode(&certificates).map_err(|fault| fault.of(chain.subject))?;
    let (names, not_after) = (names(&decoded[0]), not_after(&decoded[0]));
    let signing_key = pem::key(key.text).map_err(|fault| fault.of(key.subject))?;
    let signing_key = any_supported_type(&signing_key).map_err(|_| Fault::UnknownKey.of(key.subject))?;
    if !belongs(&signing_key, &certificates[0]) {
        return Err(mismatch(&signing_key, &certificates, &decoded[0]).of_both(chain, key));
    }
    let certified = Arc::new(CertifiedKey::new(certificates, signing_key));
    Ok(Parsed { certified, names, not_after })
}

fn decode<'a>(certificates: &'a [CertificateDer<'_>]) -> Result<Vec<X509Certificate<'a>>, Fault> {
    let decode = |(place, der): (usize, &'a CertificateDer<'_>)| match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(Fault::BadCertificate { number: place + 1, reason: "something follows its end".to_owned() }),
        Err(error) => Err(Fault::BadCertificate { number: place + 1, reason: error.to_string() }),
    };
    certificates.iter().enumerate().map(decode).collect()
}

fn belongs(key: &Arc<dyn SigningKey>, certificate: &CertificateDer<'static>) -> bool {
    CertifiedKey::new(vec![certificate.clone()], Arc::clone(key)).keys_match().is_ok()
}

/// Why the key does not belong to the first certificate.
fn mismatch(key: &Arc<dyn SigningKey>, all: &[CertificateDer<'static>], first: &X509Certificate<'_>) -> Fault {
    if let Some(place) = all.iter().position(|certificate| belongs(key, certificate)) {
        return Fault::WrongOrder { number: place + 1 };
    }
    if first.is_ca() { Fault::OnlyChain { authority: first.subject().to_string() } } else { Fault::Mismatch }
}

impl Fault {
    /// Says of which of the two this is the fault, or that it takes both.
    fn of_both(self, chain: Pem<'_>, key: Pem<'_>) -> CertError {
        match self {
            Self::Mismatch => self.of(format!("{} and {}", chain.subject, key.subject)),
            _ => self.of(chain.subject),
        }
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(octets) => address(octets).map(|address| address.to_string()),
        _ => None,
    };
    let extension = certificate.subject_alternative_name().ok().flatten();
    extension.map_or_else(Vec::new, |extension| extension.value.general_names.iter().filter_map(name).collect())
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

fn not_after(certificate: &X509Certificate<'_>) -> SystemTime {
    // What ended before 1970 has ended; the exact day does not matter.
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests;
