//! The proxy may die: the sockets live in the supervisor, the workers never notice.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use crate::harness::{Failure, Load, Portreeve, SOON, process, until, worker};

/// Repeats something on one thread until another lets go, be it by a panic.
#[derive(Default)]
struct Until(AtomicBool);

struct End<'a>(&'a AtomicBool);

impl Until {
    fn repeat<T>(&self, action: impl Fn() -> T) -> Vec<T> {
        std::iter::from_fn(|| (!self.0.load(Ordering::SeqCst)).then(&action)).collect()
    }

    fn end_with_me(&self) -> End<'_> {
        End(&self.0)
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_killed_proxy_is_replaced_on_the_same_sockets_and_no_worker_notices() {
    let running = Portreeve::new().https().app("web", worker().workers(2)).start();
    let (pids, listeners) = (running.pids("web", 2), [running.http().address(), running.https().address()]);
    let load = Load::new().clients(4, &running.http()).clients(2, &running.https()).clients(2, &running.h2()).start();
    let target = running.http();
    let newcomers = Until::default();
    let newcomers = std::thread::scope(|scope| {
        let outcomes = scope.spawn(|| newcomers.repeat(|| target.try_get("/whoami")));
        let end = newcomers.end_with_me();
        for _ in 0..3 {
            running.proxy_after(running.kill_proxy());
            load.goes_on(50);
        }
        drop(end);
        outcomes.join().unwrap()
    });
    let tally = load.finish();

    let refused = |failure: &Failure| failure.kind() == "connect" || matches!(failure, Failure::Status(_));
    let failures = newcomers.iter().filter_map(|outcome| outcome.as_ref().err());
    assert_eq!(failures.filter(|failure| refused(failure)).count(), 0, "nobody was refused: {newcomers:?}");
    let plain = |failure: &Failure| matches!(failure, Failure::Connect(text) if text.contains("refused"));
    assert!(!tally.failures.iter().any(|one| plain(&one.failure)), "{tally}");
    // At each death a client loses its connection, and at most one request with it.
    assert!(tally.failures.len() <= 3 * 8 * 2, "{tally}");
    tally.assert_each_order_once(running.ledger());

    assert_eq!(running.pids("web", 2), pids, "no worker was restarted");
    assert_eq!([running.http().address(), running.https().address()], listeners);
    assert!(running.metrics().sum("portreeve_proxy_restarts_total", &[]) >= 3.0);
}

#[test]
fn a_connection_that_waits_while_there_is_no_proxy_is_served_by_the_next() {
    let running = Portreeve::new().app("web", worker()).start();
    let target = running.http();
    let proxy = running.proxy();
    // While it is stopped it accepts nothing; the connection waits in the kernel's queue for whoever comes next.
    process::send(proxy, Signal::STOP);
    let stopped = || process::status_field(proxy, "State").filter(|state| state.starts_with('T'));
    until(SOON, "the proxy is stopped", stopped);
    let waiting = std::net::TcpStream::connect(target.address()).unwrap();
    let reply = target.get_meanwhile("/whoami");
    process::kill(proxy);
    assert_eq!(reply.join().unwrap().unwrap().status, 200);
    drop(waiting);
}

#[test]
fn workers_that_die_together_with_the_proxy_are_replaced_as_well() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    let before = running.pids("web", 2);
    let proxy = running.kill_proxy();
    process::kill(before[0]);
    running.proxy_after(proxy);
    until(SOON, "a new worker serves", || (running.pids("web", 2)[0] != before[0]).then_some(()));
    assert_eq!(running.get("/whoami").status, 200);
}
