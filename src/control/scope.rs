//! What an order is to cover, as it stands in the address of the call.
//!
//! Knows the form, not whether such an app or profile exists. Unknown parameters are refused: one that is ignored would
//! act on something else than what was meant.

use crate::id::AppName;

/// What an order is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// None: all, where that may be said.
    pub apps: Vec<AppName>,
    /// The profile of the apps' variables from now on; `None`: as it was.
    pub profile: Option<String>,
}

impl Scope {
    /// These apps alone.
    #[must_use]
    pub fn apps(apps: &[AppName]) -> Self {
        Self { apps: apps.to_vec(), profile: None }
    }

    /// The query of the call's address, with its question mark; empty for everything.
    #[must_use]
    pub fn query(&self) -> String {
        let app = self.apps.iter().map(|app| format!("app={app}"));
        let profile = self.profile.iter().map(|profile| format!("env={profile}"));
        let parts: Vec<_> = app.chain(profile).collect();
        if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
    }

    /// Reads the query of an address.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(query: &str) -> Result<Self, String> {
        let mut scope = Self::default();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("app", name)) => scope.apps.push(name.parse().map_err(|error| format!("{error}"))?),
                Some(("env", profile)) => scope.profile = Some(profile.to_owned()),
                _ => return Err(format!("unknown parameter `{part}`: there are `app` and `env`")),
            }
        }
        if !scope.apps.is_empty() && scope.profile.is_some() {
            return Err("a profile is that of all apps: leave `app` or `env` out".to_owned());
        }
        Ok(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>();
        for (scope, query) in [
            (Scope::default(), ""),
            (Scope::apps(&names(&["web"])), "?app=web"),
            (Scope::apps(&names(&["web", "api"])), "?app=web&app=api"),
            (Scope { apps: Vec::new(), profile: Some("staging".to_owned()) }, "?env=staging"),
        ] {
            assert_eq!(scope.query(), query);
            assert_eq!(Scope::parse(query.trim_start_matches('?')), Ok(scope));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (query, word) in [("ap=web", "unknown parameter `ap=web`"), ("app=web&env=x", "all apps"), ("app=", "")] {
            let error = Scope::parse(query).unwrap_err();
            assert!(error.contains(word), "{query}: {error}");
        }
    }
}
