//! All there is to say of one app, put together from where it is known.
//!
//! Only reads. What is secret is masked before it gets here, or is not asked for.

use super::Supervisor;
use super::output::paths;
use super::release::Resolved;
use super::site::{Site, Supervised};
use crate::config::{self, App, Server};
use crate::control::words::{Identity, Info, Process, Refusal, RefusalKind};
use crate::id::AppName;

impl Supervisor {
    pub(super) fn info(&self, name: &AppName) -> Result<Info, Refusal> {
        self.require_known(std::slice::from_ref(name))?;
        let unknown = || Refusal::new(RefusalKind::UnknownApp, format!("{name} is just coming or going; ask again"));
        let site = self.sites.get(name).ok_or_else(unknown)?;
        let (app, resolved, status) = (site.app(), resolved(site), self.status());
        Ok(Info {
            app: self.whole(name, site),
            listeners: status.listeners.into_iter().filter(|listener| listener.app.as_ref() == Some(name)).collect(),
            config: self.config.path.clone(),
            process: resolved.map(process),
            logs: logs(app, site),
            changes: self.reloads.past.of(name),
            settings: config::settings(app),
            variables: resolved.map_or_else(|| declared(app), given),
        })
    }
}

/// What the generation that serves runs, or the one before it.
fn resolved(site: &Site) -> Option<&Resolved> {
    let Site::Supervised(supervised) = site else { return None };
    let live = site.live_generation().and_then(|generation| supervised.releases.get(generation));
    live.or_else(|| supervised.releases.values().next_back())?.resolved()
}

fn process(resolved: &Resolved) -> Process {
    let words: Vec<String> = resolved.args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    Process {
        program: resolved.program.clone(),
        words: config::shown_words(&words),
        directory: resolved.directory.clone(),
        identity: resolved.identity.as_ref().map(|identity| Identity {
            user: identity.name.clone(),
            uid: identity.uid,
            gid: identity.gid,
        }),
    }
}

fn given(resolved: &Resolved) -> Vec<String> {
    resolved.values.iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
}

/// The same where nothing was read yet: without those that stand in files.
fn declared(app: &App) -> Vec<String> {
    let Server::Command(command) = &app.server else { return Vec::new() };
    let environment = &command.environment;
    let mut names: Vec<_> = environment.variables.keys().chain(environment.secrets.keys()).cloned().collect();
    names.sort();
    names
}

fn logs(app: &App, site: &Site) -> Vec<std::path::PathBuf> {
    let Server::Command(command) = &app.server else { return Vec::new() };
    let running = match site {
        Site::Supervised(site) => slots(site),
        Site::Fixed(_) => 0,
    };
    paths(&command.output, running.max(command.workers.map_or(1, std::num::NonZeroU32::get)))
}

/// One more than the highest slot that there is.
pub(super) fn slots(site: &Supervised) -> u32 {
    site.workers.values().map(|worker| worker.id.slot.0 + 1).max().unwrap_or(0)
}
