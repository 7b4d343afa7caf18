//! What can be asked of the chosen app by a key.
//!
//! Gives an order as the verb of the same name does, and says in a few words how it went.

use ratatui::crossterm::event::KeyCode;

use super::super::outcome;
use crate::control::Scope;
use crate::control::client::Client;
use crate::control::words;
use crate::id::AppName;

/// An order, and the key that gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Reload,
    Restart,
}

impl Order {
    pub(super) fn of(key: KeyCode) -> Option<Self> {
        match key {
            KeyCode::Char('r') => Some(Self::Reload),
            KeyCode::Char('R') => Some(Self::Restart),
            _ => None,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Restart => "restart",
        }
    }

    /// Gives it, waits for its end, and says in a line how it went.
    pub(super) async fn carry_out(self, client: &Client, app: &AppName) -> String {
        let apps = std::slice::from_ref(app);
        let (order, answer) = match self {
            Self::Reload => (words::Order::Reload, client.reload(&Scope::apps(apps)).await),
            Self::Restart => (words::Order::Restart, client.order(words::Order::Restart, apps).await),
        };
        match answer {
            Ok(reloaded) => outcome::told(order, &reloaded, None),
            Err(error) => error.to_string(),
        }
    }
}
