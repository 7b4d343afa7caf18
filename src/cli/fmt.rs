//! `portreeve fmt`: a configuration in the usual form, its comments kept.
//!
//! The file is replaced in one step and keeps its permissions; one that is no TOML is left as it is.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

use super::Code;
use crate::config;

pub(super) fn fmt(path: &Path, only_check: bool) -> anyhow::Result<Code> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let formatted = match config::format(&text) {
        Ok(formatted) => formatted,
        Err(error) => {
            eprintln!("portreeve: {}: {error}", path.display());
            return Ok(Code::Config);
        }
    };
    if formatted == text {
        return Ok(Code::Done);
    }
    if only_check {
        println!("{}: `portreeve fmt` would change it", path.display());
        return Ok(Code::Aborted);
    }
    replace(path, &formatted).with_context(|| path.display().to_string())?;
    println!("{}: formatted", path.display());
    Ok(Code::Done)
}

fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(path)?;
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(())
}
