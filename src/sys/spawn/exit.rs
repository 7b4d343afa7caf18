//! How a process ends, and the signals that ask it to.
//!
//! Plain values; sending and waiting is [`super::Child`]'s part.

use std::fmt;

use rustix::process::WaitIdStatus;

/// A signal that asks a program to end or to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Term,
    Int,
    Quit,
    Hup,
    Usr1,
    Usr2,
}

impl From<Signal> for rustix::process::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Term => Self::TERM,
            Signal::Int => Self::INT,
            Signal::Quit => Self::QUIT,
            Signal::Hup => Self::HUP,
            Signal::Usr1 => Self::USR1,
            Signal::Usr2 => Self::USR2,
        }
    }
}

/// How a process ended, printed like `exit code 1` or `signal 9 (SIGKILL)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    /// Ended by a signal; `core`: its memory was dumped.
    Signal {
        signal: i32,
        core: bool,
    },
    /// It is gone, and was no child of ours: how it ended nobody has told us.
    Unseen,
}

impl Exit {
    /// The exit code, if it was not a signal.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal { .. } | Self::Unseen => None,
        }
    }

    /// Whether the program itself says that all went well.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }

    pub(super) fn from_status(status: &WaitIdStatus) -> Option<Self> {
        let by_signal = || Some(Self::Signal { signal: status.terminating_signal()?, core: status.dumped() });
        status.exit_status().map(Self::Code).or_else(by_signal)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (signal, core) = match *self {
            Self::Code(code) => return write!(f, "exit code {code}"),
            Self::Signal { signal, core } => (signal, core),
            Self::Unseen => return f.write_str("an exit that nobody saw"),
        };
        write!(f, "signal {signal}")?;
        if let Ok(known) = nix::sys::signal::Signal::try_from(signal) {
            write!(f, " ({known})")?;
        }
        f.write_str(if core { ", core dumped" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_printed_for_people() {
        assert_eq!(Exit::Code(1).to_string(), "exit code 1");
        assert_eq!(Exit::Signal { signal: 9, core: false }.to_string(), "signal 9 (SIGKILL)");
        assert_eq!(Exit::Signal { signal: 11, core: true }.to_string(), "signal 11 (SIGSEGV), core dumped");
        assert_eq!(Exit::Signal { signal: 40, core: false }.to_string(), "signal 40");
    }

    #[test]
    fn only_code_0_is_success() {
        assert!(Exit::Code(0).is_success());
        assert!(!Exit::Code(1).is_success());
        assert!(!Exit::Signal { signal: 15, core: false }.is_success());
    }
}
