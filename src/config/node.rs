//! `node` of an app: how a Node app that listens where it likes is brought to listen where it is told.
//!
//! A word for the way, or a table with what else there is to say. Which commands each way can work with is checked here:
//! a channel reaches only the first Node in a chain of programs.

use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::path::Path;

use super::fault::Fault;
use super::reader::Table;
use super::value;
use super::{Channel, Command, Program, Socket};

/// How a Node app is brought to listen where it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    pub mode: NodeMode,
    /// The port that the app's own code has for its requests; `None`: `PORT`, else the first that it listens on.
    pub port: Option<NonZeroU16>,
    /// Before the stop signal it is asked to close its listeners and finish what it has in hand.
    pub disconnect: bool,
}

impl Node {
    /// What holds without the key.
    pub const PLAIN: Self = Self { mode: NodeMode::Plain, port: None, disconnect: false };
}

/// Who brings it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeMode {
    /// Nobody: it listens on `PORT`.
    Plain,
    /// Node itself: the worker is one of a cluster and gets its sockets from us.
    Cluster,
    /// A module of ours that every Node in the worker loads first.
    Preload,
}

pub(super) const MODES: [(&str, NodeMode); 3] =
    [("plain", NodeMode::Plain), ("cluster", NodeMode::Cluster), ("preload", NodeMode::Preload)];

pub(super) const PORTS: RangeInclusive<u16> = 1..=u16::MAX;

/// Programs that are Node, or are run by it without another Node in between.
const DIRECT: [&str; 2] = ["node", "nodejs"];
const SCRIPTS: [&str; 3] = ["js", "mjs", "cjs"];

/// Programs that start Node behind themselves.
const WRAPPERS: [&str; 7] = ["npm", "npx", "pnpm", "yarn", "tsx", "nodemon", "next"];

const PRELOAD: &str = "node = \"preload\"";

/// What `node` says, in either form.
pub(super) fn node(table: &mut Table) -> Node {
    match table.value("node") {
        Some(value) if value.table().is_some() => table.inner(value, table.dotted("node"), settings),
        Some(value) => {
            let mode = value::word(value, &MODES).map_err(|fault| {
                table.report(fault.or_help("or write a table such as { mode = \"cluster\", port = 3000 }"));
            });
            Node { mode: mode.unwrap_or(NodeMode::Plain), ..settings(&mut table.absent("node")) }
        }
        None => settings(&mut table.absent("node")),
    }
}

fn settings(table: &mut Table) -> Node {
    let mode = table.take("mode", |value| value::word(value, &MODES)).unwrap_or(NodeMode::Plain);
    let port = table.take("port", |value| value::count(value, &PORTS)).and_then(NonZeroU16::new);
    let disconnect = table.boolean("disconnect");
    if port.is_some() && mode == NodeMode::Plain {
        refuse(table, "port", "the app listens on `PORT`");
    }
    if disconnect && mode != NodeMode::Cluster {
        refuse(table, "disconnect", "only a worker of a cluster knows this order");
    }
    Node { mode, port, disconnect }
}

fn refuse(table: &Table, key: &str, why: &str) {
    let fault = Fault::error(table.span_of(key), format!("`{key}` has no meaning in this mode"));
    table.report(fault.label(why).help("write node = { mode = \"cluster\", ... }"));
}

/// Is a worker ready as soon as it listens? Not if `ready` says how that is known.
pub(super) fn announces(command: &Command, is_asked: bool) -> bool {
    command.contract.node.mode == NodeMode::Cluster && !is_asked
}

/// What `node` cannot be together with.
pub(super) fn check(table: &Table, command: &Command) {
    if command.contract.node.mode == NodeMode::Cluster && !is_first_in_chain(&command.program) {
        let fault = Fault::error(table.span_of("node"), "a worker of a cluster is started as `node server.js`");
        let fault = fault.related(table.span_of("command"), "here Node is not the first program");
        table.report(fault.label("nobody would answer for it").help("write node = \"preload\""));
    }
    if command.contract.node.mode != NodeMode::Plain && command.contract.socket != Socket::Port {
        let fault = Fault::error(table.span_of("node"), "nobody is moved from a port to this place");
        let fault = fault.related(table.span_of("listen"), "the worker is given no port of its own");
        table.report(fault.label("leave `node` out, or `listen`"));
    }
    if command.contract.node.disconnect && command.contract.channel != Channel::Absent {
        let key = if table.has("ipc") { "ipc" } else { "ready" };
        let fault = Fault::error(table.span_of("node"), "`disconnect` is for apps without shutdown code");
        let fault = fault.related(table.span_of(key), "this app is stopped by the message 'shutdown'");
        table.report(fault.label("leave `disconnect` out"));
    }
}

