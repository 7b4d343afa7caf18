//! One thing that is wrong, as the reader notes it: bytes of the text and words, no line numbers yet.
//!
//! Faults are values: a reader of one value returns one, and only the table that asked for it records it.

use std::ops::Range;

use super::problem::Severity;

/// The label of a fault that needs no other.
pub(super) const HERE: &str = "here";

/// What is wrong, and with which bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) severity: Severity,
    /// `None`: not about a place in the file.
    pub(super) span: Option<Range<usize>>,
    /// One sentence that can stand alone in a log.
    pub(super) message: String,
    /// A few words under the token.
    pub(super) label: String,
    /// What to do about it.
    pub(super) help: Option<String>,
    /// Another place that has to do with it, and why; boxed because few have one.
    pub(super) related: Option<Box<(Range<usize>, String)>>,
}

impl Fault {
    /// Something that makes the file unusable.
    pub(super) fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        let message = message.into();
        let label = HERE.to_owned();
        Self { severity: Severity::Error, span: Some(span), message, label, help: None, related: None }
    }

    /// Something that is probably not meant.
    pub(super) fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// Something about the file as a whole.
    pub(super) fn whole_file(message: impl Into<String>) -> Self {
        Self { span: None, ..Self::error(0..0, message) }
    }

    pub(super) fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Another thing that would do.
    pub(super) fn or_help(self, more: &str) -> Self {
        let help = self.help.as_ref().map_or_else(|| more.to_owned(), |help| format!("{help}; {more}"));
        self.help(help)
    }

    pub(super) fn related(self, span: Range<usize>, label: impl Into<String>) -> Self {
        Self { related: Some(Box::new((span, label.into()))), ..self }
    }

    /// The same fault, said of other bytes.
    pub(super) fn at(self, span: Range<usize>) -> Self {
        Self { span: Some(span), ..self }
    }
}
