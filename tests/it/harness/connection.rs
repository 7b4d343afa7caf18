//! One client connection: how it is made for each kind of target, and how a request goes over it.
//!
//! It ends when it is dropped. Whatever ends it earlier is seen by the request that comes next.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::HOST;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::client::{Body, Failure, Reply, Target, describe};

/// One connection, used for one request after the other.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: Sender,
    secure: bool,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Body>),
    /// With what the connection ends with.
    Http2(http2::SendRequest<Body>, JoinHandle<hyper::Result<()>>),
}

impl Connection {
    /// Connects and shakes hands.
    pub(crate) async fn open(target: &Target) -> Result<Self, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::Connect(describe(error));
        let secure = matches!(target, Target::Tls(..) | Target::Http2(..));
        let sender = match target {
            Target::Plain(address) => {
                let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
                Sender::http1(stream).await
            }
            Target::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| failed(&error))?;
                Sender::http1(stream).await
            }
            Target::Tls(address, config) => Sender::http1(connect_tls(*address, config).await?).await,
            Target::Http2(address, config) => Sender::http2(connect_tls(*address, config).await?).await,
        };
        Ok(Self { sender: sender.map_err(|error| failed(&error))?, secure })
    }

    /// Waits until another request may be sent. Fails when the connection ended without a word.
    pub(crate) async fn ready(&mut self) -> Result<(), Failure> {
        let ready = match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender, _) => sender.ready().await,
        };
        ready.map_err(|error| Failure::Unannounced(describe(&error)))
    }

    /// Sends a request, completed with authority or `Host`; returns with the answer's head.
    pub(crate) async fn send(&mut self, mut request: Request<Body>) -> Result<Response<Incoming>, Failure> {
        let scheme = if self.secure { "https" } else { "http" };
        let answer = match &mut self.sender {
            Sender::Http1(sender) => {
                request.headers_mut().entry(HOST).or_insert(http::HeaderValue::from_static("localhost"));
                sender.send_request(request).await
            }
            Sender::Http2(sender, _) => {
                let host = request.headers_mut().remove(HOST);
                let host = host.as_ref().map_or("localhost", |host| host.to_str().expect("hosts in tests are text"));
                *request.uri_mut() = absolute(scheme, host, request.uri());
                sender.send_request(request).await
            }
        };
        answer.map_err(|error| match (&self.sender, error.is_canceled()) {
            (Sender::Http2(..), true) => Failure::Unsent(describe(&error)),
            _ => Failure::Unanswered(describe(&error)),
        })
    }

    /// Was it ended as HTTP/2 ends one: with a GOAWAY first, and then nothing cut off? Waits for its end.
    pub(crate) async fn was_sent_away(self) -> bool {
        match self.sender {
            Sender::Http1(_) => false,
            Sender::Http2(_, end) => matches!(end.await, Ok(Ok(()))),
        }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: Request<Body>) -> Result<Reply, Failure> {
        let (head, body) = self.send(request).await?.into_parts();
        let body = body.collect().await.map_err(|error| Failure::Broken(describe(&error)))?.to_bytes();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
    }
}

impl Sender {
    async fn http1<S>(stream: S) -> hyper::Result<Self>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the sender; what it ends with is seen by the requests.
        tokio::spawn(connection);
        Ok(Self::Http1(sender))
    }

    async fn http2<S>(stream: S) -> hyper::Result<Self>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        Ok(Self::Http2(sender, tokio::spawn(connection)))
    }
}

/// A connection of its own to speak on as one likes, after the handshake.
pub(crate) async fn open_tls(target: &Target) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failure> {
    match target {
        Target::Tls(address, config) | Target::Http2(address, config) => connect_tls(*address, config).await,
        Target::Plain(_) | Target::Unix(_) => panic!("{target:?} has no TLS"),
    }
}

async fn connect_tls(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failure> {
    let failed = |error: std::io::Error| Failure::Connect(error.to_string());
    let tcp = TcpStream::connect(address).await.map_err(failed)?;
    let name = ServerName::try_from("localhost").expect("localhost is a name");
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.map_err(failed)?;
    let (wanted, agreed) = (config.alpn_protocols.first(), stream.get_ref().1.alpn_protocol());
    if agreed == wanted.map(Vec::as_slice) {
        Ok(stream)
    } else {
        Err(Failure::Connect(format!("asked for the protocol {wanted:?}, got {agreed:?}")))
    }
}

fn absolute(scheme: &str, host: &str, uri: &Uri) -> Uri {
    let path = uri.path_and_query().expect("paths in tests begin with a slash").clone();
    let built = Uri::builder().scheme(scheme).authority(host).path_and_query(path).build();
    built.expect("hosts in tests are valid")
}
