//! `name`, `script`, `args`, `cwd` and the interpreter: what is run, and where.
//!
//! PM2 chooses the interpreter by the ending of the script's name, and hands a script with a space in it to a shell.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::draft::list;
use super::{Look, Translation};
use crate::id::AppName;

/// What runs a script, by the ending of its name.
const INTERPRETERS: &[(&str, &str)] = &[
    ("js", "node"),
    ("cjs", "node"),
    ("mjs", "node"),
    ("ts", "node"),
    ("tsx", "node"),
    ("py", "python3"),
    ("rb", "ruby"),
    ("php", "php"),
    ("pl", "perl"),
    ("sh", "bash"),
    ("coffee", "coffee"),
    ("ls", "lsc"),
];

/// What only a shell understands, or would change.
const OF_SHELLS: &[char] =
    &['|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', '*', '?', '[', ']', '#', '~', '{', '}', '!', '\n'];

/// The app's name; PM2 takes any text, and the same one twice.
pub(super) fn name(app: &mut Translation, taken: &mut BTreeSet<AppName>) -> AppName {
    let script = app.record.take("script").map(|script| super::record::text(&script)).unwrap_or_default();
    let prefix = app.record.text("name_prefix").unwrap_or_default();
    let given = app.record.text("name");
    let stem = || Path::new(&script).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut wanted = prefix + &given.clone().unwrap_or_else(stem);
    if app.record.flag("append_env_to_name") == Some(true)
        && let Some(profile) = &app.around.options.profile
    {
        wanted = format!("{wanted}-{profile}");
    }
    let name = free(&plain(&wanted), taken);
    if name.as_str() != wanted && given.is_some() {
        app.remark("name", format!("\"{wanted}\" is called {name}: names have a-z A-Z 0-9 _ - and stand for one app"));
    }
    taken.insert(name.clone());
    app.script = script;
    name
}

/// The text in the alphabet of names.
fn plain(wanted: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '-' };
    let text: String = wanted.chars().map(allowed).take(56).collect();
    let text = text.trim_start_matches(['-', '_']).trim_end_matches('-');
    if text.is_empty() { "app".to_owned() } else { text.to_owned() }
}

fn free(wanted: &str, taken: &BTreeSet<AppName>) -> AppName {
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(numbered).filter_map(|name| name.parse().ok());
    names.find(|name| !taken.contains(name)).expect("a plain text with a number behind it is a name, and numbers go on")
}

pub(super) fn translate(app: &mut Translation) {
    directory(app);
    let script = std::mem::take(&mut app.script);
    let interpreter = app.record.text("interpreter");
    let node_args = app.record.words("node_args");
    let args = app.record.words("args");
    if script.contains(char::is_whitespace) {
        return line(app, &script, interpreter.is_some() || !node_args.is_empty() || !args.is_empty());
    }
    let path = app.directory.join(&script);
    let look = (app.around.look)(&path);
    let mut words = match interpreter.as_deref() {
        Some("none") => Vec::new(),
        Some(interpreter) => vec![versioned(app, interpreter)],
        None => chosen(app, &path, look),
    };
    app.traits.is_node = words.first().is_some_and(|word| Path::new(word).ends_with("node"));
    words.extend(node_args);
    words.push(if words.is_empty() { program(&script, look) } else { script });
    words.extend(args);
    // A NUL can be in no command line, and an empty first word names no program.
    let words: Vec<String> = words.into_iter().map(|word| word.replace('\0', "")).collect();
    if words.first().is_some_and(|program| !program.is_empty()) {
        app.draft.set("command", command(&words));
    } else {
        app.remark("script", "is empty");
        app.draft.set("command", "node server.js");
    }
}

/// A line for a shell, as PM2 takes a script with spaces; without a shell where none is needed.
fn line(app: &mut Translation, script: &str, has_more: bool) {
    let script = script.replace('\0', "");
    if has_more {
        app.remark("args", "PM2 gives neither `args` nor an interpreter to a `script` with spaces in it");
    }
    if script.trim().is_empty() {
        app.remark("script", "is empty");
        return app.draft.set("command", "node server.js");
    }
    let is_plain = !script.contains(OF_SHELLS) && !script.split_whitespace().next().unwrap_or("=").contains('=');
    let words: Vec<&str> = script.split_whitespace().collect();
    app.traits.is_node = is_plain && words.first() == Some(&"node");
    app.draft.set("command", if is_plain { words.join(" ") } else { script });
    if !is_plain {
        app.draft.set("shell", true);
    }
}

/// One text where it reads back as these words, else a list.
fn command(words: &[String]) -> toml_edit::Value {
    let is_plain = |word: &String| !word.is_empty() && !word.contains(OF_SHELLS) && !word.contains(char::is_whitespace);
    if words.iter().all(is_plain) && !words[0].contains('=') { words.join(" ").into() } else { list(words) }
}

/// What PM2 would run the script with; nothing for a program.
fn chosen(app: &mut Translation, path: &Path, look: Look) -> Vec<String> {
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    if let Some((_, interpreter)) = INTERPRETERS.iter().find(|(known, _)| *known == ending) {
        if ending == "ts" || ending == "tsx" {
            app.remark("script", "PM2 runs TypeScript with bun where that is installed; node needs 22.6 or newer");
        }
        if *interpreter == "python3" {
            app.draft.within("env", "PYTHONUNBUFFERED", "1");
        }
        return vec![(*interpreter).to_owned()];
    }
    match look {
        Look::Text if ending.is_empty() => vec!["node".to_owned()],
        _ => Vec::new(),
    }
}

/// A program in the app's directory needs a slash in its name, else it is looked up in PATH, as PM2 does if it is missing.
fn program(script: &str, look: Look) -> String {
    if look == Look::Missing || script.contains('/') { script.to_owned() } else { format!("./{script}") }
}

/// `node@18.1.0` is an installation by nvm.
fn versioned(app: &mut Translation, interpreter: &str) -> String {
    match interpreter.split_once('@') {
        Some((name @ "node", version)) => {
            app.remark("interpreter", format!("no version is installed: name the `{name}` of {version} by its path"));
            name.to_owned()
        }
        _ => interpreter.to_owned(),
    }
}

/// Set unless it is the folder of the file, which is the default.
fn directory(app: &mut Translation) {
    if let Some(cwd) = app.record.text("cwd") {
        app.directory = app.around.folder.join(cwd.replace('\0', "")).components().collect();
    }
    let folder = app.relative(&app.directory.clone());
    if folder != "." {
        app.draft.set("directory", folder);
    }
}
