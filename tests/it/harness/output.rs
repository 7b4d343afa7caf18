//! What a portreeve wrote, to its two files.

use std::path::{Path, PathBuf};

use super::poll::{SOON, until};

/// Lines that a failed test shows of each file.
const SHOWN: usize = 80;

/// The two files.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    folder: PathBuf,
}

impl Output {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// What the workers wrote.
    pub(crate) fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// What portreeve itself wrote.
    pub(crate) fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// Waits for a line of the workers' output that holds all these texts.
    #[track_caller]
    pub(crate) fn line(&self, texts: &[&str]) -> String {
        until(SOON, &format!("a line with {texts:?}"), || {
            let all = self.stdout();
            all.lines().find(|line| texts.iter().all(|text| line.contains(text))).map(str::to_owned)
        })
    }

    /// Shows the ends of both files to whoever reads why a test failed.
    pub(super) fn show(&self) {
        for name in ["stdout", "stderr"] {
            let text = self.read(name);
            let lines: Vec<_> = text.lines().collect();
            eprintln!("--- portreeve's {name}, last lines of {}", lines.len());
            lines.iter().rev().take(SHOWN).rev().for_each(|line| eprintln!("{line}"));
        }
    }

    fn read(&self, name: &str) -> String {
        // Before it is started there is nothing to read.
        let bytes = std::fs::read(self.folder.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
