//! A command of the operator is started as a worker is, but that nothing is expected of it.
//!
//! It has no place to listen, no channel and no watch; its lines go where those of the app's workers do.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::kit::Kit;
use super::streams::Streams;
use super::{LAST_WORDS, Starter, bounds};
use crate::config::{Program, Server};
use crate::id::{Slot, WorkerId};
use crate::supervisor::effects::Summons;
use crate::supervisor::event::Event;
use crate::supervisor::hooks;
use crate::supervisor::output::Tail;
use crate::supervisor::process::Process;
use crate::sys::spawn::{self, Exit, Spawn, Stdio};

impl Starter {
    /// Starts a hook; its end is told by [`Event::HookEnded`].
    ///
    /// # Errors
    /// A sentence that names the step that failed.
    pub(in crate::supervisor) fn start_hook(&self, summons: Summons<'_>) -> Result<(Process, Tail), String> {
        let Summons { serial, generation, moment, release, files } = summons;
        let app = release.app.clone();
        let (Server::Command(command), Some((program, _))) = (&app.server, hooks::command(&app, moment)) else {
            return Err("there is none".to_owned());
        };
        let resolved = release.resolve(command, &self.environment)?.clone();
        let id = WorkerId { app: app.name.clone(), generation, slot: Slot(0) };
        let mut kit = Kit::default();
        kit.bounds = bounds::of(&command.bounds, (self.realm.as_ref(), self.line), serial, &id, &mut kit);
        let (streams, [stdout, stderr]) = Streams::open()?;
        let directory = resolved.directory.clone();
        let spawn = self.program(command, resolved, &id, kit)?;
        let (program, args) = words(program, &spawn.env, &directory)?;
        let spawn = Spawn { program, args, stdout: Stdio::Fd(stdout), stderr: Stdio::Fd(stderr), ..spawn };
        let child = spawn::spawn(spawn).map_err(|error| error.to_string())?;
        let tail = Tail::default();
        let readers = streams.read(self.reading((&id, serial), command, &tail, files), &self.tasks);
        let events = self.events.clone();
        let process = Process::watch(child, &self.tasks, async move |exit: Exit| {
            let _ = tokio::time::timeout(LAST_WORDS, readers.wait()).await;
            let _ = events.send(Event::HookEnded { serial, exit }).await;
        });
        Ok((process, tail))
    }
}

/// What is executed: a line by the shell, words as they are.
fn words(
    program: &Program,
    env: &[(OsString, OsString)],
    directory: &std::path::Path,
) -> Result<(PathBuf, Vec<OsString>), String> {
    match program {
        Program::Shell(line) => Ok((PathBuf::from("/bin/sh"), ["sh", "-c", line].map(OsString::from).to_vec())),
        Program::Direct(words) => {
            let path = env.iter().find(|(name, _)| name == "PATH").map_or(OsStr::new(""), |(_, path)| path);
            let found = spawn::find_program(&words[0], path, directory);
            let found = found.map_err(|error| format!("program {}: {error}", words[0]))?;
            Ok((found, words.iter().map(OsString::from).collect()))
        }
    }
}
