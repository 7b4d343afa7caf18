//! Starting one proxy: its process with the listening sockets, and the link to it.
//!
//! Says what happened and decides nothing. Invariant: what the steps made before one failed is undone by being dropped.

use std::os::fd::{AsFd, OwnedFd};

use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::{MARK, Recipe};
use crate::link::{self, FromProxy, Manifest, ManifestEntry, ToProxy, codec};
use crate::supervisor::effects::Linked;
use crate::supervisor::event::Event;
use crate::supervisor::launch::Starter;
use crate::supervisor::listeners::Listeners;
use crate::supervisor::process::Process;
use crate::sys::socket;
use crate::sys::spawn::{self, Child, Exit, Spawn, Stdio};

/// Messages that may wait for one proxy.
const QUEUED_MESSAGES: usize = 256;

/// Starts a proxy and tells it what it has inherited.
///
/// # Errors
/// A sentence that names the step that failed.
pub(in crate::supervisor) fn start(
    starter: &Starter,
    number: u64,
    recipe: &Recipe,
    listeners: &Listeners,
) -> Result<Linked, String> {
    let failed = |error| format!("make the link: {error}");
    let ((near, far), (relink, far_relink)) = (socket::pair().map_err(failed)?, socket::pair().map_err(failed)?);
    let (manifest, sockets) = manifest(recipe, listeners).map_err(|error| format!("copy a listener: {error}"))?;
    let child = spawn::spawn(program(recipe, number, [far, far_relink], sockets)).map_err(|error| error.to_string())?;
    let to = connect(starter, number, near).map_err(|error| format!("open the link: {error}"))?;
    // It is the first of all, so there is room for it.
    let _ = to.try_send(ToProxy::Manifest(manifest));
    Ok(Linked { process: watch(starter, number, child), to, relink: Some(relink) })
}

/// Waits for its end, and tells of it.
pub(super) fn watch(starter: &Starter, number: u64, child: Child) -> Process {
    let events = starter.events.clone();
    Process::watch(child, &starter.tasks, async move |exit: Exit| {
        let _ = events.send(Event::ProxyExited { proxy: number, exit }).await;
    })
}

pub(super) fn connect(starter: &Starter, number: u64, near: OwnedFd) -> std::io::Result<mpsc::Sender<ToProxy>> {
    let stream = std::os::unix::net::UnixStream::from(near);
    stream.set_nonblocking(true)?;
    let (mut reader, mut writer) = UnixStream::from_std(stream)?.into_split();
    let (to, mut queue) = mpsc::channel::<ToProxy>(QUEUED_MESSAGES);
    starter.tasks.spawn(async move {
        while let Some(message) = queue.recv().await {
            if let Err(error) = codec::write(&mut writer, &message).await {
                return tracing::debug!(proxy = number, %error, "link");
            }
        }
    });
    let events = starter.events.clone();
    starter.tasks.spawn(async move {
        loop {
            match codec::read::<FromProxy>(&mut reader).await {
                Ok(Some(message)) => drop(events.send(Event::Said { proxy: number, message }).await),
                Ok(None) => return,
                Err(error) => return tracing::warn!(proxy = number, %error, "link"),
            }
        }
    });
    Ok(to)
}

fn manifest(recipe: &Recipe, listeners: &Listeners) -> std::io::Result<(Manifest, Vec<(OwnedFd, i32)>)> {
    let (mut entries, mut sockets) = (Vec::new(), Vec::new());
    let mut descriptor = link::FIRST_LISTENER;
    for group in listeners.iter() {
        for socket in &group.sockets {
            entries.push(ManifestEntry { descriptor, address: socket.address, tls: group.tls, cookie: socket.cookie });
            sockets.push((socket.socket.as_fd().try_clone_to_owned()?, descriptor));
            descriptor += 1;
        }
    }
    let manifest = Manifest {
        threads: recipe.threads,
        listeners: entries,
        access_log: recipe.access_log.clone(),
        access_json: recipe.access_json,
    };
    Ok((manifest, sockets))
}

fn program(recipe: &Recipe, number: u64, ends: [OwnedFd; 2], sockets: Vec<(OwnedFd, i32)>) -> Spawn {
    let mut args = vec!["portreeve".into(), "proxy".into(), "--log-level".into(), recipe.log_level.clone().into()];
    if recipe.log_json {
        args.push("--log-json".into());
    }
    Spawn {
        args,
        env: vec![(MARK.into(), format!("{}-{number}", recipe.line).into())],
        directory: Some("/".into()),
        identity: recipe.identity.clone(),
        stdout: Stdio::Inherit,
        stderr: Stdio::Inherit,
        descriptors: ends.into_iter().zip([link::DESCRIPTOR, link::RELINK]).chain(sockets).collect(),
        no_new_privs: true,
        // The running program itself, also when the file at its path has been replaced.
        ..Spawn::new("/proc/self/exe")
    }
}
