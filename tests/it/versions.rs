//! Where an app wants that, no client goes back to an older version of it.

use std::thread;

use toml::Table;

use crate::harness::{Load, Portreeve, Reply, Running, SOON, Target, request, until, worker};

fn start(is_consistent: bool) -> Running {
    let deploy =
        [("consistent", is_consistent.into()), ("max_surge", 1.into())].map(|(key, value)| (key.to_owned(), value));
    let app = worker().workers(4).says("late=150ms").set("deploy", Table::from_iter(deploy));
    Portreeve::new().https().app("web", app).start()
}

/// Asks with what was kept, and keeps what is to be.
fn ask(target: &Target, kept: &mut Option<String>) -> Reply {
    let mut asked = request(http::Method::GET, "/whoami", "");
    if let Some(kept) = kept {
        asked.headers_mut().insert("cookie", format!("theme=dark; {kept}").parse().unwrap());
    }
    let reply = target.send(asked).unwrap();
    if let Some(cookie) = reply.header("set-cookie") {
        *kept = cookie.split(';').next().map(str::to_owned);
    }
    reply
}

/// So often a client that keeps its cookie is answered by an older generation than before, until this one has been live for a while.
fn steps_back(running: &Running, last: u64) -> usize {
    let (target, mut kept, mut newest, mut back, mut seen_last) = (running.http(), None, 0, 0, 0);
    until(SOON, "the last generation serves", || {
        let generation = ask(&target, &mut kept).generation().unwrap();
        back += usize::from(generation < newest);
        newest = newest.max(generation);
        seen_last += usize::from(generation == last);
        (seen_last > 60).then_some(())
    });
    back
}

#[test]
fn a_client_that_has_seen_a_new_generation_meets_no_older_one_while_workers_come_in_steps() {
    let running = start(true);
    let load = Load::new().clients(2, &running.http()).start();
    let back: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| steps_back(&running, 3))).collect();
        running.reload_live();
        running.reload_live();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(back, 0);
    load.goes_on(10);
    let tally = load.finish();
    tally.assert_nothing_failed();
    assert!(tally.generations.len() == 3, "those without cookies are served by any: {:?}", tally.generations);
}

#[test]
fn without_that_clients_do_and_nothing_is_added_to_any_answer() {
    let running = start(false);
    let back: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| steps_back(&running, 2))).collect();
        running.reload_live();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert!(back > 0, "or the other test proves nothing");
    assert_eq!(running.get("/whoami").header("set-cookie"), None);
}

#[test]
fn the_cookie_is_set_once_and_is_secure_where_the_client_came_by_tls() {
    let running = start(true);
    let mut kept = None;
    let first = ask(&running.http(), &mut kept);
    assert_eq!(first.header("set-cookie"), Some("portreeve-web=1; Path=/; HttpOnly; SameSite=Lax"));
    assert_eq!(ask(&running.http(), &mut kept).header("set-cookie"), None);
    for target in [running.https(), running.h2()] {
        let reply = ask(&target, &mut None);
        assert_eq!(reply.header("set-cookie"), Some("portreeve-web=1; Path=/; HttpOnly; SameSite=Lax; Secure"));
    }
    let mut stale = Some("portreeve-web=99".to_owned());
    assert_eq!(ask(&running.http(), &mut stale).generation(), Some(1), "nobody of it serves");
    assert_eq!(stale.as_deref(), Some("portreeve-web=1"));
}
