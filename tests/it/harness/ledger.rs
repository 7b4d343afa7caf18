//! What the workers wrote down: how often each order was handled.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The file that all workers append to.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
}

impl Ledger {
    /// Makes the file, so that workers of any user may write to it.
    pub(crate) fn create(path: PathBuf) -> Self {
        fs::write(&path, "").expect("the ledger can be made");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("our own ledger can be opened to all");
        Self { path }
    }

    /// What tells a scripted worker to use it.
    pub(crate) fn word(&self) -> String {
        format!("ledger={}", self.path.display())
    }

    /// Every order with the number of times that it was handled.
    pub(crate) fn orders(&self) -> BTreeMap<String, u32> {
        let text = fs::read_to_string(&self.path).expect("the ledger can be read");
        text.lines().fold(BTreeMap::new(), |mut orders, line| {
            *orders.entry(line.to_owned()).or_default() += 1;
            orders
        })
    }

    /// How often one order was handled.
    pub(crate) fn count(&self, id: &str) -> u32 {
        self.orders().get(id).copied().unwrap_or(0)
    }
}
