//! One connection to a worker, from its making over many exchanges to its end.
//!
//! Speaks HTTP/1.1, and knows no pools, leases or retries. It is driven by the exchange that it carries, and lies still between
//! two of them. Why not the library that serves the clients: a task and two channels for each connection cost more than all
//! the rest of an exchange; `benches/README.md` has the figures. Invariant: a wire carries one exchange at a time, and
//! [`Connection::is_idle`] is true only when the exchange before has ended cleanly in both directions and nothing has come since.

mod chunks;
mod head;
mod sending;
mod socket;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::mem::{replace, take};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Response;
use http_body::SizeHint;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::alarm::Alarm;
use super::fault::Fault;
use super::headers::{Framing, Survey};
use super::introducing::Introduction;
use super::upload::{Progress, Upload};
use crate::id::Address;
use chunks::Chunks;
use head::{Ending, Head, Nonsense};
use sending::Sending;
use socket::{Reader, Writer};

pub(crate) use socket::Socket;

/// A pause after which the kernel is asked whether the worker has closed meanwhile. Shorter ones are a busy thread's, and
/// there the runtime's own knowledge is fresh.
const PAUSE: Duration = Duration::from_millis(20);

/// Bytes that are read at a time: usually, and of a worker that always has more to say. A client that takes nothing makes us hold a
/// few of these, so more would cost a crowd of such clients too much memory.
const LEAST_ROOM: usize = 16 * 1024;
const MOST_ROOM: usize = 64 * 1024;

thread_local! {
    /// Where little is read to, and copied from in its length; so nothing is set aside for what has not come. Holds nothing from
    /// one read to the next.
    static LITTLE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(LEAST_ROOM));
}

/// A connection to a worker. It goes from hand to hand, and so it is a pointer.
pub(crate) type Wire = Box<Connection>;

/// What a [`Wire`] points to.
pub(crate) struct Connection {
    reader: Reader,
    /// Taken by what goes on with a request whose answer has begun.
    writer: Option<Writer>,
    pump: Option<AbortOnDropHandle<Result<Writer, Fault>>>,
    /// What has come and has not been passed on.
    inbox: BytesMut,
    room: usize,
    answer: Answer,
    has_heard: bool,
    /// May another exchange follow the one that is under way?
    may_stay: bool,
    alarm: Alarm,
    /// When it has lain still for [`PAUSE`] since the exchange before; `None` before the first one.
    paused: Option<Instant>,
    /// As whom the worker was told the other end.
    introduction: Option<Introduction>,
}

/// What is still to come of a response.
enum Answer {
    /// All of it, its head included.
    Head,
    Length(u64),
    Chunks(Chunks),
    /// Whatever comes before the connection ends.
    Close,
}

/// A request as it is sent to a worker.
pub(crate) struct WorkerRequest {
    /// As text, to its empty line. What it says of the body is that of `framing`.
    pub(crate) head: Vec<u8>,
    /// Is it for the head of an answer only?
    pub(crate) is_head: bool,
    pub(crate) framing: Framing,
    pub(crate) body: Upload,
    /// Where the head of its response is put: it would be copied on each of the many steps that it is returned on.
    pub(crate) response: Response<()>,
}

/// Why an exchange on a wire has no response.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    /// Nothing of the request was written, and it is still whole.
    pub(crate) is_unsent: bool,
    /// Bytes of the request that were written.
    pub(crate) written: u64,
    /// Its body, if that was taken and is all here: it can be sent again.
    pub(crate) body: Option<Bytes>,
}

impl Failure {
    /// It comes back as it was.
    fn unsent() -> Self {
        Self { fault: Fault::Unsent, is_unsent: true, written: 0, body: None }
    }

    fn of(fault: Fault, sending: Sending) -> Self {
        let is_unsent = fault == Fault::Unsent && sending.is_untouched();
        Self { fault, is_unsent, written: sending.written(), body: sending.into_body() }
    }
}

/// Makes a connection, and introduces the client first if the worker asks for that. Cancellation safe.
///
/// # Errors
/// When the worker does not listen.
pub(crate) async fn connect(address: &Address, introduction: Option<Introduction>) -> io::Result<Wire> {
    let (reader, mut writer) = socket::connect(address).await?;
    if let Some(introduction) = &introduction {
        writer.introduce(introduction.bytes()).await?;
    }
    Ok(Box::new(Connection::new(reader, writer, introduction)))
}

