//! One worker of a Node cluster: what it has been given to listen on, and what it is to be given next.
//!
//! Pure. An app has one port for its requests, which for us is the worker's `PORT` whatever the app calls it; the trick is to
//! know which of its ports that is. Invariants: at most one listener at a time has the worker's own socket; a key is
//! given once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::supervisor::channel::cluster::{Errno, Wanted};

/// Listeners of one worker at a time.
pub(super) const MOST_LISTENERS: usize = 256;

/// Ports below this are root's.
const FIRST_FREE_PORT: u16 = 1024;

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seat {
    terms: Terms,
    /// The port that it calls its main one, once that is known.
    main: Option<u16>,
    open: BTreeMap<u64, Held>,
    last_key: u64,
}

/// Under which a worker was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct Terms {
    /// Its `PORT`.
    pub(in crate::supervisor) port: u16,
    /// What the app calls it, if the configuration says so.
    pub(in crate::supervisor) named: Option<u16>,
    /// It runs as another user, for whom we must not do what that user may not.
    pub(in crate::supervisor) is_another_user: bool,
}

/// What a listener of the worker has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Held {
    /// The worker's own socket; asked for at this address.
    Main(Option<IpAddr>),
    /// A socket of the whole app.
    Shared(Wanted),
    /// One of which nobody else knows.
    Private,
}

/// What to do about a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Main,
    Shared,
    Private,
    Refused(Refusal),
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It has that already.
    Twice,
    /// It asks for `PORT`, and another port was taken for it.
    Misjudged(u16),
    NotPermitted,
    TooMany,
    Unknown,
}

impl Seat {
    pub(super) fn new(terms: Terms) -> Self {
        Self { terms, main: None, open: BTreeMap::new(), last_key: 0 }
    }

    /// What it is to be given; `others`: ports that are known not to be the main one.
    pub(super) fn choose(&self, wanted: &Wanted, others: &BTreeSet<u16>) -> Choice {
        if self.open.len() >= MOST_LISTENERS {
            return Choice::Refused(Refusal::TooMany);
        }
        match wanted {
            Wanted::Unknown => Choice::Refused(Refusal::Unknown),
            Wanted::Tcp { port: 0, .. } | Wanted::Udp { port: 0, .. } => Choice::Private,
            Wanted::Tcp { address, port, .. } if self.is_main(*port, others) => self.main(*address),
            // Whatever the app calls its port, it may read from the socket where that really is, and want it elsewhere too.
            Wanted::Tcp { address, port, .. } if *port == self.terms.port => match self.main(*address) {
                Choice::Private => Choice::Private,
                _ => Choice::Refused(Refusal::Misjudged(self.main.unwrap_or(0))),
            },
            _ => self.further(wanted),
        }
    }

    fn is_main(&self, port: u16, others: &BTreeSet<u16>) -> bool {
        match (self.terms.named, self.main) {
            (Some(named), _) => port == named || port == self.terms.port,
            (None, Some(main)) => port == main,
            (None, None) => port == self.terms.port || !others.contains(&port),
        }
    }

    fn main(&self, address: Option<IpAddr>) -> Choice {
        let taken = self.open.values().find_map(|held| match held {
            Held::Main(address) => Some(*address),
            _ => None,
        });
        match taken {
            None => Choice::Main,
            Some(taken) if overlap(taken, address) => Choice::Refused(Refusal::Twice),
            // Such as [::1] beside 127.0.0.1: nobody will come there, for we know of one address only.
            Some(_) => Choice::Private,
        }
    }

    fn further(&self, wanted: &Wanted) -> Choice {
        let needs_rights = match wanted {
            Wanted::Tcp { port, .. } | Wanted::Udp { port, .. } => *port < FIRST_FREE_PORT,
            Wanted::Path(_) | Wanted::Unknown => true,
        };
        if self.open.values().any(|held| *held == Held::Shared(wanted.clone())) {
            return Choice::Refused(Refusal::Twice);
        }
        if needs_rights && self.terms.is_another_user {
            return Choice::Refused(Refusal::NotPermitted);
        }
        Choice::Shared
    }

