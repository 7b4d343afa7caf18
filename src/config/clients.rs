//! Reader of `[clients]`: whose word on who the client is counts, and what of a client's words workers get.
//!
//! Pure. Networks are in one form here: an IPv4 address in IPv6 clothes is an IPv4 address, and no bit is set behind a prefix.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::fault::Fault;
use super::reader::Table;
use super::unknown;
use super::value::{self, Value};

/// Networks that have a name. Those of a provider are as it published them in November 2026; they change rarely, and other ones
/// can be written beside them.
const SETS: [(&str, &[&str]); 4] = [
    ("loopback", &["127.0.0.0/8", "::1/128"]),
    (
        "private",
        &[
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "169.254.0.0/16",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
        ],
    ),
    (
        "cloudflare",
        &[
            "173.245.48.0/20",
            "103.21.244.0/22",
            "103.22.200.0/22",
            "103.31.4.0/22",
            "141.101.64.0/18",
            "108.162.192.0/18",
            "190.93.240.0/20",
            "188.114.96.0/20",
            "197.234.240.0/22",
            "198.41.128.0/17",
            "162.158.0.0/15",
            "104.16.0.0/13",
            "104.24.0.0/14",
            "172.64.0.0/13",
            "131.0.72.0/22",
            "2400:cb00::/32",
            "2606:4700::/32",
            "2803:f800::/32",
            "2405:b500::/32",
            "2405:8100::/32",
            "2a06:98c0::/29",
            "2c0f:f248::/32",
        ],
    ),
    (
        "fastly",
        &[
            "23.235.32.0/20",
            "43.249.72.0/22",
            "103.244.50.0/24",
            "103.245.222.0/23",
            "103.245.224.0/24",
            "104.156.80.0/20",
            "140.248.64.0/18",
            "140.248.128.0/17",
            "146.75.0.0/17",
            "151.101.0.0/16",
            "157.52.64.0/18",
            "167.82.0.0/17",
            "167.82.128.0/20",
            "167.82.160.0/20",
            "167.82.224.0/20",
            "172.111.64.0/18",
            "185.31.16.0/22",
            "199.27.72.0/21",
            "199.232.0.0/16",
            "2a04:4e40::/32",
            "2a04:4e42::/32",
        ],
    ),
];

/// Who clients are, and what they may say to workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// Peers that name the client in `X-Forwarded-For` and may be believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Peers whose connections begin with a PROXY protocol header, and must.
    pub proxy_protocol: Vec<IpNet>,
    /// Do workers get `Forwarded` (RFC 7239) too?
    pub forwarded: bool,
    /// Does a request that belongs to no trace begin one (W3C Trace Context)?
    pub start_traces: bool,
    /// Fields with unusual names that workers get all the same, in lower case.
    pub allow_headers: Vec<String>,
}

pub(super) fn clients(table: &mut Table) -> Clients {
    Clients {
        trusted_proxies: table.list("trusted_proxies", networks).concat(),
        proxy_protocol: table.list("proxy_protocol", networks).concat(),
        forwarded: table.take("forwarded", value::boolean).unwrap_or(false),
        start_traces: table.take("start_traces", value::boolean).unwrap_or(true),
        allow_headers: table.list("allow_headers", field_name),
    }
}

/// An address, a network, or a set by its name.
pub(super) fn networks(value: Value) -> Result<Vec<IpNet>, Fault> {
    let text = value::text(value)?;
    if let Some((_, set)) = SETS.iter().find(|(name, _)| *name == text) {
        return Ok(set
            .iter()
            .map(|network| network.parse().expect("the sets are networks, as a test shows"))
            .collect());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(vec![IpNet::from(address.to_canonical())]);
    }
    let names = SETS.map(|(name, _)| name);
    let fault =
        value.fault(format!("`{}` names addresses, networks such as \"10.0.0.0/8\", or sets of them", value.key));
    match text.parse::<IpNet>() {
        Ok(network) if network.trunc() != network => Err(fault.label(format!("did you mean \"{}\"?", network.trunc()))),
        Ok(network) => Ok(vec![canonical(network)]),
        Err(_) => Err(match unknown::nearest(text, &names) {
            Some(near) => fault.label(format!("did you mean \"{near}\"?")),
            None => fault.label("none of these").help(format!("the sets are {}", names.join(", "))),
        }),
    }
}

/// The network as addresses are compared with it: without IPv6 clothes.
fn canonical(network: IpNet) -> IpNet {
    let bare = |network: Ipv6Net| {
        let address = network.addr().to_ipv4_mapped().filter(|_| network.prefix_len() >= 96)?;
        Ipv4Net::new(address, network.prefix_len() - 96).ok()
    };
    match network {
        IpNet::V6(six) => bare(six).map_or(network, IpNet::V4),
        IpNet::V4(_) => network,
    }
}

/// The name of a field (RFC 9110, section 5.1).
fn field_name(value: Value) -> Result<String, Fault> {
    let text = value::text(value)?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_token) {
        return Err(value.mismatch("the name of a header field").label("no field can have this name"));
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{fault_of, meaning_of};

    fn shown(text: &str) -> Vec<String> {
        meaning_of(text, networks).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_networks_and_sets_are_networks() {
        assert_eq!(shown("10.0.0.1"), ["10.0.0.1/32"]);
        assert_eq!(shown("2001:db8::/32"), ["2001:db8::/32"]);
        assert_eq!(shown("::ffff:10.0.0.1"), ["10.0.0.1/32"]);
        assert_eq!(shown("::ffff:10.0.0.0/104"), ["10.0.0.0/8"]);
        assert_eq!(shown("loopback"), ["127.0.0.0/8", "::1/128"]);
        for (name, set) in SETS {
            let networks = meaning_of(name, networks);
            assert!(
                networks.len() == set.len() && networks.iter().all(|network| network.trunc() == *network),
                "{name}"
            );
        }
    }

    #[test]
    fn slips_are_guessed() {
        for (typed, label) in [
            ("10.0.0.1/8", "did you mean \"10.0.0.0/8\"?"),
            ("cloudflair", "did you mean \"cloudflare\"?"),
            ("example.com", "none of these"),
            ("10.0.0.0/33", "none of these"),
        ] {
            assert_eq!(fault_of(typed, networks).label, label, "{typed}");
        }
        assert_eq!(meaning_of("X_Custom", field_name), "x_custom");
        for bad in ["", "a b", "a:b", "ä"] {
            fault_of(bad, field_name);
        }
    }
}
