//! Tables for a terminal: columns two spaces apart, of which some are left out where there is no room for all.
//!
//! Knows cells and widths, not what they mean.

use super::paint::Tone;

/// What stands for the rest of a text that is too long.
const REST: char = '…';

/// No column is made narrower than so many characters.
const NARROWEST: usize = 8;

/// One column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) heading: &'static str,
    pub(super) side: Side,
    /// In which turn it is left out, 1 first; `None`: never.
    pub(super) leaves: Option<u8>,
}

/// Where the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, tone: Tone::Plain }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// How wide it may be, and whether it is painted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Room {
    /// In characters; `None`: as wide as it is.
    pub(super) width: Option<usize>,
    pub(super) is_coloured: bool,
}

/// Lays rows out under their headings; cells are measured in characters.
pub(super) fn render<const N: usize>(columns: &[Column; N], rows: &[[Cell; N]], room: Room) -> String {
    let mut widths = columns.map(|column| column.heading.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.chars().count());
        }
    }
    let shown = fit(columns, &mut widths, room.width.unwrap_or(usize::MAX));
    let heading = columns.map(|column| Cell { text: column.heading.to_owned(), tone: Tone::Strong });
    let line = |row: &[Cell; N]| {
        let cells: Vec<_> = shown.iter().map(|&at| (&row[at], columns[at].side, widths[at])).collect();
        line(&cells, room.is_coloured)
    };
    std::iter::once(&heading).chain(rows).map(line).collect()
}

/// The columns that there is room for; if those that never leave are too wide, the widest of them gets narrower.
fn fit<const N: usize>(columns: &[Column; N], widths: &mut [usize; N], room: usize) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..N).collect();
    let wide = |shown: &[usize], widths: &[usize; N]| {
        shown.iter().map(|&at| widths[at]).sum::<usize>() + 2 * shown.len().saturating_sub(1)
    };
    while wide(&shown, widths) > room {
        let next =
            shown.iter().copied().filter(|&at| columns[at].leaves.is_some()).min_by_key(|&at| columns[at].leaves);
        if let Some(next) = next {
            shown.retain(|at| *at != next);
            continue;
        }
        let excess = wide(&shown, widths) - room;
        if let Some(widest) = shown.iter().copied().max_by_key(|&at| widths[at]) {
            widths[widest] = widths[widest].min(NARROWEST).max(widths[widest].saturating_sub(excess));
        }
        break;
    }
    shown
}

fn line(cells: &[(&Cell, Side, usize)], is_coloured: bool) -> String {
    let mut line = String::new();
    let last = cells.iter().rposition(|(cell, _, _)| !cell.text.is_empty());
    for (at, (cell, side, width)) in cells.iter().enumerate().take(last.map_or(0, |last| last + 1)) {
        let text = shortened(&cell.text, *width);
        let gap = " ".repeat(width.saturating_sub(text.chars().count()));
        let text = if is_coloured { cell.tone.paint(&text) } else { text };
        line += if at > 0 { "  " } else { "" };
        match side {
            Side::Right => line += &(gap + &text),
            Side::Left if Some(at) == last => line += &text,
            Side::Left => line += &(text + &gap),
        }
    }
    line + "\n"
}

/// The text, or its beginning.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push(REST);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { heading: "NAME", side: Side::Left, leaves: None },
        Column { heading: "PID", side: Side::Right, leaves: Some(1) },
        Column { heading: "STATE", side: Side::Left, leaves: Some(2) },
    ];

    fn drawn(width: Option<usize>, names: [&str; 2]) -> String {
        let rows = [[names[0].into(), "7".into(), "ok".into()], [names[1].into(), "123456".into(), "".into()]];
        render(&COLUMNS, &rows, Room { width, is_coloured: false })
    }

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_space() {
        assert_eq!(drawn(None, ["web", "ä"]), "NAME     PID  STATE\nweb        7  ok\nä     123456\n");
    }

    #[test]
    fn columns_are_left_out_in_their_turn_and_then_the_widest_is_cut() {
        assert_eq!(drawn(Some(19), ["web", "ä"]), drawn(None, ["web", "ä"]));
        assert_eq!(drawn(Some(18), ["web", "ä"]), "NAME  STATE\nweb   ok\nä\n");
        assert_eq!(drawn(Some(10), ["web", "ä"]), "NAME\nweb\nä\n");
        assert_eq!(drawn(Some(10), ["a-very-long-name", "ä"]), "NAME\na-very-lo…\nä\n");
        assert_eq!(drawn(Some(1), ["a-very-long-name", "ä"]), "NAME\na-very-…\nä\n", "there is an end to it");
    }

    #[test]
    fn only_the_text_is_painted() {
        let rows = [[Cell { text: "a".into(), tone: Tone::Good }, "1".into(), "x".into()]];
        let drawn = render(&COLUMNS, &rows, Room { width: None, is_coloured: true });
        assert!(drawn.ends_with("\n\x1b[32ma\x1b[0m       1  x\n"), "{drawn:?}");
    }
}
