//! Clients that write what they like, and the messages that come back.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::rig::Rig;

/// A request or a response, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The first line.
    pub(super) start: String,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: String,
}

impl Message {
    /// Reads one message; `None` when the other side closes before its end. `to_end`: a body without a length goes to the
    /// end of the connection.
    pub(super) async fn read<R: AsyncRead + Unpin>(reader: &mut R, read: &mut Vec<u8>, to_end: bool) -> Option<Self> {
        let head = loop {
            if let Some(end) = find(read, b"\r\n\r\n") {
                break String::from_utf8(read.drain(..end + 4).collect()).unwrap();
            }
            more(reader, read).await?;
        };
        let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
        let start = lines.next().unwrap();
        let split = |line: String| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut message = Self { start, fields: lines.map(|line| split(line).unwrap()).collect(), body: String::new() };
        message.body = message.read_body(reader, read, to_end).await?;
        Some(message)
    }

    async fn read_body<R: AsyncRead + Unpin>(
        &self,
        reader: &mut R,
        read: &mut Vec<u8>,
        to_end: bool,
    ) -> Option<String> {
        let body = if self.field("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            read_chunks(reader, read).await?
        } else if let Some(length) = self.field("content-length") {
            take(reader, read, length.parse().unwrap()).await?
        } else if to_end {
            while more(reader, read).await.is_some() {}
            std::mem::take(read)
        } else {
            Vec::new()
        };
        Some(String::from_utf8(body).unwrap())
    }

    /// The value of the only field with this name.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name));
        let first = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "several {name}: {self:?}");
        first
    }

    pub(super) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

async fn read_chunks<R: AsyncRead + Unpin>(reader: &mut R, read: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = find(read, b"\r\n") {
                break end;
            }
            more(reader, read).await?;
        };
        let line: Vec<u8> = read.drain(..end + 2).collect();
        let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
        let chunk = take(reader, read, size + 2).await?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

async fn take<R: AsyncRead + Unpin>(reader: &mut R, read: &mut Vec<u8>, length: usize) -> Option<Vec<u8>> {
    while read.len() < length {
        more(reader, read).await?;
    }
    Some(read.drain(..length).collect())
}

async fn more<R: AsyncRead + Unpin>(reader: &mut R, read: &mut Vec<u8>) -> Option<()> {
    match reader.read_buf(read).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// A client that speaks bytes over TCP.
pub(super) struct Client {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self { socket: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    pub(super) async fn write(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).await.unwrap();
    }

    pub(super) async fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write_all(bytes).await
    }

    /// The next response, whole.
    pub(super) async fn response(&mut self) -> Message {
        self.try_response().await.expect("the proxy has closed")
    }

    /// The next response; `None` when the proxy closes before its end.
    pub(super) async fn try_response(&mut self) -> Option<Message> {
        Message::read(&mut self.socket, &mut self.read, false).await
    }

    /// Asks with this method and target for host `a`, without a body.
    pub(super) async fn ask(&mut self, method: &str, target: &str) -> Message {
        self.write(&format!("{method} {target} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        self.response().await
    }

    pub(super) async fn get(&mut self, target: &str) -> Message {
        self.ask("GET", target).await
    }

    pub(super) async fn post(&mut self, target: &str, body: &str) -> Message {
        self.write(&format!("POST {target} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
        self.response().await
    }

    /// Reads until this text has come, and returns all there is.
    pub(super) async fn read_until(&mut self, end: &str) -> String {
        while find(&self.read, end.as_bytes()).is_none() {
            more(&mut self.socket, &mut self.read).await.expect("the proxy has closed");
        }
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    /// Reads to the end of the connection.
    pub(super) async fn rest(&mut self) -> String {
        while more(&mut self.socket, &mut self.read).await.is_some() {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    /// Reads and drops so many bytes; returns how many.
    pub(super) async fn read_bytes(&mut self, count: usize) -> usize {
        take(&mut self.socket, &mut self.read, count).await.expect("the proxy has closed").len()
    }

    /// Reads and drops what is there; returns how much.
    pub(super) async fn read_some(&mut self) -> usize {
        self.read.clear();
        self.socket.read_buf(&mut self.read).await.unwrap()
    }
}

/// A TLS connection that offers one protocol.
pub(super) async fn tls(rig: &Rig, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(rig.chain.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let socket = TcpStream::connect(rig.https).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap()
}

/// An HTTP/2 client.
pub(super) async fn http2(rig: &Rig) -> http2::SendRequest<Full<Bytes>> {
    let io = TokioIo::new(tls(rig, b"h2").await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}