    /// Books what was chosen; gives the key.
    pub(super) fn hold(&mut self, wanted: &Wanted, choice: Choice) -> u64 {
        self.last_key += 1;
        let held = match (choice, wanted) {
            (Choice::Main, Wanted::Tcp { address, port, .. }) => {
                self.main.get_or_insert(*port);
                Some(Held::Main(*address))
            }
            (Choice::Shared, _) => Some(Held::Shared(wanted.clone())),
            (Choice::Private, _) => Some(Held::Private),
            _ => None,
        };
        self.open.extend(held.map(|held| (self.last_key, held)));
        self.last_key
    }

    /// The port that was taken for its main one for want of a better sign.
    pub(super) fn guess(&self) -> Option<u16> {
        self.main.filter(|main| self.terms.named.is_none() && *main != self.terms.port)
    }

    /// Takes back what has this key.
    pub(super) fn release(&mut self, key: u64) -> Option<Held> {
        self.open.remove(&key)
    }

    /// Does this listener, by the port that it really has, serve the worker's requests?
    pub(super) fn serves_on(&self, port: u16) -> bool {
        port == self.terms.port && self.open.values().any(|held| matches!(held, Held::Main(_)))
    }
}

/// Would the system refuse one beside the other, on the same port?
fn overlap(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    let is_any = |address: Option<IpAddr>| address.is_none_or(|address| address.is_unspecified());
    is_any(one) || is_any(other) || one == other
}

