//! Real sockets on loopback; what an inherited descriptor is, is tried in children that inherit one.

use std::collections::HashSet;
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};
use std::process::{Command, Stdio};

use rustix::io::FdFlags;

use super::*;
use crate::sys::testing::{eventually, must_pass, skip, test_in_child};

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[test]
fn a_bound_listener_accepts_and_does_not_block() {
    let [listening] = bind(loopback(0), 1).unwrap().try_into().unwrap();
    assert_ne!(listening.address.port(), 0);
    assert_eq!(listening.name, None);
    assert!(rustix::io::fcntl_getfd(&listening.socket).unwrap().contains(FdFlags::CLOEXEC));
    let listener = TcpListener::from(listening.socket);
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let _client = TcpStream::connect(listening.address).unwrap();
    listener.accept().unwrap();
}

#[test]
fn several_sockets_share_one_port_and_take_turns() {
    let group = bind(loopback(0), 4).unwrap();
    let ports: HashSet<u16> = group.iter().map(|listening| listening.address.port()).collect();
    let cookies: HashSet<u64> = group.iter().map(|listening| listening.cookie).collect();
    assert_eq!((ports.len(), cookies.len()), (1, 4));

    let address = group[0].address;
    let clients: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    let accepted = group.into_iter().map(|listening| {
        let listener = TcpListener::from(listening.socket);
        std::iter::from_fn(|| listener.accept().ok()).count()
    });
    let accepted: Vec<usize> = accepted.collect();
    assert_eq!(accepted.iter().sum::<usize>(), clients.len());
    assert!(accepted.iter().all(|&count| count > 0), "every queue gets connections: {accepted:?}");
}

#[test]
fn a_port_on_which_somebody_listens_is_refused() {
    let somebody = TcpListener::bind(loopback(0)).unwrap();
    let address = somebody.local_addr().unwrap();
    for count in [1, 2] {
        assert_eq!(bind(address, count).unwrap_err().kind(), ErrorKind::AddrInUse, "{count} sockets");
    }
}

#[test]
fn even_another_group_of_shared_sockets_is_refused() {
    let group = bind(loopback(0), 2).unwrap();
    let address = group[0].address;
    for count in [1, 2] {
        assert_eq!(bind(address, count).unwrap_err().kind(), ErrorKind::AddrInUse, "{count} sockets");
    }
    assert_eq!(TcpListener::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn a_port_is_free_again_once_its_sockets_are_closed() {
    let group = bind(loopback(0), 2).unwrap();
    let address = group[0].address;
    drop(group);
    assert_eq!(eventually(|| bind(address, 2)).len(), 2);
}

#[test]
fn an_ipv6_listener_leaves_the_ipv4_port_alone() {
    let Ok(six) = bind("[::]:0".parse().unwrap(), 2) else {
        eprintln!("skipped: no IPv6 here");
        return;
    };
    bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, six[0].address.port())), 2).unwrap();
}

