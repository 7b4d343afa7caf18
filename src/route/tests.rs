//! The table by example, and against a reference that does the obvious, slowly.

use proptest::prelude::*;

use super::*;

/// Builds a table of `(hosts, path, value)`, hosts separated by blanks.
fn table(entries: &[(&str, &str, &'static str)]) -> Result<Table<&'static str>, Conflict<&'static str>> {
    let hosts: Vec<Vec<String>> =
        entries.iter().map(|(hosts, ..)| hosts.split_whitespace().map(str::to_owned).collect()).collect();
    Table::build(
        entries.iter().zip(&hosts).map(|((_, path, value), hosts)| (hosts.as_slice(), *path, *value)).collect(),
    )
}

#[test]
fn an_exact_host_goes_before_a_wildcard_and_that_before_any_host() {
    let table = table(&[("", "/", "any"), ("*.example.com", "/", "wild"), ("a.example.com", "/", "exact")]).unwrap();
    for (host, expected) in [
        ("a.example.com", "exact"),
        ("b.example.com", "wild"),
        ("a.b.example.com", "any"),
        ("example.com", "any"),
        (".example.com", "any"),
        ("", "any"),
        ("192.0.2.1", "any"),
        ("[2001:db8::1]", "any"),
    ] {
        assert_eq!(table.find(host, "/"), Some(&expected), "{host}");
    }
}

#[test]
fn a_prefix_covers_whole_segments() {
    for written in ["/api", "/api/", "/api//"] {
        let table = table(&[("", written, "api")]).unwrap();
        for path in ["/api", "/api/", "/api/x", "/api//x"] {
            assert_eq!(table.find("h", path), Some(&"api"), "{written} {path}");
        }
        for path in ["/", "/apix", "/ap", "/x/api", "", "*"] {
            assert_eq!(table.find("h", path), None, "{written} {path}");
        }
    }
}

#[test]
fn the_longest_prefix_wins_whatever_the_order() {
    let mut entries = [("", "/", "root"), ("", "/a/b", "deep"), ("", "/a", "shallow")];
    for _ in 0..entries.len() {
        entries.rotate_left(1);
        let table = table(&entries).unwrap();
        for (path, expected) in [("/a/b/c", "deep"), ("/a/b", "deep"), ("/a/bc", "shallow"), ("/b", "root")] {
            assert_eq!(table.find("h", path), Some(&expected), "{path}");
        }
    }
}

#[test]
fn a_host_without_a_prefix_of_the_path_leaves_it_to_the_next_kind() {
    let table = table(&[("a.test", "/api", "api"), ("*.test", "/files", "files"), ("", "/", "rest")]).unwrap();
    assert_eq!(table.find("a.test", "/api/1"), Some(&"api"));
    assert_eq!(table.find("a.test", "/files/1"), Some(&"files"));
    assert_eq!(table.find("a.test", "/other"), Some(&"rest"));
}

#[test]
fn one_place_for_two_entries_is_refused_with_both_named() {
    let conflict = table(&[("", "/", "root"), ("a.test b.test", "/x", "one"), ("c.test b.test", "/x/", "two")]);
    let conflict = conflict.unwrap_err();
    assert_eq!(conflict.to_string(), "one and two both serve b.test/x");
    assert_eq!(table(&[("", "/", "one"), ("", "", "two")]).unwrap_err().to_string(), "one and two both serve */");
    let wild = table(&[("*.a.test", "/", "one"), ("*.a.test", "/", "two")]).unwrap_err();
    assert_eq!(wild.to_string(), "one and two both serve *.a.test/");
}

#[test]
fn one_entry_may_say_a_host_twice() {
    assert_eq!(table(&[("a.test a.test", "/", "one")]).unwrap().find("a.test", "/"), Some(&"one"));
}

#[test]
fn an_empty_table_finds_nothing() {
    assert_eq!(table(&[]).unwrap().find("a.test", "/"), None);
}

/// An entry as written: hosts and path, each as lists of parts.
type Written = (Vec<String>, String);

/// Segments of a path; slashes at the end do not count.
fn segments(path: &str) -> Vec<&str> {
    path.trim_end_matches('/').split('/').collect()
}

/// How well a host as configured fits the one asked for: 2 exact, 1 wildcard; `None`: not at all.
fn fit(configured: &str, host: &str) -> Option<u32> {
    let (configured, host): (Vec<_>, Vec<_>) = (configured.split('.').collect(), host.split('.').collect());
    let is_wild = configured[0] == "*" && configured.len() == host.len() && configured[1..] == host[1..];
    if configured == host { Some(2) } else { (is_wild && !host[0].is_empty()).then_some(1) }
}

/// The obvious: rank every entry that fits, take the best.
fn reference(entries: &[Written], host: &str, path: &str) -> Option<usize> {
    let asked = path.split('/').collect::<Vec<_>>();
    let rank = |(hosts, prefix): &Written| {
        let fit = if hosts.is_empty() { Some(0) } else { hosts.iter().filter_map(|name| fit(name, host)).max() };
        let prefix = segments(prefix);
        fit.filter(|_| asked.starts_with(&prefix)).map(|fit| (fit, prefix.len()))
    };
    let ranked = entries.iter().enumerate().filter_map(|(place, entry)| Some((rank(entry)?, place)));
    ranked.max().map(|(_, place)| place)
}

/// Do two entries have a place in common?
fn clash(a: &Written, b: &Written) -> bool {
    let hosts = (a.0.is_empty() && b.0.is_empty()) || a.0.iter().any(|host| b.0.contains(host));
    hosts && segments(&a.1) == segments(&b.1)
}

fn host() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop::sample::select(vec!["a", "b", "aa"]), 1..4).prop_map(|labels| labels.join("."))
}

fn configured_host() -> impl Strategy<Value = String> {
    (any::<bool>(), host()).prop_map(|(wild, host)| if wild { format!("*.{host}") } else { host })
}

fn path() -> impl Strategy<Value = String> {
    let segments = proptest::collection::vec(prop::sample::select(vec!["a", "b", "ab", ""]), 0..4);
    segments.prop_map(|segments| format!("/{}", segments.join("/")))
}

fn entries() -> impl Strategy<Value = Vec<Written>> {
    proptest::collection::vec((proptest::collection::vec(configured_host(), 0..3), path()), 0..12)
}

proptest! {
    #[test]
    fn the_table_agrees_with_the_reference(
        entries in entries(),
        asked in proptest::collection::vec((host(), path()), 1..20),
    ) {
        let written = entries.iter().enumerate();
        let built = Table::build(written.map(|(place, (hosts, path))| (hosts.as_slice(), path.as_str(), place)).collect());
        let clashes = |a: usize, b: usize| clash(&entries[a], &entries[b]);
        match built {
            Err(conflict) => prop_assert!(conflict.first < conflict.second && clashes(conflict.first, conflict.second)),
            Ok(table) => {
                let is_clean = (0..entries.len()).all(|b| (0..b).all(|a| !clashes(a, b)));
                prop_assert!(is_clean, "a conflict was overlooked");
                for (host, path) in asked {
                    prop_assert_eq!(table.find(&host, &path).copied(), reference(&entries, &host, &path), "{} {}", host, path);
                }
            }
        }
    }
}
