//! Reads along what an HTTP/2 client sends, and keeps account of it.
//!
//! Pure: bytes in, sums out. Knows the nine bytes in front of a frame (RFC 9113, section 4.1) and nothing of what is in it;
//! who reads the frames for real is somebody else, and complains about what is wrong with them. Invariant: however the
//! bytes are cut into reads, the account is the same.

/// What begins a connection (RFC 9113, section 3.4).
const PREFACE: u32 = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Of what comes, one byte in so many has to be of use, as nginx counts it.
const SHARE: u64 = 8;

/// An account of what has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    /// Bytes in all.
    total: u64,
    /// Bytes of headers and bodies.
    useful: u64,
    head: [u8; 9],
    /// How much of the head of a frame is there.
    filled: usize,
    /// Bytes still to come of the frame whose head is there.
    left: u32,
    frames: u64,
    /// Blocks of header fields that have begun, and whether the last one has not ended.
    blocks: u32,
    is_in_block: bool,
}

impl Meter {
    /// These bytes have come.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) {
        let preface = u64::from(PREFACE).saturating_sub(self.total).min(bytes.len() as u64);
        self.total += bytes.len() as u64;
        bytes = &bytes[preface as usize..];
        while !bytes.is_empty() {
            let taken = if self.filled < self.head.len() { self.read_head(bytes) } else { self.skip(bytes.len()) };
            bytes = &bytes[taken..];
        }
    }

    /// Has the connection begun: with the preface, and a first frame?
    pub(crate) fn has_begun(&self) -> bool {
        self.frames > 0
    }

    /// The number of the block of header fields that is still to be ended, if one is.
    pub(crate) fn open_block(&self) -> Option<u32> {
        self.is_in_block.then_some(self.blocks)
    }

    /// Is too little of it of use? `more` bytes of use went the other way; `free` are granted to everybody.
    pub(crate) fn is_flood(&self, more: u64, free: u64) -> bool {
        self.total / SHARE > self.useful + more + free
    }

    fn read_head(&mut self, bytes: &[u8]) -> usize {
        let taken = (self.head.len() - self.filled).min(bytes.len());
        self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        if self.filled == self.head.len() {
            self.begin();
        }
        taken
    }

    /// The head of a frame is there.
    fn begin(&mut self) {
        let [a, b, c, kind, ..] = self.head;
        self.left = u32::from_be_bytes([0, a, b, c]);
        if kind == HEADERS {
            self.blocks = self.blocks.wrapping_add(1);
            self.is_in_block = true;
        }
        if matches!(kind, DATA | HEADERS | CONTINUATION) {
            self.useful += u64::from(self.left);
        }
        if self.left == 0 {
            self.end();
        }
    }

    fn skip(&mut self, most: usize) -> usize {
        let taken = (self.left as usize).min(most);
        self.left -= taken as u32;
        if self.left == 0 {
            self.end();
        }
        taken
    }

    /// A frame is there to its end.
    fn end(&mut self) {
        let [.., kind, flags, _, _, _, _] = self.head;
        if matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0 {
            self.is_in_block = false;
        }
        self.frames += 1;
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRI: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const FREE: u64 = 1000;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let mut bytes = (length as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags, 0, 0, 0, 1]);
        bytes.extend(vec![7; length]);
        bytes
    }

    fn read(parts: &[&[u8]]) -> Meter {
        let mut meter = Meter::default();
        for part in parts {
            meter.read(part);
        }
        meter
    }

    #[test]
    fn a_connection_has_begun_with_the_first_whole_frame() {
        assert!(!read(&[]).has_begun());
        assert!(!read(&[PRI]).has_begun());
        assert!(!read(&[PRI, &frame(4, 0, 6)[..14]]).has_begun());
        assert!(read(&[PRI, &frame(4, 0, 6)]).has_begun());
        assert!(read(&[PRI, &frame(4, 0, 0)]).has_begun());
    }

    #[test]
    fn a_block_is_open_from_the_head_of_its_first_frame_to_the_end_of_its_last() {
        let (first, more, last) =
            (frame(HEADERS, 0, 5), frame(CONTINUATION, 0, 5), frame(CONTINUATION, END_HEADERS, 5));
        assert_eq!(read(&[PRI, &first[..8]]).open_block(), None);
        assert_eq!(read(&[PRI, &first[..9]]).open_block(), Some(1));
        assert_eq!(read(&[PRI, &first, &more, &last[..13]]).open_block(), Some(1));
        assert_eq!(read(&[PRI, &first, &more, &last]).open_block(), None);
        assert_eq!(read(&[PRI, &frame(HEADERS, END_HEADERS, 0)]).open_block(), None);
        assert_eq!(read(&[PRI, &first, &last, &first]).open_block(), Some(2));
    }

    #[test]
    fn only_headers_and_bodies_are_of_use() {
        let is_flood = |kind, length| {
            let frames = frame(kind, END_HEADERS, length).repeat(10_000);
            read(&[PRI, &frames]).is_flood(0, FREE)
        };
        for useless in [2, 3, 4, 6, 8, 0x2a] {
            assert!(is_flood(useless, 8), "{useless}");
        }
        assert!(is_flood(DATA, 0) && is_flood(HEADERS, 0));
        for useful in [DATA, HEADERS, CONTINUATION] {
            assert!(!is_flood(useful, 8), "{useful}");
        }
    }

    #[test]
    fn a_client_that_takes_much_may_say_so_often() {
        // A window update for each 32 KiB.
        let updates = frame(8, 0, 4).repeat(10_000);
        let meter = read(&[PRI, &updates]);
        assert!(meter.is_flood(0, FREE) && !meter.is_flood(10_000 * 32 * 1024, FREE));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(
            frames in prop::collection::vec((0_u8..12, any::<u8>(), 0_usize..40), 0..20),
            cuts in prop::collection::vec(1_usize..30, 1..20),
        ) {
            let mut bytes = PRI.to_vec();
            for (kind, flags, length) in &frames {
                bytes.extend(frame(*kind, *flags, *length));
            }
            let whole = read(&[&bytes]);
            let (mut cut, mut rest, mut sizes) = (Meter::default(), &bytes[..], cuts.iter().cycle());
            while let Some(size) = sizes.next().filter(|_| !rest.is_empty()) {
                let (part, after) = rest.split_at((*size).min(rest.len()));
                cut.read(part);
                rest = after;
            }
            prop_assert_eq!(format!("{whole:?}"), format!("{cut:?}"));
            prop_assert_eq!(whole.frames, frames.len() as u64);
        }
    }
}
