//! Whole files of nginx and what becomes of them.

use std::path::Path;

use proptest::prelude::*;

use super::from_text;
use crate::config;

/// Nothing is included, however it is called.
#[allow(clippy::unnecessary_wraps, reason = "it stands in for what may fail")]
fn none(_: &str) -> Result<Vec<(String, String)>, String> {
    Ok(Vec::new())
}

fn text(nginx: &str) -> String {
    let imported = from_text("nginx.conf", nginx, &none).unwrap_or_else(|error| panic!("{error}"));
    let text = imported.to_toml();
    config::parse(&text, Path::new("/etc/portreeve/portreeve.toml")).unwrap_or_else(|bad| panic!("{bad}\n{text}"));
    text
}

const USUAL: &str = r#"
user www-data;
worker_processes auto;
events { worker_connections 768; }
http {
    client_max_body_size 20m;
    keepalive_timeout 65;
    gzip on;
    include /etc/nginx/mime.types;

    upstream app { server 127.0.0.1:3000; server 127.0.0.1:3001 weight=2; keepalive 64; }

    server {
        listen 80; listen [::]:80;
        server_name example.com www.example.com;
        return 301 https://$host$request_uri;
    }
    server {
        listen 443 ssl http2; # both
        server_name example.com www.example.com;
        ssl_certificate /etc/letsencrypt/live/example.com/fullchain.pem;
        ssl_certificate_key "/etc/letsencrypt/live/example.com/privkey.pem";
        root /var/www/html;

        location / {
            proxy_pass http://app;
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Custom "a;b";
            proxy_read_timeout 5m;
        }
        location /api/ { proxy_pass http://localhost:4000/; proxy_connect_timeout 2; }
        location ~* \.(js|css)$ { expires 1y; }
        location /socket { proxy_pass http://unix:/run/socket.sock; }
        location = /old { return 410; }
    }
}
"#;

#[test]
fn the_usual_site_with_tls() {
    insta::assert_snapshot!(text(USUAL));
}

#[test]
fn a_site_without_the_frame_around_it() {
    let site = "server { listen 8080 default_server; server_name _; location / { proxy_pass http://127.0.0.1:3000; } }\n\
                server { listen 8080; server_name .b.com ~^x; location / { proxy_pass http://127.0.0.1:3002; }\n\
                location /x { proxy_pass http://backend; } location /y { proxy_pass https://127.0.0.1:1; } }\n\
                server { listen 127.0.0.1:8080; listen 8081; server_name b.com; location / { proxy_pass http://127.0.0.1:5; } }";
    insta::assert_snapshot!(text(site));
}

#[test]
fn a_file_that_forwards_nothing_is_refused_with_the_reasons() {
    let error = from_text("a.conf", "server { location / { proxy_pass http://backend; } }", &none).unwrap_err();
    assert!(error.contains("a.conf:1 proxy_pass http://backend: names are not looked up"), "{error}");
    assert!(from_text("a.conf", "server {", &none).is_err());
}

fn directive() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[a-z0-9.:/~*_$]{0,12}",
        prop::sample::select(vec![
            "80",
            "443 ssl",
            "http://127.0.0.1:1",
            "http://u",
            "/",
            "/a",
            "_",
            "a.com",
            "10m",
            "0"
        ])
        .prop_map(str::to_owned),
    ];
    let name = prop::sample::select(vec![
        "listen",
        "server_name",
        "proxy_pass",
        "ssl_certificate",
        "ssl_certificate_key",
        "client_max_body_size",
        "server",
        "proxy_read_timeout",
        "keepalive_timeout",
        "access_log",
        "return",
        "root",
        "unknown",
    ]);
    (name, word).prop_map(|(name, word)| format!("{name} {word};"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_nginx_is_told_becomes_a_file_that_we_take(
        outside in prop::collection::vec(directive(), 0..4),
        servers in prop::collection::vec((prop::collection::vec(directive(), 0..6), prop::collection::vec(directive(), 0..4), "/[a-z/.]{0,6}"), 0..4),
    ) {
        let server = |(server, location, path): &(Vec<String>, Vec<String>, String)| {
            let (server, location) = (server.join(" "), location.join(" "));
            format!("server {{ {server} location {path} {{ {location} proxy_pass http://127.0.0.1:7; }} }}")
        };
        let servers = servers.iter().map(server).collect::<Vec<_>>().join("\n");
        let nginx = format!("{}\nupstream u {{ server 127.0.0.1:2; }}\n{servers}", outside.join("\n"));
        if let Ok(imported) = from_text("x", &nginx, &none) {
            let text = imported.to_toml();
            let parsed = config::parse(&text, Path::new("/portreeve.toml"));
            prop_assert!(parsed.is_ok(), "{}\n{}", parsed.unwrap_err(), text);
        }
    }
}
