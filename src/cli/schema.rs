//! `portreeve schema`: the form of the configuration as a JSON Schema, for editors.
//!
//! Only prints it; what is in it is known by the configuration alone.

use super::Code;
use crate::config;

pub(super) fn schema() -> anyhow::Result<Code> {
    println!("{}", serde_json::to_string_pretty(&config::schema())?);
    Ok(Code::Done)
}
