//! TLS connections, each for one request: what a handshake costs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::HandshakeKind;
use rustls::client::{ClientConfig, Resumption};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::Result;
use crate::connection::{client_config, server_name};
use crate::http::{GET_AND_CLOSE, exchange};
use crate::report::{Counter, Report};

const LIMIT: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Seen {
    done: Counter,
    resumed: Counter,
    failed: Counter,
}

/// `clients` of which each opens one connection after the other, resuming its own session if it may.
pub(crate) async fn run(address: SocketAddr, resume: bool, clients: usize, time: Duration) -> Result<()> {
    let seen = Arc::new(Seen::default());
    let start = Instant::now();
    let client = || {
        let resumption = if resume { Resumption::in_memory_sessions(8) } else { Resumption::disabled() };
        tokio::spawn(client(address, client_config(resumption), start + time, seen.clone()))
    };
    for client in (0..clients).map(|_| client()).collect::<Vec<_>>() {
        client.await?;
    }
    let report = Report::default().number("count", seen.done.get()).number("failed", seen.failed.get());
    report.number("resumed", seen.resumed.get()).seconds("seconds", start.elapsed()).print();
    Ok(())
}

async fn client(address: SocketAddr, config: Arc<ClientConfig>, end: Instant, seen: Arc<Seen>) {
    let mut buffer = Vec::with_capacity(4096);
    while Instant::now() < end {
        match timeout(LIMIT, one(address, config.clone(), &mut buffer)).await {
            Ok(Ok(resumed)) => {
                seen.done.add(1);
                seen.resumed.add(resumed.into());
            }
            _ => {
                seen.failed.add(1);
                sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// Was the session resumed?
async fn one(address: SocketAddr, config: Arc<ClientConfig>, buffer: &mut Vec<u8>) -> Result<bool> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    // Closed by a reset, so that the client's ports do not run out in TIME_WAIT.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    let mut stream = TlsConnector::from(config).connect(server_name(), stream).await?;
    exchange(&mut stream, GET_AND_CLOSE, buffer).await?;
    Ok(stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed))
}
