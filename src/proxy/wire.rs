//! One connection to a worker, from its making over many exchanges to its end.
//!
//! Knows hyper's HTTP/1.1 client, not pools, leases or retries. The task that drives the connection lives on the thread that
//! made it and ends with the [`Wire`]. Invariant: a wire carries one exchange at a time, and [`Wire::is_idle`] is true only
//! when the exchange before has ended cleanly in both directions.

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::alarm::Alarm;
use super::fault::Fault;
use super::introducing::Introduction;
use super::upload::{Progress, Upload};
use super::worker_io::{Meter, WorkerIo};
use crate::id::Address;

/// A pause after which the kernel is asked whether the worker has closed meanwhile. Shorter ones are a busy thread's, and
/// there the runtime's own knowledge is fresh.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest head of an answer, in bytes, and the most of a body that is read at a time. A client that takes nothing makes us
/// hold a few of these, so more would cost a crowd of such clients too much memory.
const BUFFER: usize = 64 * 1024;

/// A connection to a worker.
pub(crate) struct Wire {
    sender: SendRequest<Upload>,
    meter: Arc<Meter>,
    alarm: Alarm,
    /// When the exchange before ended; `None` before the first one.
    rested: Option<Instant>,
    /// As whom the worker was told the other end.
    introduction: Option<Introduction>,
    _driver: AbortOnDropHandle<()>,
}

/// Why an exchange on a wire has no response.
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    /// The request itself when nothing of it was written and it is still whole.
    pub(crate) unsent: Option<Box<Request<Upload>>>,
}

impl Wire {
    /// Makes a connection, and introduces the client first if the worker asks for that. Cancellation safe.
    ///
    /// # Errors
    /// When the worker does not listen.
    pub(crate) async fn connect(address: &Address, introduction: Option<Introduction>) -> io::Result<Self> {
        let meter = Arc::<Meter>::default();
        let mut io = WorkerIo::connect(address, Arc::clone(&meter)).await?;
        if let Some(introduction) = &introduction {
            io.introduce(introduction.bytes()).await?;
        }
        let handshake = http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(io)).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        let driver = async move {
            // How a connection ends is told to the exchange on it; between exchanges it is of no interest.
            let _ = connection.with_upgrades().await;
        };
        let driver = AbortOnDropHandle::new(tokio::spawn(driver));
        Ok(Self { sender, meter, alarm: Alarm::default(), rested: None, introduction, _driver: driver })
    }

    /// Is it ready for an exchange, as far as is known?
    pub(crate) fn is_idle(&self) -> bool {
        self.sender.is_ready()
    }

    /// Was it made for this client, or for anybody?
    pub(crate) fn is_for(&self, introduction: Option<&Introduction>) -> bool {
        self.introduction.as_ref() == introduction
    }

    /// Notes that an exchange has ended cleanly.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.rested = Some(now);
    }

    /// From now on the connection carries a tunnel.
    pub(crate) fn become_tunnel(&self) {
        self.meter.become_tunnel();
    }

    /// Sends a request and waits for the head of its response, at most for `patience` after the worker last took a part of
    /// the request. Not cancellation safe: a wire that has been given up in here must be dropped.
    pub(crate) async fn send(
        &mut self,
        request: Box<Request<Upload>>,
        patience: Option<Duration>,
        now: Instant,
    ) -> Result<Response<Incoming>, Failure> {
        let progress = request.body().progress();
        self.meter.begin(self.rested.is_some_and(|rested| now.saturating_duration_since(rested) >= PAUSE));
        let mut sent = pin!(self.sender.try_send_request(*request));
        let mut deadline = patience.map(|patience| now + patience);
        let answer = poll_fn(|cx| {
            if let Poll::Ready(answer) = sent.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            while let (Some(end), Some(patience)) = (deadline, patience) {
                if self.alarm.poll(cx, end).is_pending() {
                    break;
                }
                match put_off(end, patience, progress.as_deref()) {
                    Some(later) => deadline = Some(later),
                    None => return Poll::Ready(None),
                }
            }
            Poll::Pending
        });
        match answer.await {
            Some(Ok(response)) => Ok(response),
            Some(Err(error)) => Err(self.failure(error)),
            None => Err(Failure { fault: Fault::Timeout, unsent: None }),
        }
    }

    fn failure(&self, mut error: TrySendError<Request<Upload>>) -> Failure {
        if let Some(request) = error.take_message() {
            return Failure { fault: Fault::Unsent, unsent: Some(Box::new(request)) };
        }
        let error = error.into_error();
        let from_client = error.source().and_then(|source| source.downcast_ref::<Fault>());
        let fault = match from_client {
            Some(fault) => *fault,
            None if !self.meter.has_sent() => Fault::Unsent,
            None if !self.meter.has_heard() => Fault::Silent,
            None => Fault::Malformed,
        };
        Failure { fault, unsent: None }
    }
}

/// The end of patience, when the request has moved on since the one that has just been reached was set.
fn put_off(reached: Instant, patience: Duration, progress: Option<&Progress>) -> Option<Instant> {
    let later = match progress?.last_step() {
        Some(last) => last + patience,
        // It is the client that is waited for, and its own limit ends that.
        None => Instant::now() + patience,
    };
    (later > reached).then_some(later)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
