//! The chunked transfer coding (RFC 9112, section 7.1), of what comes from a worker and of what goes to one.
//!
//! Pure. Strict: a size is hexadecimal digits and nothing else before an extension, every line ends with CR and LF, and what
//! is not there yet is waited for, never guessed. Extensions and trailers are dropped, and may not go on for ever.
//! Invariant: nothing behind the last byte of the body is taken.

use bytes::{Buf, Bytes, BytesMut};

use super::head::Nonsense;

/// Bytes that the line before a chunk may have, extensions included, and that all trailers may have together.
const MOST_IN_LINE: usize = 4 * 1024;
const MOST_IN_TRAILERS: usize = 16 * 1024;

/// Extensions of all chunks together, in bytes.
const MOST_IN_EXTENSIONS: usize = 16 * 1024;

/// Trailer fields.
const MOST_TRAILERS: usize = 100;

/// Hexadecimal digits of a size: more do not fit into 64 bits.
const MOST_DIGITS: usize = 16;

/// How far a body has been read.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    place: Place,
    /// Bytes of extensions so far.
    extensions: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the line with a size.
    // Line => (Data | Trailers)
    #[default]
    Line,
    /// Within a chunk that has so many bytes left.
    // Data => DataEnd
    Data(u64),
    /// Before the line end behind a chunk.
    // DataEnd => Line
    DataEnd,
    // Trailers => Over
    Trailers,
    Over,
}

impl Chunks {
    /// Has the last byte been taken?
    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// Takes the next bytes of the body out of what has come; `None`: more must come first, or it is over.
    ///
    /// # Errors
    /// When it is not chunked as it should be.
    pub(super) fn next(&mut self, from: &mut BytesMut) -> Result<Option<Bytes>, Nonsense> {
        self.advance(from)?;
        let Place::Data(left) = self.place else { return Ok(None) };
        if from.is_empty() {
            return Ok(None);
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(from.len());
        let data = from.split_to(length).freeze();
        let left = left - length as u64;
        self.place = if left == 0 { Place::DataEnd } else { Place::Data(left) };
        // What is wrong here will be told when the data has been passed on.
        let _ = self.advance(from);
        Ok(Some(data))
    }

    /// Goes on to the next data, as far as what has come allows.
    fn advance(&mut self, from: &mut BytesMut) -> Result<(), Nonsense> {
        loop {
            let next = match self.place {
                Place::Line => self.line(from)?,
                Place::DataEnd => line_end(from)?,
                Place::Trailers => trailers(from)?,
                Place::Data(_) | Place::Over => None,
            };
            let Some(next) = next else { return Ok(()) };
            self.place = next;
        }
    }

    fn line(&mut self, from: &mut BytesMut) -> Result<Option<Place>, Nonsense> {
        let begun = &from[..from.len().min(MOST_IN_LINE)];
        let Some(end) = begun.iter().position(|byte| *byte == b'\n') else {
            return if from.len() < MOST_IN_LINE { Ok(None) } else { Err(Nonsense) };
        };
        let line = begun[..end].strip_suffix(b"\r").ok_or(Nonsense)?;
        let (size, rest) = size(line)?;
        self.extensions += rest.len();
        if self.extensions > MOST_IN_EXTENSIONS || rest.contains(&b'\r') {
            return Err(Nonsense);
        }
        from.advance(end + 1);
        Ok(Some(if size == 0 { Place::Trailers } else { Place::Data(size) }))
    }
}

/// The size at the beginning of a line, and what follows it: nothing, or white space and extensions.
fn size(line: &[u8]) -> Result<(u64, &[u8]), Nonsense> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at(digits);
    let digits = std::str::from_utf8(digits).map_err(|_| Nonsense)?;
    let is_extended = rest.trim_ascii_start().first().is_none_or(|byte| *byte == b';');
    if digits.len() > MOST_DIGITS || !is_extended {
        return Err(Nonsense);
    }
    Ok((u64::from_str_radix(digits, 16).map_err(|_| Nonsense)?, rest))
}

fn line_end(from: &mut BytesMut) -> Result<Option<Place>, Nonsense> {
    match &from[..from.len().min(2)] {
        b"\r\n" => {
            from.advance(2);
            Ok(Some(Place::Line))
        }
        b"" | b"\r" => Ok(None),
        _ => Err(Nonsense),
    }
}

/// Reads the trailers as fields, so that what is none is an error, and drops them.
fn trailers(from: &mut BytesMut) -> Result<Option<Place>, Nonsense> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_TRAILERS];
    let length = match httparse::parse_headers(from, &mut fields) {
        Ok(httparse::Status::Complete((length, _))) => length,
        Ok(httparse::Status::Partial) if from.len() < MOST_IN_TRAILERS => return Ok(None),
        _ => return Err(Nonsense),
    };
    let lines = from[..length].split_inclusive(|byte| *byte == b'\n');
    if length > MOST_IN_TRAILERS || !lines.into_iter().all(|line| line.ends_with(b"\r\n")) {
        return Err(Nonsense);
    }
    from.advance(length);
    Ok(Some(Place::Over))
}

