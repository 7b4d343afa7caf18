//! Which app a request goes to, and what it carries when it gets there.

use http::{Method, Request};

use crate::harness::{Body, Portreeve, Reply, Running, Target, request, worker};

fn with_headers(path: &str, headers: &[(&'static str, &'static str)]) -> Request<Body> {
    let mut request = request(Method::GET, path, "");
    for &(name, value) in headers {
        request.headers_mut().append(name, http::HeaderValue::from_static(value));
    }
    request
}

#[track_caller]
fn ask(target: &Target, path: &str, headers: &[(&'static str, &'static str)]) -> Reply {
    target.send(with_headers(path, headers)).unwrap()
}

/// The values of a header as the worker got it.
#[track_caller]
fn received(reply: &Reply, name: &str) -> Vec<String> {
    let fields = reply.json()["headers"].as_array().unwrap().clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    fields.iter().filter(|field| field[0] == name).map(|field| text(&field[1])).collect()
}

fn one_app() -> Running {
    Portreeve::new().https().app("web", worker().says("keep-alive=5")).start()
}

#[test]
fn a_request_goes_to_the_app_of_its_host_and_path() {
    let running = Portreeve::new()
        .https()
        .app("web", worker())
        .app("docs", worker().set("path", "/headers"))
        .app("api", worker().set("hosts", vec!["api.test"]))
        .app("wild", worker().set("hosts", vec!["*.wild.test"]))
        .start();
    for (host, path, app) in [
        ("localhost", "/whoami", "web"),
        ("localhost", "/headers", "docs"),
        ("localhost", "/headersmith", "web"),
        ("api.test", "/whoami", "api"),
        ("API.test:8080", "/whoami", "api"),
        ("one.wild.test", "/whoami", "wild"),
        ("two.one.wild.test", "/whoami", "web"),
    ] {
        for target in [running.http(), running.h2()] {
            let reply = ask(&target, path, &[("host", host)]);
            assert_eq!(reply.header("worker-app"), Some(app), "{host}{path} on {target:?}");
        }
    }
}

#[test]
fn a_request_that_no_app_serves_is_not_found() {
    let running = Portreeve::new().app("api", worker().set("hosts", vec!["api.test"])).start();
    assert_eq!(running.get("/whoami").status, 404);
}

#[test]
fn the_worker_is_told_who_asked_and_how_and_nobody_can_pretend() {
    let running = one_app();
    for (target, proto) in [(running.http(), "http"), (running.https(), "https"), (running.h2(), "https")] {
        let spoofed = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-proto", "gopher"), ("host", "shop.test")];
        let reply = ask(&target, "/headers?a=1", &spoofed);
        assert_eq!(received(&reply, "x-forwarded-for"), ["127.0.0.1"], "{target:?}");
        assert_eq!(received(&reply, "x-forwarded-proto"), [proto], "{target:?}");
        assert_eq!(received(&reply, "x-forwarded-host"), ["shop.test"], "{target:?}");
        assert_eq!(received(&reply, "host"), ["shop.test"], "{target:?}");
        assert_eq!(reply.json()["version"], "HTTP/1.1", "{target:?}");
        assert_eq!(reply.json()["target"], "/headers?a=1", "{target:?}");
    }
}

#[test]
fn every_request_has_an_id_that_worker_and_client_see() {
    let running = one_app();
    let replies = [running.get("/headers"), running.get("/headers")];
    let ids: Vec<_> = replies.iter().flat_map(|reply| received(reply, "x-request-id")).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids[0] != ids[1] && ids.iter().all(|id| !id.is_empty()), "{ids:?}");
    for (reply, id) in replies.iter().zip(&ids) {
        assert_eq!(reply.header("x-request-id"), Some(id.as_str()));
    }
}

#[test]
fn headers_of_one_hop_end_with_it() {
    let running = one_app();
    let hop = [("connection", "x-secret, keep-alive"), ("x-secret", "1"), ("te", "trailers"), ("keep-alive", "9")];
    let reply = ask(&running.http(), "/headers", &hop);
    for name in ["x-secret", "te", "keep-alive", "proxy-connection", "upgrade"] {
        assert_eq!(received(&reply, name), [""; 0], "{name}");
    }
    assert_eq!(reply.header("keep-alive"), None, "the worker's own hop ends as well");
    assert_eq!(reply.header("worker-app"), Some("web"));
}

#[test]
fn a_request_that_could_be_read_in_two_ways_is_refused() {
    let running = one_app();
    for (headers, statuses, why) in [
        ("Host: a\r\nHost: b\r\n", [400, 400], "two hosts"),
        ("", [400, 400], "no host"),
        ("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", [400, 501], "a coding besides chunked"),
        ("Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n", [400, 400], "two lengths"),
    ] {
        let answer = raw(&running, &format!("POST /echo HTTP/1.1\r\n{headers}Connection: close\r\n\r\n0\r\n\r\n"));
        let refused = |status: &u16| answer.starts_with(&format!("HTTP/1.1 {status} "));
        assert!(statuses.iter().any(refused), "{why}: {answer}");
    }
    let connect = raw(&running, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n");
    assert!(connect.starts_with("HTTP/1.1 405 "), "{connect}");
}

/// Sends these bytes and returns all that comes back.
fn raw(running: &Running, text: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(running.http().address()).unwrap();
    stream.set_read_timeout(Some(crate::harness::SOON)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is fine here; what matters is what came before it.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}
