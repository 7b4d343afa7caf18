//! Readers of what the network names things by: listening addresses, servers, host names, path prefixes.
//!
//! Pure, and nothing is looked up: a name that would have to be resolved is refused with the address to write
//! instead. What comes out is in one form only: hosts in lower case, prefixes without a slash at the end.

use std::fmt::Write as _;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::id::Address;

use super::fault::Fault;
use super::value::{self, Value};

/// Every IPv4 address of this machine.
const ALL: &str = "0.0.0.0";

/// An address to listen on, such as `0.0.0.0:80`; port 0 lets the system choose.
pub(super) fn listen_address(value: Value) -> Result<SocketAddr, Fault> {
    let expected = "an address with a port, such as \"0.0.0.0:80\" (all of IPv4), \"[::]:80\" or \"127.0.0.1:8080\"";
    if let Some(port) = value.node.get_ref().as_integer() {
        return Err(value.mismatch(expected).label(format!("did you mean \"{ALL}:{}\"?", port.as_str())));
    }
    let text = value.str().ok_or_else(|| value.mismatch(expected))?;
    text.parse().map_err(|_| suggest_address(value.mismatch(expected), text, ALL))
}

/// An address that is an app's own: a port of this machine, or an address with a port; port 0 lets the system choose.
pub(super) fn own_address(value: Value) -> Result<SocketAddr, Fault> {
    let Some(port) = value.integer() else {
        let expected = "a port such as 3000 (all of IPv4), or an address such as \"127.0.0.1:3000\"";
        let text = value.str().ok_or_else(|| value.mismatch(expected))?;
        return text.parse().map_err(|_| suggest_address(value.mismatch(expected), text, ALL));
    };
    let port = u16::try_from(port);
    let port = port.map_err(|_| value.fault("`port` must be from 0 to 65535").label("out of range"))?;
    Ok(SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, port)))
}

/// The name by which an app is asked on this machine: the first that it serves, because frameworks refuse names that they do
/// not know.
pub(super) fn first_host(hosts: &[String]) -> &str {
    hosts.iter().find(|host| !host.starts_with('*')).map_or("localhost", String::as_str)
}

/// A server to forward to: `127.0.0.1:9000` or `unix:/run/app.sock`.
pub(super) fn server_address(value: Value, base: &Path) -> Result<Address, Fault> {
    let expected = "a server such as \"127.0.0.1:9000\" or \"unix:/run/app.sock\"";
    let text = value.str().ok_or_else(|| value.mismatch(expected))?;
    if let Some(path) = text.strip_prefix("unix:") {
        return server_socket(value, path, base);
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => Err(value.mismatch(expected).label("port 0 reaches nobody")),
        Ok(address) => Ok(Address::Tcp(address)),
        Err(_) => Err(suggest_address(value.mismatch(expected), text, "127.0.0.1")),
    }
}

fn server_socket(value: Value, path: &str, base: &Path) -> Result<Address, Fault> {
    // `unix://` is how other programs write it.
    let path = base.join(path.strip_prefix("//").unwrap_or(path));
    value::any_text(value)?;
    if path == base {
        return Err(value.fault("the path of the Unix socket is missing").label("unix: and then?"));
    }
    value::check_socket_length(value, &path)?;
    Ok(Address::Unix(path))
}

/// Says which address was probably meant, or why the text is none. A lone port is one of `home`.
fn suggest_address(fault: Fault, text: &str, home: &str) -> Fault {
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let bare = bare.split_once('/').map_or(bare, |(authority, _)| authority);
    let (host, port) = bare.rsplit_once(':').unwrap_or(("", bare));
    let address = match host {
        "" => home,
        "*" => ALL,
        "localhost" => "127.0.0.1",
        host => host,
    };
    let guess = format!("{address}:{port}");
    if guess.parse::<SocketAddr>().is_ok() {
        return fault.label(format!("did you mean \"{guess}\"?"));
    }
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return fault.label("the port is missing");
    }
    fault.label("not an address").help("names are not looked up: write the address, and the port behind a colon")
}

/// A host name to serve, in lower case; a leading `*.` stands for one label.
///
/// Names follow RFC 1123 section 2.1, with underscores as many internal names have them.
pub(super) fn host(value: Value) -> Result<String, Fault> {
    let text = value::text(value)?;
    let lower = text.to_ascii_lowercase();
    let Some(reason) = host_fault(&lower) else { return Ok(lower) };
    let fault = value.fault(format!("\"{text}\" is not a host name")).label(reason);
    let bare = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let bare = bare.split(['/', '?', '#']).next().unwrap_or(bare);
    let bare = bare.rsplit_once(':').map_or(bare, |(host, _)| host).trim().trim_end_matches('.');
    Err(if bare != lower && host_fault(bare).is_none() { fault.help(format!("write \"{bare}\"")) } else { fault })
}

