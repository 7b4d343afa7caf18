//! The keys about variables, the files that they name, and what is never shown.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::testing::{bad, good};
use super::{Environment, Inherit, Loaded, Problems, SecretSource, Server, load_with, verify};

const SECRET: &str = "hunter2-and-more";

fn of(loaded: Loaded) -> Environment {
    let app = loaded.config.apps.into_values().next().expect("there is an app");
    let Server::Command(command) = app.server else { panic!("it has a command") };
    command.environment
}

fn text(lines: &str) -> String {
    format!("[app.web]\ncommand = \"sh x\"\n{lines}\n")
}

fn environment(lines: &str) -> Environment {
    of(good(&text(lines)))
}

/// Everything that is said of these lines, as one text.
fn fault(lines: &str) -> String {
    let problems = bad(&text(lines));
    assert_eq!(problems.problems().len(), 1, "{problems}");
    problems.to_string()
}

/// A folder with these files, each with its mode.
fn folder(files: &[(&str, &str, u32)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, mode) in files {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
    }
    folder
}

fn load(folder: &TempDir, lines: &str, profile: Option<&str>) -> Result<Loaded, Problems> {
    let path = folder.path().join("portreeve.toml");
    fs::write(&path, text(lines)).unwrap();
    load_with(&path, profile)
}

