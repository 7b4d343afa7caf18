//! Servers that something else runs: the same routing, probes, pool and retries, and nobody supervised.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::{App, Direct, Ledger, Load, Portreeve, Running, SOON, process, until, upstream};

/// Two servers, one on TCP and one on a Unix socket, and the app in front of them.
struct Pair {
    folder: tempfile::TempDir,
    ledger: Ledger,
    tcp: Direct,
    unix: Direct,
}

impl Pair {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path());
        let ledger = Ledger::create(folder.path().join("ledger"));
        let tcp = Direct::start(&[&ledger.word()]);
        let unix = start_unix(folder.path(), &ledger);
        Self { folder, ledger, tcp, unix }
    }

    fn app(&self) -> App {
        let unix = format!("unix:{}", self.folder.path().join("app.sock").display());
        upstream(&[self.tcp.address().to_string(), unix]).ready_http("/health")
    }
}

fn start_unix(folder: &Path, ledger: &Ledger) -> Direct {
    let path = folder.join("app.sock");
    let direct = Direct::start(&[&ledger.word(), &format!("listen=unix:{}", path.display())]);
    open_to_all(&path);
    direct
}

/// The proxy of a supervisor that is root is somebody else.
fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
}

/// Waits until exactly these processes answer, and no other does twenty times in a row.
#[track_caller]
fn answering(running: &Running, expected: &[u32]) {
    let expected: BTreeSet<u32> = expected.iter().copied().collect();
    until(SOON, "exactly the live servers answer", || {
        let replies: Vec<_> = (0..20).map(|_| running.get("/whoami")).collect();
        let pids: BTreeSet<u32> = replies.iter().filter_map(crate::harness::Reply::pid).collect();
        (pids == expected && replies.iter().all(|reply| reply.status == 200)).then_some(())
    });
}

#[test]
fn servers_on_tcp_and_unix_sockets_share_the_requests() {
    let pair = Pair::start();
    let running = Portreeve::new().app("web", pair.app()).start();
    answering(&running, &[pair.tcp.pid(), pair.unix.pid()]);
}

#[test]
fn the_others_serve_when_one_server_dies_and_it_is_used_again_once_it_is_back() {
    let pair = Pair::start();
    let running = Portreeve::new().app("web", pair.app()).start();
    answering(&running, &[pair.tcp.pid(), pair.unix.pid()]);

    let load = Load::new().clients(8, &running.http()).start();
    process::kill(pair.unix.pid());
    // Nobody knows of its death but the proxy: what is sent to it now was provably never read.
    for _ in 0..20 {
        assert_eq!(running.http().post("/echo", "x").status, 200);
    }
    load.goes_on(50);
    let tally = load.finish();
    assert_eq!(tally.failed(false).count(), 0, "{tally}");
    tally.assert_each_order_once(&pair.ledger);
    answering(&running, &[pair.tcp.pid()]);

    std::fs::remove_file(pair.folder.path().join("app.sock")).unwrap();
    let again = start_unix(pair.folder.path(), &pair.ledger);
    answering(&running, &[pair.tcp.pid(), again.pid()]);
}

#[test]
fn without_any_server_a_request_is_answered_503() {
    let pair = Pair::start();
    let running = Portreeve::new().app("web", pair.app()).start();
    answering(&running, &[pair.tcp.pid(), pair.unix.pid()]);
    process::kill(pair.tcp.pid());
    process::kill(pair.unix.pid());
    until(SOON, "both are known to be down", || (running.get("/whoami").status == 503).then_some(()));
}

#[test]
fn servers_that_are_not_ours_outlive_us() {
    let pair = Pair::start();
    let mut running = Portreeve::new().app("web", pair.app()).start();
    answering(&running, &[pair.tcp.pid(), pair.unix.pid()]);
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.ended(SOON).code(), Some(0));
    assert_eq!(pair.tcp.http().get("/whoami").status, 200);
}

/// Reads a header of the PROXY protocol, version 2, then a head; answers 200. Gives both.
fn introduced(mut socket: &TcpStream) -> Option<(Vec<u8>, String)> {
    let mut header = vec![0; 16];
    socket.read_exact(&mut header).ok()?;
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    header.resize(16 + rest, 0);
    socket.read_exact(&mut header[16..]).ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").ok()?;
    Some((header, String::from_utf8(head).ok()?))
}

#[test]
fn a_server_is_introduced_to_clients_and_probed_in_nobodys_name() {
    const PREFIX: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let app = upstream(&[listener.local_addr().unwrap().to_string()]).ready_http("/up").set("proxy_protocol", true);
    let (sender, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Some(said) = introduced(&socket.unwrap()) else { continue };
            if sender.send(said).is_err() {
                return;
            }
        }
    });
    let running = Portreeve::new().app("web", app).start();
    let mut client = TcpStream::connect(running.http().address()).unwrap();
    client.write_all(b"GET /mine HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let (header, _) = said.iter().find(|(_, head)| head.starts_with("GET /mine ")).unwrap();
    let local = client.local_addr().unwrap();
    let ports = [local.port().to_be_bytes(), running.http().address().port().to_be_bytes()].concat();
    let expected = [PREFIX, &[0x21, 0x11, 0, 12], &[127, 0, 0, 1], &[127, 0, 0, 1], &ports].concat();
    assert_eq!(header, expected);
    let (header, _) = said.iter().find(|(_, head)| head.starts_with("GET /up ")).unwrap();
    assert_eq!(header, [PREFIX, &[0x20, 0, 0, 0]].concat());
}
