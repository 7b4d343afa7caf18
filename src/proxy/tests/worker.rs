//! A worker that the test plays itself.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::client::Message;
use crate::id::{Address, Serial};
use crate::sys::arrived::{Arrived, arrived};

/// A listening worker.
pub(super) struct Worker {
    pub(super) serial: Serial,
    pub(super) address: Address,
    listener: Listener,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Worker {
    pub(super) async fn start(serial: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        Self { serial: Serial(serial), address, listener: Listener::Tcp(listener) }
    }

    pub(super) fn start_unix(serial: u64, path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        Self { serial: Serial(serial), address: Address::Unix(path.to_owned()), listener: Listener::Unix(listener) }
    }

    /// The next connection of the proxy.
    pub(super) async fn accept(&self) -> Served {
        match &self.listener {
            Listener::Tcp(listener) => Served::new(listener.accept().await.unwrap().0),
            Listener::Unix(listener) => Served::new(listener.accept().await.unwrap().0),
        }
    }

    /// The socket of the proxy's next connection.
    pub(super) async fn accept_tcp(&self) -> TcpStream {
        let Listener::Tcp(listener) = &self.listener else { panic!("no TCP worker") };
        listener.accept().await.unwrap().0
    }

    /// Accepts, reads a request and answers it with 200 and a body.
    pub(super) async fn serve_once(&self, body: &str) -> (Served, Message) {
        let mut served = self.accept().await;
        let request = served.request().await;
        served.respond(body).await;
        (served, request)
    }

    /// Answers every request on every connection with 200 and a body, until it is dropped.
    pub(super) async fn serve_all(self, body: &'static str) {
        loop {
            tokio::spawn(self.accept().await.respond_always(body));
        }
    }

    /// Whether somebody wants to connect right now.
    pub(super) async fn is_called_within(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.accept()).await.is_ok()
    }
}

pub(super) trait Socket: AsyncRead + AsyncWrite + AsFd + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + AsFd + Send + Unpin> Socket for T {}

/// A connection of the proxy to a worker.
pub(super) struct Served {
    socket: Box<dyn Socket>,
    read: Vec<u8>,
}

impl Served {
    fn new(socket: impl Socket + 'static) -> Self {
        Self { socket: Box::new(socket), read: Vec::new() }
    }

    /// The next request, whole.
    pub(super) async fn request(&mut self) -> Message {
        self.try_request().await.expect("the proxy has closed")
    }

    pub(super) async fn try_request(&mut self) -> Option<Message> {
        Message::read(&mut self.socket, &mut self.read, false).await
    }

    async fn respond_always(mut self, body: &'static str) {
        while self.try_request().await.is_some() {
            self.respond(body).await;
        }
    }

    /// Everything that has come and not been read as a request.
    pub(super) async fn read_until(&mut self, end: &str) -> String {
        while !String::from_utf8_lossy(&self.read).contains(end) {
            assert_ne!(self.socket.read_buf(&mut self.read).await.unwrap(), 0, "the proxy has closed");
        }
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    pub(super) async fn write(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).await.unwrap();
    }

    pub(super) async fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write_all(bytes).await
    }

    /// Reads and drops what comes; 0 at the end.
    pub(super) async fn read_or_end(&mut self) -> usize {
        self.read.clear();
        self.socket.read_buf(&mut self.read).await.unwrap_or(0)
    }

    /// Answers with 200 and a body.
    pub(super) async fn respond(&mut self, body: &str) {
        self.write(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    }

    /// Is the connection closed by the proxy?
    pub(super) async fn ends(&mut self) -> bool {
        matches!(self.socket.read_buf(&mut self.read).await, Ok(0) | Err(_))
    }

    /// What has arrived by now, as the kernel knows it.
    pub(super) fn arrived(&self) -> Arrived {
        arrived(&self.socket)
    }

    pub(super) async fn read_some(&mut self) -> usize {
        self.read.clear();
        self.socket.read_buf(&mut self.read).await.unwrap()
    }

    /// Closes so that the other side gets a reset.
    pub(super) fn reset(self) {
        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
