//! `[app.NAME.log]`: where the output of an app's workers goes, how its lines look, and when its files are rotated.
//!
//! Whether two apps want one file is for `conflicts`, whether a file can be written for whoever writes it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::LogFormat;
use super::defaults;
use super::fault::Fault;
use super::reader::Table;
use super::sections::FORMATS;
use super::value::{self, Value};

/// What `time = true` stands for: local time to the millisecond, with its distance from UTC.
const USUAL_TIME: &str = "%Y-%m-%dT%H:%M:%S%.3f%:z";

/// The keys that say where to.
const FILES: [&str; 3] = ["file", "out", "err"];

/// The keys that say how, and say nothing without a file.
const MANNERS: [&str; 4] = ["format", "time", "per_worker", "rotate"];

/// Where the lines that workers print go; to several places at once if so configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Takes both streams.
    pub file: Option<PathBuf>,
    /// Takes standard output.
    pub out: Option<PathBuf>,
    /// Takes standard error.
    pub err: Option<PathBuf>,
    pub format: LogFormat,
    /// What stands in front of each line of text, as strftime(3) has it; `None`: nothing.
    pub time: Option<String>,
    /// Each slot has files of its own.
    pub per_worker: bool,
    /// They also go to portreeve's own standard output.
    pub stdout: bool,
    /// `None`: something else rotates the files, or nobody.
    pub rotate: Option<Rotate>,
}

/// When a new file is begun, and what becomes of the old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// Bytes that a file may have; `None`: unlimited.
    pub size: Option<u64>,
    /// A new file is begun with each such period of the clock (UTC); `None`: never for its age.
    pub age: Option<Duration>,
    /// Old files to keep of each file.
    pub keep: u32,
    /// Old files are compressed.
    pub gzip: bool,
}

impl Output {
    /// Is any file named?
    #[must_use]
    pub fn has_files(&self) -> bool {
        self.files().next().is_some()
    }

    /// The files that are named, by their keys.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let paths = [&self.file, &self.out, &self.err];
        FILES.into_iter().zip(paths).filter_map(|(key, path)| Some((key, path.as_deref()?)))
    }
}

pub(super) fn output(table: &mut Table, base: &Path) -> Output {
    let [file, out, err] = FILES.map(|key| table.path(key, base));
    let has_files = FILES.iter().any(|key| table.has(key));
    let time = |value: Value| match value::boolean(value) {
        Ok(is_wanted) => Ok(is_wanted.then(|| USUAL_TIME.to_owned())),
        Err(_) => time_format(value).map(|format| Some(format.to_owned())),
    };
    let output = Output {
        file,
        out,
        err,
        format: table.take("format", |value| value::word(value, &FORMATS)).unwrap_or(LogFormat::Text),
        time: table.take("time", time).flatten(),
        per_worker: table.boolean("per_worker"),
        stdout: table.take("stdout", value::boolean).unwrap_or(!has_files),
        rotate: rotate(table),
    };
    if !has_files {
        warn_of_idle_keys(table);
    }
    if output.format == LogFormat::Json && output.time.is_some() {
        let fault = Fault::warning(table.span_of("time"), "`time` has no meaning for lines in JSON");
        table.report(fault.label("they have a field `time` anyway"));
    }
    output
}

fn warn_of_idle_keys(table: &Table) {
    for key in MANNERS.into_iter().filter(|key| table.has(key)) {
        let fault = Fault::warning(table.span_of(key), format!("`{key}` has no meaning without a file"));
        table.report(fault.label("of which file?").help("name one with `file`, `out` or `err`"));
    }
}

/// A format as strftime(3) has it.
fn time_format(value: Value<'_>) -> Result<&str, Fault> {
    let expected = "true, false or a format such as \"%Y-%m-%d %H:%M:%S\"";
    let text = value.str().ok_or_else(|| value.mismatch(expected))?;
    if !text.contains('%') || text.contains(char::is_control) {
        return Err(value.mismatch(expected).label("nothing in here stands for a time"));
    }
    let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    match strtime::format(text, &sample) {
        Ok(_) => Ok(text),
        Err(error) => Err(value.mismatch(expected).label(error.to_string())),
    }
}

/// `rotate`: the word `"off"`, or a table of which every key has a default.
fn rotate(table: &mut Table) -> Option<Rotate> {
    match table.value("rotate") {
        None => Some(rules(&mut table.absent("rotate"))),
        Some(value) if value.str() == Some("off") => None,
        Some(value) => Some(table.inner(value, table.dotted("rotate"), rules)),
    }
}

