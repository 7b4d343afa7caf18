//! One client connection: TLS under a deadline, then HTTP/1.1 or HTTP/2 as ALPN has said.
//!
//! Knows how to serve a connection and nothing of what is asked on it. Why not hyper's automatic choice of protocol: it
//! waits for the first bytes without a limit, and with TLS there is nothing to guess. Invariant: a connection lives in one
//! task on one thread and holds its permit until that ends, tunnels included.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};
use tokio_rustls::LazyConfigAcceptor;

use super::Proxy;
use super::body::Body;
use super::cork::Cork;
use super::exchange;
use super::introduction;
use super::io::{Io, Stream};
use super::peer::{Admission, Peer};
use super::pulse::Pulse;
use super::request_head::ClientLines;
use super::socket::Socket;
use super::streams::Streams;
use super::watch::{self, Verdict, Watch};
use crate::link::Limits;

/// Header fields up to this number are parsed without an allocation.
const HYPER_HEADERS: u32 = 100;

/// Bytes beyond a head that an HTTP/1 connection may have read, or may have waiting for its client before more of the answer is
/// asked for.
const SLACK: usize = 8 * 1024;

/// HTTP/2 bytes that one upload may have under way, and all uploads of a connection: at 50 ms of round trip 80 and 160
/// Mbit/s, and no connection makes us hold more than 1 MiB.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// HTTP/2 bytes that one response may have waiting for its client.
const SEND_BUFFER: usize = 128 * 1024;

/// How often, and for how long, an HTTP/2 client is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection that has just been accepted.
pub(crate) struct Accepted {
    pub(crate) socket: TcpStream,
    pub(crate) address: SocketAddr,
    pub(crate) listener: SocketAddr,
    pub(crate) is_tls: bool,
    pub(crate) admission: Admission,
}

/// Serves a connection to its end. What is large is boxed, so that little is left of what has had its time when the connection
/// lies idle.
pub(crate) async fn serve(proxy: Arc<Proxy>, thread: usize, accepted: Accepted) {
    let Some((peer, io, limits)) = Box::pin(settle(proxy, thread, accepted)).await else { return };
    if peer.is_http2 {
        Box::pin(serve_http2(peer, Cork::new(io), limits)).await;
    } else {
        serve_http1(peer, io, limits).await;
    }
}

/// Finds out who speaks, and how; `None`: nobody whom we could serve.
async fn settle(proxy: Arc<Proxy>, thread: usize, accepted: Accepted) -> Option<(Arc<Peer>, Io, Box<Limits>)> {
    let (limits, is_introduced) = {
        let world = proxy.world.load();
        (world.limits.clone(), world.clients.is_introduced_by(accepted.address.ip().to_canonical()))
    };
    let Accepted { mut socket, mut address, listener, is_tls, admission } = accepted;
    if is_introduced {
        let said = introduction::read(&mut socket).await.ok()?;
        address = said.unwrap_or(address);
    }
    // Fails on a connection that is gone already, which the first read will tell.
    let _ = socket.set_nodelay(true);
    let pulse = Arc::new(Pulse::new(Instant::now()));
    let socket = Socket::new(socket, Arc::clone(&pulse));
    let stream = if is_tls {
        let stream = Box::pin(secure(&proxy, socket, limits.handshake_timeout)).await?;
        pulse.settle(Instant::now());
        stream
    } else {
        Stream::Plain(socket)
    };
    let is_http2 = stream.protocol() == Some(b"h2");
    let reached = if listener.ip().is_unspecified() { stream.reached().unwrap_or(listener) } else { listener };
    let ip = address.ip().to_canonical();
    let told = ip.to_string();
    let peer = Arc::new(Peer {
        proxy,
        thread,
        address: SocketAddr::new(ip, address.port()),
        listener,
        reached,
        lines: ClientLines::new(&told, &told, is_tls),
        is_tls,
        tls_version: stream.tls_version(),
        is_http2,
        server_name: stream.server_name(),
        pulse,
        _admission: admission,
    });
    let io = Io::new(stream, Arc::clone(&peer.pulse), is_http2);
    Some((peer, io, Box::new(limits)))
}

/// Shakes hands within the limit. A client that fails is not worth a word: the internet is full of them.
///
/// What costs is the answer to a client's first message. Only so many of those are made before everybody else on the thread
/// has had a turn, so that requests do not wait behind a thousand handshakes; a client that says nothing, or stops after its
/// first message, takes no turn from anybody.
async fn secure(proxy: &Proxy, socket: Socket, limit: Duration) -> Option<Stream> {
    let shake = async {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
        let turn = proxy.door.turns.take().await;
        let mut answer = pin!(hello.into_stream(Arc::clone(proxy.tls.config())));
        let begun = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
        yield_now().await;
        drop(turn);
        match begun {
            Poll::Ready(stream) => stream,
            Poll::Pending => answer.await,
        }
    };
    Some(Stream::Tls(Box::new(timeout(limit, shake).await.ok()?.ok()?)))
}

