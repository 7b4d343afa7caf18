//! The retry rule: may a failed attempt be followed by another?
//!
//! Pure. Knows neither budgets nor workers. Invariant: a request whose bytes a worker may have read is only ever sent
//! again when its sender has said that this does no harm.

use http::Method;

use crate::telemetry::exchange_metrics::RetryRule;

/// Attempts that R1 may add.
const RECONNECTS: u8 = 2;

/// How a failed attempt bears on another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// No connection was made, so nothing was sent.
    Unconnected,
    /// A reused connection ended before a byte of the request was written.
    Unsent,
    /// The request was sent and not a byte of a response came before the connection ended.
    Silent,
    /// The request was sent, and the worker ended without having read it.
    Unread,
    /// Anything else.
    Never,
}

/// How often each rule has been used for one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tries {
    unconnected: u8,
    unsent: u8,
    silent: u8,
    unread: u8,
}

impl Tries {
    /// Notes the use of a rule.
    pub(crate) fn note(&mut self, rule: RetryRule) {
        match rule {
            RetryRule::NotConnected => self.unconnected += 1,
            RetryRule::NotSent => self.unsent += 1,
            RetryRule::Repeatable => self.silent += 1,
            RetryRule::NotRead => self.unread += 1,
        }
    }

    /// May the next attempt use a connection that has been used before?
    pub(crate) fn may_reuse(self) -> bool {
        self.unsent == 0
    }

    /// Attempts that were begun, the first included.
    pub(crate) fn attempts(self) -> u32 {
        let more = [self.unconnected, self.unsent, self.silent, self.unread];
        1 + more.into_iter().map(u32::from).sum::<u32>()
    }
}

/// Which rule allows another attempt, if any.
///
/// R1: no connection: any request, on another endpoint, twice at most. R2: nothing of it was written: any request, on a
/// fresh connection, once. R3: no byte of a response: a repeatable one, on another endpoint, once. R5: no worker has read it: any
/// request, on another endpoint, once.
pub(crate) fn decide(class: Class, is_repeatable: bool, tries: Tries) -> Option<RetryRule> {
    match class {
        Class::Unconnected if tries.unconnected < RECONNECTS => Some(RetryRule::NotConnected),
        Class::Unsent if tries.unsent == 0 => Some(RetryRule::NotSent),
        Class::Silent if is_repeatable && tries.silent == 0 => Some(RetryRule::Repeatable),
        Class::Unread if tries.unread == 0 => Some(RetryRule::NotRead),
        _ => None,
    }
}

/// May a request without a body be sent twice by the meaning of its method (RFC 9110, section 9.2.1)?
///
/// `PUT` and `DELETE` are idempotent on paper only, and are not repeated.
pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies the rule until it says no.
    fn attempts(class: Class, is_repeatable: bool) -> (u32, Option<RetryRule>) {
        let (mut tries, mut last) = (Tries::default(), None);
        while let Some(rule) = decide(class, is_repeatable, tries) {
            tries.note(rule);
            last = Some(rule);
            assert!(tries.attempts() < 10, "without end");
        }
        (tries.attempts(), last)
    }

    #[test]
    fn each_class_has_its_rule_and_its_bound() {
        for is_repeatable in [false, true] {
            assert_eq!(attempts(Class::Unconnected, is_repeatable), (3, Some(RetryRule::NotConnected)));
            assert_eq!(attempts(Class::Unsent, is_repeatable), (2, Some(RetryRule::NotSent)));
            assert_eq!(attempts(Class::Unread, is_repeatable), (2, Some(RetryRule::NotRead)));
            assert_eq!(attempts(Class::Never, is_repeatable), (1, None));
        }
        assert_eq!(attempts(Class::Silent, true), (2, Some(RetryRule::Repeatable)));
    }

    #[test]
    fn what_may_have_been_read_is_not_sent_twice_unless_it_is_repeatable() {
        assert_eq!(attempts(Class::Silent, false), (1, None));
    }

    #[test]
    fn one_rule_does_not_use_up_another() {
        let mut tries = Tries::default();
        tries.note(RetryRule::NotSent);
        tries.note(RetryRule::Repeatable);
        assert_eq!(decide(Class::Unconnected, false, tries), Some(RetryRule::NotConnected));
        assert_eq!(tries.attempts(), 3);
    }

    #[test]
    fn only_methods_without_effect_are_safe() {
        assert!([Method::GET, Method::HEAD, Method::OPTIONS].iter().all(is_safe));
        assert!(![Method::POST, Method::PUT, Method::DELETE, Method::PATCH].iter().any(is_safe));
    }
}
