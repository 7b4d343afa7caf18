//! `portreeve run`, and the hidden verb by which the supervisor starts its proxies.
//!
//! Reads the configuration, sets the log up, and hands over; it does not know what is done with either.

use super::{Code, Source};
use crate::config::LogFormat;
use crate::{proxy, supervisor};

pub(super) fn run(source: &Source) -> anyhow::Result<Code> {
    let Some(loaded) = super::load(source) else { return Ok(Code::Config) };
    // What the machine lacks may be there in a moment, and concerns one app only: say it and begin.
    super::ask_the_machine(&loaded);
    let config = loaded.config;
    super::install_log(&config.log.level, config.log.format == LogFormat::Json)?;
    supervisor::run(config, supervisor::Options::default())?;
    Ok(Code::Done)
}

pub(super) fn proxy(log_level: &str, log_json: bool) -> anyhow::Result<Code> {
    super::install_log(log_level, log_json)?;
    proxy::run(crate::sys::socket::adopt(proxy::LINK)?)?;
    Ok(Code::Done)
}