/// Serves until the end; in between, a connection that lies idle is parked: its socket is kept and the rest dropped, which is
/// most of what a connection takes. So this future, which stays, is to be small.
async fn serve_http1(peer: Arc<Peer>, mut io: Io, limits: Box<Limits>) {
    let (mut watch, heads) = watch_http1(&peer, limits);
    while let Some(idle) = Box::pin(serve_busy_http1(&peer, io, heads, &mut watch)).await {
        io = idle;
        poll_fn(|cx| if io.poll_heard(cx).is_ready() { Poll::Ready(()) } else { watch.poll(cx).map(drop) }).await;
        watch.is_parked = false;
    }
    if peer.pulse.has_lost() {
        peer.proxy.metrics.invariants().close_unread.inc();
    }
}

/// What the heads of requests may have.
#[derive(Clone, Copy)]
struct Heads {
    bytes: u32,
    fields: u32,
}

/// Takes of the limits what has to be kept.
#[allow(clippy::boxed_local, clippy::needless_pass_by_value, reason = "so that they are in no future")]
fn watch_http1(peer: &Arc<Peer>, limits: Box<Limits>) -> (Box<Watch>, Heads) {
    let watch = Box::new(Watch::new(peer, watch_limits(&limits), false));
    (watch, Heads { bytes: limits.header_bytes, fields: limits.header_count })
}

/// Serves to the end, or until the connection has been idle for a while; then it is returned.
async fn serve_busy_http1(peer: &Arc<Peer>, io: Io, heads: Heads, watch: &mut Watch) -> Option<Io> {
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_header_size(heads.bytes as usize);
    builder.max_buf_size(heads.bytes as usize + SLACK);
    if heads.fields > HYPER_HEADERS {
        builder.max_headers(heads.fields as usize);
    }
    let mut connection = builder.serve_connection(TokioIo::new(io), service(Arc::clone(peer))).with_upgrades();
    drive(Pin::new(&mut connection), watch, http1::UpgradeableConnection::graceful_shutdown, |_| {}).await;
    if !watch.is_parked {
        return None;
    }
    let parts = connection.into_parts()?;
    let mut io = parts.io.into_inner();
    if !parts.read_buf.is_empty() {
        // An empty one would keep its room.
        io.put_back(parts.read_buf);
    }
    Some(io)
}

/// The tasks that hyper starts for the streams end when the connection does.
async fn serve_http2(peer: Arc<Peer>, io: Cork, limits: Box<Limits>) {
    let mut builder = http2::Builder::new(Streams::new(Arc::clone(&peer), limits.write_stall));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2.streams)
        .max_header_list_size(limits.header_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let mut watch = Watch::new(&peer, watch_limits(&limits), true);
    let connection = builder.serve_connection(TokioIo::new(io.handle()), service(peer));
    // An error is told to the connection by its next read or write.
    let pull = |cx: &mut Context<'_>| drop(io.pull(cx));
    drive(pin!(connection), &mut watch, http2::Connection::graceful_shutdown, pull).await;
}

fn service(
    peer: Arc<Peer>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send,
> {
    service_fn(move |request| exchange::handle(Arc::clone(&peer), request))
}

fn watch_limits(limits: &Limits) -> watch::Limits {
    watch::Limits {
        head: limits.header_timeout,
        idle: limits.keepalive_idle,
        stall: limits.write_stall,
        requests: limits.http2.requests,
    }
}

/// Runs a connection under its watch, to its end or until it is to be parked; `after_turn` is called whenever it has done
/// what it could.
async fn drive<C: Future>(
    mut connection: Pin<&mut C>,
    watch: &mut Watch,
    close: impl Fn(Pin<&mut C>),
    after_turn: impl Fn(&mut Context<'_>),
) {
    poll_fn(|cx| {
        loop {
            let polled = connection.as_mut().poll(cx);
            after_turn(cx);
            if polled.is_ready() {
                return Poll::Ready(());
            }
            match ready!(watch.poll(cx)) {
                Verdict::Read => {}
                Verdict::Close => close(connection.as_mut()),
                Verdict::Drop => return Poll::Ready(()),
                Verdict::Park => {
                    watch.is_parked = true;
                    return Poll::Ready(());
                }
                Verdict::Expel => {
                    // What it says in farewell goes out if there is room for it.
                    close(connection.as_mut());
                    let _ = connection.as_mut().poll(cx);
                    after_turn(cx);
                    return Poll::Ready(());
                }
            }
        }
    })
    .await;
}
