//! Listening sockets: claimed from the manifest, dealt out to the threads, accepted on.
//!
//! Does not know what a connection is for. Invariants: a socket that is not the one the supervisor meant is refused; a
//! failed accept never ends the loop; no connection is served without a permit.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

use super::Proxy;
use super::connection::{self, Accepted};
use super::crowd::{Deed, Place};
use super::peer::Admission;
use crate::link::ManifestEntry;
use crate::sys::listener::adopt;
use crate::telemetry::exchange_metrics::{Cut, IntCounter};

/// How long to wait when the system has no descriptor or memory for another connection.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening socket that was claimed.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: OwnedFd,
    pub(crate) address: SocketAddr,
    pub(crate) is_tls: bool,
}

/// Why a descriptor of the manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unclaimed {
    #[error(transparent)]
    Adopt(#[from] io::Error),
    #[error("descriptor {descriptor} is another socket than the one for {address}: cookie {found}, not {meant}")]
    Cookie { descriptor: RawFd, address: SocketAddr, found: u64, meant: u64 },
    #[error("descriptor {descriptor} was inherited, but the manifest does not name it")]
    Unnamed { descriptor: RawFd },
}

/// Claims every descriptor of the manifest. `inherited` are those that the process was started with for listening; one that
/// the manifest does not name would stay open for ever, with clients waiting in its queue.
///
/// # Errors
/// On the first descriptor that is not what it should be.
pub(crate) fn claim(entries: &[ManifestEntry], inherited: &[RawFd]) -> Result<Vec<Listener>, Unclaimed> {
    let is_named = |descriptor: RawFd| entries.iter().any(|entry| entry.descriptor == descriptor);
    if let Some(&descriptor) = inherited.iter().find(|descriptor| !is_named(**descriptor)) {
        return Err(Unclaimed::Unnamed { descriptor });
    }
    entries.iter().map(claim_one).collect()
}

fn claim_one(entry: &ManifestEntry) -> Result<Listener, Unclaimed> {
    let descriptor = entry.descriptor;
    let listening = adopt(descriptor)?;
    if listening.cookie != entry.cookie {
        let (address, found, meant) = (entry.address, listening.cookie, entry.cookie);
        return Err(Unclaimed::Cookie { descriptor, address, found, meant });
    }
    Ok(Listener { socket: listening.socket, address: listening.address, is_tls: entry.tls })
}

/// Deals listeners out: of each address every thread gets its share of the sockets, and one that would get none shares
/// another's, as the same open file description.
///
/// # Errors
/// When a descriptor cannot be duplicated.
pub(crate) fn deal(listeners: Vec<Listener>, threads: usize) -> io::Result<Vec<Vec<Listener>>> {
    let mut by_address = BTreeMap::<_, Vec<Listener>>::new();
    for listener in listeners {
        by_address.entry((listener.address, listener.is_tls)).or_default().push(listener);
    }
    let mut hands: Vec<_> = (0..threads).map(|_| Vec::new()).collect();
    for group in by_address.into_values() {
        let count = group.len();
        for thread in count..threads {
            hands[thread].push(group[thread % count].share()?);
        }
        for (at, listener) in group.into_iter().enumerate() {
            hands[at % threads].push(listener);
        }
    }
    Ok(hands)
}

impl Listener {
    fn share(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, ..*self })
    }

    /// Makes it known to the runtime of the calling thread.
    pub(crate) fn register(self) -> io::Result<Accepting> {
        let (address, is_tls) = (self.address, self.is_tls);
        let listener = TcpListener::from_std(std::net::TcpListener::from(self.socket))?;
        Ok(Accepting { listener, address, is_tls })
    }
}

/// A listener that is known to a thread's runtime.
pub(crate) struct Accepting {
    listener: TcpListener,
    address: SocketAddr,
    is_tls: bool,
}

impl Accepting {
    /// Accepts until the proxy retires. What waits in the socket's queue then is for whoever shares the socket.
    ///
    /// The permit comes after the connection: a loop that held one while it waited would keep it from the others. So each
    /// loop may have one connection more than the limit, which waits here and not in the queue.
    pub(crate) async fn run(self, proxy: Arc<Proxy>, thread: usize) {
        let open = proxy.metrics.client_connections(self.address);
        let failures = proxy.metrics.accept_failures(self.address);
        while let Some((socket, address)) = proxy.retiring.run_until_cancelled(self.accept(&failures)).await {
            let Ok(place) = place(&proxy, address.ip().to_canonical()) else { continue };
            let admission = Admission::new(proxy.door.permits.take().await, open.raise(), place);
            let accepted = Accepted { socket, address, listener: self.address, is_tls: self.is_tls, admission };
            proxy.work.spawn(connection::serve(Arc::clone(&proxy), thread, accepted));
        }
    }

