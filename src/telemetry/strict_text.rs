//! A reader of the text format that forgives nothing, for the tests of this room.
//!
//! Follows "Text format details" of Prometheus' exposition formats (version 0.0.4); does not know what is measured.
//! Stricter than the format in two points: families do not repeat, and each has help and type.

use std::collections::HashSet;
use std::io::Write;
use std::process::{Command, Stdio};

/// Panics, with the line, at the first fault of an exposition; also asks `promtool` where it is installed.
pub(super) fn accept(text: &str) {
    let mut seen = Seen::default();
    for line in text.lines() {
        if let Err(fault) = seen.read(line) {
            panic!("{fault}: {line}\n{text}");
        }
    }
    seen.end_family().unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    assert!(text.is_empty() || text.ends_with('\n'), "no line feed at the end");
    accept_by_promtool(text);
}

fn accept_by_promtool(text: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "promtool: {}\n{text}", String::from_utf8_lossy(&output.stderr));
}

#[derive(Default)]
struct Seen {
    families: HashSet<String>,
    series: HashSet<String>,
    family: String,
    kind: String,
    histogram: Option<Histogram>,
}

/// The bucket, sum and count lines of one label set, which come in this order.
struct Histogram {
    labels: Vec<(String, String)>,
    bounds: Vec<f64>,
    counts: Vec<f64>,
    has_sum: bool,
}

type Fault = &'static str;

impl Seen {
    fn read(&mut self, line: &str) -> Result<(), Fault> {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').ok_or("help without text")?;
            self.end_family()?;
            has(is_name(name), "bad name")?;
            has(is_escaped(help, &['\\', 'n']), "bad escape in help")?;
            has(self.families.insert(name.to_owned()), "family repeats")?;
            self.family = name.to_owned();
            self.kind.clear();
            return Ok(());
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').ok_or("type without a kind")?;
            has(name == self.family && self.kind.is_empty(), "type out of place")?;
            has(["counter", "gauge", "histogram"].contains(&kind), "unknown kind")?;
            self.kind = kind.to_owned();
            return Ok(());
        }
        self.read_sample(line)
    }

    fn read_sample(&mut self, line: &str) -> Result<(), Fault> {
        let (series, value) = line.rsplit_once(' ').ok_or("no value")?;
        let value: f64 = value.parse().map_err(|_| "bad value")?;
        has(self.series.insert(series.to_owned()), "series repeats")?;
        let (name, labels) = match series.split_once('{') {
            None => (series, Vec::new()),
            Some((name, labels)) => (name, read_labels(labels)?),
        };
        let suffix = name.strip_prefix(self.family.as_str()).ok_or("sample of another family")?;
        match (self.kind.as_str(), suffix) {
            ("histogram", suffix) => self.read_part(suffix, labels, value),
            ("counter" | "gauge", "") => Ok(()),
            _ => Err("sample out of place"),
        }
    }

    fn read_part(&mut self, suffix: &str, mut labels: Vec<(String, String)>, value: f64) -> Result<(), Fault> {
        let bound = labels.iter().position(|(name, _)| name == "le").map(|at| labels.remove(at).1);
        let fresh = Histogram { labels: labels.clone(), bounds: Vec::new(), counts: Vec::new(), has_sum: false };
        let histogram = self.histogram.get_or_insert(fresh);
        has(histogram.labels == labels, "parts of two histograms are mixed")?;
        match (suffix, bound) {
            ("_bucket", Some(bound)) => histogram.add_bucket(bound.parse().map_err(|_| "bad bound")?, value),
            ("_sum", None) => {
                has(!std::mem::replace(&mut histogram.has_sum, true), "sum repeats")?;
                has(histogram.bounds.last() == Some(&f64::INFINITY), "no bucket for +Inf")
            }
            ("_count", None) => {
                has(histogram.has_sum, "no sum")?;
                has(histogram.counts.last() == Some(&value), "count differs from the last bucket")?;
                self.histogram = None;
                Ok(())
            }
            _ => Err("no part of a histogram"),
        }
    }

    fn end_family(&mut self) -> Result<(), Fault> {
        has(self.histogram.is_none(), "histogram without a count")?;
        let has_samples = self.series.iter().any(|series| series.starts_with(&self.family));
        has(self.family.is_empty() || (has_samples && !self.kind.is_empty()), "family without type or sample")
    }
}

impl Histogram {
    fn add_bucket(&mut self, bound: f64, count: f64) -> Result<(), Fault> {
        has(!self.has_sum, "bucket after the sum")?;
        has(self.bounds.last().is_none_or(|last| *last < bound), "bounds do not rise")?;
        has(self.counts.last().is_none_or(|last| *last <= count), "counts are not cumulative")?;
        self.bounds.push(bound);
        self.counts.push(count);
        Ok(())
    }
}

/// `name="value",...}`, what comes after the opening brace.
fn read_labels(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("bad label")?;
        has(is_name(name) && !name.contains(':'), "bad label name")?;
        let (value, after) = split_at_quote(after).ok_or("label value without an end")?;
        has(is_escaped(value, &['\\', 'n', '"']), "bad escape in a label")?;
        has(labels.iter().all(|(known, _)| known != name), "label repeats")?;
        labels.push((name.to_owned(), value.to_owned()));
        match after {
            "}" => return Ok(labels),
            _ => rest = after.strip_prefix(',').ok_or("no comma between labels")?,
        }
    }
}

fn split_at_quote(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let at = text.find(|c| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    })?;
    Some((&text[..at], &text[at + 1..]))
}

fn is_escaped(text: &str, allowed: &[char]) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\\' && !chars.next().is_some_and(|next| allowed.contains(&next)) {
            return false;
        }
    }
    true
}

fn is_name(text: &str) -> bool {
    let may_begin = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    text.starts_with(may_begin) && text.chars().all(|c| may_begin(c) || c.is_ascii_digit())
}

fn has(condition: bool, fault: Fault) -> Result<(), Fault> {
    if condition { Ok(()) } else { Err(fault) }
}

#[test]
fn the_strict_reader_refuses_what_it_must() {
    let head = "# HELP a x\n# TYPE a histogram\n";
    for (bad, why) in [
        ("a 1\n", "no family"),
        ("# HELP a x\n# TYPE a counter\n", "no sample"),
        ("# HELP a x\n# TYPE a counter\na 1\na 2\n", "series twice"),
        ("# HELP a x\n# TYPE a counter\na 1\n# HELP a x\n# TYPE a counter\na{b=\"1\"} 2\n", "family twice"),
        ("# HELP a x\n# TYPE a counter\na{b=\"\\x\"} 1\n", "bad escape"),
        ("# HELP a x\n# TYPE a counter\na one\n", "bad number"),
        (&format!("{head}a_bucket{{le=\"1\"}} 1\na_sum 1\na_count 1\n"), "no +Inf"),
        (&format!("{head}a_bucket{{le=\"+Inf\"}} 2\na_sum 1\na_count 1\n"), "count differs"),
        (&format!("{head}a_bucket{{le=\"1\"}} 2\na_bucket{{le=\"+Inf\"}} 1\na_sum 1\na_count 1\n"), "not cumulative"),
    ] {
        assert!(std::panic::catch_unwind(|| accept(bad)).is_err(), "{why} was accepted");
    }
    accept("# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c\\\"}\\\\ \\n\"} 1\n");
}
