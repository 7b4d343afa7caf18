//! What a worker is given on its way: descriptors, the variables that tell it of them, and its bounds.
//!
//! Does not know what any of it is for. Invariant: every descriptor has a number of its own, from 3 on.

use std::ffi::OsString;
use std::os::fd::{OwnedFd, RawFd};

use crate::sys::spawn::Bounds;

/// The number of the first descriptor behind the standard streams.
const FIRST: RawFd = 3;

#[derive(Debug, Default)]
pub(in crate::supervisor) struct Kit {
    /// They win over what the worker inherits and what its app sets.
    pub(super) variables: Vec<(&'static str, OsString)>,
    /// Variables whose value is the worker's own process ID.
    pub(super) pid_variables: Vec<&'static str>,
    pub(super) descriptors: Vec<(OwnedFd, RawFd)>,
    /// What stands for what in the words of the command.
    pub(super) placeholders: Vec<(&'static str, String)>,
    pub(super) bounds: Bounds,
}

impl Kit {
    /// Sets a variable.
    pub(in crate::supervisor) fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.variables.push((name, value.into()));
    }

    /// Sets a variable to the worker's own process ID.
    pub(in crate::supervisor) fn set_to_pid(&mut self, name: &'static str) {
        self.pid_variables.push(name);
    }

    /// Lets the worker have this descriptor at the lowest number that is free; gives the number.
    pub(in crate::supervisor) fn place(&mut self, descriptor: OwnedFd) -> RawFd {
        let is_taken = |number: &RawFd| self.descriptors.iter().any(|(_, taken)| taken == number);
        let free = (FIRST..RawFd::MAX).find(|number| !is_taken(number));
        let number = free.expect("there are more numbers than descriptors");
        self.place_at(descriptor, number);
        number
    }

    /// Lets the worker have this descriptor at a number that was agreed on; say those first.
    pub(super) fn place_at(&mut self, descriptor: OwnedFd, number: RawFd) {
        self.descriptors.push((descriptor, number));
    }

    /// The arguments with every placeholder filled in; the first is the program's name and stays.
    pub(super) fn fill(&self, arguments: Vec<OsString>) -> Vec<OsString> {
        let fill = |(index, argument): (usize, OsString)| match argument.to_str() {
            Some(text) if index > 0 => {
                let filled =
                    self.placeholders.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
                filled.into()
            }
            _ => argument,
        };
        arguments.into_iter().enumerate().map(fill).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_go_to_the_lowest_numbers_that_nobody_has_asked_for() {
        let descriptor = || std::fs::File::open("/dev/null").unwrap().into();
        let mut kit = Kit::default();
        kit.place_at(descriptor(), 4);
        assert_eq!([kit.place(descriptor()), kit.place(descriptor())], [3, 5]);
    }

    #[test]
    fn placeholders_are_filled_in_wherever_they_stand_but_in_the_programs_name() {
        let kit = Kit { placeholders: vec![("{port}", "8123".to_owned())], ..Kit::default() };
        let filled =
            kit.fill(["{port}", "-b", "127.0.0.1:{port}", "{port}{port}", "{socket}"].map(OsString::from).into());
        assert_eq!(filled, ["{port}", "-b", "127.0.0.1:8123", "81238123", "{socket}"]);
    }
}
