//! `portreeve stop`: asks the supervisor to finish and go.
//!
//! Returns when the end has begun; the supervisor's own end is its process's.

use super::{Code, Target, block_on};

pub(super) fn stop(target: &Target) -> anyhow::Result<Code> {
    let client = target.client()?;
    block_on(client.stop())??;
    println!("stopping");
    Ok(Code::Done)
}
