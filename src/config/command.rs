//! The `command` of an app: words for exec, or a line for the shell that was asked for.
//!
//! A text is split into words as a POSIX shell does it (quotes, backslashes) and nothing is expanded. What only
//! a shell would understand is therefore a fault, instead of an argument that surprises the program.

use std::ops::Range;

use super::Program;
use super::fault::Fault;
use super::value::{self, Value};

/// Reads a `command`; `shell` is the app's key of that name.
pub(super) fn program(value: Value, shell: bool) -> Result<Program, Fault> {
    match (value.items(), shell) {
        (Some(items), false) => direct(value, items.map(value::any_text).collect::<Result<_, _>>()?),
        (Some(_), true) => Err(value.mismatch("one text when `shell = true`").help("leave `shell` out to run a list")),
        (None, true) => line(value).map(|line| Program::Shell(line.to_owned())),
        (None, false) => words(value),
    }
}

/// Reads a command around a reload: a line for the shell, or a list of words.
pub(super) fn hook(value: Value) -> Result<Program, Fault> {
    match value.items() {
        Some(items) => direct(value, items.map(value::any_text).collect::<Result<_, _>>()?),
        None => line(value).map(|line| Program::Shell(line.to_owned())),
    }
}

fn direct(value: Value, words: Vec<&str>) -> Result<Program, Fault> {
    match words.first() {
        None | Some(&"") => Err(nothing(value)),
        Some(_) => Ok(Program::Direct(words.into_iter().map(str::to_owned).collect())),
    }
}

/// The text of a command that says something.
fn line(value: Value<'_>) -> Result<&str, Fault> {
    if value.str().is_none() {
        return Err(value.mismatch("a text or a list of texts"));
    }
    let line = value::any_text(value)?;
    if line.trim().is_empty() { Err(nothing(value)) } else { Ok(line) }
}

fn nothing(value: Value) -> Fault {
    let fault = value.fault(format!("`{}` is empty", value.key)).label("no program in here");
    if value.key == "command" { fault.help("such as command = \"node server.js\"") } else { fault }
}

/// Splits a line into words, unless it was written for a shell.
fn words(value: Value) -> Result<Program, Fault> {
    let line = line(value)?;
    let words = shell_words::split(line)
        .map_err(|_| value.fault("`command` has a quote that is never closed").label("where does it end?"))?;
    if let Some(part) = shell_syntax(line) {
        let what = &line[part.clone()];
        return Err(Fault::error(value.part(part), format!("`command` is not run by a shell, which \"{what}\" needs"))
            .label("only a shell understands this")
            .help("add `shell = true`, or quote it, or write a list of words: command = [\"node\", \"server.js\"]"));
    }
    if let Some((name, _)) = words.first().and_then(|word| assignment(word)) {
        return Err(value
            .fault("`command` begins with a variable where the program should stand")
            .label(format!("{name} is no program"))
            .help(format!("set it in the app's table: env = {{ {name} = \"...\" }}")));
    }
    direct(value, words.iter().map(String::as_str).collect())
}

/// `NAME=value`, as shells take it in front of a program.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_name = begins_well && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((name, value))
}

/// How the scanner reads the next character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

/// The first bytes that mean something to a shell and nothing to exec (POSIX.1-2024, Shell Command Language 2.2):
/// operators, expansions, substitutions. Patterns are not among them: `*` and `?` are fine arguments.
fn shell_syntax(line: &str) -> Option<Range<usize>> {
    let mut quote = Quote::None;
    let mut characters = line.char_indices();
    while let Some((at, c)) = characters.next() {
        let rest = &line[at..];
        match (quote, c) {
            (Quote::None | Quote::Double, '\\') => drop(characters.next()),
            (Quote::None, '\'') => quote = Quote::Single,
            (Quote::None, '"') => quote = Quote::Double,
            (Quote::Single, '\'') | (Quote::Double, '"') => quote = Quote::None,
            (Quote::None | Quote::Double, '`') => return Some(at..at + 1),
            (Quote::None | Quote::Double, '$') if expansion(rest) > 1 => return Some(at..at + expansion(rest)),
            (Quote::None, '|' | '&' | ';' | '<' | '>' | '(' | ')') => {
                return Some(at..at + rest.chars().take_while(|next| *next == c).count());
            }
            _ => {}
        }
    }
    None
}

