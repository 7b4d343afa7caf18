//! What can be wrong with a certificate or its key, in words that say what to do about it.
//!
//! It does not know how a fault is found. Invariant: no message shows any part of a key.

use std::io;

/// A certificate or a key that cannot be used, and which one.
#[derive(Debug, thiserror::Error)]
#[error("{subject}: {fault}")]
pub struct CertError {
    /// The file or files at fault; where texts were given, what they were given as.
    pub subject: String,
    #[source]
    pub fault: Fault,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    #[error(
        "is not text; convert a DER or PKCS #12 file to PEM, with `openssl x509`, `openssl pkey` or `openssl pkcs12`"
    )]
    NotText,
    #[error("is empty")]
    Empty,
    #[error("holds nothing in PEM form: no line begins with -----BEGIN")]
    NoPem,
    #[error("is damaged: {0}")]
    Damaged(String),
    #[error("holds a private key and no certificate; are certificate and key swapped?")]
    KeyForCertificate,
    #[error(
        "holds certificates and no private key; give the key that the certificate was requested with, often privkey.pem"
    )]
    CertificateForKey,
    #[error("holds no {wanted}, only {found}")]
    WrongKind { wanted: &'static str, found: String },
    #[error("holds a key that is encrypted with a passphrase; decrypt it with `openssl pkey -in FILE -out NEW`")]
    EncryptedKey,
    #[error(
        "holds a key of an unknown kind; RSA (2048 bits or more), ECDSA (P-256, P-384, P-521) and Ed25519 are known"
    )]
    UnknownKey,
    #[error("certificate {number} in it is not valid: {reason}")]
    BadCertificate { number: usize, reason: String },
    #[error("the key belongs to certificate {number}; the server's own certificate must come first, then its chain")]
    WrongOrder { number: usize },
    #[error(
        "begins with an authority's certificate ({authority}); give the server's own with its chain, often fullchain.pem"
    )]
    OnlyChain { authority: String },
    #[error("the key does not belong to the certificate; give both from the same issue")]
    Mismatch,
    #[error("neither a DNS name nor an IP address")]
    BadName,
    #[error("the cryptographic library refused: {0}")]
    Library(String),
}

impl Fault {
    /// Says of what this is the fault.
    pub(super) fn of(self, subject: impl Into<String>) -> CertError {
        CertError { subject: subject.into(), fault: self }
    }
}
