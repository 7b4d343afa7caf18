//! Readers of those `[limits]` that are about how many clients there are, and what each of them may have.
//!
//! Pure. Invariant: who is exempt is a list of networks, whatever sets and addresses were written.

use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;

use super::clients::networks;
use super::defaults;
use super::fault::Fault;
use super::reader::Table;
use super::value::{self, Value};

/// Bounds on the crowd of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// TLS handshakes that are begun at a time; the others wait for their turn.
    pub handshakes: u32,
    /// Connections of one address (of IPv6: of one /64); `None`: as many as there may be in all.
    pub connections_per_ip: Option<u32>,
    /// Connections that one address begins; `None`: as many as it likes.
    pub connects_per_ip: Option<Rate>,
    /// Requests of one address; `None`: as many as it likes.
    pub requests_per_ip: Option<Rate>,
    /// Who has no bounds of its own.
    pub exempt: Vec<IpNet>,
}

/// So many in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: NonZeroU32,
    pub period: Duration,
    /// As many may be saved up.
    pub burst: NonZeroU32,
}

pub(super) fn crowd(table: &mut Table) -> Crowd {
    let connections = &defaults::CONNECTIONS_PER_IP;
    let per_ip = |value| value::unless("off", value, |value| value::count(value, &connections.range));
    let (is_said, said) = (table.has("exempt"), table.list("exempt", networks).concat());
    Crowd {
        handshakes: table.count("handshakes", &defaults::HANDSHAKES),
        connections_per_ip: table.take("connections_per_ip", per_ip).unwrap_or(Some(connections.default)),
        connects_per_ip: rate_of(table, "connects_per_ip"),
        requests_per_ip: rate_of(table, "requests_per_ip"),
        exempt: if is_said { said } else { loopback() },
    }
}

/// What this machine itself asks for is not held against it.
fn loopback() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128"].map(|text| text.parse().expect("these are networks")).to_vec()
}

/// `"100/s"`, or a table with a burst.
fn rate_of(table: &mut Table, key: &'static str) -> Option<Rate> {
    let value = table.value(key)?;
    if value.table().is_none() {
        let rate = value::unless("off", value, rate).map_err(|fault| table.report(fault)).ok()?;
        return rate.map(|(count, period)| Rate { count, period, burst: count });
    }
    table.inner(value, table.dotted(key), |table| {
        if !table.has("rate") {
            table.report_missing(&["rate"], "rate = \"100/s\"");
        }
        let burst = table.take("burst", |value| value::count(value, &defaults::RATE_PER_IP));
        let (count, period) = table.take("rate", rate)?;
        Some(Rate { count, period, burst: burst.unwrap_or(count) })
    })
}

fn rate(value: Value<'_>) -> Result<(NonZeroU32, Duration), Fault> {
    let fault = || value.mismatch("a rate such as \"100/s\" or \"600/m\"");
    let (count, unit) = value.str().and_then(|text| text.split_once('/')).ok_or_else(fault)?;
    let period = match unit.trim() {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        _ => return Err(fault().label("per second is /s, per minute /m")),
    };
    let count = count.trim().parse().map_err(|_| fault())?;
    if defaults::RATE_PER_IP.contains(&count) { Ok((count, period)) } else { Err(fault().label("too many")) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bad, good};
    use super::*;

    fn read(lines: &str) -> Crowd {
        good(&format!("[limits]\n{lines}\n[app.web]\ncommand = 'x'\n")).config.limits.crowd
    }

    fn positive(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn a_rate_has_a_burst_of_its_own_or_of_one_turn() {
        let second = Duration::from_secs(1);
        assert_eq!(read("").requests_per_ip, None);
        assert_eq!(read("requests_per_ip = 'off'").requests_per_ip, None);
        let plain = read("requests_per_ip = '100/s'").requests_per_ip;
        assert_eq!(plain, Some(Rate { count: positive(100), period: second, burst: positive(100) }));
        let table = read("requests_per_ip = { rate = '5 / m', burst = 20 }").requests_per_ip;
        assert_eq!(table, Some(Rate { count: positive(5), period: 60 * second, burst: positive(20) }));
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in
            ["100", "'100'", "'100/h'", "'0/s'", "'-1/s'", "'x/s'", "{ burst = 3 }", "{ rate = '1/s', burst = 0 }"]
        {
            for key in ["requests_per_ip", "connects_per_ip"] {
                let problems = bad(&format!("[limits]\n{key} = {text}\n[app.web]\ncommand = 'x'\n"));
                assert!(problems.has_errors(), "{key} = {text}");
            }
        }
    }

    #[test]
    fn connections_have_a_rate_of_their_own() {
        let read = read("connects_per_ip = '50/s'\nrequests_per_ip = '7/s'");
        let count = |rate: Option<Rate>| rate.map(|rate| rate.count.get());
        assert_eq!((count(read.connects_per_ip), count(read.requests_per_ip)), (Some(50), Some(7)));
    }

    #[test]
    fn loopback_is_exempt_unless_others_are_named() {
        assert_eq!(read("").exempt, loopback());
        assert_eq!(read("exempt = []").exempt, []);
        assert_eq!(read("exempt = ['10.0.0.0/8', 'loopback']").exempt.len(), 3);
        assert_eq!(read("connections_per_ip = 'off'").connections_per_ip, None);
    }
}
