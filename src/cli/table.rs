//! Plain tables for a terminal: left-aligned columns, two spaces apart.
//!
//! Knows cells and widths, not what they mean.

/// Lays rows out under their headings; cells are measured in characters.
pub(super) fn render<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = headings.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let heading = headings.map(str::to_owned);
    std::iter::once(&heading).chain(rows).map(|row| line(row, &widths)).collect()
}

fn line<const N: usize>(row: &[String; N], widths: &[usize; N]) -> String {
    let cells: Vec<_> = row.iter().zip(widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
    format!("{}\n", cells.join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_space() {
        let rows = [["web 1.0".to_owned(), "ok".to_owned()], ["ä".to_owned(), String::new()]];
        assert_eq!(render(["WORKER", "STATE"], &rows), "WORKER   STATE\nweb 1.0  ok\nä\n");
    }
}