fn rules(table: &mut Table) -> Rotate {
    let (size, age) = (&defaults::ROTATE_SIZE, &defaults::ROTATE_AGE);
    let read_size = |value| value::unless("unlimited", value, |value| value::size(value, &size.range));
    let read_age = |value| value::unless("unlimited", value, |value| value::duration(value, age));
    Rotate {
        size: table.take("size", read_size).unwrap_or(Some(size.default)),
        age: table.take("age", read_age).flatten(),
        keep: table.count("keep", &defaults::ROTATE_KEEP),
        gzip: table.take("gzip", value::boolean).unwrap_or(true),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bad, good};
    use super::super::{Loaded, Server};
    use super::*;

    fn loaded(lines: &str) -> Loaded {
        good(&format!("[app.web]\ncommand = \"x\"\n[app.web.log]\n{lines}\n"))
    }

    fn output_of(lines: &str) -> Output {
        let app = loaded(lines).config.apps.pop_first().unwrap().1;
        let Server::Command(command) = app.server else { panic!("no command") };
        command.output
    }

    fn said_of(lines: &str) -> String {
        bad(&format!("[app.web]\ncommand = \"x\"\n[app.web.log]\n{lines}\n")).render(false)
    }

    #[test]
    fn without_a_file_lines_go_to_our_own_output_and_with_one_there_alone() {
        assert!(output_of("").stdout);
        let output = output_of("out = \"log/web.log\"");
        assert_eq!((output.out, output.stdout), (Some(PathBuf::from("/etc/portreeve/log/web.log")), false));
        assert!(output_of("err = \"e.log\"\nstdout = true").stdout);
    }

    #[test]
    fn a_file_is_rotated_unless_that_is_switched_off() {
        let usual = Rotate { size: Some(100 << 20), age: None, keep: 10, gzip: true };
        assert_eq!(output_of("file = \"a\"").rotate, Some(usual));
        assert_eq!(output_of("file = \"a\"\nrotate = \"off\"").rotate, None);
        let rotate = output_of("file = \"a\"\nrotate = { size = \"unlimited\", age = \"1d\", keep = 0, gzip = false }");
        let day = Duration::from_hours(24);
        assert_eq!(rotate.rotate, Some(Rotate { size: None, age: Some(day), keep: 0, gzip: false }));
        assert!(said_of("rotate = \"daily\"").contains("must be a table"));
    }

    #[test]
    fn a_format_of_time_is_tried_before_it_is_taken() {
        assert_eq!(output_of("file = \"a\"\ntime = true").time.as_deref(), Some(USUAL_TIME));
        assert_eq!(output_of("file = \"a\"\ntime = false").time, None);
        assert_eq!(output_of("file = \"a\"\ntime = \"%H:%M\"").time.as_deref(), Some("%H:%M"));
        assert!(said_of("time = \"YYYY\"").contains("stands for a time"));
        assert!(said_of("time = \"%Y %!\"").contains("must be true, false or a format"));
        assert!(said_of("time = 3").contains("must be true, false or a format"));
    }

    #[test]
    fn a_file_belongs_to_one_app_and_to_one_that_has_workers() {
        let web = "[app.web]\ncommand = \"x\"\n[app.web.log]\nfile = \"a.log\"\nerr = \"a.log\"\n";
        let other = |lines: &str| bad(&format!("{web}{lines}\n")).render(false);
        assert!(good(web).warnings.is_empty());
        let api = "[app.api]\npath = \"/api\"\ncommand = \"x\"\n[app.api.log]\nout";
        let said = other(&format!("{api} = \"./a.log\""));
        assert!(said.contains("a.log is written by api already"), "{said}");
        let said = other("[log]\naccess = \"a.log\"");
        assert!(said.contains("a.log is written by the access log already"), "{said}");
        let null = format!("{web}out = \"/dev/null\"\n{api} = \"/dev/null\"\n");
        assert!(good(&null).warnings.is_empty());
        let said = other("[app.api]\npath = \"/api\"\nupstream = \"127.0.0.1:1\"\nlog = { stdout = true }");
        assert!(said.contains("`log` has no meaning for an app with `upstream`"), "{said}");
    }

    #[test]
    fn manners_without_a_file_are_remarked_upon() {
        let warnings = loaded("time = true").warnings.render(false);
        assert!(warnings.contains("`time` has no meaning without a file"), "{warnings}");
        assert!(loaded("file = \"a\"\ntime = true").warnings.is_empty());
        assert!(!loaded("file = \"a\"\ntime = true\nformat = \"json\"").warnings.is_empty());
    }
}
