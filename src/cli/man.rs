//! `portreeve man`: manual pages from the same description that parses the command line.
//!
//! One page to standard output, or a page for each verb into a folder.

use std::path::Path;

use anyhow::Context;
use clap::Command;

use super::Code;

pub(super) fn man(command: Command, folder: Option<&Path>) -> anyhow::Result<Code> {
    match folder {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            print!("{}", String::from_utf8_lossy(&page));
        }
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            clap_mangen::generate_to(command, folder).with_context(|| folder.display().to_string())?;
        }
    }
    Ok(Code::Done)
}
