//! `portreeve stop`.

use super::{Code, Target, block_on};

pub(super) fn stop(target: &Target) -> anyhow::Result<Code> {
    let client = target.client()?;
    block_on(client.stop())??;
    println!("stopping");
    Ok(Code::Done)
}
