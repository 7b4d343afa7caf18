//! What goes on while an order is carried out: a bar for each app on a terminal, a line for each step elsewhere.
//!
//! Looks at the supervisor's status now and then; the order itself goes its way undisturbed. All of it is on standard error,
//! so that what is printed in the end is the answer and nothing else.

mod picture;

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use ratatui::crossterm::terminal;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::block_on;
use crate::control::client::{Client, Error};
use crate::control::words::Reloaded;
use crate::id::AppName;
use picture::{Before, Stand};

/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A supervisor that takes longer to say what runs has other things to do; the next look may have more luck.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// Where nobody knows how wide the terminal is.
const WIDTH: u16 = 80;

/// An order under way.
pub(super) struct Watch<'a> {
    pub(super) client: &'a Client,
    /// None: all.
    pub(super) apps: &'a [AppName],
    pub(super) is_shown: bool,
    /// Until the last worker that was replaced is gone, and there is a report.
    pub(super) to_the_end: bool,
}

impl Watch<'_> {
    /// Carries the order out; returns when it has ended.
    pub(super) fn carry_out(
        &self,
        order: impl Future<Output = Result<Reloaded, Error>>,
    ) -> anyhow::Result<Result<Reloaded, Error>> {
        block_on(async {
            if self.is_shown { self.show_while(self.to_its_end(order)).await } else { self.to_its_end(order).await }
        })
    }

    async fn to_its_end(&self, order: impl Future<Output = Result<Reloaded, Error>>) -> Result<Reloaded, Error> {
        let mut reloaded = order.await?;
        if let (true, Some(deploy)) = (self.to_the_end, reloaded.deploy) {
            // What was answered is true without a report as well.
            reloaded.report = self.client.report(deploy).await.ok();
        }
        Ok(reloaded)
    }

    async fn show_while<T>(&self, order: impl Future<Output = T>) -> T {
        let before = self.client.status().await.map(|status| Before::of(&status)).unwrap_or_default();
        let mut order = pin!(order);
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut screen = Screen::of_this();
        loop {
            tokio::select! {
                biased;
                answer = &mut order => {
                    screen.clear();
                    return answer;
                }
                _ = looks.tick() => {}
            }
            let look = timeout(LOOK_LIMIT, self.client.status());
            tokio::select! {
                answer = &mut order => {
                    screen.clear();
                    return answer;
                }
                looked = look => if let Ok(Ok(status)) = looked {
                    screen.show(&picture::stands(&status, self.apps, &before));
                },
            }
        }
    }
}

/// Where it is shown.
enum Screen {
    /// So many lines are there to be drawn over.
    Terminal {
        drawn: usize,
    },
    Lines {
        said: HashSet<String>,
    },
}

impl Screen {
    fn of_this() -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if std::io::stderr().is_terminal() && !is_dumb {
            Self::Terminal { drawn: 0 }
        } else {
            Self::Lines { said: HashSet::new() }
        }
    }

    fn show(&mut self, stands: &[Stand]) {
        let text: String = match self {
            Self::Terminal { drawn } => {
                let width = usize::from(terminal::size().map_or(WIDTH, |(width, _)| width.max(1)));
                let lines = stands.iter().map(|stand| format!("{:.*}\n", width - 1, stand.bar()));
                let text = over(*drawn) + &lines.collect::<String>();
                *drawn = stands.len();
                text
            }
            Self::Lines { said } => {
                let news = stands.iter().filter(|stand| said.insert(stand.step()));
                news.map(|stand| stand.line() + "\n").collect()
            }
        };
        // Nobody who looks is no reason to stop.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn clear(&mut self) {
        if let Self::Terminal { drawn: 1.. } = self {
            self.show(&[]);
        }
    }
}

/// Goes back to the first of so many lines, and wipes them out.
fn over(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}A\r\x1b[J") }
}