/// What stands before a chunk of so many bytes. Behind it stands [`LINE_END`].
pub(super) fn before(length: usize) -> Bytes {
    Bytes::from(format!("{length:x}\r\n"))
}

/// What stands behind each chunk.
pub(super) const LINE_END: Bytes = Bytes::from_static(b"\r\n");

/// What stands behind the last chunk.
pub(super) const END: Bytes = Bytes::from_static(b"0\r\n\r\n");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read when the text comes in pieces of this length: the data, whether it is over, and what was left.
    fn read(text: &[u8], piece: usize) -> Result<(Vec<u8>, bool, Vec<u8>), Nonsense> {
        let (mut chunks, mut buffer, mut data) = (Chunks::default(), BytesMut::new(), Vec::new());
        for piece in text.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(bytes) = chunks.next(&mut buffer)? {
                data.extend_from_slice(&bytes);
            }
        }
        Ok((data, chunks.is_over(), buffer.to_vec()))
    }

    #[test]
    fn chunks_are_read_in_whatever_pieces_they_come() {
        for text in [
            "5\r\nhello\r\n0\r\n\r\n",
            "2\r\nhe\r\n003\r\nllo\r\n0000\r\n\r\n",
            "5 \t\r\nhello\r\n0;a=\"b\"\r\n\r\n",
            "5;x\r\nhello\r\n0 ;y\r\nX: y\r\nZ:\r\n\r\n",
            "1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n",
        ] {
            for piece in 1..=text.len() {
                assert_eq!(read(text.as_bytes(), piece), Ok((b"hello".to_vec(), true, Vec::new())), "{text:?} {piece}");
            }
        }
    }

    #[test]
    fn what_follows_the_end_is_left() {
        let (data, is_over, rest) = read(b"1\r\nx\r\n0\r\n\r\nHTTP/1.1", 100).unwrap();
        assert_eq!((&data[..], is_over, &rest[..]), (&b"x"[..], true, &b"HTTP/1.1"[..]));
    }

    #[test]
    fn what_is_not_all_there_is_not_over() {
        let whole = "5\r\nhello\r\n0\r\nX: y\r\n\r\n";
        for length in 0..whole.len() {
            let (_, is_over, _) = read(&whole.as_bytes()[..length], 100).unwrap();
            assert!(!is_over, "{length}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for text in [
            "\r\n",
            "g\r\n",
            "-1\r\nx\r\n",
            "+1\r\nx\r\n",
            "0x1\r\nx\r\n",
            " 1\r\nx\r\n",
            "1 1\r\nx\r\n",
            "1\nx\r\n",
            "1\r\nx\n",
            "1\r\nxy\r\n",
            "1\r\nx\r\n\r\n",
            "1;a\rb\r\nx\r\n",
            "1;a\nb\r\nx\r\n",
            "10000000000000000\r\nx",
            "00000000000000001\r\nx",
            "0\r\n\n",
            "0\r\nX: y\n\r\n",
            "0\r\n X: y\r\n\r\n",
            "0\r\nX : y\r\n\r\n",
            "0\r\nX: \0\r\n\r\n",
        ] {
            for piece in 1..=text.len() {
                assert_eq!(read(text.as_bytes(), piece), Err(Nonsense), "{text:?} {piece}");
            }
        }
    }

    #[test]
    fn lines_and_trailers_do_not_go_on_for_ever() {
        let long = "y".repeat(MOST_IN_TRAILERS);
        assert_eq!(read(format!("1;{long}").as_bytes(), 1000), Err(Nonsense));
        assert_eq!(read(format!("0\r\nX: {long}").as_bytes(), 1000), Err(Nonsense));
        assert_eq!(read(format!("0\r\nX: {long}\r\n\r\n").as_bytes(), 100_000), Err(Nonsense));
        let extended = format!("1;{}\r\nx\r\n", "y".repeat(1000)).repeat(17);
        assert_eq!(read(extended.as_bytes(), 100_000), Err(Nonsense));
        assert_eq!(read(format!("0\r\n{}\r\n", "X: y\r\n".repeat(101)).as_bytes(), 100_000), Err(Nonsense));
    }

    proptest! {
        /// What was written in chunks is read as it was, however it is cut on its way.
        #[test]
        fn what_is_written_is_what_is_read(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..8), piece in 1_usize..200) {
            let mut text = Vec::new();
            for part in &parts {
                text.extend_from_slice(&before(part.len()));
                text.extend_from_slice(part);
                text.extend_from_slice(&LINE_END);
            }
            text.extend_from_slice(&END);
            prop_assert_eq!(read(&text, piece), Ok((parts.concat(), true, Vec::new())));
        }

        /// Whatever comes: it is read to an end, and the same however it is cut.
        #[test]
        fn how_it_is_cut_does_not_matter(text in "[0-9a-f;\r\n xX:]{0,40}", piece in 1_usize..40) {
            prop_assert_eq!(read(text.as_bytes(), piece), read(text.as_bytes(), 100));
        }
    }
}
