//! Reads the Prometheus text format 0.0.4, strictly: what this refuses, a scraper might misread.
//!
//! Every sample belongs to a family announced by `# TYPE` before it, no sample comes twice, counters are not negative, and
//! a histogram's buckets only grow up to `+Inf`, which equals its count.

use std::collections::{BTreeMap, BTreeSet};

/// One scrape.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    kinds: BTreeMap<String, String>,
    helped: BTreeSet<String>,
    samples: BTreeMap<Series, f64>,
}

/// A name with its labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
}

impl Exposition {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut exposition = Self::default();
        if !text.ends_with('\n') {
            return Err("the last line does not end".to_owned());
        }
        for line in text.lines().filter(|line| !line.is_empty()) {
            exposition.take(line).map_err(|fault| format!("{fault}: {line:?}"))?;
        }
        exposition.check_histograms()?;
        Ok(exposition)
    }

    /// The value of exactly this series.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.samples.get(&Series { name: name.to_owned(), labels }).copied()
    }

    /// The sum over all series of this name that carry these labels, whatever else they carry.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let carries = |series: &Series| {
            labels.iter().all(|&(label, value)| series.labels.get(label).map(String::as_str) == Some(value))
        };
        self.samples.iter().filter(|(series, _)| series.name == name && carries(series)).map(|(_, value)| value).sum()
    }

    /// Is the family announced, and as this kind?
    pub(crate) fn is_announced(&self, family: &str, kind: &str) -> bool {
        self.kinds.get(family).is_some_and(|announced| announced == kind) && self.helped.contains(family)
    }

    fn take(&mut self, line: &str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or("a TYPE without a kind")?;
            if !matches!(kind, "counter" | "gauge" | "histogram" | "summary" | "untyped") {
                return Err(format!("unknown kind {kind}"));
            }
            if self.kinds.insert(name.to_owned(), kind.to_owned()).is_some() {
                return Err("a second TYPE".to_owned());
            }
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            self.helped.insert(rest.split(' ').next().unwrap_or_default().to_owned());
        } else if !line.starts_with('#') {
            self.take_sample(line)?;
        }
        Ok(())
    }

    fn take_sample(&mut self, line: &str) -> Result<(), String> {
        let end = line.find(['{', ' ']).ok_or("a name without a value")?;
        let (name, rest) = line.split_at(end);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (BTreeMap::new(), rest),
        };
        let value: f64 = rest.trim().parse().map_err(|_| "not a number")?;
        let kind = self.kind_of(name).ok_or("a sample without a TYPE")?;
        if kind == "counter" && value < 0.0 {
            return Err("a negative counter".to_owned());
        }
        let series = Series { name: name.to_owned(), labels };
        if self.samples.insert(series, value).is_some() {
            return Err("a second sample of the same series".to_owned());
        }
        Ok(())
    }

    fn kind_of(&self, name: &str) -> Option<&str> {
        let of_histogram = || {
            let stem = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix))?;
            self.kinds.get(stem).filter(|kind| *kind == "histogram")
        };
        self.kinds.get(name).or_else(of_histogram).map(String::as_str)
    }

    fn check_histograms(&self) -> Result<(), String> {
        let mut buckets: BTreeMap<Series, Vec<(f64, f64)>> = BTreeMap::new();
        for (series, &count) in &self.samples {
            if let Some(stem) = series.name.strip_suffix("_bucket") {
                let mut labels = series.labels.clone();
                let bound = labels.remove("le").ok_or("a bucket without a bound")?;
                let bound = bound.parse().map_err(|_| format!("a bound that is no number: {bound}"))?;
                let histogram = Series { name: stem.to_owned(), labels };
                buckets.entry(histogram).or_default().push((bound, count));
            }
        }
        for (mut histogram, mut counts) in buckets {
            counts.sort_by(|one, other| one.0.total_cmp(&other.0));
            histogram.name.push_str("_count");
            let last = *counts.last().expect("an entry has at least one bucket");
            let grows = counts.is_sorted_by(|one, other| one.1 <= other.1);
            if !grows || last.0 != f64::INFINITY || self.samples.get(&histogram) != Some(&last.1) {
                return Err(format!("a histogram that does not add up: {histogram:?} {counts:?}"));
            }
        }
        Ok(())
    }
}

/// Reads `name="value",…}` and returns what follows it.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), String> {
    let mut labels = BTreeMap::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        let (value, after) = quoted(after)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return Err(format!("label {name} twice"));
        }
        rest = after.strip_prefix(',').unwrap_or(after);
    }
}

/// Reads up to the closing quote, undoing `\\`, `\"` and `\n`.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                _ => return Err("an unknown escape".to_owned()),
            },
            plain => value.push(plain),
        }
    }
    Err("a label value without an end".to_owned())
}
