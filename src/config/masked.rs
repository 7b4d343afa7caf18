//! What looks like a secret, and a text of the configuration with the secrets in it made unreadable.
//!
//! Pure. Excerpts of the file are shown with faults, also of a file that is no TOML, so this goes by the look of a line:
//! a name that says what it is, an equals sign, and everything behind it. Invariant: every character keeps its place and
//! its number of bytes, so places in the text stay true.

/// Stands for a value that is not shown.
pub(super) const HIDDEN: &str = "(hidden)";

/// Parts of names that say that the value is nobody's business, in upper case.
const TELLING: [&str; 11] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "CREDENTIAL",
    "APIKEY",
    "API_KEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "_AUTH",
];

/// Is this a variable whose value should not be shown?
pub(super) fn looks_secret(name: &str, value: &str) -> bool {
    is_telling(name) || has_password(value)
}

fn is_telling(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    // Keys of portreeve itself, which hold no secret.
    if matches!(name, "secrets" | "credential") {
        return false;
    }
    TELLING.iter().any(|part| upper.contains(part))
        || name.ends_with("_KEY")
        || name.ends_with("_PASS")
        || name == "PASS"
}

/// A URL with somebody's password: `scheme://user:password@host`.
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '"', '\'', ' ', '\n']).next().unwrap_or("");
    authority.split_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// The text with an asterisk for each byte of what may be a secret.
pub(super) fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    // The three quotes that end a value of several lines.
    let mut open: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let from = match open {
            Some(_) => Some(0),
            None => secret_part(line),
        };
        let Some(from) = from else {
            masked.push_str(line);
            continue;
        };
        masked.push_str(&line[..from]);
        masked.extend(
            line[from..].chars().map(|c| if c == '\n' || c == '\r' { c.to_string() } else { "*".repeat(c.len_utf8()) }),
        );
        open = still_open(&line[from..], open);
    }
    masked
}

/// Where in a line something begins that nobody is to read.
fn secret_part(line: &str) -> Option<usize> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'');
    for (at, _) in line.match_indices('=') {
        let before = line[..at].trim_end();
        let start = before.rfind(|c: char| !is_name(c)).map_or(0, |last| before.ceil_char_boundary(last + 1));
        let name = before[start..].trim_matches(['"', '\'']);
        let name = name.rsplit('.').next().unwrap_or(name);
        if is_telling(name) || has_password(&line[at + 1..]) {
            return Some(at + 1);
        }
    }
    None
}

/// Does a value of several lines go on behind this line?
fn still_open<'a>(shown: &str, open: Option<&'a str>) -> Option<&'a str> {
    let count = |quotes: &str| shown.matches(quotes).count();
    match open {
        Some(quotes) => (count(quotes) % 2 == 0).then_some(quotes),
        None => ["\"\"\"", "'''"].into_iter().find(|quotes| count(quotes) % 2 == 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_told_by_its_name_or_its_look() {
        for (name, value, secret) in [
            ("DB_PASSWORD", "x", true),
            ("GITHUB_TOKEN", "x", true),
            ("Api_Key", "x", true),
            ("STRIPE_KEY", "x", true),
            ("DATABASE_URL", "postgres://app:hunter2@db/app", true),
            ("DATABASE_URL", "postgres://db/app", false),
            ("HOME", "/root", false),
            ("KEYBOARD", "de", false),
            ("URL", "http://a/b@c:d", false),
        ] {
            assert_eq!(looks_secret(name, value), secret, "{name}={value}");
        }
    }

    #[test]
    fn secrets_are_masked_and_nothing_moves() {
        for text in [
            "DB_PASSWORD = \"hunter2\"\n",
            "env = { A = \"b\", DB_PASSWORD = \"hunter2\" }",
            "env.DB_PASSWORD = hunter2",
            "\"API_TOKEN\" = 'hunter2'",
            "DATABASE_URL = \"postgres://app:hunter2@db\"",
            "SECRET = \"\"\"\nhunter2\nhunter2\"\"\"\nnext = 1",
            "command = \"API_KEY=hunter2 node x\"",
            "A_TOKEN = \"é hunter2\"",
        ] {
            let shown = masked(text);
            assert!(!shown.contains("hunter2"), "{shown}");
            assert_eq!(shown.len(), text.len());
            assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
            assert!(!text.contains("next") || shown.ends_with("next = 1"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for text in [
            "[tls]\ncert = \"a.pem\"\nkey = \"a.key\"\n",
            "retry = { idempotency_key = true }",
            "secrets = { credential = 3 }",
            "keepalive = \"4s\"",
            "command = \"node x\"",
        ] {
            assert_eq!(masked(text), text);
        }
    }
}