impl Command {
    /// What an app of this command that has a port of its own would need; `None`: there is nothing, or it has it.
    #[must_use]
    pub fn node_remedy(&self) -> Option<&'static str> {
        match (self.contract.node.mode, &self.program) {
            (NodeMode::Plain, program) if is_first_in_chain(program) => Some("node = \"cluster\""),
            (NodeMode::Plain, Program::Direct(words)) => {
                let name = words.first().and_then(|word| Path::new(word).file_name()?.to_str());
                name.filter(|name| WRAPPERS.contains(name)).map(|_| PRELOAD)
            }
            (NodeMode::Plain, Program::Shell(line)) => {
                let mut words = line.split(|c: char| !c.is_alphanumeric());
                words.any(|word| DIRECT.contains(&word) || WRAPPERS.contains(&word)).then_some(PRELOAD)
            }
            (NodeMode::Cluster | NodeMode::Preload, _) => None,
        }
    }
}

/// Is the worker's own process the first Node, so that it takes the channel and no other?
fn is_first_in_chain(program: &Program) -> bool {
    let Program::Direct(words) = program else { return false };
    let Some(program) = words.first().map(Path::new) else { return false };
    let is_in = |known: &[&str], part: Option<&std::ffi::OsStr>| {
        part.and_then(|part| part.to_str()).is_some_and(|part| known.contains(&part))
    };
    is_in(&DIRECT, program.file_name()) || is_in(&SCRIPTS, program.extension())
}

#[cfg(test)]
mod tests {
    use super::super::Server;
    use super::super::testing::{bad, good};
    use super::*;

    fn app(command: &str, rest: &str) -> String {
        format!("[app.web]\ncommand = {command}\n{rest}\n")
    }

    fn node_of(text: &str) -> (Node, super::super::Readiness) {
        let loaded = good(&app("'node server.js'", text));
        let Server::Command(command) = &loaded.config.apps.values().next().unwrap().server else { panic!("a command") };
        (command.contract.node, command.contract.ready)
    }

    #[test]
    fn a_word_or_a_table_says_the_mode() {
        for (text, mode) in [
            ("", NodeMode::Plain),
            ("node = 'plain'", NodeMode::Plain),
            ("node = 'cluster'", NodeMode::Cluster),
            ("node = { mode = 'preload' }", NodeMode::Preload),
        ] {
            assert_eq!(node_of(text).0.mode, mode, "{text}");
        }
        let (node, _) = node_of("node = { mode = 'cluster', port = 3000, disconnect = true }");
        assert_eq!((node.port, node.disconnect), (NonZeroU16::new(3000), true));
    }

    #[test]
    fn a_worker_of_a_cluster_is_ready_when_it_listens_unless_it_is_to_be_asked() {
        use super::super::Readiness;
        for (text, readiness) in [
            ("node = 'cluster'", Readiness::Listening),
            ("node = 'cluster'\nready = { http = '/up' }", Readiness::Probe),
            ("node = 'cluster'\nready = 'ipc'", Readiness::Ipc),
            ("node = 'preload'", Readiness::Probe),
        ] {
            assert_eq!(node_of(text).1, readiness, "{text}");
        }
    }

    #[test]
    fn node_must_be_the_first_program_of_a_cluster() {
        for (command, is_first) in [
            ("'node server.js'", true),
            ("'/usr/bin/nodejs --flag server.js'", true),
            ("'./server.mjs'", true),
            ("'npm start'", false),
            ("'python3 app.py'", false),
        ] {
            let text = app(command, "node = 'cluster'");
            if is_first {
                good(&text);
            } else {
                let said = bad(&text).render(false);
                assert!(said.contains("node = \"preload\""), "{said}");
            }
        }
        bad(&app("'node server.js'", "shell = true\nnode = 'cluster'"));
        good(&app("'npm start'", "node = 'preload'"));
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for (text, said) in [
            ("node = 'clustre'", "did you mean \"cluster\"?"),
            ("node = { mode = 'plain', port = 3000 }", "no meaning in this mode"),
            ("node = { mode = 'cluster', port = 0 }", "`port` must be from 1 to 65535"),
            ("node = { mode = 'preload', disconnect = true }", "only a worker of a cluster"),
            ("ipc = true\nnode = { mode = 'cluster', disconnect = true }", "apps without shutdown code"),
            ("listen = 'unix'\nnode = 'cluster'", "to this place"),
            ("listen = 'inherit'\nready = 'ipc'\nnode = 'preload'", "to this place"),
            ("node = { mode = 'cluster', ports = 1 }", "did you mean `port`?"),
        ] {
            let problems = bad(&app("'node server.js'", text)).render(false);
            assert!(problems.contains(said), "{text}: {problems}");
        }
        assert!(bad("[app.a]\nupstream = '127.0.0.1:1'\nnode = 'cluster'\n").render(false).contains("`node`"));
    }
}
