//! What a service manager is to be told, whichever it is.
//!
//! Pure but for who asks.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::Config;
use crate::sys::process;

/// A portreeve that a service manager starts.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) program: PathBuf,
    /// `None`: the list of apps.
    pub(super) config: Option<PathBuf>,
    pub(super) variables: Vec<(String, String)>,
    /// Addresses that the service manager may open for it.
    pub(super) listens: Vec<SocketAddr>,
    pub(super) is_root: bool,
    /// Does the service manager keep descriptors, so that what lives outlives a supervisor that is killed?
    pub(super) keeps_descriptors: bool,
}

impl Service {
    pub(super) fn bare(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            program: PathBuf::new(),
            config: None,
            variables: Vec::new(),
            listens: Vec::new(),
            is_root: process::is_root(),
            keeps_descriptors: false,
        }
    }

    /// The words behind the program that make it serve.
    pub(super) fn serving(&self) -> Vec<String> {
        self.words("run", &["--list"])
    }

    /// The words behind the program that make it reload.
    pub(super) fn reloading(&self) -> Vec<String> {
        self.words("reload", &[])
    }

    fn words(&self, verb: &str, otherwise: &[&str]) -> Vec<String> {
        let config = self.config.as_ref().map(|file| vec!["-c".to_owned(), file.display().to_string()]);
        let rest = config.unwrap_or_else(|| otherwise.iter().map(ToString::to_string).collect());
        std::iter::once(verb.to_owned()).chain(rest).collect()
    }
}

/// Every address of a configuration that is known beforehand.
pub(super) fn addresses(config: &Config) -> Vec<SocketAddr> {
    let own = config.apps.values().filter(|app| app.enabled).flat_map(|app| &app.ports);
    let all = config.listen.http.iter().chain(&config.listen.https).chain(own);
    all.copied().filter(|address| address.port() != 0).collect()
}
