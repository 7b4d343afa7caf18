//! Where the frames of a WebSocket end (RFC 6455, section 5.2): it reads headers and counts payloads, and looks into none.
//!
//! Pure. It judges nothing: what is not allowed between two peers is theirs to find. Invariant: however bytes are cut into
//! pieces, the same boundaries are found.

/// Set in the length of a payload that nobody could send.
const IMPOSSIBLE: u64 = 1 << 63;

/// How far the frames of one direction have been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frames {
    place: Place,
    /// A message has begun of which the last fragment has not.
    is_within_message: bool,
    /// There was a Close: nothing may follow it.
    has_closed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Between two frames.
    // Between => Second
    #[default]
    Between,
    /// Behind the first byte of a header.
    // Second => (Length | Payload | Between)
    Second,
    /// Within the bytes of a long length.
    // Length => (Length | Payload | Between | Lost)
    Length { left: u8, so_far: u64, key: u64 },
    /// Before so many bytes of a key and a payload.
    // Payload => (Payload | Between)
    Payload { left: u64 },
    /// These are no frames.
    Lost,
}

impl Frames {
    /// Takes note of what has passed.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            (self.place, bytes) = match self.place {
                Place::Between => {
                    self.note_first(*first);
                    (Place::Second, rest)
                }
                Place::Second => (after_second(*first), rest),
                Place::Length { left, so_far, key } => (after_length(left, so_far << 8 | u64::from(*first), key), rest),
                Place::Payload { left } => {
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    (payload(left - length as u64), &bytes[length..])
                }
                Place::Lost => return,
            };
        }
    }

    /// May something be said here by whoever speaks: is no frame and no message under way, and was there no Close?
    pub(crate) fn may_speak(&self) -> bool {
        self.place == Place::Between && !self.is_within_message && !self.has_closed
    }

    /// So many bytes can pass without going beyond the end of a frame; at least one.
    pub(crate) fn room(&self) -> u64 {
        match self.place {
            // No frame is shorter.
            Place::Between => 2,
            Place::Second => 1,
            Place::Length { left, .. } => u64::from(left),
            Place::Payload { left } => left,
            Place::Lost => u64::MAX,
        }
    }

    fn note_first(&mut self, byte: u8) {
        let (is_last, opcode) = (byte & 0x80 != 0, byte & 0x0f);
        match opcode {
            8 => self.has_closed = true,
            // Control frames may stand between the fragments of a message.
            9.. => {}
            _ => self.is_within_message = !is_last,
        }
    }
}

fn after_second(byte: u8) -> Place {
    let key = if byte & 0x80 == 0 { 0 } else { 4 };
    match byte & 0x7f {
        126 => Place::Length { left: 2, so_far: 0, key },
        127 => Place::Length { left: 8, so_far: 0, key },
        length => payload(key + u64::from(length)),
    }
}

/// One more byte of the length has come.
fn after_length(left: u8, so_far: u64, key: u64) -> Place {
    match left {
        2.. => Place::Length { left: left - 1, so_far, key },
        _ if so_far & IMPOSSIBLE != 0 => Place::Lost,
        _ => payload(so_far + key),
    }
}

fn payload(left: u64) -> Place {
    if left == 0 { Place::Between } else { Place::Payload { left } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame, its payload nothing but what could be taken for headers.
    fn frame(first: u8, is_masked: bool, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        let mask = if is_masked { 0x80 } else { 0 };
        match length {
            0..=125 => frame.push(mask | length as u8),
            126..=0xffff => {
                frame.push(mask | 0x7e);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 0x7f);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.resize(frame.len() + length + if is_masked { 4 } else { 0 }, 0x88);
        frame
    }

    #[test]
    fn a_word_fits_between_two_messages_and_nowhere_else() {
        let mut frames = Frames::default();
        assert!(frames.may_speak(), "before the first");
        for (first, may_speak) in [
            (0x81, true),
            (0x01, false),
            (0x89, false),
            (0x00, false),
            (0x8a, false),
            (0x80, true),
            (0x89, true),
            (0xc2, true),
            (0x88, false),
            (0x81, false),
        ] {
            let frame = frame(first, false, 5);
            for byte in &frame[..frame.len() - 1] {
                frames.pass(&[*byte]);
                assert!(!frames.may_speak(), "within a frame");
            }
            frames.pass(&frame[frame.len() - 1..]);
            assert_eq!(frames.may_speak(), may_speak, "behind {first:x}");
        }
    }

    #[test]
    fn a_length_that_nobody_could_send_is_never_the_end_of_anything() {
        let mut frames = Frames::default();
        frames.pass(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]);
        frames.pass(&[0; 100]);
        assert!(!frames.may_speak() && frames.room() == u64::MAX);
    }

    proptest! {
        #[test]
        fn any_cut_of_the_bytes_gives_the_same_boundaries(
            shapes in proptest::collection::vec((any::<u8>(), any::<bool>(), 0_usize..140_000), 1..6),
            cuts in proptest::collection::vec(1_usize..70_000, 1..40),
        ) {
            let all: Vec<Vec<u8>> = shapes.iter().map(|(first, mask, length)| frame(*first, *mask, *length)).collect();
            let text = all.concat();
            let ends: Vec<usize> = all.iter().scan(0, |end, frame| { *end += frame.len(); Some(*end) }).collect();

            // As much at a time as there is room for: every end is met.
            let (mut frames, mut at, mut met) = (Frames::default(), 0, Vec::new());
            while at < text.len() {
                let room = usize::try_from(frames.room()).unwrap();
                frames.pass(&text[at..at + room]);
                at += room;
                if frames.place == Place::Between {
                    met.push(at);
                }
            }
            prop_assert_eq!(&met, &ends);

            let (mut cut, mut at) = (Frames::default(), 0);
            for length in cuts.iter().cycle() {
                let end = (at + length).min(text.len());
                cut.pass(&text[at..end]);
                at = end;
                prop_assert_eq!(cut.place == Place::Between, ends.contains(&at) || at == 0);
                if at == text.len() {
                    break;
                }
            }
            prop_assert_eq!(cut, frames);
        }
    }
}
