//! Which apps are to start before which: that they exist, and that no app waits for itself.
//!
//! Pure. Where a circle is found it is told once, from the first of its apps in the order of their names.

use std::collections::BTreeMap;

use super::Config;
use super::fault::Fault;
use super::places::Places;
use super::unknown;
use crate::id::AppName;

/// Dependencies that cannot be.
pub(super) fn find(config: &Config, places: &Places) -> Vec<Fault> {
    let mut faults = Vec::new();
    for app in config.apps.values() {
        for (index, other) in app.depends_on.iter().enumerate() {
            let place = places.find(&format!("app.{}.depends_on[{index}]", app.name));
            // An app that is there and wrong has been spoken of, and is not among those that are meant.
            if !config.apps.contains_key(other) && !places.has(&format!("app.{other}")) {
                let known: Vec<&str> = config.apps.keys().map(AppName::as_str).collect();
                let fault =
                    Fault::error(place, format!("there is no app `{other}` that [app.{}] could depend on", app.name));
                faults.push(match unknown::nearest(other.as_str(), &known) {
                    Some(near) => fault.label(format!("did you mean \"{near}\"?")),
                    None => fault.label("no such app").help(format!("the apps are {}", known.join(", "))),
                });
            }
        }
    }
    faults.extend(circles(config, places));
    faults
}

fn circles(config: &Config, places: &Places) -> Vec<Fault> {
    let mut faults = Vec::new();
    for app in config.apps.values() {
        let Some(circle) = circle(config, &app.name) else { continue };
        if circle.iter().all(|other| app.name <= **other) {
            let way: Vec<&str> = circle.iter().chain([&&app.name]).map(|name| name.as_str()).collect();
            let place = places.find(&format!("app.{}.depends_on", app.name));
            let fault = Fault::error(place, format!("[app.{}] would wait for itself", app.name));
            faults.push(fault.label("this leads back here").help(format!("{} is a circle", way.join(" -> "))));
        }
    }
    faults
}

/// The way from an app along what it depends on that leads back to it, if there is one; it begins with the app.
fn circle<'a>(config: &'a Config, start: &'a AppName) -> Option<Vec<&'a AppName>> {
    let on = |name: &AppName| config.apps.get(name).map_or(&[][..], |app| &app.depends_on);
    let mut before: BTreeMap<&AppName, &AppName> = BTreeMap::new();
    let mut next = vec![start];
    while let Some(name) = next.pop() {
        if on(name).contains(start) {
            let mut way = vec![name];
            while let Some(before) = before.get(way[way.len() - 1]).filter(|_| way[way.len() - 1] != start) {
                way.push(before);
            }
            way.reverse();
            return Some(way);
        }
        for other in on(name) {
            if !before.contains_key(other) {
                before.insert(other, name);
                next.push(other);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::testing::bad;

    /// Apps with what each depends on.
    fn file(apps: &[(&str, &str)]) -> String {
        let app =
            |(name, on): &(&str, &str)| format!("[app.{name}]\npath = '/{name}'\ncommand = 'x'\ndepends_on = [{on}]\n");
        apps.iter().map(app).collect()
    }

    #[test]
    fn an_app_that_is_not_there_is_told_with_what_may_be_meant() {
        let said = bad(&file(&[("web", "'databse'"), ("database", "")])).to_string();
        assert!(said.contains("portreeve.toml:4:15: ") && said.contains("did you mean \"database\"?"), "{said}");
    }

    #[test]
    fn a_circle_is_told_once() {
        let said = bad(&file(&[("a", "'b'"), ("b", "'c'"), ("c", "'b'"), ("d", "'a'")])).to_string();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(":8:") && said.contains("b -> c -> b"), "{said}");
        let said = bad(&file(&[("a", "'a'")])).to_string();
        assert!(said.contains("[app.a] would wait for itself") && said.contains("a -> a"), "{said}");
    }

    #[test]
    fn servers_of_an_upstream_depend_on_nobody() {
        let said = bad("[app.a]\nupstream = '127.0.0.1:1'\ndepends_on = 'b'\n[app.b]\npath = '/b'\ncommand = 'x'\n")
            .to_string();
        assert!(said.contains("`depends_on` has no meaning"), "{said}");
    }
}
