//! `portreeve monit`: a screen that shows what goes on, and takes orders.
//!
//! Looks, lines and keys come in on one channel; the picture takes them in, the view draws it. Invariant: the terminal is
//! given back as it was, however this ends.

mod figures;
mod orders;
mod picture;
mod view;

use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::keys::{Keys, Pressed};
use super::target::Target;
use super::{Code, block_on};
use crate::control::client::{Client, Error};
use crate::control::words::{LogEntry, LogQuery};
use orders::Order;
use picture::{Look, Picture};

/// From one look at the supervisor to the next.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What comes in and is not taken in yet.
const QUEUED_NEWS: usize = 256;

/// Lines of the past that are shown at the start.
const PAST_LINES: usize = 50;

/// Something to take in.
enum News {
    Looked(Result<Box<Look>, Error>),
    Heard(LogEntry),
    Pressed(Pressed),
    /// What an order led to.
    Done(String),
}

pub(super) fn monit(target: &Target) -> anyhow::Result<Code> {
    let client = target.client()?;
    // Whoever cannot be reached is better told of on the screen that is there.
    block_on(client.status())??;
    let mut terminal = ratatui::try_init()?;
    let watched = block_on(watch(&mut terminal, &client));
    ratatui::restore();
    watched??;
    Ok(Code::Done)
}

async fn watch(terminal: &mut DefaultTerminal, client: &Client) -> anyhow::Result<()> {
    let (news, mut coming) = mpsc::channel(QUEUED_NEWS);
    let _sources = [
        AbortOnDropHandle::new(tokio::spawn(look(client.clone(), news.clone()))),
        AbortOnDropHandle::new(tokio::spawn(listen(client.clone(), news.clone()))),
        AbortOnDropHandle::new(tokio::spawn(pass_on(Keys::read()?, news.clone()))),
    ];
    let mut picture = Picture::default();
    let mut goes_on = true;
    while goes_on {
        terminal.draw(|frame| view::draw(frame, &picture))?;
        let Some(first) = coming.recv().await else { break };
        goes_on = take_in(first, &mut picture, client, &news);
        // Whatever else is there already needs no picture of its own.
        while goes_on && let Ok(more) = coming.try_recv() {
            goes_on = take_in(more, &mut picture, client, &news);
        }
    }
    Ok(())
}

/// False when this is to end.
fn take_in(one: News, picture: &mut Picture, client: &Client, news: &mpsc::Sender<News>) -> bool {
    match one {
        News::Looked(Ok(look)) => picture.look(*look),
        News::Looked(Err(error)) => picture.lose(format!(" {error}")),
        News::Heard(entry) => picture.hear(entry),
        News::Done(message) => picture.message = format!(" {}", message.lines().next().unwrap_or_default()),
        News::Pressed(Pressed::Resized) => {}
        News::Pressed(Pressed::End) => return false,
        News::Pressed(Pressed::Key(key)) => return press(key, picture, client, news),
    }
    true
}

fn press(key: KeyEvent, picture: &mut Picture, client: &Client, news: &mpsc::Sender<News>) -> bool {
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    picture.message.clear();
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('c') if with_control => return false,
        KeyCode::Down | KeyCode::Char('j') => picture.choose(true),
        KeyCode::Up | KeyCode::Char('k') => picture.choose(false),
        KeyCode::Char('l') => picture.only_chosen = !picture.only_chosen,
        code => {
            if let (Some(order), Some(app)) = (Order::of(code), picture.app().map(|app| app.name.clone())) {
                picture.message = format!(" {app}: {} ...", order.word());
                let (client, news) = (client.clone(), news.clone());
                tokio::spawn(async move {
                    let _ = news.send(News::Done(order.carry_out(&client, &app).await)).await;
                });
            }
        }
    }
    true
}

async fn look(client: Client, news: mpsc::Sender<News>) {
    let mut clock = tokio::time::interval(LOOK_EVERY);
    loop {
        clock.tick().await;
        let looked = async {
            let (status, metrics) = (client.status().await?, client.metrics().await?);
            Ok(Box::new(Look { at: Instant::now(), status, metrics }))
        };
        if news.send(News::Looked(looked.await)).await.is_err() {
            return;
        }
    }
}

/// Follows what the workers print; when that breaks off, tries again.
async fn listen(client: Client, news: mpsc::Sender<News>) {
    let mut lines = Some(PAST_LINES);
    loop {
        let query = LogQuery { lines, follow: true, ..LogQuery::default() };
        if let Ok(mut entries) = client.logs(&query).await {
            lines = Some(0);
            while let Ok(Some(entry)) = entries.next().await {
                if news.send(News::Heard(entry)).await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn pass_on(mut keys: Keys, news: mpsc::Sender<News>) {
    loop {
        let pressed = keys.next().await;
        if news.send(News::Pressed(pressed)).await.is_err() || matches!(pressed, Pressed::End) {
            return;
        }
    }
}
