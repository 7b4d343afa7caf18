//! What a worker is given to listen with and to speak on, and how it says that it is ready.
//!
//! The values, and the keys that have to agree with each other: what `ready` needs, `ipc`, `notify` and `listen` must not
//! take away. Placeholders in `command` are checked here as well, for what they stand for depends on `listen`.

use std::time::Duration;

use super::fault::Fault;
use super::reader::Table;
use super::value::{self, Value};
use super::{Command, Node, Probe, ProbeKind, Program, StopSignal, defaults, node, worker};

/// Between a worker and portreeve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contract {
    pub socket: Socket,
    pub channel: Channel,
    /// Each worker gets a socket on which it tells how it is, as services of systemd do (`NOTIFY_SOCKET`).
    pub notify: bool,
    /// Whoever serves says within this time, again and again, that it is well (`WATCHDOG=1`); `None`: nobody has to.
    pub watchdog: Option<Duration>,
    pub ready: Readiness,
    pub node: Node,
    /// What asks it to end.
    pub stop_signal: StopSignal,
}

/// The socket that a worker listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// It opens one itself, at the port that it is told (`listen = "port"`).
    Port,
    /// It inherits one that listens at that port, as descriptor 3 (`listen = "inherit"`).
    Inherit,
    /// It opens one itself, at the path that it is told (`listen = "unix"`).
    Unix,
    /// None: nobody connects to it (`kind = "task"`).
    Absent,
}

/// Node's IPC channel to each worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Absent,
    Present,
}

/// How it is known that a worker can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is asked, by [`super::App::probe`].
    Probe,
    /// It says so itself: `process.send('ready')` (`ready = "ipc"`).
    Ipc,
    /// It listens on the socket that it was given (`node = "cluster"`).
    Listening,
    /// It says so itself: `READY=1` (`ready = "notify"`).
    Notify,
    /// It says so itself: a line on this descriptor (`ready = { fd = 4 }`).
    Descriptor(u8),
    /// It has run for so long (`ready = { uptime = "1s" }`).
    Lasting(Duration),
}

const SOCKETS: [(&str, Socket); 3] = [("port", Socket::Port), ("inherit", Socket::Inherit), ("unix", Socket::Unix)];

/// What stands for the port, or the path, in words of `command`.
const PLACEHOLDERS: [&str; 2] = ["{port}", "{socket}"];

/// What the keys say; [`settle`] adds what `ready` says.
pub(super) fn contract(table: &mut Table) -> Contract {
    Contract {
        socket: table.take("listen", socket).unwrap_or(Socket::Port),
        channel: if table.boolean("ipc") { Channel::Present } else { Channel::Absent },
        notify: table.boolean("notify"),
        watchdog: table.take("watchdog", watchdog).flatten(),
        ready: Readiness::Probe,
        node: node::node(table),
        stop_signal: table.take("stop_signal", worker::signal).unwrap_or(StopSignal::Term),
    }
}

fn watchdog(value: Value) -> Result<Option<Duration>, Fault> {
    value::unless("off", value, |value| value::duration(value, &defaults::WATCHDOG))
}

fn socket(value: Value) -> Result<Socket, Fault> {
    let fault = |fault: Fault| match value.str() {
        Some("tcp") => fault.label("did you mean \"port\"?"),
        Some("fd" | "socket" | "systemd") => fault.label("did you mean \"inherit\"?"),
        Some(address) if address.contains([':', '.']) => fault
            .label("an address")
            .help("the public addresses are those of [listen]; workers get theirs from portreeve"),
        _ => fault,
    };
    value::word(value, &SOCKETS).map_err(fault)
}

