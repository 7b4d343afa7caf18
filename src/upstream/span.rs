//! Which generations a claim is for.
//!
//! Pure. It does not know why. Invariant: a claim that is for generations of which none is open is for all.

use crate::id::Generation;

/// Generations that follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Span {
    #[default]
    Any,
    /// This one and those after it.
    From(Generation),
    /// Those before this one.
    Below(Generation),
}

impl Span {
    pub(super) fn contains(self, generation: Generation) -> bool {
        match self {
            Self::Any => true,
            Self::From(first) => generation >= first,
            Self::Below(end) => generation < end,
        }
    }

    /// The same as far as it can be had: all, if it holds none of these.
    pub(super) fn among(self, mut open: impl Iterator<Item = Generation>) -> Self {
        if self == Self::Any || open.any(|generation| self.contains(generation)) { self } else { Self::Any }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_not_insisted_on() {
        let open = || [3, 4].map(Generation).into_iter();
        let found = |span: Span| {
            let span = span.among(open());
            open().filter(|one| span.contains(*one)).map(|one| one.0).collect::<Vec<_>>()
        };
        assert_eq!(found(Span::Any), [3, 4]);
        assert_eq!(found(Span::From(Generation(4))), [4]);
        assert_eq!(found(Span::From(Generation(5))), [3, 4]);
        assert_eq!(found(Span::Below(Generation(4))), [3]);
        assert_eq!(found(Span::Below(Generation(3))), [3, 4]);
    }
}
