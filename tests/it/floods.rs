//! Floods of every kind, and a polite client beside them that must not notice much.
//!
//! During each flood the proxy's memory and CPU time are read from `/proc`, and the polite client asks again and again, on a
//! new connection each time. What that costs is measured before and taken off, so that what is left is the flood's. When it is
//! over, the proxy has to come to rest. `cargo nextest run --test it floods --no-capture` prints the figures.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Portreeve, Running, SOON, Target, block_on, open_tls, process, until, worker};

/// Longest that the polite client may wait in 99 of 100 cases, with an unoptimised proxy on a busy machine.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most that the proxy may grow by in any flood.
const GROWTH: u64 = 192 * 1024 * 1024;

/// The most CPU time that one flood may cost, with an unoptimised proxy.
const EFFORT: Duration = Duration::from_secs(6);

/// A proxy at rest uses less of a CPU than this.
const REST: f64 = 0.2;

/// The most that an HTTP/1 client makes us hold of an answer that it does not take (docs/limits.md).
const HELD: u64 = 256 * 1024;

/// How long floods without an end of their own go on.
const WHILE: Duration = Duration::from_secs(2);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const GET: &[u8] = b"\x82\x87\x84\x41\x09localhost";
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const WHOLE: u8 = 5;

/// What a flood has cost.
struct Figures {
    name: &'static str,
    peak: u64,
    grown: u64,
    /// CPU seconds for the flood, without what the polite client cost.
    effort: f64,
    lasted: Duration,
    asked: usize,
    p50: Duration,
    p99: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{:<24} {:>9.1} {:>9.1} {:>6.2} {:>6.2} {:>7} {:>9.1} {:>9.1}",
            self.name,
            mib(self.peak),
            mib(self.grown),
            self.effort,
            self.lasted.as_secs_f64(),
            self.asked,
            self.p50.as_secs_f64() * 1e3,
            self.p99.as_secs_f64() * 1e3,
        )
    }
}

const TITLE: &str = "flood                     peak MiB grown MiB  CPU s      s   asked    p50 ms    p99 ms";

/// CPU seconds that one question of the polite client costs.
#[track_caller]
fn politeness(running: &Running) -> f64 {
    let (pid, address) = (running.proxy(), running.http().address());
    // What is done once only is not counted.
    (0..50).for_each(|_| _ = ask(address));
    let used = cpu(pid);
    (0..500).for_each(|_| _ = ask(address));
    println!("{TITLE}");
    (cpu(pid) - used) / 500.0
}

/// Lets a flood loose; a polite client asks meanwhile.
#[track_caller]
fn during(running: &Running, polite: f64, name: &'static str, flood: impl FnOnce()) -> Figures {
    let (pid, address) = (running.proxy(), running.http().address());
    let (before, began, used) = (resident(pid), Instant::now(), cpu(pid));
    let is_over = AtomicBool::new(false);
    let (mut waits, peak) = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let (mut waits, mut peak) = (Vec::new(), 0);
            while !is_over.load(Ordering::SeqCst) || waits.len() < 20 {
                waits.push(ask(address));
                peak = peak.max(resident(pid));
            }
            (waits, peak)
        });
        flood();
        is_over.store(true, Ordering::SeqCst);
        client.join().expect("the polite client is served")
    });
    waits.sort_unstable();
    let figures = Figures {
        name,
        peak,
        grown: peak.saturating_sub(before),
        effort: (cpu(pid) - used - polite * waits.len() as f64).max(0.0),
        lasted: began.elapsed(),
        asked: waits.len(),
        p50: waits[waits.len() / 2],
        p99: waits[waits.len() * 99 / 100],
    };
    println!("{figures}");
    assert!(figures.p99 < PATIENCE, "{TITLE}\n{figures}");
    assert!(figures.grown < GROWTH, "{TITLE}\n{figures}");
    // A connection's frames are read by one thread, so one flooder has no more than that.
    assert!(figures.effort < EFFORT.as_secs_f64(), "{TITLE}\n{figures}");
    comes_to_rest(pid);
    assert_eq!(running.proxy(), pid, "the same proxy serves on");
    figures
}