    /// Accepts one connection. Cancellation safe.
    async fn accept(&self, failed: &IntCounter) -> (TcpStream, SocketAddr) {
        let mut failures = 0_u64;
        loop {
            match self.listener.accept().await {
                Ok(accepted) => {
                    if failures > 0 {
                        tracing::info!(listener = %self.address, failures, "accepting again");
                    }
                    return accepted;
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(listener = %self.address, %error, "cannot accept, trying on");
                    }
                    failures += 1;
                    failed.inc();
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// A connection's place among those of its address, if these are counted.
///
/// # Errors
/// When the address has as many as it may have, or has begun too many; the connection is to be closed.
fn place(proxy: &Proxy, client: IpAddr) -> Result<Option<Place>, TooMany> {
    let world = proxy.world.load();
    let limits = &world.limits.crowd;
    if (limits.connections_per_ip.is_none() && limits.connects_per_ip.is_none()) || world.is_exempt(client) {
        return Ok(None);
    }
    let (crowd, now) = (&proxy.door.crowd, Instant::now());
    if let Some(rate) = limits.connects_per_ip
        && !crowd.admits(client, Deed::Connect, rate, now)
    {
        proxy.metrics.cut(Cut::ConnectsPerIp);
        return Err(TooMany);
    }
    let Some(most) = limits.connections_per_ip else { return Ok(None) };
    crowd.enter(client, most, now).map(Some).ok_or_else(|| {
        proxy.metrics.cut(Cut::ConnectionsPerIp);
        TooMany
    })
}

/// An address has as many connections as it may have, or begins too many.
#[derive(Debug)]
struct TooMany;

/// Did only the connection that was to be accepted fail (accept(2): errors that are already pending on the new socket)?
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | Interrupted | NetworkUnreachable | TimedOut
    )
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, IntoRawFd};

    use super::*;
    use crate::proxy::tests::inheritable;
    use crate::sys::listener::bind;

    fn entries(count: usize) -> Vec<ManifestEntry> {
        bind("127.0.0.1:0".parse().unwrap(), count).unwrap().into_iter().map(|it| inheritable(it, false)).collect()
    }

    /// How many sockets each thread gets.
    fn dealt(sockets: usize, threads: usize) -> Vec<usize> {
        let listeners = claim(&entries(sockets), &[]).unwrap();
        deal(listeners, threads).unwrap().iter().map(Vec::len).collect()
    }

    #[test]
    fn every_thread_gets_a_socket_of_every_address() {
        assert_eq!(dealt(1, 1), [1]);
        assert_eq!(dealt(2, 2), [1, 1]);
        assert_eq!(dealt(1, 3), [1, 1, 1]);
        assert_eq!(dealt(2, 3), [1, 1, 1]);
        assert_eq!(dealt(5, 2), [3, 2]);
    }

    #[test]
    fn a_socket_that_is_shared_has_its_own_descriptor() {
        let hands = deal(claim(&entries(1), &[]).unwrap(), 2).unwrap();
        assert_ne!(hands[0][0].socket.as_raw_fd(), hands[1][0].socket.as_raw_fd());
        assert_eq!(hands[0][0].address, hands[1][0].address);
    }

    #[test]
    fn a_socket_with_another_cookie_is_refused() {
        let mut entries = entries(1);
        entries[0].cookie += 1;
        let error = claim(&entries, &[]).unwrap_err();
        assert!(matches!(error, Unclaimed::Cookie { .. }), "{error}");
    }

    #[test]
    fn a_descriptor_that_is_no_listener_is_refused() {
        let mut entries = entries(1);
        entries[0].descriptor = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
        let error = claim(&entries, &[]).unwrap_err();
        assert!(matches!(error, Unclaimed::Adopt(_)), "{error}");
    }

    #[test]
    fn a_descriptor_that_nobody_named_is_refused() {
        let entries = entries(1);
        let (named, unnamed) = (entries[0].descriptor, entries[0].descriptor + 1);
        let error = claim(&entries, &[named, unnamed]).unwrap_err();
        assert!(matches!(error, Unclaimed::Unnamed { descriptor } if descriptor == unnamed), "{error}");
    }
}
