//! What runs out: descriptors, room on the disk, the supervisor itself. The proxy serves on with what is left.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::harness::{Home, Portreeve, Running, SOON, Target, block_on, open_tls, process, until, worker};

/// How many descriptors a process has open.
fn open(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64
}

/// Lets a process open only so many more descriptors; gives the limit that it had.
fn leave(pid: u32, more: u64) -> Rlimit {
    let limit = Rlimit { current: Some(open(pid) + more), maximum: None };
    limit_files(pid, limit)
}

fn limit_files(pid: u32, limit: Rlimit) -> Rlimit {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    let before = prlimit(Some(pid), Resource::Nofile, Rlimit { maximum: hard(pid), ..limit });
    before.unwrap()
}

/// The hard limit, which stays.
fn hard(pid: Pid) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero())).unwrap();
    let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(4).unwrap().parse().ok()
}

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

#[test]
fn a_proxy_without_descriptors_serves_on_and_recovers() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    let (pid, address) = (running.proxy(), running.http().address());
    let mut known = connect(address);
    assert!(ask_on(&mut known).starts_with("HTTP/1.1 200"));
    let before = leave(pid, 20);
    // More than it can accept: the others wait in the kernel's queue.
    let crowd: Vec<TcpStream> = (0..200).map(|_| connect(address)).collect();
    until(SOON, "connections cannot be accepted", || (failures(&running) > 0.0).then_some(()));
    // Whoever is connected is answered, be it that there is no way to a worker.
    for _ in 0..20 {
        let head = ask_on(&mut known);
        let is_told = head.starts_with("HTTP/1.1 503") && head.to_ascii_lowercase().contains("retry-after: 1");
        assert!(head.starts_with("HTTP/1.1 200") || is_told, "{head}");
    }
    assert_eq!(running.get_metrics("/healthz").status, 200);
    assert_eq!(running.get_metrics("/readyz").status, 200);
    assert!(running.cli(&["status"]).code == 0);
    drop(crowd);
    until(SOON, "a new client is served", || {
        running.http().try_get("/whoami").ok().filter(|reply| reply.status == 200)
    });
    limit_files(pid, before);
    let crowd: Vec<TcpStream> = (0..200).map(|_| connect(address)).collect();
    for mut socket in crowd {
        assert!(ask_on(&mut socket).starts_with("HTTP/1.1 200"));
    }
    assert_eq!(running.proxy(), pid, "the same proxy serves on");
    assert_eq!(running.metrics().sum("portreeve_worker_restarts_total", &[]), 0.0, "no worker is to blame");
}

#[test]
fn streams_of_http_2_beyond_the_descriptors_are_told_to_come_back() {
    let running = Portreeve::new().https().app("web", worker().workers(1)).start();
    let (pid, target) = (running.proxy(), running.h2());
    let before = leave(pid, 20);
    let statuses = block_on(async {
        let io = TokioIo::new(open_tls(&target).await.unwrap());
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        let driver = tokio::spawn(connection);
        let mut answers = Vec::new();
        for _ in 0..100 {
            let request = Request::get("https://localhost/slow?ms=500");
            sender.ready().await.unwrap();
            answers.push(sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()));
        }
        let answers = futures_util::future::join_all(answers).await;
        driver.abort();
        answers.into_iter().map(|answer| answer.unwrap().status().as_u16()).collect::<Vec<_>>()
    });
    let count = |status| statuses.iter().filter(|it| **it == status).count();
    assert!(count(200) >= 10 && count(503) > 0 && count(200) + count(503) == 100, "{statuses:?}");
    limit_files(pid, before);
    assert_eq!(target.get("/whoami").status, 200);
    let faults = running.metrics().sum("portreeve_upstream_faults_total", &[]);
    assert_eq!(faults, 0.0, "no worker is to blame");
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
    home.start("web", &[]);
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
