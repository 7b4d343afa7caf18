//! JSON as people write it: with comments, and with commas behind the last item.
//!
//! PM2 evaluates its `.json` files as JavaScript, so they have these. What goes beyond, such as keys without quotes, is
//! left to a JavaScript engine.

use serde_json::Value;

/// Reads the text; the error is that of the strict reader, with line and column of the text as it stands.
pub(super) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&strict(text.trim_start_matches('\u{feff}')))
}

/// The text with comments and needless commas blanked out, so that places stay what they are.
fn strict(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let (mut at, mut comma) = (0, None);
    while at < bytes.len() {
        let end = match (bytes[at], bytes.get(at + 1)) {
            (b'"', _) => string_end(bytes, at),
            (b'/', Some(b'/')) => blank(&mut out, at, line_end(bytes, at)),
            (b'/', Some(b'*')) => blank(&mut out, at, block_end(text, at)),
            _ => at + 1,
        };
        match bytes[at] {
            b'}' | b']' => {
                if let Some(comma) = comma.take() {
                    out[comma] = b' ';
                }
            }
            b',' => comma = Some(at),
            b'/' if end > at + 1 => {}
            space if space.is_ascii_whitespace() => {}
            _ => comma = None,
        }
        at = end;
    }
    // Only ASCII was replaced, or whole comments: it is UTF-8 as before.
    String::from_utf8_lossy(&out).into_owned()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn line_end(bytes: &[u8], start: usize) -> usize {
    bytes[start..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| start + length)
}

fn block_end(text: &str, start: usize) -> usize {
    text[start + 2..].find("*/").map_or(text.len(), |length| start + 2 + length + 2)
}

fn blank(out: &mut [u8], start: usize, end: usize) -> usize {
    out[start..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn comments_and_trailing_commas_are_read_over() {
        let text = "// é\n{ \"a\": [1, 2, /* three, */ ], // and\n \"b\": \"// no , ] comment\\\"\", }";
        assert_eq!(parse(text).unwrap(), json!({ "a": [1, 2], "b": "// no , ] comment\"" }));
        assert_eq!(parse("[{},{},]").unwrap(), json!([{}, {}]));
        assert!(parse("[,]").is_ok(), "blanked, which is more than JavaScript would give");
        assert!(parse("{ a: 1 }").is_err() && parse("/* open").is_err() && parse("[1,,]").is_err());
    }

    #[test]
    fn a_fault_is_placed_in_the_text_as_it_stands() {
        let error = parse("{\n /* a\n b */ x }").unwrap_err();
        assert_eq!((error.line(), error.column()), (3, 7));
    }

    proptest! {
        #[test]
        fn strict_json_stays_what_it_is(text in "[ -~é]{0,20}", number in any::<i64>()) {
            let value = json!({ text.clone(): [text, number, null, { "x": true }] });
            prop_assert_eq!(parse(&value.to_string()).unwrap(), value);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\",/*\\\\é \n]{0,40}") {
            drop(parse(&text));
        }
    }
}
