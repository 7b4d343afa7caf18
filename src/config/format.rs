//! One way to write a configuration: spaces, blank lines, ends of lines; comments and the order of things stay.
//!
//! Pure text to text, by a parser that keeps everything. Invariants: the meaning does not change, a comment is never
//! lost, and what was formatted once is not changed by doing it again.

use toml_edit::{Array, Decor, DocumentMut, InlineTable, Item, RawString, Table, Value};

/// The text in its usual form.
///
/// # Errors
/// It is not TOML: a sentence with the place.
pub fn format(text: &str) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    table(document.as_table_mut());
    let text = document.to_string();
    // What stands in front of the first line, and behind the last, belongs to no key.
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let start = lines.iter().position(|line| !line.is_empty()).unwrap_or(lines.len());
    let end = lines.iter().rposition(|line| !line.is_empty()).map_or(start, |last| last + 1);
    if holds_lines(&document) {
        return Ok(format!("{}\n", text.trim_matches('\n')));
    }
    Ok(lines[start..end].iter().flat_map(|line| [line, "\n"]).collect())
}

/// Texts over several lines may end a line in spaces, which are then part of them.
fn holds_lines(document: &DocumentMut) -> bool {
    let text = document.to_string();
    text.contains("\"\"\"") || text.contains("'''")
}

fn table(table: &mut Table) {
    above(table.decor_mut(), true);
    let keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    for name in keys {
        let Some((mut key, item)) = table.get_key_value_mut(&name) else { continue };
        match item {
            Item::Value(of) => {
                above(key.leaf_decor_mut(), false);
                key.leaf_decor_mut().set_suffix(" ");
                key.dotted_decor_mut().clear();
                let decor = behind(of.decor());
                of.decor_mut().clear();
                value(of);
                *of.decor_mut() = decor;
            }
            Item::Table(inner) => {
                if inner.is_dotted() {
                    key.dotted_decor_mut().clear();
                }
                self::table(inner);
            }
            Item::ArrayOfTables(tables) => tables.iter_mut().for_each(self::table),
            Item::None => {}
        }
    }
}

/// The comments above a key or a table: no indentation, no two blank lines in a row, one above a table.
fn above(decor: &mut Decor, is_table: bool) {
    let old = decor.prefix().and_then(RawString::as_str).unwrap_or_default();
    let mut lines: Vec<&str> = Vec::new();
    for line in old.lines().map(str::trim) {
        if !line.is_empty() || lines.last().is_some_and(|last| !last.is_empty()) {
            lines.push(line);
        }
    }
    let had_gap =
        old.starts_with(['\n', '\r', ' ', '\t']) && old.trim_start_matches([' ', '\t']).starts_with(['\n', '\r']);
    let gap = if is_table || had_gap { "\n" } else { "" };
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    decor.set_prefix(format!("{gap}{text}"));
}

/// A comment behind a value keeps its distance, for people align them.
fn behind(decor: &Decor) -> Decor {
    let old = decor.suffix().and_then(RawString::as_str).unwrap_or_default().trim_end();
    let suffix = if old.is_empty() || old.starts_with([' ', '\t']) { old.to_owned() } else { format!(" {old}") };
    Decor::new(" ", suffix)
}

fn value(of: &mut Value) {
    match of {
        Value::Array(array) if is_one_line(&array.to_string()) => spaced_array(array),
        Value::InlineTable(table) if is_one_line(&table.to_string()) => spaced_table(table),
        _ => {}
    }
}

/// Lists over several lines, with comments, are as people want them.
fn is_one_line(text: &str) -> bool {
    !text.trim().contains(['\n', '#'])
}

fn spaced_array(array: &mut Array) {
    array.iter_mut().for_each(value);
    array.fmt();
}

fn spaced_table(table: &mut InlineTable) {
    table.iter_mut().for_each(|(_, inner)| value(inner));
    table.fmt();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample_tests::{SAMPLE, everything};
    use super::*;

    fn meaning(text: &str) -> toml::Table {
        text.parse().unwrap_or_else(|error| panic!("{error}:\n{text}"))
    }

    #[test]
    fn spaces_and_blank_lines_are_put_right_and_comments_stay() {
        let text = "\n\n# head\n\n\n  [listen]   # why\nhttp=\"a\"\n\n\n\n# one\n  # two\nx  =[1,2 , 3]# three\ny={a=1,b = { c=2 }}  \n\
                    z = [\n  1, # first\n  2,\n]\n[app.web]\na.b=1\n# end  \n\n";
        let good = "# head\n\n[listen]   # why\nhttp = \"a\"\n\n# one\n# two\nx = [1, 2, 3] # three\ny = { a = 1, b = { c = 2 } }\n\
                    z = [\n  1, # first\n  2,\n]\n\n[app.web]\na.b = 1\n# end\n";
        assert_eq!(format(text).unwrap(), good);
        assert_eq!(format(good).unwrap(), good);
        assert_eq!(format("").unwrap(), "");
        assert!(format("a = ").is_err());
    }

    #[test]
    fn a_text_over_several_lines_is_not_touched() {
        let text = "a = \"\"\"\n  x  \n\n\n  y\"\"\"\n";
        assert_eq!(format(text).unwrap(), text);
    }

    #[test]
    fn the_reference_is_written_this_way() {
        let formatted = format(SAMPLE).unwrap();
        let lines = |text: &str| text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(&formatted), lines(SAMPLE));
    }

    proptest! {
        #[test]
        fn formatting_changes_no_meaning_loses_no_comment_and_is_done_once(
            changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(vec!["\n", " ", "\t", "# c\n", "\n\n\n"])), 0..8),
        ) {
            let mut text = everything(true);
            for (at, insert) in changes {
                let at = text.floor_char_boundary(at.index(text.len() + 1));
                text.insert_str(at, insert);
            }
            if text.parse::<toml::Table>().is_ok() {
                let once = format(&text).unwrap();
                prop_assert_eq!(meaning(&once), meaning(&text));
                prop_assert_eq!(once.matches('#').count(), text.matches('#').count());
                prop_assert_eq!(format(&once).unwrap(), once);
            }
        }
    }
}
