//! Where the clients go: an address, how it is spoken to, and which host they ask for.
//!
//! Does not know what is said there. A certificate is taken as it comes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::control::words::Status;
use crate::id::AppName;

/// What a connection is to a client.
pub(super) trait Line: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

pub(super) type Io = TokioIo<Box<dyn Line>>;

#[derive(Clone)]
pub(super) struct Course {
    address: SocketAddr,
    pub(super) authority: String,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority)
    }
}

impl Course {
    /// By a URL, else the app's own address, else the first that there is, the plain ones first.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn of(url: Option<&str>, app: &AppName, status: &Status) -> Result<Self, String> {
        if let Some(url) = url {
            return Self::by_url(url);
        }
        let own = |listener: &&_| of_app(listener, app);
        let listeners = || status.listeners.iter().filter(own);
        let first = listeners().find(|one| !one.tls).or_else(|| listeners().next());
        let first = first.ok_or("nothing is served at any address; say where: --url http://127.0.0.1:8080")?;
        let scheme = if first.tls { "https" } else { "http" };
        Self::by_url(&format!("{scheme}://{}", reachable(first.address)))
    }

    fn by_url(url: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("{url}: {why}; such as http://127.0.0.1:8080 or https://example.com");
        let uri: Uri = url.parse().map_err(|_| bad("no URL"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad("it begins with http:// or https://")),
        };
        let host = uri.host().ok_or_else(|| bad("no host"))?;
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let mut found = (plain, port).to_socket_addrs().map_err(|error| bad(&error.to_string()))?;
        let address = found.next().ok_or_else(|| bad("the name has no address"))?;
        let name = ServerName::try_from(plain.to_owned()).map_err(|_| bad("no host name"))?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        Ok(Self { address, authority, tls: is_tls.then(|| (client_config(), name)) })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.is_tls() { "https" } else { "http" }
    }

    /// Connects to speak HTTP/1.1, or HTTP/2.
    pub(super) async fn connect(&self, http2: bool) -> std::io::Result<Io> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some((config, name)) = &self.tls else { return Ok(TokioIo::new(Box::new(stream))) };
        let mut config = ClientConfig::clone(config);
        config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let stream = TlsConnector::from(Arc::new(config)).connect(name.clone(), stream).await?;
        Ok(TokioIo::new(Box::new(stream)))
    }
}

fn of_app(listener: &crate::control::words::Listener, app: &AppName) -> bool {
    listener.app.as_ref().is_none_or(|owner| owner == app)
}

/// What listens everywhere is asked here.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let local = if address.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
        address.set_ip(local);
    }
    address
}

fn client_config() -> Arc<ClientConfig> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
    let builder = builder.expect("the provider has what the default versions need");
    Arc::new(builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(schemes))).with_no_client_auth())
}

/// Takes any certificate: whoever proves something speaks to a server of their own, and sends it nothing secret.
#[derive(Debug)]
struct Anybody(Vec<SignatureScheme>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_how() {
        for (url, address, is_tls) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", false),
            ("https://127.0.0.1", "127.0.0.1:443", true),
            ("https://[::1]:8443/", "[::1]:8443", true),
        ] {
            let course = Course::by_url(url).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((course.address.to_string().as_str(), course.is_tls()), (address, is_tls), "{url}");
        }
        for url in ["127.0.0.1:8080", "ftp://127.0.0.1", "http://", "/path", ""] {
            let error = Course::by_url(url).err().unwrap_or_else(|| panic!("{url} is taken"));
            assert!(error.contains("such as http://"), "{error}");
        }
    }

    #[test]
    fn what_listens_everywhere_is_asked_here() {
        let reached = |address: &str| reachable(address.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("192.0.2.1:80"), "192.0.2.1:80");
    }
}
