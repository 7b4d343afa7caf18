//! Colours on a terminal, and what they mean: green serves, yellow is on its way, red is in trouble.
//!
//! Only a terminal gets any, and none does where `NO_COLOR` is set (no-color.org).

use std::io::IsTerminal;

/// How something is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Good,
    Underway,
    Bad,
    Faint,
    Strong,
}

impl Tone {
    /// Of the state of a worker or an app.
    pub(super) fn of_state(state: &str) -> Self {
        match state {
            "serving" | "running" | "up" | "live" => Self::Good,
            "crash-looping" | "given-up" | "killing" | "unkillable" | "unready" | "down" | "degraded" => Self::Bad,
            "stopped" | "exited" => Self::Faint,
            _ => Self::Underway,
        }
    }

    /// The text in this tone, by its SGR number (ECMA-48).
    pub(super) fn paint(self, text: &str) -> String {
        let number = match self {
            Self::Plain => return text.to_owned(),
            Self::Good => 32,
            Self::Underway => 33,
            Self::Bad => 31,
            Self::Faint => 2,
            Self::Strong => 1,
        };
        format!("\x1b[{number}m{text}\x1b[0m")
    }
}

/// Is standard output a terminal that is to have colours?
pub(super) fn is_coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The columns of the terminal that standard output is; `None` when it is none.
pub(super) fn columns() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let (columns, _) = ratatui::crossterm::terminal::size().ok()?;
    Some(usize::from(columns)).filter(|columns| *columns > 0)
}

/// Without what a terminal would take for orders.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => drop(characters.by_ref().find(char::is_ascii_alphabetic)),
            '\t' => plain.push_str("    "),
            _ if character.is_control() => {}
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_prints_gives_no_orders_to_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\u{1b}[2Jc\r\u{7}\td"), "abc    d");
    }

    #[test]
    fn a_tone_ends_with_its_text() {
        assert_eq!(Tone::of_state("crash-looping").paint("x"), "\x1b[31mx\x1b[0m");
        assert_eq!(Tone::Plain.paint("x"), "x");
    }
}
