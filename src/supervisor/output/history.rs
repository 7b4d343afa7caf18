//! What the log files of an app held before our time, so that people who ask for its last lines get some.
//!
//! Reads the ends of files that may be large, and changes nothing. What cannot be read is left out: it is only history.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Stream;
use super::files::of_slot;
use super::line::take_lines;
use crate::config::{LogFormat, Output};
use crate::id::Slot;

/// Bytes that are read from the end of each file.
const READ_BYTES: u64 = 64 * 1024;

/// Lines taken from each file.
const TAKEN_LINES: usize = 200;

/// What we have written in the format `json`.
#[derive(Deserialize)]
struct Written {
    stream: Stream,
    line: String,
}

/// The last lines in the files of an app with so many workers, those of one file after those of another: lines of text
/// do not say when they were written.
pub(in crate::supervisor) fn history(output: &Output, workers: u32) -> Vec<(Stream, String)> {
    let own = [(Stream::Stdout, &output.out), (Stream::Stderr, &output.err)];
    let mut files: Vec<(Stream, PathBuf)> =
        own.into_iter().filter_map(|(stream, path)| Some((stream, path.clone()?))).collect();
    if files.is_empty() {
        files.extend(output.file.clone().map(|path| (Stream::Stdout, path)));
    }
    if output.per_worker {
        let each = |slot| files.iter().map(move |(stream, path)| (*stream, of_slot(path, Slot(slot))));
        files = (0..workers).flat_map(each).collect();
    }
    files.iter().flat_map(|(stream, path)| read(*stream, path, output.format)).collect()
}

fn read(stream: Stream, path: &Path, format: LogFormat) -> Vec<(Stream, String)> {
    let lines = end_of(path).unwrap_or_default();
    let latest = lines.into_iter().rev().take(TAKEN_LINES).rev();
    match format {
        LogFormat::Text => latest.map(|line| (stream, line)).collect(),
        LogFormat::Json => {
            let written = latest.filter_map(|line| serde_json::from_str::<Written>(&line).ok());
            written.map(|written| (written.stream, written.line)).collect()
        }
    }
}

/// The whole lines at the end of a regular file.
fn end_of(path: &Path) -> std::io::Result<Vec<String>> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        return Ok(Vec::new());
    }
    let mut file = File::open(path)?;
    let start = found.len().saturating_sub(READ_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(READ_BYTES).read_to_end(&mut bytes)?;
    if start > 0 {
        // The first one is most likely the rest of a line.
        let begin = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.drain(..begin);
    }
    Ok(take_lines(&mut bytes, true))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::files::tests::one_file;
    use super::*;

    #[test]
    fn the_end_of_a_large_file_is_read_in_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<_> = (0..100_000).map(|n| format!("line {n}")).collect();
        fs::write(folder.path().join("all.log"), lines.join("\n")).unwrap();
        let lines = history(&one_file(folder.path()), 1);
        assert_eq!(lines.len(), TAKEN_LINES);
        assert_eq!(lines.last().unwrap().1, "line 99999");
        assert_eq!(lines[0].1, format!("line {}", 100_000 - TAKEN_LINES));
    }

    #[test]
    fn files_of_one_stream_each_are_read_instead_of_the_common_one_and_of_every_slot() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, text) in [("all-0.log", "no\n"), ("out-0.log", "a\n"), ("out-1.log", "b\n"), ("err-1.log", "c\n")] {
            fs::write(at(name), text).unwrap();
        }
        let own =
            Output { out: Some(at("out.log")), err: Some(at("err.log")), per_worker: true, ..one_file(folder.path()) };
        let lines = history(&own, 2);
        let expected = [(Stream::Stdout, "a"), (Stream::Stdout, "b"), (Stream::Stderr, "c")];
        assert_eq!(lines, expected.map(|(stream, line)| (stream, line.to_owned())));
    }

    #[test]
    fn json_lines_are_understood_and_what_cannot_be_read_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let json = Output { format: LogFormat::Json, ..one_file(folder.path()) };
        assert_eq!(history(&json, 1), []);
        let text =
            "{\"time\":\"t\",\"app\":\"web\",\"generation\":1,\"slot\":0,\"stream\":\"stderr\",\"line\":\"x\"}\ntorn {";
        fs::write(folder.path().join("all.log"), text).unwrap();
        assert_eq!(history(&json, 1), [(Stream::Stderr, "x".to_owned())]);
        fs::remove_file(folder.path().join("all.log")).unwrap();
        fs::create_dir(folder.path().join("all.log")).unwrap();
        assert_eq!(history(&json, 1), []);
    }
}
