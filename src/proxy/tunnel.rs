//! An exchange that has become a WebSocket: bytes both ways until one side is done or the worker goes.
//!
//! Does not know WebSocket frames. Invariant: the lease is held and the record kept to the tunnel's end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional_with_sizes};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::body::{Body, Carriage};
use super::connection::Peer;
use super::fault::Fault;
use super::headers;
use super::record::Record;

/// Bytes that may be under way in each direction.
const BUFFER: usize = 16 * 1024;

/// From the worker's answer until both connections have let go of their sockets; also how long each farewell may take.
const HANDOVER: Duration = Duration::from_secs(5);

/// May this response open a tunnel? Only one that was asked for, and only to the protocol asked for.
pub(crate) fn check(response: &Response<Incoming>, is_websocket: bool) -> Result<(), Fault> {
    let opens = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if opens && !(is_websocket && headers::is_websocket(response.headers())) { Err(Fault::Malformed) } else { Ok(()) }
}

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
    let over = Notify::new();
    let (mut client, mut worker) = (End::new(client, &over), End::new(worker, &over));
    let copied = tokio::select! {
        copied = copy_bidirectional_with_sizes(&mut client, &mut worker, BUFFER, BUFFER) => copied.map(|_| ()),
        () = farewell(&over) => Ok(()),
        () = carriage.lease.gone().cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
    };
    record.sent(client.written);
    // As TLS has it; whoever does not take it in time has gone.
    let _ = timeout(HANDOVER, client.shutdown()).await;
    match copied {
        Ok(()) => record.finish(),
        Err(_) => record.fail(Fault::Cut),
    }
}

/// Ends some time after one side has ended. A WebSocket is over for both when it is over for one (RFC 6455, section 7.1.1);
/// what is still on its way to the other side has this long to get there.
async fn farewell(over: &Notify) {
    over.notified().await;
    tokio::time::sleep(HANDOVER).await;
}

/// One end of a tunnel. Tells when its peer has nothing more to say, and counts what that is sent.
struct End<'a> {
    io: TokioIo<Upgraded>,
    over: &'a Notify,
    written: usize,
}

impl<'a> End<'a> {
    fn new(upgraded: Upgraded, over: &'a Notify) -> Self {
        Self { io: TokioIo::new(upgraded), over, written: 0 }
    }
}

impl AsyncRead for End<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buffer));
        if buffer.filled().len() == before {
            self.over.notify_one();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for End<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.written += written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
