//! Connections that do nothing, for measuring what each of them costs.

use tokio::io::AsyncReadExt;

use crate::Result;
use crate::connection::Target;
use crate::http::{GET, exchange};
use crate::report::Report;

/// Opens connections one after the other, makes one request on each, reports, and holds them until stdin closes.
pub(crate) async fn run(target: Target, count: usize) -> Result<()> {
    let mut held = Vec::with_capacity(count);
    let mut buffer = Vec::new();
    for _ in 0..count {
        let Ok(mut stream) = target.connect().await else { continue };
        if exchange(&mut *stream, GET, &mut buffer).await.is_ok() {
            held.push(stream);
        }
    }
    let failed = count - held.len();
    Report::default().number("count", held.len() as u64).number("failed", failed as u64).print();
    let _ = tokio::io::stdin().read(&mut [0]).await?;
    Ok(())
}