/// Bytes of the expansion that a `$` begins; 1 when the `$` stands for itself.
fn expansion(rest: &str) -> usize {
    let after = &rest[1..];
    let name = after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').count();
    if after.starts_with(['{', '(', '@', '*', '#', '?', '$', '!']) { 2 } else { 1 + name }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bad, fault_of, meaning_of};
    use super::*;

    fn split(value: Value) -> Result<Vec<String>, Fault> {
        program(value, false).map(|program| match program {
            Program::Direct(words) => words,
            Program::Shell(line) => panic!("{line} was taken for the shell"),
        })
    }

    #[test]
    fn a_line_is_split_as_a_shell_splits_words() {
        for (line, words) in [
            ("node server.js", &["node", "server.js"][..]),
            ("  a\t b\n c ", &["a", "b", "c"]),
            ("'a b' \"c d\" e\\ f", &["a b", "c d", "e f"]),
            ("a '' \"\"", &["a", "", ""]),
            ("sh -c 'a | b && $C'", &["sh", "-c", "a | b && $C"]),
            ("echo \"a;b|c\" \\$HOME \"\\$x\" 5$ $", &["echo", "a;b|c", "$HOME", "$x", "5$", "$"]),
            ("curl http://x/?a=b *.js", &["curl", "http://x/?a=b", "*.js"]),
            ("a # b", &["a"]),
        ] {
            assert_eq!(meaning_of(line, split), words, "{line}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_pointed_at() {
        for (line, part) in [
            ("cd x && node y", "&&"),
            ("a | b", "|"),
            ("a || b", "||"),
            ("a; b", ";"),
            ("a >>log", ">>"),
            ("a 2>&1", ">"),
            ("a < b", "<"),
            ("a &", "&"),
            ("a $PORT b", "$PORT"),
            ("a \"x $PORT\"", "$PORT"),
            ("a ${PORT}", "${"),
            ("a $(b)", "$("),
            ("a $1", "$1"),
            ("a `b`", "`"),
            ("a \"`b`\"", "`"),
            ("(a)", "("),
        ] {
            assert_eq!(shell_syntax(line).map(|part| &line[part]), Some(part), "{line}");
            assert!(fault_of(line, split).help.is_some_and(|help| help.contains("shell = true")), "{line}");
        }
    }

    #[test]
    fn the_place_is_that_of_the_operator_within_the_text() {
        let problems = bad("[app.web]\ncommand = \"npm run x && node é\"\n");
        let place = problems.problems()[0].place.as_ref().unwrap();
        assert_eq!((place.line, place.column, place.span.len()), (2, 22, 2));
        let escaped = bad("[app.web]\ncommand = \"a \\u0026\\u0026 b\"\n");
        assert_eq!(escaped.problems()[0].place.as_ref().unwrap().column, 11, "the whole value when it has escapes");
    }

    #[test]
    fn a_command_names_a_program() {
        for line in ["", "  ", "''", "# only a comment"] {
            assert!(fault_of(line, split).message.contains("empty"), "{line}");
        }
        assert!(fault_of("a 'b", split).message.contains("quote"));
        let help = fault_of("NODE_ENV=production node x", split).help.unwrap();
        assert!(help.contains("env = { NODE_ENV"), "{help}");
        assert_eq!(meaning_of("./a=b c", split), ["./a=b", "c"]);
    }

    #[test]
    fn a_shell_line_is_taken_as_it_is() {
        let shell = |value: Value| program(value, true);
        assert_eq!(meaning_of("a | b > $C", shell), Program::Shell("a | b > $C".into()));
        assert!(fault_of(" ", shell).message.contains("empty"));
    }
}
