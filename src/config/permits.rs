//! What of a configuration whoever asks may not do, or does not know: other users, higher limits, higher priorities.
//!
//! The machine is asked through [`Machine`], which the caller brings along. A user or group that does not exist is an error;
//! what takes more rights than the asking process has is a warning, as portreeve may be started with other rights than
//! `portreeve check`. When it comes to it, a start that is refused fails with the name of what was refused.

use super::bounds::{Bounds, Limit, Limited};
use super::fault::Fault;
use super::{Loaded, Problems, Server};

/// What the asking process may, and what the system's databases know.
pub trait Machine {
    /// Says why there is no such user or group, or whether one may become it.
    ///
    /// # Errors
    /// A sentence, when one of them does not exist.
    fn may_become(&self, bounds: &Bounds) -> Result<bool, String>;
    fn may_nice(&self, nice: i32) -> bool;
    fn may_protect(&self, oom_score_adj: i32) -> bool;
    fn may_limit(&self, limit: &Limit) -> bool;
}

/// Everything of this kind that is to be said.
#[must_use]
pub fn permits(loaded: &Loaded, machine: &impl Machine) -> Problems {
    let mut faults = Vec::new();
    for app in loaded.config.apps.values() {
        let Server::Command(command) = &app.server else { continue };
        let found = of_bounds(&command.bounds, machine);
        let place = |key: &str| loaded.places.find(&format!("app.{}.{key}", app.name));
        faults.extend(found.into_iter().map(|(key, fault)| fault.at(place(&key))));
    }
    Problems::new(loaded.warnings.source().clone(), faults)
}

/// Each fault with the key that it is about.
fn of_bounds(bounds: &Bounds, machine: &impl Machine) -> Vec<(String, Fault)> {
    let mut faults = Vec::new();
    let key = ["user", "group", "groups"].into_iter().zip([
        bounds.user.is_some(),
        bounds.group.is_some(),
        !bounds.groups.is_empty(),
    ]);
    if let Some((key, _)) = key.into_iter().find(|(_, is_given)| *is_given) {
        match machine.may_become(bounds) {
            Ok(true) => {}
            Ok(false) => faults.push((key.to_owned(), refused(&format!("`{key}` takes the rights of root")))),
            Err(reason) => {
                let key = if reason.starts_with("user") { "user" } else { key };
                faults.push((key.to_owned(), Fault::error(0..0, reason).label("not known on this machine")));
            }
        }
    }
    if let Some(nice) = bounds.nice.filter(|nice| !machine.may_nice(*nice)) {
        faults.push(("nice".to_owned(), refused(&format!("`nice = {nice}` takes the rights of root"))));
    }
    if let Some(score) = bounds.oom_score_adj.filter(|score| !machine.may_protect(*score)) {
        faults.push((
            "oom_score_adj".to_owned(),
            refused(&format!("`oom_score_adj = {score}` takes the rights of root")),
        ));
    }
    for limit in bounds.limits.iter().filter(|limit| !machine.may_limit(limit)) {
        let name =
            Limited::ALL.iter().find(|(_, limited)| *limited == limit.limited).map_or("limits", |(name, _)| name);
        let fault = refused(&format!("`{name}` is above the hard limit, which takes the rights of root to raise"));
        faults.push((format!("limits.{name}"), fault));
    }
    faults
}

fn refused(message: &str) -> Fault {
    let fault = Fault::warning(0..0, message).label("not permitted to whoever checks this");
    fault.help("a worker cannot be started unless portreeve has the right to do that")
}

#[cfg(test)]
mod tests {
    use super::super::problem::Severity;
    use super::super::testing::good;
    use super::*;

    /// Knows one user, and may do nothing but what `powerful` says.
    struct Small {
        powerful: bool,
    }

    impl Machine for Small {
        fn may_become(&self, bounds: &Bounds) -> Result<bool, String> {
            match bounds.user.as_deref() {
                Some("www") | None => Ok(self.powerful),
                Some(user) => Err(format!("user {user}: no user named {user:?}")),
            }
        }

        fn may_nice(&self, nice: i32) -> bool {
            self.powerful || nice >= 0
        }

        fn may_protect(&self, oom_score_adj: i32) -> bool {
            self.powerful || oom_score_adj >= 0
        }

        fn may_limit(&self, limit: &Limit) -> bool {
            self.powerful || limit.hard.is_some_and(|hard| hard <= 1024)
        }
    }

    fn said(lines: &str, powerful: bool) -> Vec<(usize, Severity, String)> {
        let problems = permits(&good(&format!("[app.web]\ncommand = 'node x'\n{lines}\n")), &Small { powerful });
        let say = |problem: &super::super::Problem| {
            (problem.place.as_ref().map_or(0, |place| place.line), problem.severity, problem.message.clone())
        };
        problems.problems().iter().map(say).collect()
    }

    const EVERYTHING: &str =
        "user = 'www'\nnice = -1\noom_score_adj = -1\n[app.web.limits]\nopen_files = 1025\ncore = '0B'\n";

    #[test]
    fn whoever_may_do_everything_is_told_nothing() {
        assert_eq!(said(EVERYTHING, true), []);
        assert_eq!(said("", false), []);
    }

    #[test]
    fn what_takes_more_rights_is_a_warning_in_its_place() {
        let said = said(EVERYTHING, false);
        assert!(said.iter().all(|(_, severity, _)| *severity == Severity::Warning), "{said:?}");
        assert_eq!(said.iter().map(|(line, _, _)| *line).collect::<Vec<_>>(), [3, 4, 5, 7], "{said:?}");
        assert!(said[3].2.contains("`open_files` is above the hard limit"), "{said:?}");
    }

    #[test]
    fn a_stranger_is_an_error() {
        let said = said("groups = ['video']\nuser = 'nobody-here'", true);
        assert_eq!(said.len(), 1);
        assert!(said[0].0 == 4 && said[0].1 == Severity::Error && said[0].2.contains("nobody-here"), "{said:?}");
    }
}
