//! Where in the file each key stands, for what is said of it after the reading.
//!
//! Kept beside a [`super::Config`], which knows no file, and found again by the dotted names of its keys.

use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes of the file by dotted name, such as `app.web.hosts[0]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(BTreeMap<String, Range<usize>>);

impl Places {
    pub(super) fn note(&mut self, name: &str, span: Range<usize>) {
        self.0.insert(name.to_owned(), span);
    }

    /// The place of a key, or else of the nearest table that it would stand in.
    pub(super) fn find(&self, name: &str) -> Range<usize> {
        let mut name = name;
        loop {
            if let Some(span) = self.0.get(name) {
                return span.clone();
            }
            match name.rfind(['.', '[']) {
                Some(end) => name = &name[..end],
                None => return 0..0,
            }
        }
    }

    /// Does the file say anything under this very name?
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_placed_at_its_table() {
        let mut places = Places::default();
        places.note("app.web", 3..9);
        places.note("app.web.hosts[1]", 20..24);
        assert_eq!(places.find("app.web.hosts[1]"), 20..24);
        assert_eq!(places.find("app.web.hosts[0]"), 3..9);
        assert_eq!(places.find("app.web.ready.http"), 3..9);
        assert_eq!(places.find("listen.http"), 0..0);
        assert!(places.has("app.web") && !places.has("app"));
    }
}
