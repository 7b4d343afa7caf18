//! Where requests come in and where they go: listeners, certificates, routes and upstreams of whole files.
//!
//! An address or a route belongs to one alone. Nothing is listened on or connected to here.

use super::{assert_fault, said_of};
use crate::config::testing::good;
use crate::config::worker;

#[test]
fn listeners_are_one_address_or_several() {
    let listen = |lines: &str| good(&format!("[listen]\n{lines}\n[app.a]\ncommand = 'x'")).config.listen;
    assert_eq!(listen("http = '[::]:80'").http, ["[::]:80".parse().unwrap()]);
    assert_eq!(listen("http = ['127.0.0.1:0', '127.0.0.1:0', '0.0.0.0:80', '[::]:80']").http.len(), 4);
    assert_eq!(good("[metrics]\nlisten = 'off'\n[app.a]\ncommand = 'x'").config.metrics.listen, None);
    let https =
        good("[listen]\nhttps = '127.0.0.1:443'\n[tls]\ncert = 'c'\nkey = 'k'\n[app.a]\ncommand = 'x'").config.listen;
    assert_eq!((https.http.len(), https.https.len()), (0, 1), "no default beside https");
}

#[test]
fn a_listener_has_an_address_of_its_own() {
    let fault = |lines: &str, place: &str, words: &[&str]| {
        assert_fault(
            &format!("[app.a]\ncommand = 'x'\n[tls]\ncert = 'c'\nkey = 'k'\n[listen]\n{lines}\n"),
            place,
            words,
        );
    };
    fault("http = ['0.0.0.0:80', '0.0.0.0:80']\nhttps = '[::]:443'", "7:23", &["0.0.0.0:80 is listened on twice"]);
    fault("http = '0.0.0.0:80'\nhttps = '0.0.0.0:80'", "8:9", &["listened on twice", "taken"]);
    fault(
        "http = '0.0.0.0:80'\nhttps = '127.0.0.1:80'",
        "8:9",
        &["127.0.0.1:80 and 0.0.0.0:80 cannot be listened on both"],
    );
    fault("https = '0.0.0.0:9900'", "7:9", &["0.0.0.0:9900 and 127.0.0.1:9900", "is a default"]);
    fault("http = []\nhttps = []", "7:8", &["would listen nowhere"]);
}

#[test]
fn certificates_go_with_https() {
    let app = "[app.a]\ncommand = 'x'\n";
    assert_fault(&format!("{app}[listen]\nhttps = '[::]:443'"), "4:9", &["`https` needs a certificate"]);
    assert_fault(&format!("{app}[listen]\nhttps = '[::]:443'\n[tls]\ncert = 'c'"), "5:1", &["[tls] needs `key`"]);
    assert_fault(&format!("{app}[listen]\nhttps = '[::]:443'\n[tls]\nkye = 'k'\ncert = 'c'"), "6:1", &["`key`?"]);
    let list = format!("{app}[listen]\nhttps = '[::]:443'\n[[tls.certificate]]\nkey = 'c'");
    assert_fault(&list, "5:1", &["[[tls.certificate]] needs `cert`"]);
    let unused = good(&format!("[tls]\ncert = 'c'\nkey = 'k'\n{app}"));
    assert!(unused.config.certificates.is_empty());
    assert_eq!(unused.warnings.problems().len(), 1);
    assert!(
        !unused.warnings.has_errors()
            && unused.warnings.to_string().contains(":2:8: warning: the certificate is not used")
    );
}

#[test]
fn every_route_belongs_to_one_app() {
    let two =
        |first: &str, second: &str| format!("[app.z]\ncommand = 'x'\n{first}\n[app.a]\ncommand = 'x'\n{second}\n");
    assert_fault(&two("", ""), "4:1", &["[app.z] serves every host with path / already"]);
    assert_fault(&two("path = '/api'", "path = '/api/'"), "6:8", &["every host with path /api"]);
    assert_fault(&two("hosts = 'A.b'", "hosts = ['c', 'a.B']"), "6:15", &["[app.z] serves a.b with path /"]);
    assert_fault(&two("hosts = ['a', 'b', 'a']", ""), "3:20", &["a is listed twice in `hosts`"]);
    for (first, second) in [("hosts = 'a'", ""), ("path = '/a'", "path = '/b'"), ("hosts = 'a'", "hosts = '*.a'")] {
        assert_eq!(good(&two(first, second)).config.apps.len(), 2);
    }
}

#[test]
fn an_upstream_is_somebody_else() {
    let upstream = |listen: &str, server: &str| {
        format!("[listen]\nhttp = '{listen}'\n[app.a]\nupstream = ['127.0.0.1:1', '{server}']\n")
    };
    assert_fault(&upstream("0.0.0.0:80", "127.0.0.1:80"), "4:28", &["127.0.0.1:80 is portreeve itself"]);
    assert_fault(&upstream("10.0.0.1:80", "10.0.0.1:80"), "4:28", &["itself"]);
    good(&upstream("0.0.0.0:80", "10.0.0.1:80"));
    good(&upstream("127.0.0.1:80", "127.0.0.1:81"));
    assert_fault(&upstream("127.0.0.1:80", "127.0.0.1:1"), "4:12", &["127.0.0.1:1 is listed twice"]);
    assert_fault("[app.a]\nupstream = []\n", "2:12", &["empty list", "nobody would answer"]);
}

#[test]
fn an_app_with_upstream_has_no_workers() {
    let text = "[app.a]\nupstream = '127.0.0.1:9000'\nworkers = 2\nready = { failures = 5 }\n";
    assert_fault(text, "3:11", &["`workers` has no meaning for an app with `upstream`"]);
    for key in worker::KEYS {
        let said = said_of(&format!("[app.a]\nupstream = '127.0.0.1:9000'\n{key} = 'x'\n"));
        assert!(said.iter().any(|line| line.contains(&format!("`{key}` has no meaning"))), "{said:#?}");
        assert!(!said.iter().any(|line| line.contains("unknown key")), "{said:#?}");
    }
}
