//! `portreeve status --watch`: the same again every second.
//!
//! Invariant: the terminal is given back as it was, however this ends: by a key, by a signal, with the supervisor or with
//! the terminal itself.

use std::io::{self, IsTerminal, Write};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::crossterm::{cursor, execute, queue, style, terminal};

use super::super::keys::{Keys, Pressed};
use super::super::paint;
use super::super::table::{Room, shortened};
use super::super::{Code, Wrong, block_on};
use super::told;
use crate::control::client::Client;

/// From one look to the next.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// The screen in use; the one before comes back when this is dropped.
struct Screen;

impl Screen {
    fn take() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let screen = Self;
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    /// Shows as much of a text as there is room for; a line without colours is cut, the others fit already.
    fn show(text: &str) -> io::Result<()> {
        let (width, height) = terminal::size()?;
        let mut out = io::stdout().lock();
        queue!(out, cursor::MoveTo(0, 0))?;
        for line in text.lines().take(usize::from(height).saturating_sub(1)) {
            let line = if line.contains('\x1b') { line.to_owned() } else { shortened(line, width.into()) };
            queue!(
                out,
                style::Print(line),
                terminal::Clear(terminal::ClearType::UntilNewLine),
                cursor::MoveToNextLine(1)
            )?;
        }
        queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Where the terminal is gone there is nothing to give back.
        let _ = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

pub(super) fn watch(client: &Client) -> anyhow::Result<Code> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Wrong("--watch needs a terminal; in a script ask again and again".to_owned()).into());
    }
    // Whoever cannot be reached is better told of on the screen that is there.
    block_on(client.status())??;
    let screen = Screen::take()?;
    let watched = block_on(look(client));
    drop(screen);
    watched?.map(|()| Code::Done)
}

async fn look(client: &Client) -> anyhow::Result<()> {
    let mut keys = Keys::read()?;
    let mut clock = tokio::time::interval(LOOK_EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            pressed = keys.next() => match pressed {
                Pressed::Key(key) if !ends(key) => continue,
                Pressed::Key(_) | Pressed::End => return Ok(()),
                Pressed::Resized => {}
            },
            _ = clock.tick() => {}
        }
        let status = client.status().await?;
        Screen::show(&told(&status, Room { width: paint::columns(), is_coloured: paint::is_coloured() }))?;
    }
}

fn ends(key: KeyEvent) -> bool {
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) || with_control && key.code == KeyCode::Char('c')
}