/// Brings together what `ready` says and what the other keys do.
pub(super) fn settle(table: &Table, command: &mut Command, ready: Readiness, probe: &Probe) {
    command.contract.ready = ready;
    match ready {
        Readiness::Probe => require_proof(table, command.contract, probe),
        Readiness::Ipc => {
            require(table, ["ready", "ipc"], command.contract.channel == Channel::Present, "the channel");
            command.contract.channel = Channel::Present;
            warn_of_wrapper(table, command);
        }
        Readiness::Listening | Readiness::Lasting(_) => {}
        Readiness::Notify => {
            require(table, ["ready", "notify"], command.contract.notify, "the socket");
            command.contract.notify = true;
        }
        Readiness::Descriptor(number) => refuse_same_number(table, command.contract, number),
    }
    if command.contract.watchdog.is_some() {
        require(table, ["watchdog", "notify"], command.contract.notify, "the socket");
        command.contract.notify = true;
    }
    require_placeholders(table, command);
}

/// What one key needs may be left unsaid, but not be switched off by another.
fn require(table: &Table, [by, key]: [&str; 2], is_there: bool, needed: &str) {
    if table.has(key) && !is_there {
        let fault = Fault::error(table.span_of(key), format!("`{by}` needs {needed} that `{key}` takes away"));
        table.report(fault.label("taken away").related(table.span_of(by), "to be said there"));
    }
}

/// A socket that we made takes connections before its worker runs.
fn require_proof(table: &Table, contract: Contract, probe: &Probe) {
    if contract.socket == Socket::Inherit && probe.kind == ProbeKind::Tcp {
        let fault =
            Fault::error(table.span_of("listen"), "an inherited socket takes connections before its worker runs");
        let fault = fault.label("so a connection proves nothing");
        table.report(fault.help("add ready = { http = \"/health\" }, or let the worker say it: \"notify\", \"ipc\""));
    }
}

fn refuse_same_number(table: &Table, contract: Contract, number: u8) {
    if contract.socket == Socket::Inherit && number == 3 {
        let fault = Fault::error(table.span_of("ready"), "descriptor 3 is the socket that the worker inherits");
        table.report(fault.label("another number").related(table.span_of("listen"), "always descriptor 3"));
    }
}

fn require_placeholders(table: &Table, command: &Command) {
    let Program::Direct(words) = &command.program else { return };
    let [wrong, right] = match command.contract.socket {
        Socket::Unix => PLACEHOLDERS,
        Socket::Port | Socket::Inherit => [PLACEHOLDERS[1], PLACEHOLDERS[0]],
        Socket::Absent => return refuse_placeholders(table, words),
    };
    if words.iter().any(|word| word.contains(wrong)) {
        let fault = Fault::error(table.span_of("command"), format!("nothing stands for \"{wrong}\" in `command`"));
        let help = format!("write {right}, or change `listen`: \"unix\" has a {{socket}}, the others have a {{port}}");
        table.report(fault.label("as `listen` is").help(help));
    }
}

fn refuse_placeholders(table: &Table, words: &[String]) {
    if let Some(wrong) = PLACEHOLDERS.iter().find(|wrong| words.iter().any(|word| word.contains(**wrong))) {
        let fault = Fault::error(table.span_of("command"), format!("nothing stands for \"{wrong}\" in `command`"));
        table.report(fault.label("a task has no place of its own").related(table.span_of("kind"), "a task"));
    }
}

fn warn_of_wrapper(table: &Table, command: &Command) {
    if let Some(wrapper) = wrapper(command) {
        let fault = Fault::warning(table.span_of("command"), format!("`{wrapper}` keeps the channel to itself"));
        let fault = fault.label("the app behind it cannot say that it is ready");
        table.report(fault.help("start the app directly, such as command = \"node server.js\""));
    }
}

/// The first Node in the chain takes the channel, and these are Node programs.
fn wrapper(command: &Command) -> Option<&str> {
    let Program::Direct(words) = &command.program else { return None };
    let name = std::path::Path::new(words.first()?).file_name()?.to_str()?;
    ["npm", "npx", "pnpm", "yarn"].contains(&name).then_some(name)
}