impl Connection {
    fn new(reader: Reader, writer: Writer, introduction: Option<Introduction>) -> Self {
        Self {
            reader,
            writer: Some(writer),
            pump: None,
            inbox: BytesMut::new(),
            room: LEAST_ROOM,
            answer: Answer::Length(0),
            has_heard: false,
            may_stay: true,
            alarm: Alarm::default(),
            paused: None,
            introduction,
        }
    }

    /// Was it made for this client, or for anybody?
    pub(crate) fn is_for(&self, introduction: Option<&Introduction>) -> bool {
        self.introduction.as_ref() == introduction
    }

    /// Has its last exchange ended so that there may be another one? Once one has failed that is never so.
    pub(crate) fn has_rested(&self) -> bool {
        self.may_stay && self.writer.is_some() && self.is_over() && self.inbox.is_empty()
    }

    /// Is it ready for an exchange, as far as is known?
    pub(crate) fn is_idle(&self) -> bool {
        self.has_rested() && self.reader.is_quiet()
    }

    /// Notes that an exchange has ended cleanly.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.paused = Some(now + PAUSE);
        // Memory is for those that are in use.
        self.inbox = BytesMut::new();
    }

    /// The connection as a tunnel's end, with what has come through it already; `None`: it cannot be one.
    pub(crate) fn into_tunnel(self) -> Option<(Socket, Bytes)> {
        Some((socket::whole(self.reader, self.writer?)?, self.inbox.freeze()))
    }

    /// Sends a request, waits for the head of its response, which is put where the request has room for it, and returns what
    /// is there in its fields. Waits at most for `patience` after the worker last took a part of the request. A body that is
    /// still coming when its answer has begun is sent on beside it. Not cancellation safe: a wire that has been given up in
    /// here must be dropped.
    pub(crate) async fn send(
        &mut self,
        request: &mut WorkerRequest,
        patience: Option<Duration>,
        now: Instant,
    ) -> Result<Survey, Failure> {
        let has_paused = self.paused.is_some_and(|paused| now >= paused);
        if has_paused && !self.reader.is_really_quiet() {
            return Err(Failure::unsent());
        }
        (self.answer, self.may_stay, self.has_heard, self.room) = (Answer::Head, false, false, LEAST_ROOM);
        let progress = request.body.progress();
        let mut sending = Sending::new(request);
        let mut deadline = patience.map(|patience| now + patience);
        let answered = poll_fn(|cx| {
            if let Poll::Ready(answer) = self.poll_head(cx, &mut sending, request) {
                return Poll::Ready(answer);
            }
            while let (Some(end), Some(patience)) = (deadline, patience) {
                if self.alarm.poll(cx, end).is_pending() {
                    break;
                }
                match put_off(end, patience, progress.as_deref()) {
                    Some(later) => deadline = Some(later),
                    None => return Poll::Ready(Err(Fault::Timeout)),
                }
            }
            Poll::Pending
        });
        match answered.await {
            Err(fault) => Err(Failure::of(fault, sending)),
            Ok(survey) => {
                if !sending.is_over() {
                    let body = replace(&mut request.body, Upload::none());
                    self.go_on_sending(sending, take(&mut request.head), body);
                }
                Ok(survey)
            }
        }
    }

    /// Our end of it, if it is one of TCP.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.reader.local_address()
    }

    /// Writes what there is of the request, and reads until the head of its response is here.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        sending: &mut Sending,
        request: &mut WorkerRequest,
    ) -> Poll<Result<Survey, Fault>> {
        if let Some(writer) = &mut self.writer
            && let Poll::Ready(Err(fault)) = sending.poll(cx, &request.head, &mut request.body, writer)
        {
            return Poll::Ready(Err(fault));
        }
        loop {
            if !self.inbox.is_empty() {
                match head::read(&mut self.inbox, request.is_head, &mut request.response) {
                    Ok(Some(head)) => return Poll::Ready(Ok(self.begin(head))),
                    Ok(None) => {}
                    Err(Nonsense) => return Poll::Ready(Err(Fault::Malformed)),
                }
            }
            let end = match ready!(self.poll_fill(cx)) {
                Ok(1..) => continue,
                end => end,
            };
            return Poll::Ready(Err(match (sending.has_begun(), self.has_heard) {
                (false, _) => Fault::Unsent,
                (true, false) if self.reader.is_left_unread(&end) && is_bare(request) => Fault::Unread,
                (true, false) => Fault::Silent,
                (true, true) => Fault::Malformed,
            }));
        }
    }

    fn begin(&mut self, head: Head) -> Survey {
        self.may_stay = head.may_stay && head.ending != Ending::Close;
        self.answer = match head.ending {
            Ending::Length(length) => Answer::Length(length),
            Ending::Chunks => Answer::Chunks(Chunks::default()),
            Ending::Close => Answer::Close,
        };
        head.survey
    }

    /// A task of its own, for the client's side of the answer may stand still.
    fn go_on_sending(&mut self, mut sending: Sending, head: Vec<u8>, mut body: Upload) {
        let Some(mut writer) = self.writer.take() else { return };
        let pump = async move {
            poll_fn(|cx| sending.poll(cx, &head, &mut body, &mut writer)).await?;
            Ok(writer)
        };
        self.pump = Some(AbortOnDropHandle::new(tokio::spawn(pump)));
    }

    /// The next bytes of the response's body; `None`: that has ended.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        if let Some(pump) = &mut self.pump
            && let Poll::Ready(sent) = Pin::new(pump).poll(cx)
        {
            self.pump = None;
            match sent.unwrap_or(Err(Fault::Cut)) {
                Ok(writer) => self.writer = Some(writer),
                Err(fault) => return Poll::Ready(Some(Err(fault))),
            }
        }
        loop {
            match self.take_body() {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Ok(None) if self.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                Err(Nonsense) => return Poll::Ready(Some(Err(Fault::Cut))),
            }
            match ready!(self.poll_fill(cx)) {
                Ok(1..) => {}
                Ok(0) if matches!(self.answer, Answer::Close) => self.answer = Answer::Length(0),
                _ => return Poll::Ready(Some(Err(Fault::Cut))),
            }
        }
    }

    /// Has the response's body ended?
    pub(crate) fn is_over(&self) -> bool {
        match &self.answer {
            Answer::Length(left) => *left == 0,
            Answer::Chunks(chunks) => chunks.is_over(),
            Answer::Head | Answer::Close => false,
        }
    }

    /// How much of the response's body is still to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.answer {
            Answer::Length(left) => SizeHint::with_exact(*left),
            _ => SizeHint::new(),
        }
    }

    /// Takes out of the inbox what is body.
    fn take_body(&mut self) -> Result<Option<Bytes>, Nonsense> {
        if self.inbox.is_empty() {
            return Ok(None);
        }
        match &mut self.answer {
            Answer::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(self.inbox.len());
                *left -= length as u64;
                if length == self.inbox.len() {
                    return Ok(Some(self.empty_inbox()));
                }
                Ok((length > 0).then(|| self.inbox.split_to(length).freeze()))
            }
            Answer::Chunks(chunks) => chunks.next(&mut self.inbox),
            Answer::Close => Ok(Some(self.empty_inbox())),
            Answer::Head => Ok(None),
        }
    }

    /// All that has come. Of a large buffer the memory is used again, once what is taken here has been written.
    fn empty_inbox(&mut self) -> Bytes {
        let all = if self.room == LEAST_ROOM { take(&mut self.inbox) } else { self.inbox.split() };
        all.freeze()
    }

    /// Reads once.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let count = if self.room == LEAST_ROOM {
            ready!(self.poll_little(cx))?
        } else {
            self.inbox.reserve(self.room);
            ready!(self.reader.poll_read(cx, &mut self.inbox))?
        };
        self.has_heard |= count > 0;
        if count >= self.room {
            self.room = (2 * self.room).min(MOST_ROOM);
        } else if count < self.room / 2 {
            self.room = (self.room / 2).max(LEAST_ROOM);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_little(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        LITTLE.with_borrow_mut(|little| {
            little.clear();
            let count = ready!(self.reader.poll_read(cx, little))?;
            if self.inbox.is_empty() {
                self.inbox = BytesMut::from(&little[..]);
            } else {
                self.inbox.extend_from_slice(little);
            }
            Poll::Ready(Ok(count))
        })
    }
}

/// Is it a head alone? Whoever has not read all of it has not read a request.
fn is_bare(request: &WorkerRequest) -> bool {
    matches!(&request.body, Upload::Whole(body) if body.is_empty())
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
mod tests;
