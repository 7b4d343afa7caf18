//! Servers that something else runs: the same routing, probes, pool and retries, and nobody supervised.

use std::collections::BTreeSet;

use crate::harness::{App, Direct, Load, Portreeve, Running, SOON, process, until, upstream};

/// Two servers, one on TCP and one on a Unix socket, and the app in front of them.
struct Pair {
    folder: tempfile::TempDir,
    tcp: Direct,
    unix: Direct,
}

impl Pair {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = format!("ledger={}", folder.path().join("ledger").display());
        let tcp = Direct::start(&[&ledger]);
        let unix = Direct::start(&[&ledger, &Self::listen(&folder)]);
        Self { folder, tcp, unix }
    }

    fn listen(folder: &tempfile::TempDir) -> String {
        format!("listen=unix:{}", folder.path().join("app.sock").display())
    }

    fn app(&self) -> App {
        let unix = format!("unix:{}", self.folder.path().join("app.sock").display());
        let app = upstream(&[self.tcp.address().to_string(), unix]).ready_http("/health");
        app.set("retry", toml::Table::new())
    }
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
    answering(&running, &[pair.tcp.pid()]);

    std::fs::remove_file(pair.folder.path().join("app.sock")).unwrap();
    let again = Direct::start(&[&Pair::listen(&pair.folder)]);
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
