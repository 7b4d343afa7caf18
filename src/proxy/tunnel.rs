//! An exchange that has become a WebSocket: bytes both ways until one side is done or the worker goes.
//!
//! Invariants: no byte is altered, unless the client is told that it is over (`farewell`); the lease is held and the record kept to the tunnel's end; a side that takes
//! nothing of what there is for it ends the tunnel, so what is under way is bounded in time as well.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::{self, HeaderValue};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional_with_sizes};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::Proxy;
use super::alarm::Alarm;
use super::body::{Body, Carriage};
use super::farewell::{self, Course, Order, Speaker};
use super::fault::Fault;
use super::io::Io;
use super::peer::Peer;
use super::pulse::Pulse;
use super::record::Record;
use super::wire::{Socket, Wire};
use crate::telemetry::exchange_metrics::{Cut, StreamEnd, StreamKind};
use crate::upstream::{Lease, Streams};

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
    mut response: Response<()>,
    carriage: Carriage,
    record: Box<Record>,
) -> Response<Body> {
    let bounds = Bounds { stall: peer.proxy.world.load().limits.write_stall, proxy: Arc::clone(&peer.proxy) };
    peer.proxy.work.spawn(run(client, carriage, record, bounds));
    let fields = response.headers_mut();
    fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response.map(|()| Body::none())
}

/// What a tunnel is held to, and who counts those that are cut.
struct Bounds {
    /// How long a side may take nothing of what there is for it.
    stall: Duration,
    proxy: Arc<Proxy>,
}

/// A side that was cut for taking nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stalled {
    Client,
    Worker,
}

async fn run(client: OnUpgrade, carriage: Carriage, mut record: Box<Record>, bounds: Bounds) {
    let Carriage { lease, wire, .. } = carriage;
    let Ok(Ok(client)) = timeout(HANDOVER, client).await else { return };
    // What the library has put around it would be in the way of each message.
    let Ok(Parts { io: client, read_buf, .. }) = client.downcast::<TokioIo<Io>>() else { return };
    let Some((worker, said)) = wire.into_tunnel() else { return };
    let ended = Notify::new();
    let pulses = (Arc::clone(record.pulse()), Arc::new(Pulse::new(Instant::now())));
    // An empty one would keep its room.
    let said_by_client = if read_buf.is_empty() { Bytes::new() } else { read_buf };
    let mut client = End::new(client.into_inner(), said_by_client, &ended, None);
    let worker = End::new(worker, said, &ended, Some(&pulses.1));
    let order = Order::default();
    let is_told = matches!(lease.streams(), Streams::Notify { .. });
    let mut worker = Speaker::new(worker, &order, is_told);
    let mut course = record.app().map(|app| Course::of(&lease, &bounds.proxy, app, StreamKind::WebSocket));
    let gone = lease.gone().clone();
    let mut alarm = Alarm::default();
    let stalled = poll_fn(|cx| poll_stalled(cx, &mut alarm, (&pulses.0, &pulses.1), bounds.stall));
    // In this order: what copying has come to is looked at in the same turn.
    let copied = tokio::select! {
        biased;
        copied = copy(&mut client, &mut worker, &ended) => copied.map_err(|_| None),
        () = gone.cancelled() => Err(None),
        told = take_leave(&lease, &bounds.proxy, &order) => told,
        stalled = stalled => Err(Some(stalled)),
    };
    let how = match &copied {
        _ if worker.has_told() => StreamEnd::Notified,
        Err(None) => StreamEnd::Cut,
        _ => StreamEnd::Waited,
    };
    if let Some(course) = &mut course {
        course.end(how);
    }
    // A farewell as TLS has it; whoever does not take it in time has gone.
    let _ = timeout(HANDOVER, client.shutdown()).await;
    record.sent(worker.get_ref().received);
    match copied {
        Ok(()) => record.finish(Instant::now()),
        Err(None) => record.fail(Fault::Cut),
        Err(Some(Stalled::Client)) => {
            bounds.proxy.metrics.cut(Cut::WriteStall);
            record.fail(Fault::ClientGone);
        }
        Err(Some(Stalled::Worker)) => {
            record.blame(&lease, Fault::Timeout);
            record.fail(Fault::Timeout);
        }
    }
}

/// Ends the tunnel when its worker leaves, unless it may wait.
async fn take_leave(lease: &Lease<Wire>, proxy: &Arc<Proxy>, order: &Order) -> Result<(), Option<Stalled>> {
    if lease.streams() == Streams::Wait {
        return std::future::pending().await;
    }
    farewell::due(lease, proxy).await;
    if lease.streams() == Streams::Cut {
        return Err(None);
    }
    order.carry_out().await;
    Ok(())
}

/// Has one side taken nothing for too long? To be polled after everything that writes to either.
fn poll_stalled(
    cx: &mut Context<'_>,
    alarm: &mut Alarm,
    (client, worker): (&Pulse, &Pulse),
    limit: Duration,
) -> Poll<Stalled> {
    let sides = [(client.blocked(), Stalled::Client), (worker.blocked(), Stalled::Worker)];
    let blocked = sides.into_iter().filter_map(|(since, side)| Some((since?, side)));
    let Some((since, side)) = blocked.min_by_key(|(since, _)| *since) else { return Poll::Pending };
    alarm.poll(cx, since + limit).map(|()| side)
}

/// Copies both ways until one side has said its last; the other has a moment to follow.
///
/// A WebSocket knows no half-open state: who closes the connection is done in both directions (RFC 6455, 7.1.1).
async fn copy(client: &mut End<'_, Io>, worker: &mut Speaker<'_, End<'_, Socket>>, ended: &Notify) -> io::Result<()> {
    let mut copied = pin!(copy_bidirectional_with_sizes(client, worker, BUFFER, BUFFER));
    tokio::select! {
        copied = &mut copied => copied.map(drop),
        () = ended.notified() => timeout(LINGER, copied).await.map_or(Ok(()), |copied| copied.map(drop)),
    }
}

/// One end of a tunnel: counts what comes out of it and tells when nothing more will.
struct End<'a, S> {
    stream: S,
    /// What has come before it was a tunnel.
    said: Bytes,
    received: usize,
    ended: &'a Notify,
    /// Told when it takes nothing; `None`: its socket tells.
    pulse: Option<&'a Pulse>,
}

impl<'a, S> End<'a, S> {
    fn new(stream: S, said: Bytes, ended: &'a Notify, pulse: Option<&'a Pulse>) -> Self {
        Self { stream, said, received: 0, ended, pulse }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for End<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.said.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        } else {
            let length = self.said.len().min(buffer.remaining());
            buffer.put_slice(&self.said.split_to(length));
        }
        let received = buffer.filled().len() - before;
        self.received += received;
        if received == 0 {
            self.ended.notify_one();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for End<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        match self.pulse {
            Some(pulse) if written.is_pending() => pulse.block(),
            Some(pulse) => pulse.unblock(),
            None => {}
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