/// Why a text in lower case is no host name.
fn host_fault(text: &str) -> Option<&'static str> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let bad_label = |label: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        label.is_empty()
            || label.len() > 63
            || label.starts_with('-')
            || label.ends_with('-')
            || !label.chars().all(allowed)
    };
    match name {
        _ if text == "*" => Some("leave `hosts` out to serve every host"),
        _ if is_bracketed_ipv6(name) => None,
        _ if text.contains("://") => Some("the scheme does not belong here"),
        _ if name.contains('/') => Some("the path does not belong here, see `path`"),
        _ if name.contains(':') => Some("the port does not belong here"),
        _ if name.contains('*') => Some("a star may only stand for the first label, as in \"*.example.com\""),
        _ if !name.is_ascii() => Some("write it in ASCII, as it is in DNS (\"xn--...\")"),
        _ if name.ends_with('.') => Some("the dot at the end does not belong here"),
        _ if name.len() > 253 => Some("longer than 253 characters"),
        _ if name.split('.').any(bad_label) => Some("labels have 1 to 63 of a-z, 0-9, - and _"),
        _ => None,
    }
}

fn is_bracketed_ipv6(name: &str) -> bool {
    name.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
}

/// A path prefix on whole segments: begins with `/`, ends without one unless that is all.
pub(super) fn prefix(value: Value) -> Result<String, Fault> {
    let text = request_path(value)?;
    let whole = text.trim_end_matches('/');
    let fault = value.fault(format!("`{}` must be the beginning of a path", value.key));
    let segments = || whole.split('/').skip(1);
    match text {
        _ if text.contains('?') => Err(fault.label("a query has no part in choosing the app")),
        _ if segments().any(|segment| matches!(segment, "." | "..")) => {
            Err(fault.label("`.` and `..` are never routed"))
        }
        _ if segments().any(str::is_empty) || whole.len() + 1 < text.len() => Err(fault.label("a segment is empty")),
        _ if whole.is_empty() => Ok("/".to_owned()),
        _ => match spelling(whole) {
            None => Err(fault.label("after `%` come two hexadecimal digits")),
            Some(better) if better != whole => {
                Err(fault.label("requests are routed in another spelling").help(format!("write \"{better}\"")))
            }
            Some(_) => Ok(whole.to_owned()),
        },
    }
}

/// The path as the proxy spells it before it routes: escaped only where that is needed, and in capital letters (RFC 3986,
/// section 6.2.2). `None`: an escape is broken.
fn spelling(path: &str) -> Option<String> {
    let mut spelt = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(c) = rest.chars().next() {
        let (byte, length) = match rest.strip_prefix('%') {
            Some(digits) => (u8::from_str_radix(digits.get(..2)?, 16).ok()?, 3),
            None => (c as u8, 1),
        };
        let is_unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if is_unreserved || (length == 1 && b"!$&'()*+,;=:@/".contains(&byte)) {
            spelt.push(char::from(byte));
        } else {
            let _ = write!(spelt, "%{byte:02X}");
        }
        rest = &rest[length..];
    }
    Some(spelt)
}

/// What may stand in a request line: begins with `/`, visible ASCII, no fragment (RFC 9112 section 3.2.1).
pub(super) fn request_path(value: Value<'_>) -> Result<&str, Fault> {
    let text = value::text(value)?;
    let fault = value.fault(format!("`{}` must be a path that begins with \"/\"", value.key));
    match text {
        _ if text.contains("://") => Err(fault.label("the path alone, without scheme and host")),
        _ if !text.starts_with('/') => Err(fault.label(format!("did you mean \"/{text}\"?"))),
        _ if text.contains('#') => Err(fault.label("a fragment is never sent")),
        _ if !text.chars().all(|c| c.is_ascii_graphic()) => {
            Err(fault.label("percent-encode what is not visible ASCII"))
        }
        _ => Ok(text),
    }
}