/// The variables of these lines in that folder, or what is wrong.
fn read(folder: &TempDir, lines: &str, credentials: Option<&Path>) -> Result<Vec<(String, String)>, String> {
    let environment = of(load(folder, lines, None).unwrap_or_else(|bad| panic!("{bad}")));
    let (values, _) = environment.read(credentials)?;
    let shown = values.iter().map(|(name, value)| (name.display().to_string(), value.display().to_string()));
    Ok(shown.collect())
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

#[test]
fn the_defaults_are_those_of_pm2() {
    let environment = environment("");
    assert_eq!(environment.inherit, Inherit::All);
    assert_eq!((environment.instance_var.as_str(), environment.increment_var), ("NODE_APP_INSTANCE", None));
}

#[test]
fn a_profile_lies_on_top_of_what_is_always_so() {
    let folder = folder(&[]);
    let lines = "[app.web.env]\nA = 'base'\nB = 'base'\n[app.web.env.production]\nB = 'high'\nC = 'new'\n\
                 [app.api]\npath = '/api'\ncommand = 'x'\nenv.B = 'other'";
    let variables = |profile| of(load(&folder, lines, profile).unwrap()).variables.into_iter().collect::<Vec<_>>();
    // The first app is `api`, which has no such profile.
    assert_eq!(variables(Some("production")), pairs([("B", "other")]));
    let mut loaded = load(&folder, lines, Some("production")).unwrap();
    assert_eq!(loaded.config.profile.as_deref(), Some("production"));
    loaded.config.apps.pop_first();
    assert_eq!(
        of(loaded).variables.into_iter().collect::<Vec<_>>(),
        pairs([("A", "base"), ("B", "high"), ("C", "new")])
    );
    let problem = load(&folder, lines, Some("prodution")).unwrap_err().to_string();
    assert!(problem.contains("no app has a profile `prodution`") && problem.contains("`production`?"), "{problem}");
}

#[test]
fn bad_keys_are_said_with_their_place() {
    for (lines, place, words) in [
        ("env = { 'a b' = {} }", "3:9", "profile has letters"),
        ("env = { p = { A = 1 } }", "3:19", "`A` must be a text"),
        ("env = { p = { PORT = '1' } }", "3:15", "`PORT` is set by portreeve"),
        ("env = { NODE_APP_INSTANCE = '1' }", "3:9", "is set by portreeve"),
        ("instance_var = 'PORT'", "3:16", "is set by portreeve"),
        ("instance_var = 'A=B'", "3:16", "name of a variable"),
        ("increment_var = 'N'\nenv = { N = 'x' }", "3:17", "no number"),
        ("inherit_env = 'PATH'", "3:15", "a list of names such as"),
        ("filter_env = true", "3:1", "inherit_env"),
        ("env_production = { A = 'b' }", "3:1", "[app.NAME.env.production]"),
        ("env_file = ''", "3:12", "`env_file` is empty"),
        ("env_file = { path = '.env', optinal = true }", "3:29", "`optional`?"),
        ("env_file = [{ optional = true }]", "3:13", "needs `path`"),
        ("secrets = { A = { file = 'a', credential = 'b' } }", "3:44", "not both"),
        ("secrets = { A = {} }", "3:17", "needs `file` or `credential`"),
        ("secrets = { A = { credential = '../b' } }", "3:32", "{ file = ... }"),
        ("secrets = { A = { file = 'a', as = 'path' } }", "3:36", "\"file\""),
        ("secrets = { A = 'a' }\nenv = { A = 'b' }", "3:11", "is a secret"),
        ("secrets = { PORT = 'a' }", "3:13", "is set by portreeve"),
    ] {
        let said = fault(lines);
        assert!(said.contains(&format!(":{place}:")) && said.contains(words), "{lines}\n{said}");
    }
}

#[test]
fn another_name_for_the_number_frees_the_usual_one() {
    let environment = environment("instance_var = 'APP_ID'\nenv = { NODE_APP_INSTANCE = 'mine' }");
    assert_eq!(environment.instance_var, "APP_ID");
    assert!(fault("instance_var = 'APP_ID'\nenv = { APP_ID = '1' }").contains("`APP_ID` is set by portreeve"));
}

#[test]
fn to_increment_port_is_what_is_done_anyway() {
    let loaded = good(&text("increment_var = 'PORT'"));
    assert!(loaded.warnings.to_string().contains("PORT of its own"), "{}", loaded.warnings);
    assert_eq!(of(loaded).increment_var, None);
}

#[test]
fn later_files_win_over_earlier_ones_and_the_configuration_over_all() {
    let folder = folder(&[(".env", "A=1\nB=1\nC=1\n", 0o600), ("local.env", "B=2\nC=2\n", 0o600)]);
    let lines =
        "env_file = ['.env', 'local.env', 'none.env?', { path = 'no.env', optional = true }]\nenv = { C = '3' }";
    assert_eq!(read(&folder, lines, None), Ok(pairs([("A", "1"), ("B", "2"), ("C", "3")])));
    let error = read(&folder, "env_file = 'none.env'", None).unwrap_err();
    assert!(error.contains("none.env: No such file"), "{error}");
}

#[test]
fn a_bad_file_is_said_with_line_and_column_and_without_what_it_holds() {
    let bad = format!("A=1\n{SECRET}\n");
    let unclosed = format!("B=\"{SECRET}\n");
    let folder = folder(&[("bad.env", &bad, 0o600), ("open.env", &unclosed, 0o600)]);
    for (name, place) in [("bad.env", "bad.env:2:17: "), ("open.env", "open.env:1:3: ")] {
        let lines = format!("env_file = '{name}'");
        let error = read(&folder, &lines, None).unwrap_err();
        assert!(error.contains(place) && !error.contains(SECRET), "{error}");
        let problems = verify(&load(&folder, &lines, None).unwrap());
        assert!(problems.has_errors() && problems.to_string().contains(place), "{problems}");
        assert!(problems.to_string().contains("portreeve.toml:3:12: "), "{problems}");
    }
}

#[test]
fn a_port_in_a_file_is_left_out_with_a_word() {
    let folder = folder(&[(".env", "PORT=3000\nA=1\nPORTREEVE_SLOT=9\n", 0o600)]);
    assert_eq!(read(&folder, "env_file = '.env'", None), Ok(pairs([("A", "1")])));
    let problems = verify(&load(&folder, "env_file = '.env'", None).unwrap());
    assert!(!problems.has_errors() && problems.to_string().contains(".env:1: PORT is left out"), "{problems}");
}

#[test]
fn a_secret_is_what_its_file_holds_or_where_it_is() {
    let folder = folder(&[("db", &format!("{SECRET}\n"), 0o600), ("two", "a\nb\n\n", 0o600), ("nul", "a\0b", 0o600)]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!(read(&folder, "secrets.DB = 'db'", None), Ok(pairs([("DB", SECRET)])));
    assert_eq!(read(&folder, "secrets.DB = 'two'", None), Ok(pairs([("DB", "a\nb\n")])), "the last line break alone");
    let as_file = "secrets.DB = { file = 'nul', as = 'file' }";
    assert_eq!(read(&folder, as_file, None), Ok(pairs([("DB", &path("nul"))])));
    let error = read(&folder, "secrets.DB = 'nul'", None).unwrap_err();
    assert!(error.starts_with("secret DB: ") && error.contains("as = \"file\""), "{error}");
    let error = read(&folder, "secrets.DB = 'none'", None).unwrap_err();
    assert!(error.contains(&path("none")), "{error}");
    assert!(read(&folder, "secrets.DB = '/dev/zero'", None).unwrap_err().contains("not a file"));
}

#[test]
fn a_credential_is_found_where_the_service_manager_puts_it() {
    let folder = folder(&[("db", SECRET, 0o400)]);
    let lines = "secrets.DB = { credential = 'db' }";
    assert_eq!(environment(lines).secrets["DB"].source, SecretSource::Credential("db".to_owned()));
    assert_eq!(read(&folder, lines, Some(folder.path())), Ok(pairs([("DB", SECRET)])));
    assert!(read(&folder, lines, None).unwrap_err().contains("CREDENTIALS_DIRECTORY is not set"));
    assert!(verify(&load(&folder, lines, None).unwrap()).is_empty(), "that cannot be known here");
}

#[test]
fn a_secret_that_everybody_can_read_is_a_warning() {
    let folder = folder(&[("db", SECRET, 0o644)]);
    let problems = verify(&load(&folder, "secrets.DB = 'db'", None).unwrap());
    assert!(!problems.has_errors() && problems.to_string().contains("chmod 600"), "{problems}");
    let environment = of(load(&folder, "secrets.DB = 'db'", None).unwrap());
    assert_eq!(environment.read(None).unwrap().1.len(), 1, "it is also said when it is read");
}

#[test]
fn what_looks_secret_is_in_no_excerpt_and_no_debug_output() {
    for lines in [
        format!("env = {{ API_TOKEN = '{SECRET}', PORT = '1' }}"),
        format!("env.DB_PASSWORD = {SECRET}"),
        format!("env = {{ DATABASE_URL = 'postgres://app:{SECRET}@db/x', A = 1 }}"),
        format!("command = 'API_KEY={SECRET} node x'"),
    ] {
        let problems = bad(&text(&lines));
        for shown in [problems.render(true), problems.render(false), problems.to_string(), format!("{problems}")] {
            assert!(!shown.contains(SECRET), "{shown}");
        }
    }
    let folder = folder(&[("db", SECRET, 0o600)]);
    let environment = of(load(&folder, &format!("secrets.DB = 'db'\nenv.API_TOKEN = '{SECRET}'"), None).unwrap());
    let values = environment.read(None).unwrap();
    for shown in [format!("{environment:?}"), format!("{values:?}")] {
        assert!(!shown.contains(SECRET) && shown.contains("DB"), "{shown}");
    }
}
