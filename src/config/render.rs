//! How problems look: drawn with miette for a terminal, or plain lines for logs, editors and CI.
//!
//! Pure: no terminal is asked. Nothing that could drive a terminal is passed through from the file.

use std::fmt;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use super::masked::masked;
use super::problem::{Place, Problem, Severity, Source, visible};

/// Columns after which the drawn form wraps its prose.
const WIDTH: usize = 100;
/// Bytes of the longest line that is drawn; a file with a longer one is shown in the plain form, which cuts it.
const LONGEST: usize = 1000;
/// Characters of a line that the plain form shows around the place.
const EXCERPT: usize = 110;

/// Each problem with a drawn excerpt, whose heading counts columns in bytes as miette does.
pub(super) fn drawn(source: &Source, problems: &[Problem]) -> String {
    if source.text.lines().any(|line| line.len() > LONGEST) {
        return plain(source, problems);
    }
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode()).with_width(WIDTH).with_links(false);
    let file = NamedSource::new(&source.name, visible(&masked(&source.text)));
    let mut text = String::new();
    for problem in problems {
        let before = text.len();
        if handler.render_report(&mut text, &Drawn { problem, file: &file }).is_err() {
            text.truncate(before);
            text.push_str(&plain_problem(source, problem));
        }
        text.push('\n');
    }
    text
}

/// Each problem as `file:line:column: error: message` with the line and a caret.
pub(super) fn plain(source: &Source, problems: &[Problem]) -> String {
    let parts: Vec<String> = problems.iter().map(|problem| plain_problem(source, problem)).collect();
    parts.into_iter().map(|part| part + "\n").collect()
}

/// `file:line:column: error: message`.
pub(super) fn headline(source: &Source, problem: &Problem) -> String {
    format!("{}: {}: {}", position(source, problem.place.as_ref()), problem.severity, problem.message)
}

fn position(source: &Source, place: Option<&Place>) -> String {
    match place {
        Some(place) => format!("{}:{}:{}", source.name, place.line, place.column),
        None => source.name.clone(),
    }
}

fn plain_problem(source: &Source, problem: &Problem) -> String {
    let mut parts = vec![headline(source, problem) + "\n"];
    if let Some(place) = &problem.place {
        parts.push(excerpt(&source.text, place, &place.label));
    }
    if let Some(related) = &problem.related {
        parts.push(format!("{}: note: {}\n", position(source, Some(related)), related.label));
        parts.push(excerpt(&source.text, related, ""));
    }
    if let Some(help) = &problem.help {
        parts.push(format!("  help: {}\n", help.replace('\n', "\n        ").replace("\n        \n", "\n\n")));
    }
    parts.concat()
}

/// The line of a place with carets under its bytes; of a very long line, the part around them.
fn excerpt(text: &str, place: &Place, label: &str) -> String {
    let start = text[..place.span.start].rfind('\n').map_or(0, |at| at + 1);
    let line = visible(masked(text)[start..].lines().next().unwrap_or(""));
    let column = place.column - 1;
    let skip = if column < EXCERPT { 0 } else { column - EXCERPT / 2 };
    let shown: String = line.chars().skip(skip).take(EXCERPT).collect();
    let carets = text[place.span.clone()].chars().count().clamp(1, EXCERPT - (column - skip));
    let pad: String = shown.chars().take(column - skip).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let (number, gutter) = (place.line, " ".repeat(place.line.to_string().len()));
    let mark = format!("{pad}{} {label}", "^".repeat(carets));
    format!("  {number} | {shown}\n  {gutter} | {}\n", mark.trim_end())
}

/// The last line: how many there are.
pub(super) fn count(source: &Source, problems: &[Problem], hidden: usize) -> String {
    let counted = |severity: Severity| {
        let number = problems.iter().filter(|problem| problem.severity == severity).count();
        let plural = if number == 1 { "" } else { "s" };
        (number > 0).then(|| format!("{number} {severity}{plural}"))
    };
    let more = (hidden > 0).then(|| format!("and {hidden} more"));
    let parts: Vec<String> =
        [counted(Severity::Error), counted(Severity::Warning), more].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!("{}: {}\n", source.name, parts.join(", ")) }
}

/// A problem as miette wants it.
#[derive(Debug)]
struct Drawn<'a> {
    problem: &'a Problem,
    file: &'a NamedSource<String>,
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.problem.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.problem.place.is_some().then_some(self.file as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = |place: &Place| Some(place.label.clone());
        let main = self.problem.place.iter();
        let main = main.map(move |place| LabeledSpan::new_primary_with_span(label(place), place.span.clone()));
        let related = self.problem.related.iter();
        let related = related.map(move |place| LabeledSpan::new_with_span(label(place), place.span.clone()));
        Some(Box::new(main.chain(related)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::Fault;
    use super::super::problem::Problems;
    use super::*;

    fn problems(text: &str, faults: Vec<Fault>) -> Problems {
        Problems::new(Source { name: "x.toml".into(), text: text.into() }, faults)
    }

    #[test]
    fn the_plain_form_shows_the_line_and_points_at_the_token() {
        let fault = Fault::error(10..16, "unknown key `worker`").label("did you mean `workers`?").help("one\ntwo");
        let shown = problems("[app.web]\nworker = 4\n", vec![fault]).render(false);
        let expected = "x.toml:2:1: error: unknown key `worker`\n  2 | worker = 4\n    | ^^^^^^ did you mean `workers`?\n  \
                        help: one\n        two\n\nx.toml: 1 error\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_drawn_form_shows_both_places_and_the_help() {
        let fault = Fault::warning(0..1, "twice").label("this one").help("drop it").related(2..3, "the first");
        let shown = problems("a\nb\n", vec![fault]).render(true);
        for part in ["x.toml:1:1", "twice", "this one", "the first", "drop it", "x.toml: 1 warning", "\u{1b}["] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn a_very_long_line_is_shown_around_the_place() {
        let text = format!("{}X{}", "a".repeat(10_000), "b".repeat(10_000));
        let shown = problems(&text, vec![Fault::error(10_000..10_001, "long")]).render(false);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[1].len() < 150, "{}", lines[1]);
        assert_eq!(lines[1].find('X'), lines[2].find('^'));
    }

    #[test]
    fn a_file_with_a_very_long_line_is_not_drawn() {
        let text = format!("a\n# {}\n", "b".repeat(LONGEST));
        let shown = problems(&text, vec![Fault::error(0..1, "long")]);
        assert_eq!(shown.render(true), shown.render(false));
    }

    #[test]
    fn control_characters_of_the_file_never_reach_the_terminal() {
        let text = "a\u{1b}[31m\u{7}\u{85}b\r\n";
        for shown in [true, false].map(|color| problems(text, vec![Fault::error(0..1, "bad")]).render(color)) {
            assert!(!shown.contains("\u{1b}[31ma") && !shown.contains(['\u{7}', '\u{85}', '\r']), "{shown:?}");
            assert!(shown.contains("a?[31m?¿b"), "{shown:?}");
        }
    }

    #[test]
    fn tabs_keep_the_caret_in_place() {
        let shown = problems("\ta = 1", vec![Fault::error(1..2, "tab")]).render(false);
        assert!(shown.contains("  1 | \ta = 1\n    | \t^ here\n"), "{shown:?}");
    }
}