/// A value for the `Host` header of a probe: a host name with or without a port.
pub(super) fn probe_host(value: Value) -> Result<String, Fault> {
    let text = value::text(value)?;
    let port = |port: &str| port.parse::<u16>().is_ok();
    let name = text.rsplit_once(':').filter(|(_, end)| port(end)).map_or(text, |(name, _)| name);
    if name.contains('*') || host_fault(&name.to_ascii_lowercase()).is_some() {
        return Err(value.mismatch("a host name, with or without a port").label("this cannot be sent as Host"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fault_of, meaning_of};
    use super::*;

    fn base() -> &'static Path {
        Path::new("/etc/portreeve")
    }

    #[test]
    fn hosts_are_lowered_and_their_form_checked() {
        for (typed, meant) in [
            ("Example.COM", "example.com"),
            ("*.example.com", "*.example.com"),
            ("localhost", "localhost"),
            ("my_app.internal", "my_app.internal"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(meaning_of(typed, host), meant);
        }
        for (typed, label, help) in [
            ("https://Example.com/x", "the scheme", Some("write \"example.com\"")),
            ("example.com:443", "the port", Some("write \"example.com\"")),
            ("example.com/api", "the path", Some("write \"example.com\"")),
            ("example.com.", "the dot", Some("write \"example.com\"")),
            ("*", "leave `hosts` out", None),
            ("a.*.com", "a star", None),
            ("*.*.com", "a star", None),
            ("bücher.de", "xn--", None),
            ("-a.com", "labels", None),
            ("a..b", "labels", None),
            ("a b", "labels", None),
        ] {
            let fault = fault_of(typed, host);
            assert!(fault.label.contains(label), "{typed}: {}", fault.label);
            assert_eq!(fault.help.as_deref(), help, "{typed}");
        }
    }

    #[test]
    fn prefixes_are_whole_segments() {
        for (typed, meant) in [("/", "/"), ("/api", "/api"), ("/api/", "/api"), ("/a/b%20c", "/a/b%20c")] {
            assert_eq!(meaning_of(typed, prefix), meant);
        }
        for bad in ["api", "", "//", "/a//b", "/a//", "/a/../b", "/.", "/a?b", "/a#b", "/a b", "/ä", "http://x/"] {
            fault_of(bad, prefix);
        }
        for (typed, better) in [("/%61", "/a"), ("/%2fb", "/%2Fb"), ("/{a}", "/%7Ba%7D")] {
            assert_eq!(fault_of(typed, prefix).help.as_deref(), Some(&*format!("write \"{better}\"")));
        }
        assert!(fault_of("/%zz", prefix).label.contains("two hexadecimal digits"));
        assert_eq!(fault_of("api", prefix).label, "did you mean \"/api\"?");
    }

    #[test]
    fn listening_addresses_are_numbers_and_slips_are_guessed() {
        assert_eq!(meaning_of("[::]:443", listen_address).port(), 443);
        assert_eq!(meaning_of("127.0.0.1:0", listen_address).port(), 0);
        for (typed, label) in [
            ("8080", "did you mean \"0.0.0.0:8080\"?"),
            (":8080", "did you mean \"0.0.0.0:8080\"?"),
            ("*:80", "did you mean \"0.0.0.0:80\"?"),
            ("localhost:80", "did you mean \"127.0.0.1:80\"?"),
            ("http://0.0.0.0:80/", "did you mean \"0.0.0.0:80\"?"),
            ("0.0.0.0", "the port is missing"),
            ("::1", "the port is missing"),
            ("example.com:80", "not an address"),
            ("0.0.0.0:65536", "not an address"),
            ("", "not an address"),
        ] {
            assert_eq!(fault_of(typed, listen_address).label, label, "{typed}");
        }
    }

    #[test]
    fn servers_are_addresses_or_sockets() {
        let read = |value: Value| server_address(value, base()).map(|address| address.to_string());
        for (typed, meant) in [
            ("127.0.0.1:9000", "127.0.0.1:9000"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
            ("unix:///run/app.sock", "unix:/run/app.sock"),
            ("unix:app.sock", "unix:/etc/portreeve/app.sock"),
        ] {
            assert_eq!(meaning_of(typed, read), meant);
        }
        assert_eq!(fault_of("9000", read).label, "did you mean \"127.0.0.1:9000\"?");
        for bad in ["127.0.0.1", "127.0.0.1:0", "unix:", "localhost:9000", "http://127.0.0.1:9000", "/run/app.sock", ""]
        {
            fault_of(bad, read);
        }
        assert!(fault_of(&format!("unix:/{}", "a".repeat(107)), read).label.contains("107"));
    }

    #[test]
    fn a_probe_may_name_a_host_with_its_port() {
        for good in ["localhost", "Example.com:8080", "127.0.0.1", "[::1]:80"] {
            assert_eq!(meaning_of(good, probe_host), good);
        }
        for bad in ["", "a b", "a\r\nX: y", "http://x", "*.example.com", "a:99999"] {
            fault_of(bad, probe_host);
        }
    }
}
