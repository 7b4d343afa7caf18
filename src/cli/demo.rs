//! `portreeve demo`: the whole thing with a built-in app, on free ports, with a certificate made on the spot.
//!
//! Writes an ordinary configuration into a temporary folder and runs it, so that everything that works here works
//! with a file of one's own. The folder goes when the demo ends.

use std::path::Path;

use super::Code;
use crate::control::words::Status;
use crate::{certs, config, supervisor};

pub(super) fn demo() -> anyhow::Result<Code> {
    let folder = tempfile::Builder::new().prefix("portreeve-demo-").tempdir()?;
    let path = folder.path().join("portreeve.toml");
    let (chain, key) = certs::self_signed(&["localhost", "127.0.0.1", "::1"])?;
    std::fs::write(folder.path().join("dev.pem"), chain)?;
    std::fs::write(folder.path().join("dev.key"), key)?;
    std::fs::write(&path, configuration(&std::env::current_exe()?))?;
    let config = config::load(&path).map_err(|errors| anyhow::anyhow!("{}", errors.render(false)))?.config;
    super::install_log(&config.log.level, false)?;
    let shown = path.clone();
    let announce = move |status: &Status| print!("{}", announcement(status, &shown));
    supervisor::run(
        config,
        supervisor::Options { announce: Some(Box::new(announce)), ..supervisor::Options::default() },
    )?;
    Ok(Code::Done)
}

fn configuration(program: &Path) -> String {
    let program = toml::Value::from(program.display().to_string());
    format!(
        r#"[listen]
http = "127.0.0.1:0"
https = "127.0.0.1:0"

[tls]
cert = "dev.pem"
key = "dev.key"

[admin]
socket = "admin.sock"

[metrics]
listen = "127.0.0.1:0"

[app.demo]
command = [{program}, "demo-app"]
workers = 2
ready = {{ http = "/health" }}
"#
    )
}

fn announcement(status: &Status, config: &Path) -> String {
    let url = |tls: bool| {
        let listener = status.listeners.iter().find(|listener| listener.tls == tls);
        listener.map_or_else(String::new, |l| format!("http{}://{}/", if tls { "s" } else { "" }, l.address))
    };
    let (http, https, config) = (url(false), url(true), config.display());
    let metrics = status.metrics.map_or_else(String::new, |address| format!("http://{address}/metrics"));
    format!(
        "
  portreeve serves its demo app with 2 workers.

    {http}
    {https}      (a certificate made just now: your browser will warn; curl wants -k)
    {metrics}

  Try, in another terminal:

    curl {http}                              which worker answers, and of which generation
    curl -k --http2 {https}                  the same over TLS and HTTP/2
    curl -N {http}events                     a stream that goes on through a reload
    while curl -sf {http}id; do :; done      requests without a pause; while it runs:
    portreeve reload -c {config}
    portreeve status -c {config}

  The configuration is an ordinary file: {config}
  Ctrl-C stops everything.

"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_an_ordinary_configuration() {
        let text = configuration(Path::new("/opt/a \"b\"/portreeve"));
        let loaded = config::parse(&text, Path::new("/tmp/demo/portreeve.toml")).unwrap();
        assert_eq!(loaded.config.apps.len(), 1);
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    }
}
