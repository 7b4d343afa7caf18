//! What is wrong with a configuration, for people and for programs: message, place, advice.
//!
//! A [`Problem`] is plain data (and JSON through serde); [`Problems`] are those of one file, with its text, so
//! that they can be shown. Invariant: a place lies within the text, on whole characters, and never past the last line.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use super::fault::{Fault, HERE};
use super::render;

/// More problems than this help nobody; a file with more of them is not a configuration.
const MOST: usize = 100;

/// Everything found wrong with one file, in the order of the file; may be empty.
///
/// `Display` writes one line for each problem, for logs; [`Problems::render`] shows the lines of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    source: Source,
    list: Vec<Problem>,
    /// Found and not listed.
    hidden: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub severity: Severity,
    /// One sentence that can stand alone.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// `None`: about the file as a whole.
    pub place: Option<Place>,
    /// Another place that has to do with it.
    pub related: Option<Place>,
}

/// May the file be used all the same?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
}

/// Some bytes of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Counted in characters from 1.
    pub column: usize,
    /// Bytes from the start of the file.
    pub span: Range<usize>,
    /// A few words on these bytes.
    pub label: String,
}

/// A file's name, as it was given, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: Arc<str>,
}

impl Problems {
    pub(super) fn new(source: Source, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| (fault.severity, fault.span.as_ref().map(|span| span.start)));
        let hidden = faults.len().saturating_sub(MOST);
        faults.truncate(MOST);
        let list = faults.into_iter().map(|fault| Problem::of(fault, &source.text)).collect();
        Self { source, list, hidden }.sorted()
    }

    fn sorted(mut self) -> Self {
        self.list.sort_by_key(|problem| problem.place.as_ref().map(|place| place.span.start));
        self
    }

    /// Each problem, in the order of the file; those about no place come first. At most 100, errors before warnings.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.list
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Is one of them an error?
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Takes over what else was found wrong with the same file.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.list.extend(more.list);
        self.hidden += more.hidden;
        self.sorted()
    }

    /// Shows each problem with its line of the file, ready to be printed.
    ///
    /// `color`: drawn and coloured, for a terminal; else a plain form that editors and `grep` understand
    /// (`file:line:column: error: message`).
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let shown =
            if color { render::drawn(&self.source, &self.list) } else { render::plain(&self.source, &self.list) };
        shown + &render::count(&self.source, &self.list, self.hidden)
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{}", render::headline(&self.source, problem))?;
            if let Some(place) = problem.place.as_ref().filter(|place| place.label != HERE) {
                write!(f, ": {}", place.label)?;
            }
            if let Some(help) = &problem.help {
                write!(f, " ({})", help.lines().map(str::trim).collect::<Vec<_>>().join(" "))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

impl Problem {
    fn of(fault: Fault, text: &str) -> Self {
        let Fault { severity, span, message, label, help, related } = fault;
        let place = span.map(|span| Place::of(span, one_line(&label), text));
        let related = related.map(|related| Place::of(related.0, one_line(&related.1), text));
        Self { severity, message: one_line(&message), help: help.as_deref().map(visible), place, related }
    }
}

impl Place {
    fn of(span: Range<usize>, label: String, text: &str) -> Self {
        let span = shown_part(span, text);
        let before = &text[..span.start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Self { line, column, span, label }
    }
}

/// The part of `span` that can be pointed at: within the text, on whole characters, on its first line.
/// What lies behind the last line break is moved before it, because there is no line to show.
fn shown_part(span: Range<usize>, text: &str) -> Range<usize> {
    let mut start = text.floor_char_boundary(span.start);
    if start == text.len() && text.ends_with('\n') {
        start = text.trim_end_matches('\n').len();
    }
    let end = text.ceil_char_boundary(span.end).max(start);
    let line = text[start..].find('\n').map_or(text.len(), |at| start + at);
    start..end.min(line)
}

/// Words that may quote the file, fit for one line of a log.
fn one_line(words: &str) -> String {
    visible(words).replace(['\n', '\t'], " ")
}

/// The text with every control character but tab and line break replaced by one that takes as many bytes.
pub(super) fn visible(text: &str) -> String {
    let replace = |c: char| match c {
        '\n' | '\t' => c,
        '\r' => ' ',
        c if c.is_control() && c.len_utf8() == 1 => '?',
        c if c.is_control() => '¿',
        c => c,
    };
    text.chars().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(span: Range<usize>, text: &str) -> (usize, usize, Range<usize>) {
        let place = Place::of(span, String::new(), text);
        (place.line, place.column, place.span)
    }

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        assert_eq!(place(0..1, "a"), (1, 1, 0..1));
        assert_eq!(place(6..7, "é = 1\nb"), (1, 6, 6..6));
        assert_eq!(place(7..8, "é = 1\nb"), (2, 1, 7..8));
        assert_eq!(place(2..3, "éb"), (1, 2, 2..3));
    }

    #[test]
    fn a_place_is_within_the_file() {
        assert_eq!(place(0..0, ""), (1, 1, 0..0));
        assert_eq!(place(9..12, "a"), (1, 2, 1..1));
        assert_eq!(place(2..2, "a\n"), (1, 2, 1..1));
        assert_eq!(place(4..4, "a\n\n\n"), (1, 2, 1..1));
        assert_eq!(place(1..1, "é"), (1, 1, 0..2), "inside a character");
        assert_eq!(place(0..5, "a\nb\nc"), (1, 1, 0..1), "no further than the first line");
    }

    #[test]
    fn problems_are_in_the_order_of_the_file() {
        let source = Source { name: "x.toml".into(), text: "a\nb\n".into() };
        let late = Fault::warning(2..3, "late").label("this").help("two\n  lines");
        let problems = Problems::new(source.clone(), vec![late, Fault::whole_file("whole")]);
        let problems = problems.and(Problems::new(source, vec![Fault::error(0..1, "early")]));
        assert_eq!(
            problems.to_string(),
            "x.toml: error: whole\nx.toml:1:1: error: early\nx.toml:2:1: warning: late: this (two lines)"
        );
    }

    #[test]
    fn a_problem_is_written_as_json() {
        let source = Source { name: "x.toml".into(), text: "ab\n".into() };
        let problems = Problems::new(source, vec![Fault::error(1..2, "bad").label("this").help("do that")]);
        let json = serde_json::to_value(problems.problems()).unwrap();
        let place = serde_json::json!({"line": 1, "column": 2, "span": {"start": 1, "end": 2}, "label": "this"});
        let problem = serde_json::json!({"severity": "error", "message": "bad", "help": "do that", "place": place, "related": null});
        assert_eq!(json, serde_json::json!([problem]));
    }
}
