//! The variables of the shell that a verb is typed in, as an app is to have them.
//!
//! Left out is what is about that shell alone, what portreeve sets for each worker, and what is no text.

use std::collections::BTreeMap;

use crate::config;

/// Where the shell is, and how deep.
const OF_SHELLS: [&str; 4] = ["_", "SHLVL", "PWD", "OLDPWD"];

/// Those of whoever calls.
pub(super) fn variables() -> BTreeMap<String, String> {
    fit(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))))
}

fn fit(all: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    all.filter(|(name, _)| !config::is_ours(name) && !OF_SHELLS.contains(&name.as_str())).collect()
}

/// As a table of TOML, for the supervisor's list.
pub(super) fn table(variables: &BTreeMap<String, String>) -> toml::Table {
    variables.iter().map(|(name, value)| (name.clone(), toml::Value::from(value.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_the_shell_alone_or_is_set_for_each_worker_is_left_out() {
        let all = ["PATH", "LANG", "DATABASE_URL", "_", "SHLVL", "PWD", "PORT", "NOTIFY_SOCKET", "PORTREEVE_HOME"];
        let left = fit(all.into_iter().map(|name| (name.to_owned(), "x".to_owned())));
        assert_eq!(left.into_keys().collect::<Vec<_>>(), ["DATABASE_URL", "LANG", "PATH"]);
    }

    #[test]
    fn whatever_a_shell_has_can_stand_in_the_list() {
        let odd = ["a\nb", "\"quoted\" 'too'", "\u{1}\t\\", "", "é"];
        let variables: BTreeMap<_, _> =
            (0..).map(|n| format!("BASH_FUNC_f{n}%%")).zip(odd.map(str::to_owned)).collect();
        let list = "[app.a]\nport = 1\ncommand = 'x'\n";
        let list = config::list::with_inherited(list, &["a".parse().unwrap()], &table(&variables).to_string()).unwrap();
        let loaded =
            config::parse(&list, std::path::Path::new("/a.toml")).unwrap_or_else(|bad| panic!("{bad}\n{list}"));
        let config::Server::Command(command) = &loaded.config.apps.values().next().unwrap().server else { panic!() };
        let given: BTreeMap<_, _> = command.environment.inherit.given().map(|(n, v)| (n.clone(), v.clone())).collect();
        assert_eq!(given, variables);
    }
}
