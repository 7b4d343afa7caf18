//! A new generation is tried on a few of the clients before it takes over.

use std::collections::BTreeSet;
use std::thread;

use toml::{Table, Value};

use crate::harness::{App, Load, Portreeve, Running, SOON, Target, process, request, until, worker};

/// An app whose new generations have so many of the clients for so long.
fn careful(workers: usize, canary: &str, bake: &str) -> App {
    let deploy = Table::from_iter([("canary".to_owned(), canary.into()), ("canary_bake".to_owned(), bake.into())]);
    worker().workers(workers).set("deploy", deploy)
}

/// Clients are told apart by what a front says of them that is trusted.
fn start(app: App) -> Running {
    let trusted: Value = vec![Value::from("127.0.0.0/8")].into();
    Portreeve::new().app("web", app).set("clients.trusted_proxies", trusted).start()
}

/// The generation that serves this client.
fn generation_of(target: &Target, client: usize) -> Option<u64> {
    let mut asked = request(http::Method::GET, "/whoami", "");
    let address = format!("10.0.{}.{}", client / 256, client % 256);
    asked.headers_mut().insert("x-forwarded-for", address.parse().unwrap());
    target.send(asked).unwrap().ok().unwrap().generation()
}

/// Of so many clients, those whom this generation serves.
fn clients_of(running: &Running, generation: u64, clients: usize) -> BTreeSet<usize> {
    let target = running.http();
    (0..clients).filter(|client| generation_of(&target, *client) == Some(generation)).collect()
}

/// A generation is tried on a few.
fn is_tried(running: &Running) {
    until(SOON, "the new generation has its share", || {
        (running.metrics().sum("portreeve_canary_share_ratio", &[("app", "web")]) > 0.0).then_some(())
    });
}

