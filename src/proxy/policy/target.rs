//! The one form of a request target: it is routed, and it is what the worker is sent.
//!
//! Pure. Does not know hosts or routes. Two parties that read `/a/%2e%2e/b` in two ways can be played off against each other, so
//! there is one reading here (RFC 3986, section 6.2.2), and what has none is refused. `%2F`, `%5C` and empty segments have a
//! meaning of their own to an app and stay. Invariant: the one form of a one form is itself.

use http::Uri;
use http::uri::PathAndQuery;

use super::super::fault::Fault;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// What may stand in a path as it is: `pchar` without `%`, and the slash (RFC 3986, section 3.3).
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/";
    let mut at = 0;
    while at < plain.len() {
        table[plain[at] as usize] = true;
        at += 1;
    }
    table
};

/// The path and query in their one form; `None`: as they came.
///
/// # Errors
/// [`Fault::Target`] when it has no form that everybody reads in the same way.
pub(crate) fn canonical(uri: &Uri) -> Result<Option<PathAndQuery>, Fault> {
    let Some(said) = uri.path_and_query() else { return Ok(Some(PathAndQuery::from_static("/"))) };
    let (path, query) = (said.path(), said.query());
    let is_whole = said.as_str().starts_with(['/', '*']);
    if is_whole && is_plain(path.as_bytes()) && query.is_none_or(is_visible) {
        return Ok(None);
    }
    let mut form = without_dots(&decoded(path.as_bytes())?)?;
    if let Some(query) = query {
        form.push(b'?');
        query.bytes().for_each(|byte| if byte.is_ascii_graphic() { form.push(byte) } else { escape(byte, &mut form) });
    }
    if form == said.as_str().as_bytes() {
        return Ok(None);
    }
    PathAndQuery::from_maybe_shared(bytes::Bytes::from(form)).map(Some).map_err(|_| Fault::Target)
}

/// Is it in its one form without a closer look? One pass; what may hold a dot segment is looked at closer.
fn is_plain(path: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in path {
        if !PLAIN[usize::from(byte)] || (byte == b'.' && previous == b'/') {
            return false;
        }
        previous = byte;
    }
    true
}

/// Nothing in a query is decoded, since what it means is the app's own matter; only what is no ASCII is escaped.
fn is_visible(query: &str) -> bool {
    query.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Escapes what must be escaped, and nothing else is.
fn decoded(path: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut form = Vec::with_capacity(path.len() + 16);
    let mut bytes = path.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(Fault::Target);
                let (high, low) = (digit()?, digit()?);
                match u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte") {
                    // Ends a text for some, and a line of a head for others.
                    0 | b'\r' | b'\n' => return Err(Fault::Target),
                    byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => form.push(byte),
                    byte => escape(byte, &mut form),
                }
            }
            // A slash to some, and never written by a browser.
            b'\\' | b'"' => return Err(Fault::Target),
            byte if PLAIN[usize::from(byte)] => form.push(byte),
            byte => escape(byte, &mut form),
        }
    }
    Ok(form)
}

/// Removes `.` and `..` (RFC 3986, section 5.2.4). Refused, where that leaves them: above the root, and `..;x`, which is
/// `..` to servers with path parameters.
fn without_dots(path: &[u8]) -> Result<Vec<u8>, Fault> {
    let Some(rest) = path.strip_prefix(b"/") else { return Ok(path.to_vec()) };
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_in_dots = false;
    for segment in rest.split(|byte| *byte == b'/') {
        let bare = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        ends_in_dots = matches!(bare, b"." | b"..");
        match bare {
            _ if ends_in_dots && bare.len() < segment.len() => return Err(Fault::Target),
            b"." => {}
            b".." => drop(kept.pop().ok_or(Fault::Target)?),
            _ => kept.push(segment),
        }
    }
    let mut form = Vec::with_capacity(path.len());
    for segment in kept {
        form.push(b'/');
        form.extend_from_slice(segment);
    }
    if ends_in_dots || form.is_empty() {
        form.push(b'/');
    }
    Ok(form)
}

fn escape(byte: u8, form: &mut Vec<u8>) {
    form.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(target: &str) -> Result<String, Fault> {
        let uri =
            Uri::from_maybe_shared(bytes::Bytes::copy_from_slice(target.as_bytes())).map_err(|_| Fault::Target)?;
        Ok(canonical(&uri)?.map_or_else(|| target.to_owned(), |form| form.as_str().to_owned()))
    }

    #[test]
    fn a_target_has_one_form() {
        for (target, expected) in [
            ("/", "/"),
            ("/a/b.c?d=/../%zz", "/a/b.c?d=/../%zz"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a/..", "/"),
            ("/a/%2e%2E/b", "/b"),
            ("/..a/...", "/..a/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("//x", "//x"),
            ("/a//../b", "/a/b"),
            ("/%61%7e%2d", "/a~-"),
            ("/%2f%5c%3b", "/%2F%5C%3B"),
            ("/ä", "/%C3%A4"),
            ("/a{b}|^", "/a%7Bb%7D%7C%5E"),
            ("/?ä", "/?%C3%A4"),
            ("/?a|b\\{}", "/?a|b\\{}"),
            ("/a;b=c", "/a;b=c"),
            ("*", "*"),
            ("http://a/%41", "/A"),
        ] {
            assert_eq!(form(target), Ok(expected.to_owned()), "{target}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for target in [
            "/..",
            "/../a",
            "/a/../..",
            "/%2e%2e/a",
            "/a/..;/b",
            "/a/.;x/b",
            "/%00",
            "/a%0d%0a",
            "/%",
            "/%4",
            "/%zz",
            "/%4g",
            "/a\\b",
            "/a\"b",
            "/a/%2e%2e%3bx/..;",
        ] {
            assert_eq!(form(target), Err(Fault::Target), "{target}");
        }
    }

    proptest! {
        #[test]
        fn the_one_form_of_a_one_form_is_itself(target in "/[a-c./;%25Ee2\\\\{ä?]{0,24}") {
            if let Ok(first) = form(&target) {
                prop_assert_eq!(form(&first), Ok(first.clone()));
                let path = first.split('?').next().unwrap_or_default();
                prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{}", first);
                prop_assert!(path.is_ascii() && path.starts_with('/'), "{}", first);
            }
        }
    }
}
