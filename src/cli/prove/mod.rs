//! `portreeve prove`: clients that keep their connections ask an app without a pause while it is reloaded again and again,
//! and whatever did not come back whole is counted.
//!
//! Knows the admin socket and what any client knows. One thread; ends by itself.

mod course;
mod storm;
mod tally;
mod visitor;
mod websocket;

use std::time::Duration;

use clap::Args;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::target::Target;
use super::{Code, Wrong, block_on, select};
use crate::control::client::Client;
use crate::control::words::Status;
use crate::id::AppName;
use course::Course;
use tally::Tally;

/// Time for the clients to be under way before the first blow.
const WARM_UP: Duration = Duration::from_millis(300);

/// What is to be proved.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve prove web                        20 reloads under 16 clients that ask for /
  portreeve prove web --path /health --post /orders --reloads 100
  portreeve prove web --websocket /socket --events /live --upload /files
  portreeve prove web --kill-workers 10      a worker is killed before each of ten reloads, too

The clients speak HTTP/1.1, and HTTP/2 where the address is https://; each keeps its connection and asks on until the
last reload is over, every answer in full. An answer below 500 is an answer. With --ledger PATH the app says which
requests it has handled: a text in which every id that it has got in the field Prove-Id stands once a handling. The
certificate is not checked: it is your own server.")]
pub(super) struct Prove {
    /// A name or an id
    #[arg(id = "apps", value_name = "APP")]
    app: String,
    /// Where it is asked; by default at the first address that is served
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    paths: Paths,
    #[arg(long, default_value_t = 16)]
    clients: u32,
    #[command(flatten)]
    blows: Blows,
    #[command(flatten)]
    target: Target,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// What is asked.
#[derive(Args, Debug)]
struct Paths {
    /// What is asked for
    #[arg(long, value_name = "PATH", default_value = "/")]
    path: String,
    /// A path that takes POST: every other request goes there
    #[arg(long, value_name = "PATH")]
    post: Option<String>,
    /// A path that takes POST: two more clients send a body there bit by bit
    #[arg(long, value_name = "PATH")]
    upload: Option<String>,
    /// A WebSocket: two more clients hold one
    #[arg(long, value_name = "PATH")]
    websocket: Option<String>,
    /// A stream of events: two more clients listen to it
    #[arg(long, value_name = "PATH")]
    events: Option<String>,
    /// A path that says which ids were handled
    #[arg(long, value_name = "PATH")]
    ledger: Option<String>,
}

/// What is done meanwhile.
#[derive(Args, Debug)]
struct Blows {
    #[arg(long, default_value_t = 20)]
    reloads: u32,
    /// Kill a worker before each of so many reloads
    #[arg(long, value_name = "N", default_value_t = 0)]
    kill_workers: u32,
    /// Kill the proxy before each of so many reloads: what it has in flight is lost
    #[arg(long, value_name = "N", default_value_t = 0)]
    kill_proxies: u32,
}

pub(super) fn prove(args: &Prove) -> anyhow::Result<Code> {
    let client = args.target.client()?;
    let tally = block_on(run(args, &client))??;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&tally.told())?);
    } else {
        print!("{}", tally.table());
    }
    Ok(if tally.is_flawless() { Code::Done } else { Code::Aborted })
}

async fn run(args: &Prove, client: &Client) -> anyhow::Result<Tally> {
    let status = client.status().await?;
    let app = only_app(&args.app, &status)?;
    let course = Course::of(args.url.as_deref(), &app, &status).map_err(Wrong)?;
    if !args.json {
        println!("{} clients at {course}, {}", args.clients, super::count(args.blows.reloads as usize, "reload"));
    }
    let (end, ending) = watch::channel(false);
    let mut visitors = visitors(args, &course, &ending);
    tokio::time::sleep(WARM_UP).await;
    let mut tally = storm::rage(&args.blows, client, &app).await;
    end.send_replace(true);
    while let Some(visited) = visitors.join_next().await {
        tally.add(visited?);
    }
    if let Some(path) = &args.paths.ledger {
        let text = visitor::read(&course, path).await.map_err(|error| anyhow::anyhow!("{path}: {error}"))?;
        tally.compare(&text);
    }
    Ok(tally)
}

fn only_app(word: &str, status: &Status) -> Result<AppName, Wrong> {
    let mut apps = select::find(&[word.to_owned()], &status.apps).map_err(Wrong)?;
    match apps.len() {
        1 => Ok(apps.swap_remove(0)),
        _ => Err(Wrong(format!("`{word}` is more than one app: prove one after the other"))),
    }
}

fn visitors(args: &Prove, course: &Course, ending: &watch::Receiver<bool>) -> JoinSet<Tally> {
    let mut visitors = JoinSet::new();
    for number in 0..args.clients {
        let post = args.paths.post.clone();
        visitors.spawn(visitor::ask(
            course.clone(),
            number,
            [args.paths.path.clone(), post.unwrap_or_default()],
            ending.clone(),
        ));
    }
    for number in 0..2 {
        if let Some(path) = &args.paths.upload {
            visitors.spawn(visitor::upload(course.clone(), number, path.clone(), ending.clone()));
        }
        if let Some(path) = &args.paths.events {
            visitors.spawn(visitor::listen(course.clone(), path.clone(), ending.clone()));
        }
        if let Some(path) = &args.paths.websocket {
            visitors.spawn(websocket::hold(course.clone(), path.clone(), ending.clone()));
        }
    }
    visitors
}
