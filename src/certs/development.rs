//! A certificate made on the spot, for development and tests. No client trusts it by itself.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use super::error::{CertError, Fault};

/// Makes a self-signed certificate for DNS names and IP addresses: chain and key, PEM.
///
/// # Errors
/// When a name is neither, or the system gives no randomness for the key.
pub fn self_signed(names: &[&str]) -> Result<(String, String), CertError> {
    let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(owned).map_err(|_| Fault::BadName.of(names.join(", ")))?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "portreeve development");
    let library = |error: rcgen::Error| Fault::Library(error.to_string()).of("development certificate");
    let key = KeyPair::generate().map_err(library)?;
    let certificate = parameters.self_signed(&key).map_err(library)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
