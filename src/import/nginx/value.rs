//! Values of nginx as portreeve writes them: times, sizes, addresses, names of servers.
//!
//! Pure, and nothing is looked up: a name that would have to be resolved is no address here.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{format_duration, format_size};

/// `60`, `60s`, `1m`, `500ms`.
pub(super) fn time(text: &str) -> Option<String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "" | "s" => 1000,
        "ms" => 1,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).filter(|millis| *millis > 0).map(Duration::from_millis).map(format_duration)
}

/// `10m`, `512k`; 0 is no limit.
pub(super) fn size(text: &str) -> Option<String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    let bytes = number.checked_mul(factor)?;
    Some(if bytes == 0 { "unlimited".to_owned() } else { format_size(bytes) })
}

/// What `listen` names: a port, an address, or both.
pub(super) fn listener(text: &str) -> Option<SocketAddr> {
    let text = text.replace('*', "0.0.0.0");
    if let Ok(port) = text.parse::<u16>() {
        return Some(SocketAddr::from(([0, 0, 0, 0], port)));
    }
    text.parse().ok().or_else(|| format!("{}:80", text.replace("localhost", "127.0.0.1")).parse().ok())
}

/// A server of an upstream: an address or a Unix socket.
pub(super) fn server(text: &str) -> Option<String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return path.starts_with('/').then(|| format!("unix:{}", path.trim_end_matches(':')));
    }
    let text = text.replacen("localhost", "127.0.0.1", 1);
    let address = text.parse::<SocketAddr>().ok().or_else(|| format!("{text}:80").parse().ok())?;
    Some(address.to_string())
}

/// Host names of a `server_name`; `None` for a pattern that has no counterpart.
pub(super) fn hosts(name: &str) -> Option<Vec<String>> {
    match name {
        _ if name.starts_with('~') || name.contains('$') || name.ends_with(".*") => None,
        _ if name.starts_with('.') => Some(vec![name[1..].to_owned(), format!("*{name}")]),
        name => Some(vec![name.to_ascii_lowercase()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_we_do() {
        assert_eq!([time("60"), time("2m"), time("0"), time("x")], [Some("1m".into()), Some("2m".into()), None, None]);
        assert_eq!([size("10m"), size("0"), size("1x")], [Some("10MiB".into()), Some("unlimited".into()), None]);
        for (text, meant) in [
            ("80", Some("0.0.0.0:80")),
            ("*:8080", Some("0.0.0.0:8080")),
            ("[::]:443", Some("[::]:443")),
            ("127.0.0.1", Some("127.0.0.1:80")),
            ("example.com:80", None),
        ] {
            assert_eq!(listener(text).map(|address| address.to_string()).as_deref(), meant, "{text}");
        }
        for (text, meant) in [
            ("127.0.0.1:3000", Some("127.0.0.1:3000")),
            ("localhost:3000", Some("127.0.0.1:3000")),
            ("unix:/run/a.sock", Some("unix:/run/a.sock")),
            ("backend:3000", None),
        ] {
            assert_eq!(server(text).as_deref(), meant, "{text}");
        }
        assert_eq!(hosts(".example.com"), Some(vec!["example.com".into(), "*.example.com".into()]));
        assert_eq!(hosts("~^www"), None);
    }
}
