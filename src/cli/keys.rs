//! What a person does at the terminal while something is shown there: keys, another size, or an end.
//!
//! The keyboard is read on a thread of its own, for as long as somebody listens. Nobody waits for its end: where the
//! terminal has gone away, a read of the keyboard may never return.

use std::time::Duration;

use ratatui::crossterm::event::{self, KeyEvent, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// How often the keyboard's thread looks whether it is still wanted.
const KEYS_EVERY: Duration = Duration::from_millis(100);

/// What was done and not taken in yet.
const QUEUED: usize = 16;

/// Something was done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pressed {
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// Somebody wants this to end, or the terminal is gone.
    End,
}

/// The keyboard, and the signals that ask for an end.
pub(super) struct Keys {
    coming: mpsc::Receiver<Pressed>,
    _signals: AbortOnDropHandle<()>,
}

impl Keys {
    /// Begins to read. Needs a runtime.
    pub(super) fn read() -> std::io::Result<Self> {
        let (pressed, coming) = mpsc::channel(QUEUED);
        let signals = AbortOnDropHandle::new(tokio::spawn(asked_to_end(pressed.clone())));
        std::thread::Builder::new().name("keys".into()).spawn(move || read_keys(&pressed))?;
        Ok(Self { coming, _signals: signals })
    }

    /// What is done next. Cancel safe.
    pub(super) async fn next(&mut self) -> Pressed {
        self.coming.recv().await.unwrap_or(Pressed::End)
    }
}

async fn asked_to_end(pressed: mpsc::Sender<Pressed>) {
    let (Ok(mut terminate), Ok(mut hangup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    let _ = pressed.send(Pressed::End).await;
}

/// Reads the keyboard until nobody listens.
fn read_keys(pressed: &mpsc::Sender<Pressed>) {
    while !pressed.is_closed() {
        let event = match event::poll(KEYS_EVERY) {
            Ok(true) => event::read(),
            Ok(false) => continue,
            Err(error) => Err(error),
        };
        let one = match event {
            Ok(event::Event::Key(key)) if key.kind == KeyEventKind::Press => Pressed::Key(key),
            Ok(event::Event::Resize(..)) => Pressed::Resized,
            Ok(_) => continue,
            Err(_) => Pressed::End,
        };
        if pressed.blocking_send(one).is_err() {
            return;
        }
    }
}