#[test]
fn a_few_clients_stay_on_the_new_generation_and_the_others_on_the_old_one_until_it_takes_over() {
    let running = start(careful(2, "20%", "1h"));
    let load = Load::new().clients(4, &running.http()).start();
    thread::scope(|scope| {
        let reload = scope.spawn(|| running.cli(&["reload", "web"]));
        is_tried(&running);
        let few = clients_of(&running, 2, 300);
        println!("{} of 300 clients", few.len());
        assert!((35..=90).contains(&few.len()), "{few:?}");
        assert_eq!(clients_of(&running, 2, 300), few, "they stay");
        assert_eq!(clients_of(&running, 1, 300).len(), 300 - few.len());
        let old = running.proxy();
        running.kill_proxy();
        running.proxy_after(old);
        assert_eq!(clients_of(&running, 2, 300), few, "over another proxy as well");
        let said = running.cli(&["promote", "web"]);
        assert_eq!((said.code, said.stdout.as_str()), (0, "web: the new generation takes over\n"), "{}", said.text);
        let said = reload.join().unwrap();
        assert_eq!(said.code, 0, "{}", said.text);
        assert!(said.text.contains("web: generation 2 serves 20% of the clients with 1 of "), "{}", said.text);
        assert!(said.stdout.contains("web: generation 2 serves ("), "{}", said.text);
    });
    assert_eq!(clients_of(&running, 2, 50).len(), 50);
    load.goes_on(20);
    drop(load.finish());
    let said = running.cli(&["promote", "web"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("not promoted, all stays as it is: no new generation is tried"), "{}", said.text);
}

#[test]
fn after_its_time_it_takes_over_by_itself_and_no_request_fails() {
    let running = start(careful(2, "5%", "1s"));
    let load = Load::new().clients(6, &running.http()).start();
    for generation in 2..5 {
        assert_eq!(running.reload_live(), generation);
        load.goes_on(20);
    }
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
}

#[test]
fn one_that_answers_errors_is_taken_back_with_exit_code_2_and_most_clients_never_saw_it() {
    let running = start(careful(2, "20%", "1h"));
    let old = running.pids("web", 2);
    (0..40).for_each(|_| assert_eq!(running.get("/whoami").status, 200));
    running.site("web").rewrite(&["answers=500"]);
    let few = thread::scope(|scope| {
        let reload = scope.spawn(|| running.cli(&["reload", "web"]));
        is_tried(&running);
        let target = running.http();
        let few: BTreeSet<_> = (0..100).filter(|client| status_of(&target, *client) == 500).collect();
        until(SOON, "it is found to be bad", || {
            for client in &few {
                status_of(&target, *client);
            }
            reload.is_finished().then_some(())
        });
        let said = reload.join().unwrap();
        assert_eq!(said.code, 2, "{}", said.text);
        assert!(said.stdout.contains("answers were errors (5xx), of those before 0 of "), "{}", said.text);
        few
    });
    assert!((8..=35).contains(&few.len()), "{few:?}");
    until(SOON, "all have what they had", || (clients_of(&running, 1, 100).len() == 100).then_some(()));
    assert_eq!(running.pids("web", 2), old);
}

fn status_of(target: &Target, client: usize) -> u16 {
    let mut asked = request(http::Method::GET, "/whoami", "");
    asked.headers_mut().insert("x-forwarded-for", format!("10.0.0.{client}").parse().unwrap());
    target.send(asked).unwrap().status
}

#[test]
fn one_whose_worker_crashes_is_taken_back() {
    let running = start(careful(2, "50%", "1h"));
    running.site("web").rewrite(&["crash-on=5"]);
    thread::scope(|scope| {
        let reload = scope.spawn(|| running.reload());
        is_tried(&running);
        let target = running.http();
        until(SOON, "it crashes", || {
            for client in 0..20 {
                generation_of(&target, client);
            }
            reload.is_finished().then_some(())
        });
        let reloaded = reload.join().unwrap();
        assert_eq!(reloaded.apps[0].outcome, "rolled_back", "{reloaded:?}");
    });
    until(SOON, "all have what they had", || (clients_of(&running, 1, 40).len() == 40).then_some(()));
}

#[test]
fn a_rollback_ends_it_and_a_newer_reload_takes_its_place() {
    let running = start(careful(1, "50%", "1h"));
    let load = Load::new().clients(4, &running.http()).start();
    thread::scope(|scope| {
        let reload = scope.spawn(|| running.cli(&["reload", "web"]));
        is_tried(&running);
        let said = running.cli(&["rollback", "web"]);
        assert_eq!(said.code, 0, "{}", said.text);
        assert!(said.stdout.starts_with("web: rolled back, generation 1 serves ("), "{}", said.text);
        let said = reload.join().unwrap();
        assert_eq!(said.code, 2, "{}", said.text);
        assert!(said.stdout.contains("it was asked for"), "{}", said.text);
    });
    until(SOON, "all have what they had", || (clients_of(&running, 1, 40).len() == 40).then_some(()));
    thread::scope(|scope| {
        let first = scope.spawn(|| running.reload());
        is_tried(&running);
        let second = scope.spawn(|| running.reload());
        assert_eq!(first.join().unwrap().apps[0].outcome, "superseded");
        until(SOON, "the newer one is tried", || (!clients_of(&running, 4, 40).is_empty()).then_some(()));
        assert_eq!(running.cli(&["promote", "web"]).code, 0);
        assert_eq!(second.join().unwrap().apps[0].outcome, "live");
    });
    load.goes_on(20);
    load.finish().assert_nothing_failed();
}

#[test]
fn a_supervisor_that_is_killed_leaves_the_old_generation_serving() {
    let running = Portreeve::new().app("web", careful(1, "50%", "1h")).kept().start();
    let load = Load::new().clients(4, &running.http()).start();
    let supervisor = running.status().pid;
    thread::scope(|scope| {
        let reload = scope.spawn(|| running.cli(&["reload", "web"]));
        is_tried(&running);
        process::kill(supervisor);
        assert_ne!(reload.join().unwrap().code, 0, "nobody answers");
    });
    until(SOON, "the old one alone is left", || {
        let status = running.try_status().ok()?;
        let workers = &status.app("web").workers;
        (status.pid != supervisor && workers.len() == 1 && workers[0].generation == 1).then_some(())
    });
    load.goes_on(20);
    load.finish().assert_nothing_failed();
}
