//! What is done to the app while the clients ask: reloads, one after another, and deaths between them.
//!
//! Each blow is waited for before the next; one that is not got over is told, and the next one comes all the same.

use std::time::Duration;

use super::Blows;
use super::tally::Tally;
use crate::control::Scope;
use crate::control::client::Client;
use crate::control::words::{Outcome, Status};
use crate::id::AppName;
use crate::sys::process;

/// How long a blow may take to be got over before the next one.
const PATIENCE: Duration = Duration::from_secs(30);

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn rage(args: &Blows, client: &Client, app: &AppName) -> Tally {
    let (mut tally, mut last) = (Tally::default(), None);
    for number in 0..args.reloads.max(args.kill_workers).max(args.kill_proxies) {
        if number < args.kill_workers {
            strike(client, app, Victim::Worker, &mut tally).await;
        }
        if number < args.kill_proxies {
            strike(client, app, Victim::Proxy, &mut tally).await;
        }
        if number < args.reloads {
            last = reload(client, app, &mut tally).await;
        }
    }
    if let Some(deploy) = last {
        // Until the last of the old workers is gone; one that has all the time in the world is not waited for.
        let _ = tokio::time::timeout(PATIENCE, client.report(deploy)).await;
    }
    tally
}

/// Gives its number, once the new workers serve.
async fn reload(client: &Client, app: &AppName, tally: &mut Tally) -> Option<u64> {
    let answer = client.reload(&Scope::apps(std::slice::from_ref(app))).await;
    let (ends, deploy) = match answer {
        Ok(reloaded) => (reloaded.apps, reloaded.deploy),
        Err(error) => {
            tally.refused.push(format!("a reload did not end well: {error}"));
            return None;
        }
    };
    match &ends[..] {
        [one] if one.outcome == Outcome::Live => tally.reloads += 1,
        ends => {
            let why = ends.iter().find_map(|end| end.reason.as_deref()).unwrap_or("another outcome");
            tally.refused.push(format!("a reload did not end well: {why}"));
        }
    }
    deploy
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    Worker,
    Proxy,
}

/// Kills one, and waits until somebody serves in its place.
async fn strike(client: &Client, app: &AppName, victim: Victim, tally: &mut Tally) {
    let found = client.status().await.ok().and_then(|status| serving(&status, app, victim).first().copied());
    let Some(pid) = found else { return tally.refused.push("there was nobody to kill".to_owned()) };
    if let Err(error) = process::kill(pid) {
        return tally.refused.push(format!("kill {pid}: {error}"));
    }
    tally.kills += 1;
    let came_back = async {
        loop {
            tokio::time::sleep(LOOK).await;
            let pids = client.status().await.map(|status| serving(&status, app, victim)).unwrap_or_default();
            if !pids.is_empty() && !pids.contains(&pid) {
                return;
            }
        }
    };
    if tokio::time::timeout(PATIENCE, came_back).await.is_err() {
        tally.refused.push(format!("nobody came in the place of {pid} within {PATIENCE:?}"));
    }
}

fn serving(status: &Status, app: &AppName, victim: Victim) -> Vec<u32> {
    match victim {
        Victim::Proxy => status.proxies.iter().filter(|proxy| proxy.state == "serving").map(|one| one.pid).collect(),
        Victim::Worker => {
            let of_app = status.apps.iter().filter(|one| one.name == *app).flat_map(|one| &one.workers);
            of_app.filter(|worker| worker.state == "serving").filter_map(|worker| worker.pid).collect()
        }
    }
}
