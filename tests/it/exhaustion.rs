//! What runs out: descriptors, room on the disk, the supervisor itself. The proxy serves on with what is left.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::Signal;

use crate::harness::{Home, Portreeve, Running, SOON, Target, block_on, open_tls, process, until, worker};

fn failures(running: &Running) -> f64 {
    running.metrics().sum("portreeve_accept_failures_total", &[])
}

/// Asks on a connection that is open already; gives the head of the answer.
fn ask_on(socket: &mut TcpStream) -> String {
    socket.write_all(b"GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    socket.read_exact(&mut vec![0; length.unwrap_or(0)]).unwrap();
    head
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

/// Asks a hundred times at once on one HTTP/2 connection; gives the statuses.
async fn ask_at_once(target: &Target) -> Vec<u16> {
    let io = TokioIo::new(open_tls(target).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut answers = Vec::new();
    for _ in 0..100 {
        sender.ready().await.unwrap();
        let request = Request::get("https://localhost/slow?ms=4000").body(Empty::<Bytes>::new()).unwrap();
        answers.push(sender.send_request(request));
    }
    let answers = join_all(answers).await;
    driver.abort();
    answers.into_iter().map(|answer| answer.unwrap().status().as_u16()).collect()
}

#[test]
fn a_proxy_without_descriptors_serves_on_and_recovers() {
    let few = ["/bin/sh", "-c", "ulimit -n 200 && exec \"$@\"", "sh"].map(String::from);
    let running = Portreeve::new().https().app("web", worker().workers(4)).launched_by(&few).start();
    let (pid, address, target) = (running.proxy(), running.http().address(), running.h2());
    let mut known = connect(address);
    assert!(ask_on(&mut known).starts_with("HTTP/1.1 200"));
    // Each of the 400 takes a connection to a worker, of which there cannot be as many as 200.
    let flood = std::thread::spawn(move || block_on(join_all((0..4).map(|_| ask_at_once(&target)))).concat());
    let mut crowd = Vec::new();
    until(SOON, "connections cannot be accepted", || {
        crowd.push(connect(address));
        (failures(&running) > 0.0).then_some(())
    });
    // Whoever is connected is answered, be it that there is no way to a worker.
    for _ in 0..20 {
        let head = ask_on(&mut known);
        let is_told = head.starts_with("HTTP/1.1 503") && head.to_ascii_lowercase().contains("retry-after: 1");
        assert!(head.starts_with("HTTP/1.1 200") || is_told, "{head}");
    }
    assert_eq!(running.get_metrics("/healthz").status, 200);
    assert_eq!(running.get_metrics("/readyz").status, 200);
    assert_eq!(running.cli(&["status"]).code, 0);
    let statuses = flood.join().unwrap();
    let count = |status| statuses.iter().filter(|it| **it == status).count();
    assert!(count(200) > 50 && count(503) > 50 && count(200) + count(503) == 400, "{statuses:?}");
    // It is over, and everybody is served, those too who have waited in the kernel's queue.
    for mut socket in crowd {
        assert!(ask_on(&mut socket).starts_with("HTTP/1.1 200"));
    }
    assert_eq!(running.proxy(), pid, "the same proxy serves on");
    let blamed = ["portreeve_upstream_faults_total", "portreeve_worker_restarts_total"];
    for name in blamed {
        assert!(running.metrics().sum(name, &[]) < 1.0, "{name}: no worker is to blame");
    }
}

#[test]
fn a_full_disk_costs_access_lines_and_nothing_else() {
    let running = Portreeve::new()
        .app("web", worker())
        .set("log.access.path", "/dev/full")
        .set("log.access.format", "json")
        .start();
    for _ in 0..20 {
        assert_eq!(running.get("/whoami").status, 200);
    }
    let dropped = || running.metrics().sum("portreeve_access_log_dropped_total", &[]);
    until(SOON, "the lines that were lost are counted", || (dropped() >= 20.0).then_some(()));
    assert!(running.output().stderr().contains("cannot write the access log"), "{}", running.output().stderr());
}

#[test]
fn a_proxy_whose_supervisor_was_killed_serves_on() {
    let home = Home::new();
    // Nobody is to start another one.
    home.start("web", &["--no-keep"]);
    let status = until(SOON, "one proxy is left", || Some(home.status()).filter(|status| status.proxies.len() == 1));
    let (proxy, workers) = (status.serving_proxy().unwrap(), home.pids("web"));
    let target = Target::Plain(home.address("web"));
    process::kill(status.pid);
    for _ in 0..20 {
        let reply = target.get("/whoami");
        assert_eq!((reply.status, reply.pid()), (200, Some(workers[0])));
    }
    for pid in workers.into_iter().chain([proxy]) {
        process::send(pid, Signal::KILL);
    }
    until(SOON, "nobody serves", || target.try_get("/whoami").is_err().then_some(()));
}
