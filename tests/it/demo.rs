//! The first command that anybody types.

use rustix::process::Signal;

use crate::harness::{Portreeve, Running, SOON, Target, trusting_client, until};

/// Waits for an address of this scheme in the demo's output.
#[track_caller]
fn address(running: &Running, scheme: &str) -> std::net::SocketAddr {
    let port = until(SOON, &format!("the demo prints its {scheme} address"), || {
        let text = format!("{}{}", running.output().stdout(), running.output().stderr());
        let begin = text.find(&format!("{scheme}://"))?;
        let authority: &str = text[begin..].split("://").nth(1)?;
        let authority = authority.split(|c: char| c.is_whitespace() || c == '/').next()?;
        authority.rsplit_once(':')?.1.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u16>().ok()
    });
    ([127, 0, 0, 1], port).into()
}

#[test]
fn the_demo_serves_a_page_on_http_and_https_and_leaves_nothing_behind() {
    let mut running = Portreeve::demo();
    let http = Target::Plain(address(&running, "http"));
    let https = address(&running, "https");
    let page = until(SOON, "the demo answers", || http.try_get("/").ok());
    assert_eq!(page.status, 200);
    assert!(page.text().to_lowercase().contains("generation"), "{}", page.text());
    assert_eq!(Target::Tls(https, trusting_client(&["http/1.1"])).get("/").status, 200);
    assert_eq!(Target::Http2(https, trusting_client(&["h2"])).get("/").status, 200);

    running.signal(Signal::INT);
    assert_eq!(running.ended(SOON).code(), Some(0));
    running.assert_nothing_left();
    assert_eq!(http.try_get("/").unwrap_err().kind(), "connect");
}