/// Waits until the proxy uses hardly any CPU time.
#[track_caller]
fn comes_to_rest(pid: u32) {
    let mut last = (Instant::now(), cpu(pid));
    until(SOON, "the proxy comes to rest", || {
        let (elapsed, used) = (last.0.elapsed().as_secs_f64(), cpu(pid) - last.1);
        // Shorter than that and a single tick of the clock is a lot.
        (elapsed > 0.3).then(|| last = (Instant::now(), cpu(pid)))?;
        (used / elapsed < REST).then_some(())
    });
}

/// Asks once, on a connection of its own; returns how long that took.
fn ask(address: SocketAddr) -> Duration {
    let began = Instant::now();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.write_all(b"GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    began.elapsed()
}

fn resident(pid: u32) -> u64 {
    let field = process::status_field(pid, "VmRSS").expect("the proxy lives");
    field.trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Seconds of CPU time used so far.
fn cpu(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the proxy lives");
    let fields: Vec<&str> = text[text.rfind(')').unwrap() + 2..].split(' ').collect();
    // In clock ticks, of which Linux has a hundred a second for whoever asks.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[track_caller]
fn cut(running: &Running, why: &str, count: f64) {
    until(SOON, &format!("{count} are cut off for {why}"), || (cuts(running, why) >= count).then_some(()));
}

fn cuts(running: &Running, why: &str) -> f64 {
    running.metrics().value("portreeve_clients_cut_total", &[("why", why)]).unwrap_or(0.0)
}

/// As many connections, each of which has said this.
fn crowd(address: SocketAddr, count: usize, words: &[u8]) -> Vec<TcpStream> {
    let connect = |_| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(words).unwrap();
        socket
    };
    (0..count).map(connect).collect()
}

/// Says another byte on each connection every now and then, until so many have been cut off.
fn drip(running: &Running, sockets: &mut [TcpStream], why: &str) {
    let count = sockets.len() as f64;
    until(SOON, "all are cut off", || {
        for socket in sockets.iter_mut() {
            let _ = socket.write(b"x");
        }
        (cuts(running, why) >= count).then_some(())
    });
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Writes what `next` says until the proxy closes, reading and dropping what it says; returns how many bytes it took.
async fn pour(target: &Target, mut next: impl FnMut(u32) -> Vec<u8>) -> usize {
    let socket = open_tls(target).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(socket);
    let write = async {
        let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        let (mut taken, mut turn) = (0, 0);
        // A flood that nobody stops ends at 64 MiB, and the test with it.
        while taken < 64 << 20 && writer.write_all(&bytes).await.is_ok() && writer.flush().await.is_ok() {
            taken += bytes.len();
            bytes = next(turn);
            turn += 1;
        }
        taken
    };
    let read = async {
        let mut scratch = vec![0; 64 * 1024];
        while reader.read(&mut scratch).await.is_ok_and(|count| count > 0) {}
    };
    tokio::pin!(write);
    let taken = tokio::select! {
        taken = &mut write => taken,
        () = read => write.await,
    };
    assert!(taken < 64 << 20, "nobody stopped it");
    taken
}

/// The same, again and again on new connections for a while; returns how many there were.
fn pour_on(target: &Target, next: impl Fn(u32) -> Vec<u8>) -> usize {
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < WHILE {
        block_on(pour(target, &next));
        count += 1;
    }
    count
}

#[test]
fn slow_clients_are_cut_off_and_others_are_served() {
    let running = Portreeve::new()
        .app("web", worker().workers(2))
        .set("limits.header_timeout", "1s")
        .set("limits.body_idle", "1s")
        .set("limits.write_stall", "1s")
        .start();
    let address = running.http().address();
    let polite = politeness(&running);
    during(&running, polite, "slow heads (400)", || {
        let mut sockets = crowd(address, 400, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
        drip(&running, &mut sockets, "slow-head");
    });
    during(&running, polite, "slow bodies (200)", || {
        let head = b"POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
        let mut sockets = crowd(address, 200, head);
        drip(&running, &mut sockets, "slow-body");
    });
    let figures = during(&running, polite, "slow readers (100)", || {
        let _sockets = crowd(address, 100, b"GET /stream?bytes=100000000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
        cut(&running, "write-stall", 100.0);
    });
    assert!(figures.grown < 100 * HELD, "{TITLE}\n{figures}");
}

#[test]
fn http2_floods_are_cut_off_and_others_are_served() {
    let running = Portreeve::new()
        .https()
        .app("web", worker().workers(2))
        .set("limits.header_timeout", "1s")
        .set("limits.write_stall", "1s")
        .start();
    let target = running.h2();
    let polite = politeness(&running);
    during(&running, polite, "h2: no window (100)", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _open = runtime.block_on(async {
            let mut socket = open_tls(&target).await.unwrap();
            let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat();
            let path = b"/stream?bytes=100000000";
            let get = [&b"\x82\x87\x44"[..], &[path.len() as u8][..], path, b"\x41\x09localhost"].concat();
            (0..100).for_each(|number| bytes.extend(frame(HEADERS, WHOLE, 2 * number + 1, &get)));
            socket.write_all(&bytes).await.unwrap();
            socket
        });
        cut(&running, "write-stall", 100.0);
    });
    for (name, frames) in [
        ("h2: pings", frame(6, 0, 0, &[7; 8]).repeat(1000)),
        ("h2: settings", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100].repeat(2000))),
        ("h2: priorities", frame(2, 0, 3, &[0, 0, 0, 0, 9]).repeat(1000)),
        ("h2: window updates", frame(8, 0, 0, &[0, 0, 0, 1]).repeat(1000)),
        ("h2: unknown frames", frame(0x2a, 0, 0, &[0; 16 * 1024])),
    ] {
        let before = cuts(&running, "flood");
        during(&running, polite, name, || {
            block_on(pour(&target, |_| frames.clone()));
        });
        cut(&running, "flood", before + 1.0);
    }
    during(&running, polite, "h2: continuations", || {
        pour_on(&target, |turn| if turn == 0 { frame(HEADERS, 1, 1, GET) } else { frame(9, 0, 1, &[0x82; 1000]) });
    });
    during(&running, polite, "h2: header bombs", || {
        let mut bomb = [GET, b"\x40\x01x\x7f\xa1\x1e", &[b'y'; 4000]].concat();
        bomb.extend([0xbe; 8000]);
        pour_on(&target, |turn| frame(HEADERS, WHOLE, 2 * turn + 1, &bomb));
    });
    during(&running, polite, "h2: empty data", || {
        pour_on(&target, |turn| if turn == 0 { frame(HEADERS, 4, 1, GET) } else { frame(0, 0, 1, &[]) });
    });
    during(&running, polite, "h2: rapid reset", || {
        pour_on(&target, |turn| {
            let stream = 2 * turn + 1;
            [frame(HEADERS, WHOLE, stream, GET), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
        });
    });
}

#[test]
fn floods_of_connections_and_handshakes_leave_room_for_others() {
    let running = Portreeve::new()
        .https()
        .app("web", worker().workers(2))
        .set("limits.connections_per_ip", 100)
        .set("limits.exempt", toml::Value::Array(vec!["127.0.0.1".into()]))
        .start();
    let (http, https) = (running.http().address(), running.https().address());
    let polite = politeness(&running);
    during(&running, polite, "connections (1000)", || {
        let _sockets: Vec<_> = (0..1000).map(|_| connect_from([127, 0, 0, 2].into(), http)).collect();
        cut(&running, "connections-per-ip", 900.0);
    });
    during(&running, polite, "silent handshakes (400)", || {
        let _sockets = crowd(https, 400, b"\x16\x03\x01");
        let began = Instant::now();
        until(SOON, "a while has passed", || (began.elapsed() >= WHILE).then_some(()));
    });
    let mut count = 0;
    during(&running, polite, "handshakes (8 at a time)", || {
        let target = running.https();
        count = block_on(async {
            let shake = async |_| {
                let (began, mut count) = (Instant::now(), 0);
                while began.elapsed() < WHILE {
                    drop(open_tls(&target).await.unwrap());
                    count += 1;
                }
                count
            };
            futures_util::future::join_all((0..8).map(shake)).await.into_iter().sum::<usize>()
        });
    });
    assert!(count > 8, "{count} handshakes");
}

/// A connection from this address.
fn connect_from(from: Ipv4Addr, to: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket
}
