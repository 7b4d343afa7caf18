//! How many connections to one worker may be about to be made at a time.

use std::time::Duration;

use tokio::net::TcpSocket;

use super::client::Client;
use super::rig::{Rig, endpoint_at};
use super::run;
use crate::id::{Address, Serial};

/// Connections to this port on loopback that the other side has not taken, as the kernel lists them (`SYN_SENT`).
fn unanswered(port: u16) -> usize {
    let remote = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let of = |line: &&str| {
        let mut columns = line.split_whitespace().skip(2);
        columns.next() == Some(&remote) && columns.next() == Some("02")
    };
    table.lines().filter(of).count()
}

#[test]
fn a_crowd_does_not_open_connections_without_bound_to_a_worker_that_takes_none() {
    run(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut rig = Rig::start().await;
        rig.web().endpoints = vec![endpoint_at(Serial(1), Address::Tcp(address))];
        rig.web().connect_timeout = Duration::from_secs(15);
        rig.publish().await;
        let mut clients = Vec::new();
        for _ in 0..400 {
            let mut client = Client::connect(rig.http).await;
            client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            clients.push(client);
        }
        rig.metric_becomes("portreeve_inflight", &[], 400).await;
        while unanswered(address.port()) < 256 {
            tokio::task::yield_now().await;
        }
        assert_eq!(unanswered(address.port()), 256);
        drop((clients, listener));
        rig.stop().await;
    });
}
