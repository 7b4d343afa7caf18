//! What may be sent twice is, once; what may not never is.
//!
//! The worker notes an order as soon as it has the head of the request, and then drops the connection: the ledger shows how
//! often it was sent.

use http::{Method, Request};

use crate::harness::{Body, Portreeve, Running, request, worker};

fn running() -> Running {
    let retry = toml::Table::from_iter([("idempotency_key".to_owned(), true.into())]);
    Portreeve::new()
        .app("web", worker().workers(2))
        .app("keyed", worker().workers(2).set("retry", retry).set("hosts", vec!["keyed.test"]))
        .start()
}

#[track_caller]
fn sent(running: &Running, request: Request<Body>, id: &str) -> u32 {
    let reply = running.http().send(request).unwrap();
    assert_eq!(reply.status, 502);
    running.ledger().count(id)
}

fn order(method: Method, id: &str) -> Request<Body> {
    request(method, &format!("/once?id={id}&then=drop"), "")
}

fn keyed(mut request: Request<Body>, host: &'static str) -> Request<Body> {
    request.headers_mut().insert("idempotency-key", http::HeaderValue::from_static("k1"));
    request.headers_mut().insert("host", http::HeaderValue::from_static(host));
    request
}

#[test]
fn a_dropped_get_is_repeated_once_and_counted() {
    let running = running();
    assert_eq!(sent(&running, order(Method::GET, "get"), "get"), 2);
    assert_eq!(sent(&running, order(Method::OPTIONS, "options"), "options"), 2);
    let metrics = running.metrics();
    assert!(metrics.sum("portreeve_retries_total", &[("app", "web"), ("rule", "R3")]) >= 2.0);
}

#[test]
fn a_dropped_order_is_never_repeated() {
    let running = running();
    for (method, id) in [(Method::POST, "post"), (Method::PUT, "put"), (Method::DELETE, "delete")] {
        assert_eq!(sent(&running, order(method, id), id), 1, "{id}");
    }
}

#[test]
fn an_idempotency_key_allows_a_repetition_where_the_app_says_so() {
    let running = running();
    assert_eq!(sent(&running, keyed(order(Method::POST, "allowed"), "keyed.test"), "allowed"), 2);
    assert_eq!(sent(&running, keyed(order(Method::POST, "not"), "localhost"), "not"), 1);
}

#[test]
fn an_answer_that_breaks_off_breaks_off_for_the_client_too() {
    let running = running();
    let failure = running.http().try_get("/cut?bytes=100000").unwrap_err();
    assert_eq!(failure.kind(), "broken");
    assert_eq!(running.get("/whoami").status, 200);
}
