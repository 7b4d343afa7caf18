//! `[app.NAME.deploy]`: what keeps a bad build from hurting.
//!
//! Values; what follows from them is decided in `lifecycle::trial`.

use std::time::Duration;

use super::defaults;
use super::fault::Fault;
use super::reader::Table;
use super::value;

/// How a new generation of an app comes into service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deploy {
    /// So long a new generation is watched once it serves; zero: it is not.
    pub bake: Duration,
    /// So long the one before it is kept running, beginning at the same moment; zero: it leaves at once.
    pub retain: Duration,
}

pub(super) fn deploy(table: &mut Table) -> Deploy {
    let bake = table.duration("bake", &defaults::BAKE);
    let retain = table.take("retain", |value| value::duration(value, &defaults::BAKE.range)).unwrap_or(bake);
    if retain < bake {
        let fault = Fault::error(table.span_of("retain"), "`retain` is shorter than `bake`");
        let fault = fault.label("nobody would be there to go back to");
        let fault = fault.related(table.span_of("bake"), "watched for so long");
        table.report(fault.help("leave `retain` out, and it is as long as `bake`"));
    }
    Deploy { bake, retain }
}
