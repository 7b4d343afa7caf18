//! What servers and their locations say, collected: listeners, certificates, apps, settings, and what was left out.
//!
//! Nothing is decided here about what fits together: that is for the reader of the file that is made of it.

use std::collections::BTreeMap;

use toml_edit::Table;

use super::super::draft::{Draft, list};
use super::super::{Imported, Remark};
use super::syntax::Directive;
use super::{NEEDLESS, free_name, value};
use crate::id::AppName;

/// Headers that portreeve sets by itself, whatever the file says.
const OWN_HEADERS: [&str; 8] = [
    "host",
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "upgrade",
    "connection",
    "x-request-id",
];

/// One location that is forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forwarded {
    pub(super) place: String,
    name: String,
    hosts: Vec<String>,
    path: String,
    servers: Vec<String>,
    timeouts: BTreeMap<&'static str, String>,
}

impl Forwarded {
    pub(super) fn name(&self, imported: &Imported) -> AppName {
        free_name(&self.name, imported)
    }

    pub(super) fn table(&self) -> Table {
        let mut draft = Draft::default();
        draft.set("upstream", list(&self.servers));
        if !self.hosts.is_empty() {
            draft.set("hosts", list(&self.hosts));
        }
        if self.path != "/" {
            draft.set("path", self.path.as_str());
        }
        self.timeouts.iter().for_each(|(key, time)| draft.set(key, time.as_str()));
        draft.into_table()
    }
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Site {
    upstreams: BTreeMap<String, Vec<String>>,
    pub(super) apps: Vec<Forwarded>,
    /// Place, `http` or `https`, address.
    pub(super) listeners: Vec<(String, &'static str, String)>,
    /// Certificate and key.
    pub(super) certificates: Vec<(String, String)>,
    /// Place, table, key, value.
    pub(super) settings: Vec<(String, &'static str, &'static str, String)>,
    pub(super) remarks: Vec<Remark>,
    /// What holds for all servers.
    timeouts: BTreeMap<&'static str, String>,
}

impl Site {
    fn left_out(&mut self, directive: &Directive, why: &str) {
        let words: Vec<&str> = directive.args.iter().map(String::as_str).take(3).collect();
        let key = format!("{} {} {}", directive.place, directive.name, words.join(" "));
        self.remarks.push(Remark::new(key.trim_end(), why));
    }

    pub(super) fn upstreams(&mut self, level: &[&Directive]) {
        for upstream in level.iter().filter(|directive| directive.name == "upstream") {
            let servers = upstream.children().iter().filter_map(|line| self.upstream_server(line)).collect();
            self.upstreams.insert(upstream.arg().to_owned(), distinct(servers));
        }
    }

    fn upstream_server(&mut self, line: &Directive) -> Option<String> {
        let server = value::server(line.arg());
        match (line.name.as_str(), &server) {
            ("server", Some(_)) if line.args.len() > 1 => {
                self.left_out(line, "weights and limits are not translated: the server with fewer requests is taken");
            }
            ("server", Some(_)) => {}
            ("server", None) => self.left_out(line, "names are not looked up: write the address"),
            ("keepalive" | "least_conn" | "keepalive_timeout" | "keepalive_requests" | "zone", _) => return None,
            _ => {
                self.left_out(line, "not translated");
                return None;
            }
        }
        server
    }

    /// A directive outside of all servers.
    pub(super) fn setting(&mut self, directive: &Directive) {
        if !self.common(directive) {
            let mut timeouts = std::mem::take(&mut self.timeouts);
            self.timeout(directive, &mut timeouts);
            self.timeouts = timeouts;
        }
    }

    /// What may stand anywhere and means the same there; false if it is something else.
    fn common(&mut self, directive: &Directive) -> bool {
        match directive.name.as_str() {
            name if NEEDLESS.contains(&name) => {}
            "client_max_body_size" => self.global(directive, ("limits", "body_bytes"), value::size(directive.arg())),
            "keepalive_timeout" => self.global(directive, ("limits", "keepalive_idle"), value::time(directive.arg())),
            "client_body_timeout" => self.global(directive, ("limits", "body_idle"), value::time(directive.arg())),
            "client_header_timeout" => {
                self.global(directive, ("limits", "header_timeout"), value::time(directive.arg()));
            }
            "access_log" => {
                let path = match directive.arg() {
                    "off" => "off".to_owned(),
                    path => path.to_owned(),
                };
                self.global(directive, ("log", "access"), Some(path).filter(|path| !path.contains('$')));
            }
            "proxy_set_header" if OWN_HEADERS.contains(&directive.arg().to_ascii_lowercase().as_str()) => {}
            "gzip" | "gzip_types" | "gzip_vary" | "brotli" => {
                self.left_out(directive, "portreeve does not compress: let the app do it");
            }
            "add_header" | "proxy_set_header" | "proxy_hide_header" => {
                self.left_out(directive, "portreeve sets no headers but its own: let the app do it");
            }
            _ => return false,
        }
        true
    }

    /// A setting that portreeve has once for all; the first one holds.
    fn global(&mut self, directive: &Directive, key: (&'static str, &'static str), value: Option<String>) {
        let Some(value) = value else { return self.left_out(directive, "cannot be translated") };
        match self.settings.iter().find(|(_, table, name, _)| (*table, *name) == key) {
            Some((place, _, _, first)) if *first != value => {
                let why = format!("[{}] {} holds for all servers, and is {first} by {place}", key.0, key.1);
                self.left_out(directive, &why);
            }
            Some(_) => {}
            None => self.settings.push((directive.place.clone(), key.0, key.1, value)),
        }
    }

    /// A time of forwarding, or something that has no counterpart.
    fn timeout(&mut self, directive: &Directive, timeouts: &mut BTreeMap<&'static str, String>) {
        let key = match directive.name.as_str() {
            "proxy_read_timeout" => "response_timeout",
            "proxy_connect_timeout" => "connect_timeout",
            _ => return self.left_out(directive, "not translated"),
        };
        match value::time(directive.arg()) {
            Some(time) => drop(timeouts.insert(key, time)),
            None => self.left_out(directive, "cannot be translated"),
        }
    }

    pub(super) fn server(&mut self, server: &Directive) {
        let mut hosts = Vec::new();
        let (mut timeouts, mut is_default) = (self.timeouts.clone(), false);
        let (mut cert, mut key) = (None, None);
        for line in server.children() {
            match line.name.as_str() {
                "listen" => is_default |= self.listen(line),
                "server_name" => self.names(line, &mut hosts),
                "ssl_certificate" => cert = Some(line.arg().to_owned()),
                "ssl_certificate_key" => key = Some(line.arg().to_owned()),
                "location" => {}
                "return" | "rewrite" => self.redirect(line),
                "root" | "index" | "try_files" => {
                    self.left_out(line, "portreeve does not serve files: let the app do it");
                }
                _ if self.common(line) => {}
                _ => self.timeout(line, &mut timeouts),
            }
        }
        let pair = cert.zip(key).filter(|pair| !self.certificates.contains(pair));
        self.certificates.extend(pair);
        if is_default || hosts.iter().any(|host| host == "_" || host.is_empty()) {
            hosts.clear();
        }
        for location in server.children().iter().filter(|line| line.name == "location") {
            self.location(location, &hosts, &timeouts);
        }
    }

    fn redirect(&mut self, line: &Directive) {
        self.left_out(line, "portreeve does not redirect: requests go to the app, which sees X-Forwarded-Proto");
    }

    /// Whether it is the default server of its address.
    fn listen(&mut self, line: &Directive) -> bool {
        let has = |word: &str| line.args.iter().any(|arg| arg == word);
        match value::listener(line.arg()) {
            _ if has("quic") => self.left_out(line, "portreeve does not speak HTTP/3"),
            Some(address) => {
                let key = if has("ssl") { "https" } else { "http" };
                let listener = (line.place.clone(), key, address.to_string());
                let is_known = self.listeners.iter().any(|(_, _, known)| *known == listener.2);
                self.listeners.extend((!is_known).then_some(listener));
            }
            None => self.left_out(line, "not an address to listen on"),
        }
        if has("proxy_protocol") {
            self.left_out(line, "portreeve does not read the PROXY protocol");
        }
        has("default_server")
    }

    fn names(&mut self, line: &Directive, hosts: &mut Vec<String>) {
        for name in &line.args {
            match value::hosts(name) {
                Some(more) => hosts.extend(more),
                None => self.left_out(line, &format!("{name} is a pattern; a star may only stand for the first label")),
            }
        }
    }

    fn location(&mut self, location: &Directive, hosts: &[String], timeouts: &BTreeMap<&'static str, String>) {
        let path = match location.args.as_slice() {
            [path] if path.starts_with('/') => path,
            [kind, path] if kind == "^~" || kind == "=" => path,
            _ => return self.left_out(location, "portreeve routes by the beginning of the path, not by patterns"),
        };
        let (mut timeouts, mut target) = (timeouts.clone(), None);
        for line in location.children() {
            match line.name.as_str() {
                "proxy_pass" => target = Some(line),
                "return" | "rewrite" => self.redirect(line),
                "root" | "alias" | "index" | "try_files" | "expires" => {
                    self.left_out(line, "portreeve does not serve files: let the app do it");
                }
                _ if self.common(line) => {}
                _ => self.timeout(line, &mut timeouts),
            }
        }
        let Some(target) = target else { return };
        if location.arg() == "=" {
            self.left_out(location, "serves what is below that path as well");
        }
        if let Some((name, servers)) = self.servers(target, path) {
            let app = Forwarded {
                place: location.place.clone(),
                name,
                hosts: hosts.to_vec(),
                path: path.to_owned(),
                servers,
                timeouts,
            };
            self.add(app);
        }
    }

    /// The same app behind another server, such as that on port 80, is one.
    fn add(&mut self, app: Forwarded) {
        let same = |known: &&mut Forwarded| {
            (&known.path, &known.servers, &known.timeouts) == (&app.path, &app.servers, &app.timeouts)
        };
        match self.apps.iter_mut().find(same) {
            Some(known) if known.hosts.is_empty() || app.hosts.is_empty() => known.hosts.clear(),
            Some(known) => {
                let new = app.hosts.into_iter().filter(|host| !known.hosts.contains(host)).collect::<Vec<_>>();
                known.hosts.extend(new);
            }
            None => self.apps.push(app),
        }
    }

    /// Where a `proxy_pass` leads, and what to call it.
    fn servers(&mut self, pass: &Directive, path: &str) -> Option<(String, Vec<String>)> {
        let Some(target) = pass.arg().strip_prefix("http://").filter(|target| !target.contains('$')) else {
            self.left_out(pass, "portreeve forwards to http:// and to addresses that are known beforehand");
            return None;
        };
        let (host, rest) = if target.starts_with("unix:") {
            (target, "")
        } else {
            target.find('/').map_or((target, ""), |at| target.split_at(at))
        };
        if !rest.is_empty() && rest != path {
            self.left_out(pass, "the path is forwarded as it is, not replaced");
        }
        let servers = self.upstreams.get(host).cloned().or_else(|| value::server(host).map(|server| vec![server]));
        let Some(servers) = servers.filter(|servers| !servers.is_empty()) else {
            self.left_out(pass, "names are not looked up: write the address");
            return None;
        };
        let is_named = self.upstreams.contains_key(host);
        let name = if is_named { host.to_owned() } else { path.trim_matches('/').to_owned() };
        Some((if name.is_empty() { "web".to_owned() } else { name }, servers))
    }
}

/// Each server once, in the order in which they were named.
fn distinct(servers: Vec<String>) -> Vec<String> {
    let mut known = Vec::new();
    for server in servers {
        if !known.contains(&server) {
            known.push(server);
        }
    }
    known
}
