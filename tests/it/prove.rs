//! `portreeve prove`: what it counts is what happened.

use crate::harness::{Portreeve, Running, Said, worker};

fn prove(running: &Running, words: &[&str]) -> (Said, serde_json::Value) {
    let said = running.cli(&[&["prove", "web", "--json"], words].concat());
    let told = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.text));
    (said, told)
}

#[test]
fn reloads_under_clients_of_every_kind_lose_nothing() {
    let running = Portreeve::new().https().app("web", worker().workers(2)).start();
    let url = format!("https://{}", running.https().address());
    let kinds = ["--path", "/whoami", "--post", "/echo", "--upload", "/sink", "--events", "/events?count=20&ms=20"];
    let more = ["--reloads", "3", "--clients", "6", "--url", &url];
    let (said, told) = prove(&running, &[&kinds[..], &more].concat());
    assert_eq!((said.code, &told["failed"], &told["reloads"]), (0, &0.into(), &3.into()), "{}", said.text);
    assert!(told["sent"].as_u64().unwrap() > 50 && told["sent"] == told["answered"], "{told}");
    assert!(told["streams"].as_u64().unwrap() >= 2 && told["reconnected"] == 0, "{told}");
    assert_eq!(running.get("/whoami").generation(), Some(4));
}

#[test]
fn a_websocket_that_is_cut_off_is_a_loss() {
    let app = worker().set("drain_timeout", "100ms").set("streams", "wait");
    let mut running = Portreeve::new().app("web", app).start();
    let (said, told) =
        prove(&running, &["--path", "/whoami", "--websocket", "/ws", "--reloads", "1", "--clients", "1"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(told["failed_by_kind"]["WebSocket cut off"].as_u64().unwrap() >= 1, "{told}");
    running.excuse("portreeve_drain_forced_total");
    running.excuse("portreeve_upstream_reset_stopping_total");
}

#[test]
fn killed_workers_and_proxies_are_replaced_and_counted() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    let kills = ["--kill-workers", "2", "--kill-proxies", "1", "--reloads", "1", "--clients", "2"];
    let (said, told) = prove(&running, &[&["--path", "/whoami"], &kills[..]].concat());
    assert_eq!((&told["kills"], &told["reloads"]), (&3.into(), &1.into()), "{}", said.text);
    assert_eq!(told["refused"], serde_json::json!([]), "{}", said.text);
    assert!(told["reconnected"].as_u64().unwrap() + told["failed"].as_u64().unwrap() >= 2, "{told}");
}

#[test]
fn errors_of_the_app_are_no_answers_and_the_table_says_so() {
    let running = Portreeve::new().app("web", worker()).start();
    let said = running.cli(&["prove", "web", "--path", "/status?code=503", "--reloads", "1", "--clients", "1"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.stdout.contains("  status 503") && said.stdout.contains(" requests were lost\n"), "{}", said.text);
}

#[test]
fn who_is_not_there_cannot_be_proved() {
    let running = Portreeve::new().app("web", worker()).start();
    for (words, why) in [
        (&["prove", "wbe"][..], "did you mean `web`?"),
        (&["prove", "web", "--url", "127.0.0.1:80"], "it begins with http:// or https://"),
    ] {
        let said = running.cli(words);
        assert_eq!(said.code, 64, "{}", said.text);
        assert!(said.text.contains(why), "{}", said.text);
    }
}
