//! A reader of our output that has seen enough, such as `head`: no failure, and nothing to complain about.
//!
//! `println!` panics when nobody reads any more. Verbs that only print are done then; what else panics does so as ever. The
//! signal that ends other programs is no way out: it would also come when a supervisor goes away in the midst of a call.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

use super::Code;

/// Carries out a verb, which is done when nobody reads what it prints.
pub(super) fn forgiven(verb: impl FnOnce() -> Code) -> Code {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !is_unread(info.payload()) {
            usual(info);
        }
    }));
    match panic::catch_unwind(AssertUnwindSafe(verb)) {
        Ok(code) => code,
        Err(payload) if is_unread(&*payload) => Code::Done,
        Err(payload) => panic::resume_unwind(payload),
    }
}

fn is_unread(payload: &(dyn Any + Send)) -> bool {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.is_some_and(|text| text.starts_with("failed printing to std") && text.contains("Broken pipe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pipe_that_nobody_reads_is_forgiven() {
        let text = |text: &str| is_unread(&text.to_owned());
        assert!(text("failed printing to stdout: Broken pipe (os error 32)"));
        assert!(!text("failed printing to stdout: No space left on device (os error 28)"));
        assert!(!text("index out of bounds") && !is_unread(&"a literal"));
    }
}
