//! What can be asked of the chosen app by a key.
//!
//! Gives an order as the verb of the same name does, and says in a few words how it went.

use ratatui::crossterm::event::KeyCode;

use super::super::outcome;
use crate::control::client::Client;
use crate::control::words;
use crate::control::words::Diversion;
use crate::control::{Scaling, Scope};
use crate::id::AppName;

/// An order, and the key that gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Reload,
    Restart,
    More,
    Fewer,
    Drain,
    Undrain,
}

impl Order {
    pub(super) fn of(key: KeyCode) -> Option<Self> {
        match key {
            KeyCode::Char('r') => Some(Self::Reload),
            KeyCode::Char('R') => Some(Self::Restart),
            KeyCode::Char('+') => Some(Self::More),
            KeyCode::Char('-') => Some(Self::Fewer),
            KeyCode::Char('d') => Some(Self::Drain),
            KeyCode::Char('u') => Some(Self::Undrain),
            _ => None,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Restart => "restart",
            Self::More | Self::Fewer => "scale",
            Self::Drain => "drain",
            Self::Undrain => "undrain",
        }
    }

    /// Gives it, waits for its end, and says in a line how it went.
    pub(super) async fn carry_out(self, client: &Client, app: &AppName) -> String {
        let apps = std::slice::from_ref(app);
        let (order, answer) = match self {
            Self::Reload => (words::Order::Reload, client.reload(&Scope::apps(apps)).await),
            Self::Restart => (words::Order::Restart, client.order(words::Order::Restart, apps).await),
            Self::More => (words::Order::Scale, client.scale(apps, Scaling::More(1)).await),
            Self::Fewer => (words::Order::Scale, client.scale(apps, Scaling::Fewer(1)).await),
            Self::Drain => return diverted(client, apps, Diversion::Drain(Vec::new()), "get no more requests").await,
            Self::Undrain => return diverted(client, apps, Diversion::Undrain(Vec::new()), "get requests again").await,
        };
        match answer {
            Ok(reloaded) => outcome::told(order, &reloaded, None),
            Err(error) => error.to_string(),
        }
    }
}

async fn diverted(client: &Client, apps: &[AppName], diversion: Diversion, what: &str) -> String {
    match client.divert(apps, &diversion).await {
        Ok(reached) => format!("{}: {} {what}", apps[0], super::super::count(reached.workers, "worker")),
        Err(error) => error.to_string(),
    }
}