impl Refusal {
    pub(super) fn errno(self) -> Errno {
        Errno(match self {
            Self::Twice | Self::Misjudged(_) => 98,
            Self::NotPermitted => 13,
            Self::TooMany => 24,
            Self::Unknown => 22,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sys::handout::Options;

    const PORT: u16 = 41_234;

    fn tcp(address: Option<&str>, port: u16) -> Wanted {
        Wanted::Tcp { address: address.map(|text| text.parse().unwrap()), port, options: Options::default() }
    }

    fn seat(named: Option<u16>) -> Seat {
        Seat::new(Terms { port: PORT, named, is_another_user: false })
    }

    /// Asks for one after the other, and gives all answers.
    fn answers(seat: &mut Seat, others: &[u16], questions: &[Wanted]) -> Vec<Choice> {
        let others = others.iter().copied().collect();
        let ask = |wanted: &Wanted| {
            let choice = seat.choose(wanted, &others);
            seat.hold(wanted, choice);
            choice
        };
        questions.iter().map(ask).collect()
    }

    #[test]
    fn the_main_port_is_port_or_the_named_one_or_the_first() {
        use Choice::{Main, Private, Shared};
        let any = |port| tcp(None, port);
        for (named, others, ports, choices) in [
            (None, &[][..], &[3000, 9100][..], &[Main, Shared][..]),
            (None, &[], &[PORT, 9100], &[Main, Shared]),
            (None, &[9100], &[9100, 3000], &[Shared, Main]),
            (None, &[9100], &[9100, PORT], &[Shared, Main]),
            (Some(3000), &[], &[9100, 3000], &[Shared, Main]),
            (Some(3000), &[], &[9100, PORT], &[Shared, Main]),
            (None, &[], &[0, 3000, 0], &[Private, Main, Private]),
        ] {
            let questions: Vec<_> = ports.iter().map(|port| any(*port)).collect();
            assert_eq!(answers(&mut seat(named), others, &questions), choices, "{named:?} {others:?} {ports:?}");
        }
    }

    #[test]
    fn a_wrong_guess_is_noticed_when_port_is_asked_for() {
        let mut seat = seat(None);
        let choices = answers(&mut seat, &[], &[tcp(None, 9100), tcp(None, PORT)]);
        assert_eq!(choices, [Choice::Main, Choice::Refused(Refusal::Misjudged(9100))]);
    }

    #[test]
    fn the_main_port_on_a_second_address_is_nobodys_business_and_on_the_same_one_an_error() {
        let [here, there] = [Some("127.0.0.1"), Some("::1")];
        let twice = Choice::Refused(Refusal::Twice);
        for (first, second, port, choice) in [
            (here, there, 3000, Choice::Private),
            // As fastify asks for [::1] behind `localhost`: with the port that the first socket really has.
            (here, there, PORT, Choice::Private),
            (here, here, 3000, twice),
            (None, there, 3000, twice),
            (here, Some("0.0.0.0"), 3000, twice),
        ] {
            let choices = answers(&mut seat(None), &[], &[tcp(first, 3000), tcp(second, port)]);
            assert_eq!(choices, [Choice::Main, choice], "{first:?} {second:?} {port}");
        }
    }

    #[test]
    fn what_was_closed_can_be_had_again() {
        let mut seat = seat(None);
        let none = BTreeSet::new();
        for wanted in [tcp(None, 3000), tcp(None, 9100)] {
            let choice = seat.choose(&wanted, &none);
            let key = seat.hold(&wanted, choice);
            assert_eq!(seat.choose(&wanted, &none), Choice::Refused(Refusal::Twice));
            assert!(seat.release(key).is_some() && seat.release(key).is_none());
            assert_eq!(seat.choose(&wanted, &none), choice);
        }
        assert!(!seat.serves_on(PORT));
        seat.hold(&tcp(None, 3000), Choice::Main);
        assert!(seat.serves_on(PORT) && !seat.serves_on(3000));
    }

    #[test]
    fn nobody_gets_by_us_what_he_may_not_have() {
        let path = Wanted::Path("/run/x.sock".into());
        for (is_another_user, choice) in [(true, Choice::Refused(Refusal::NotPermitted)), (false, Choice::Shared)] {
            let mut seat = Seat::new(Terms { port: PORT, named: Some(3000), is_another_user });
            assert_eq!(answers(&mut seat, &[], &[path.clone(), tcp(None, 80)]), [choice, choice]);
            assert_eq!(answers(&mut seat, &[], &[tcp(None, 9100)]), [Choice::Shared]);
        }
        // Its main port is another one in truth.
        let terms = Terms { port: PORT, named: None, is_another_user: true };
        assert_eq!(answers(&mut Seat::new(terms), &[], &[tcp(None, 80)]), [Choice::Main]);
    }

    #[test]
    fn what_is_not_understood_is_refused_and_so_is_too_much() {
        let mut seat = seat(None);
        assert_eq!(answers(&mut seat, &[], &[Wanted::Unknown]), [Choice::Refused(Refusal::Unknown)]);
        let many = vec![tcp(None, 0); MOST_LISTENERS + 1];
        assert_eq!(answers(&mut seat, &[], &many).last(), Some(&Choice::Refused(Refusal::TooMany)));
    }

    fn wanted() -> impl Strategy<Value = Wanted> {
        let address = proptest::sample::select(vec![None, Some("127.0.0.1"), Some("::1"), Some("::")]);
        let port = proptest::sample::select(vec![0, 80, 3000, 9100, PORT]);
        prop_oneof![
            4 => (address, port).prop_map(|(address, port)| tcp(address, port)),
            1 => Just(Wanted::Path("/x".into())),
            1 => Just(Wanted::Unknown),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn one_listener_at_most_has_the_workers_own_socket(
            questions in proptest::collection::vec((wanted(), any::<bool>()), 0..30),
            named in proptest::option::of(Just(3000_u16)),
        ) {
            let mut seat = seat(named);
            for (wanted, is_closed) in questions {
                let choice = seat.choose(&wanted, &BTreeSet::new());
                let key = seat.hold(&wanted, choice);
                let mains = seat.open.values().filter(|held| matches!(held, Held::Main(_))).count();
                prop_assert!(mains <= 1);
                prop_assert_eq!(matches!(choice, Choice::Refused(_)), !seat.open.contains_key(&key));
                if is_closed {
                    seat.release(key);
                }
            }
        }
    }
}
