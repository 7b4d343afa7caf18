//! An exchange that has become a WebSocket: bytes both ways until one side is done or the worker goes.
//!
//! Does not know WebSocket frames. Invariant: the lease is held and the record kept to the tunnel's end.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use http::header::{self, HeaderValue};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional_with_sizes};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::body::{Body, Carriage};
use super::fault::Fault;
use super::peer::Peer;
use super::record::Record;

/// Bytes that may be under way in each direction.
const BUFFER: usize = 16 * 1024;

/// From the worker's answer until both connections have let go of their sockets; also how long a farewell may take.
const HANDOVER: Duration = Duration::from_secs(5);

/// How long one side may still speak after the other has closed.
const LINGER: Duration = Duration::from_secs(1);

/// Starts the tunnel and returns the response that opens it for the client.
pub(crate) fn open(
    peer: &Peer,
    client: OnUpgrade,
    mut response: Response<Incoming>,
    carriage: Carriage,
    record: Record,
) -> Response<Body> {
    let worker = hyper::upgrade::on(&mut response);
    carriage.wire.become_tunnel();
    peer.proxy.work.spawn(run(client, worker, carriage, record));
    let fields = response.headers_mut();
    fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response.map(|_| Body::none())
}

async fn run(client: OnUpgrade, worker: OnUpgrade, carriage: Carriage, mut record: Record) {
    let both = async { tokio::try_join!(client, worker) };
    let Ok(Ok((client, worker))) = timeout(HANDOVER, both).await else { return };
    let ended = Notify::new();
    let (mut client, mut worker) = (End::new(client, &ended), End::new(worker, &ended));
    let gone = carriage.lease.gone().clone();
    let copied = tokio::select! {
        copied = copy(&mut client, &mut worker, &ended) => copied,
        () = gone.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
    };
    // A farewell as TLS has it; whoever does not take it in time has gone.
    let _ = timeout(HANDOVER, client.shutdown()).await;
    record.sent(worker.received);
    match copied {
        Ok(()) => record.finish(Instant::now()),
        Err(_) => record.fail(Fault::Cut),
    }
}

/// Copies both ways until one side has said its last; the other has a moment to follow.
///
/// A WebSocket knows no half-open state: who closes the connection is done in both directions (RFC 6455, 7.1.1).
async fn copy(client: &mut End<'_>, worker: &mut End<'_>, ended: &Notify) -> io::Result<()> {
    let mut copied = pin!(copy_bidirectional_with_sizes(client, worker, BUFFER, BUFFER));
    tokio::select! {
        copied = &mut copied => copied.map(drop),
        () = ended.notified() => timeout(LINGER, copied).await.map_or(Ok(()), |copied| copied.map(drop)),
    }
}

/// One end of a tunnel: counts what comes out of it and tells when nothing more will.
struct End<'a> {
    stream: TokioIo<Upgraded>,
    received: usize,
    ended: &'a Notify,
}

impl<'a> End<'a> {
    fn new(stream: Upgraded, ended: &'a Notify) -> Self {
        Self { stream: TokioIo::new(stream), received: 0, ended }
    }
}

impl AsyncRead for End<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = polled {
            let received = buffer.filled().len() - before;
            self.received += received;
            if received == 0 {
                self.ended.notify_one();
            }
        }
        polled
    }
}

impl AsyncWrite for End<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
