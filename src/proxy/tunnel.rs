//! An exchange that has become a WebSocket: bytes both ways until one side is done or the worker goes.
//!
//! Does not know WebSocket frames. Invariant: the lease is held and the record kept to the tunnel's end.

use std::io;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::time::timeout;

use super::body::{Body, Carriage};
use super::connection::Peer;
use super::fault::Fault;
use super::headers;
use super::record::Record;

/// Bytes that may be under way in each direction.
const BUFFER: usize = 16 * 1024;

/// From the worker's answer until both connections have let go of their sockets; also how long a farewell may take.
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
    let (mut client, mut worker) = (TokioIo::new(client), TokioIo::new(worker));
    let gone = carriage.lease.gone().clone();
    let copied = tokio::select! {
        copied = copy(&mut client, &mut worker) => copied,
        () = gone.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
    };
    // A farewell as TLS has it; whoever does not take it in time has gone.
    let _ = timeout(HANDOVER, client.shutdown()).await;
    match copied {
        Ok(sent) => {
            record.sent(sent as usize);
            record.finish();
        }
        Err(_) => record.fail(Fault::Cut),
    }
}

/// Copies both ways; returns how many bytes the client was sent.
async fn copy(client: &mut TokioIo<Upgraded>, worker: &mut TokioIo<Upgraded>) -> io::Result<u64> {
    copy_bidirectional_with_sizes(client, worker, BUFFER, BUFFER).await.map(|(_received, sent)| sent)
}