#[test]
fn no_sockets_are_no_listener() {
    assert_eq!(bind(loopback(0), 0).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_cookie_names_the_socket_not_the_descriptor() {
    let group = bind(loopback(0), 2).unwrap();
    let copy = group[0].socket.try_clone().unwrap();
    assert_eq!(rustix::net::sockopt::socket_cookie(copy).unwrap(), group[0].cookie);
    assert_ne!(group[0].cookie, group[1].cookie);
}

#[test]
fn reserved_ports_differ_and_are_given_to_nobody_who_asks_for_any() {
    let reservations: Vec<Reservation> = (0..100).map(|_| reserve_port().unwrap()).collect();
    let reserved: HashSet<u16> = reservations.iter().map(Reservation::port).collect();
    assert_eq!(reserved.len(), reservations.len());
    let others: Vec<TcpListener> = (0..100).map(|_| TcpListener::bind(loopback(0)).unwrap()).collect();
    assert!(others.iter().all(|other| !reserved.contains(&other.local_addr().unwrap().port())));
}

#[test]
fn a_reserved_port_is_taken_on_every_address() {
    let reservation = reserve_port().unwrap();
    let port = reservation.port();
    for ip in ["127.0.0.2", "0.0.0.0", "::1", "::"].map(|ip| ip.parse::<IpAddr>().unwrap()) {
        let address = SocketAddr::new(ip, port);
        // As a client's socket is: without SO_REUSEADDR.
        let Ok(socket) = Socket::new(Domain::for_address(address), Type::STREAM, None) else { continue };
        assert_eq!(socket.bind(&address.into()).unwrap_err().kind(), ErrorKind::AddrInUse, "{ip}");
        // As a server's is, that listens everywhere.
        let server = TcpListener::bind(address).unwrap();
        assert_eq!(server.local_addr().unwrap(), address);
    }
}

#[test]
fn a_server_with_reuseaddr_as_std_sets_it_binds_its_reserved_port_again_and_again() {
    let reservation = reserve_port().unwrap();
    assert_eq!(TcpStream::connect(loopback(reservation.port())).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    for _ in 0..2 {
        let worker = eventually(|| TcpListener::bind(loopback(reservation.port())));
        TcpStream::connect(loopback(reservation.port())).unwrap();
        worker.accept().unwrap();
    }
}

#[test]
fn servers_of_common_languages_can_bind_a_reserved_port() {
    let python = "import http.server, os\n\
        http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.BaseHTTPRequestHandler)\n\
        print('bound')";
    let node = "const server = require('http').createServer();\n\
        server.listen(process.env.PORT, '127.0.0.1', () => { console.log('bound'); server.close(); })";
    for (program, option, script) in [("python3", "-c", python), ("node", "-e", node)] {
        let reservation = reserve_port().unwrap();
        let port = reservation.port().to_string();
        match Command::new(program).args([option, script]).env("PORT", port).output() {
            Ok(output) => assert_eq!(output.stdout, b"bound\n", "{program}: {output:?}"),
            Err(error) => skip(&format!("{program}: {error}")),
        }
    }
}

/// A descriptor as it looks after an exec: open, not close-on-exec, owned by no value.
fn place(descriptor: &OwnedFd) -> RawFd {
    rustix::io::dup(descriptor).unwrap().into_raw_fd()
}

#[test]
fn an_adopted_socket_is_the_one_that_was_placed() {
    let [listening] = bind(loopback(0), 1).unwrap().try_into().unwrap();
    let adopted = adopt(place(&listening.socket)).unwrap();
    assert_eq!((adopted.address, adopted.cookie), (listening.address, listening.cookie));
    assert!(rustix::io::fcntl_getfd(&adopted.socket).unwrap().contains(FdFlags::CLOEXEC));
    let owned = adopt(adopted.socket.as_raw_fd()).unwrap_err().to_string();
    assert!(owned.ends_with("it has an owner already"), "{owned}");
}

#[test]
fn what_is_no_listening_tcp_socket_is_not_adopted() {
    let listener = TcpListener::bind(loopback(0)).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let datagrams = UdpSocket::bind(loopback(0)).unwrap();
    let (local, _peer) = crate::sys::socket::pair().unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let expectations = [
        (OwnedFd::from(stream), "it is a TCP socket that does not listen"),
        (datagrams.into(), "it is not a TCP socket"),
        (local, "it is not a TCP socket"),
        (file.into(), "Socket operation on non-socket (os error 88)"),
    ];
    for (descriptor, reason) in expectations {
        let placed = place(&descriptor);
        let error = adopt(placed).unwrap_err();
        assert_eq!(error.to_string(), format!("descriptor {placed}: {reason}"));
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}

/// Runs an ignored test of this file with `socket` as its descriptor 3, the way a service manager starts a service.
/// The shell in between stands at the PID that `exec` then gives to the test.
fn activate(test: &str, socket: impl Into<Stdio>, listen_pid: &str) -> Command {
    let inner = test_in_child(&format!("sys::listener::tests::{test}"));
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("LISTEN_PID={listen_pid} exec \"$0\" \"$@\" 3<&0 </dev/null"));
    shell.arg(inner.get_program()).args(inner.get_args());
    shell.envs([("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "http")]).stdin(socket);
    shell
}

#[test]
fn sockets_from_the_service_manager_are_claimed_with_their_names() {
    let listener = TcpListener::bind(loopback(0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut child = activate("in_a_child_inherit", OwnedFd::from(listener), "$$");
    let mut client = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    must_pass(child.env("EXPECTED_PORT", port));
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello", "a connection that waited in the queue is served");
}

#[test]
#[ignore = "run in a process of its own by the test above"]
fn in_a_child_inherit() {
    let [listening] = inherited().unwrap().try_into().unwrap();
    assert_eq!(listening.name.as_deref(), Some("http"));
    assert_eq!(listening.address.port().to_string(), std::env::var("EXPECTED_PORT").unwrap());
    assert_eq!(listening.socket.as_raw_fd(), 3);
    assert!(rustix::io::fcntl_getfd(&listening.socket).unwrap().contains(FdFlags::CLOEXEC));
    assert!(inherited().unwrap().is_empty(), "taken once");

    let (mut client, _) = TcpListener::from(listening.socket).accept().unwrap();
    std::io::Write::write_all(&mut client, b"hello").unwrap();
}

#[test]
fn sockets_meant_for_another_process_are_left_alone() {
    let listener = TcpListener::bind(loopback(0)).unwrap();
    must_pass(&mut activate("in_a_child_inherit_nothing", OwnedFd::from(listener), "1"));
}

#[test]
#[ignore = "run in a process of its own by the test above"]
fn in_a_child_inherit_nothing() {
    assert!(inherited().unwrap().is_empty());
    // SAFETY: the shell opened descriptor 3, and nobody has claimed it.
    let untouched = unsafe { BorrowedFd::borrow_raw(3) };
    assert!(!rustix::io::fcntl_getfd(untouched).unwrap().contains(FdFlags::CLOEXEC));
}

#[test]
fn a_passed_descriptor_that_is_no_listener_is_named() {
    must_pass(&mut activate("in_a_child_inherit_a_file", Stdio::null(), "$$"));
}

#[test]
#[ignore = "run in a process of its own by the test above"]
fn in_a_child_inherit_a_file() {
    let error = inherited().unwrap_err();
    assert_eq!(error.to_string(), "descriptor 3 (http): Socket operation on non-socket (os error 88)");
}
