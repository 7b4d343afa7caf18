//! Which apps are meant by the words of a command line: names, ids, patterns, `all`.
//!
//! Pure. A name goes before an id, so that an app may be called `455`.

use crate::control::words::App;
use crate::id::AppName;

/// The apps that the words mean, each once, in the order of their ids.
///
/// # Errors
/// A sentence about the first word that means none.
pub(super) fn find(words: &[String], apps: &[App]) -> Result<Vec<AppName>, String> {
    let mut meant = Vec::new();
    for word in words {
        let found: Vec<&App> = apps.iter().filter(|app| means(word, app, apps)).collect();
        if found.is_empty() && word != "all" {
            return Err(nothing(word, apps));
        }
        meant.extend(found);
    }
    meant.sort_by_key(|app| app.id);
    let mut names: Vec<AppName> = meant.into_iter().map(|app| app.name.clone()).collect();
    names.dedup();
    Ok(names)
}

/// Does the word mean this app, one of these?
fn means(word: &str, app: &App, apps: &[App]) -> bool {
    if apps.iter().any(|app| app.name.as_str() == word) {
        return app.name.as_str() == word;
    }
    if word == "all" {
        return true;
    }
    match word.parse::<u32>() {
        Ok(id) => app.id == id,
        Err(_) => is_pattern(word) && covers(word.as_bytes(), app.name.as_str().as_bytes()),
    }
}

fn is_pattern(word: &str) -> bool {
    word.contains(['*', '?', '['])
}

fn nothing(word: &str, apps: &[App]) -> String {
    if apps.is_empty() {
        return format!("no app `{word}`: there is none yet; `portreeve start SCRIPT` makes one");
    }
    let names: Vec<&str> = apps.iter().map(|app| app.name.as_str()).collect();
    if word.len() > 1 && word.starts_with('/') && word.ends_with('/') {
        return format!("{word} is not understood as a regular expression: write a pattern such as 'web-*'");
    }
    let near = names.iter().min_by_key(|name| strsim::damerau_levenshtein(word, name));
    match near.filter(|name| strsim::damerau_levenshtein(word, name) * 3 <= word.len().max(name.len())) {
        Some(near) => format!("no app `{word}`; did you mean `{near}`?"),
        None => format!("no app `{word}`; there is: {}", names.join(", ")),
    }
}

/// Does a pattern of `*`, `?`, `[a-c]` and `[!a-c]` cover a name?
fn covers(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], _) => name.is_empty(),
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|taken| covers(rest, &name[taken..])),
        ([b'[', rest @ ..], [first, others @ ..]) => match class(rest, *first) {
            Some((is_in, rest)) => is_in && covers(rest, others),
            None => *first == b'[' && covers(rest, others),
        },
        ([one, rest @ ..], [first, others @ ..]) => (*one == b'?' || one == first) && covers(rest, others),
        (_, []) => false,
    }
}

/// Is the byte in the class that begins here? With what follows the class; `None` when it never ends.
fn class(text: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let end = text.iter().position(|byte| *byte == b']')?;
    let (members, rest) = (&text[..end], &text[end + 1..]);
    let (wanted, mut members) = match members {
        [b'!' | b'^', members @ ..] => (false, members),
        members => (true, members),
    };
    let mut is_in = false;
    while let [first, others @ ..] = members {
        members = match others {
            [b'-', last, others @ ..] => {
                is_in |= (*first..=*last).contains(&byte);
                others
            }
            others => {
                is_in |= *first == byte;
                others
            }
        };
    }
    Some((is_in == wanted, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::words::{ByHand, Purpose};

    fn apps(names: &[&str]) -> Vec<App> {
        let app = |(id, name): (u32, &&str)| App {
            id,
            name: name.parse().unwrap(),
            purpose: Purpose::default(),
            state: "running".to_owned(),
            by_hand: ByHand::default(),
            panic_routing: false,
            generation: None,
            generations: Vec::new(),
            workers: Vec::new(),
            last_failure: None,
            exits: Vec::new(),
            recycling: Vec::new(),
        };
        (0..).zip(names).map(app).collect()
    }

    fn found(words: &[&str], names: &[&str]) -> Vec<String> {
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        let found = find(&words, &apps(names)).unwrap_or_else(|error| panic!("{error}"));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn words_are_names_then_ids_then_patterns() {
        let names = ["web", "api", "455", "web-2", "2"];
        for (words, meant) in [
            (vec!["web"], vec!["web"]),
            (vec!["1"], vec!["api"]),
            (vec!["2"], vec!["2"]),
            (vec!["455"], vec!["455"]),
            (vec!["api", "web", "0"], vec!["web", "api"]),
            (vec!["web*"], vec!["web", "web-2"]),
            (vec!["web-?"], vec!["web-2"]),
            (vec!["[a-b]*"], vec!["api"]),
            (vec!["[!w]*"], vec!["api", "455", "2"]),
            (vec!["*e*", "api"], vec!["web", "api", "web-2"]),
            (vec!["all"], names.to_vec()),
        ] {
            assert_eq!(found(&words, &names), meant, "{words:?}");
        }
        assert_eq!(found(&["all"], &[]), [""; 0]);
        assert_eq!(found(&["all"], &["all", "web"]), ["all"], "a name goes first");
    }

    #[test]
    fn what_means_nothing_gets_advice() {
        let why = |word: &str, names: &[&str]| find(&[word.to_owned()], &apps(names)).unwrap_err();
        assert!(why("wbe", &["web", "api"]).ends_with("did you mean `web`?"));
        assert!(why("other", &["web", "api"]).ends_with("there is: web, api"));
        assert!(why("9", &["web"]).starts_with("no app `9`"));
        assert!(why("x*", &["web"]).starts_with("no app `x*`"));
        assert!(why("[w", &["web"]).starts_with("no app `[w`"));
        assert!(why("/web.*/", &["web"]).contains("'web-*'"));
        assert!(why("web", &[]).contains("portreeve start"));
    }
}
