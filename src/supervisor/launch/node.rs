//! What makes a worker one of a Node cluster.
//!
//! The sockets that it then asks for are the affair of `primary`.

use super::kit::Kit;
use crate::config::{Command, NodeMode};
use crate::id::Serial;

/// With this variable, and a channel, Node takes itself for a worker with this `cluster.worker.id`.
pub(super) const UNIQUE_ID: &str = "NODE_UNIQUE_ID";

/// Gives a worker of a cluster its number: as under Node's own primary no two ever have the same.
pub(super) fn equip(command: &Command, serial: Serial, kit: &mut Kit) {
    if command.node.mode == NodeMode::Cluster {
        kit.set(UNIQUE_ID, serial.0.to_string());
    }
}
