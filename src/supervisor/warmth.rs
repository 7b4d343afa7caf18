//! Warms up new workers: what an operator has written is asked of each before it serves, and read to the end.
//!
//! Which worker and when is the machine's affair, and so is how long anybody waits. Invariant: whatever a worker answers, or
//! does not, it serves in the end; nothing but a warning comes of it.

use std::sync::Arc;

use super::Supervisor;
use super::effects::{About, Question};
use super::probe;
use super::site::Site;
use crate::config::{Server, Warm, format_duration};
use crate::id::{Address, AppName, Serial};
use crate::lifecycle;

/// Asks for all of it, one after another; says what was not answered well, and nothing when it takes too long.
///
/// Cancellation safe, as a probe is.
pub(super) async fn warm_up(address: &Address, warm: &Warm, proxy_protocol: bool) -> Option<Vec<String>> {
    let asked = async {
        let mut complaints = Vec::new();
        for path in &warm.requests {
            let answer = probe::fetch(address, (path, &warm.host), proxy_protocol).await;
            complaints.extend(answer.err());
        }
        complaints
    };
    tokio::time::timeout(warm.timeout, asked).await.ok()
}

impl Supervisor {
    pub(super) fn warm_up(&self, app: &AppName, serial: Serial) {
        let Some(Site::Supervised(site)) = self.sites.get(app) else { return };
        let Some(worker) = site.workers.get(&serial) else { return };
        if let (Some(release), Some(address)) = (site.releases.get(worker.id.generation), worker.berth.address()) {
            let (app, settings, about) = (app.clone(), Arc::clone(&release.app), About::Warmth);
            self.starter.effects.ask(&self.starter, Question { app, serial, address, settings, about });
        }
    }

    /// It was asked for everything.
    pub(super) fn warmed(&mut self, app: AppName, serial: Serial, complaints: &[String]) {
        if let Some(Site::Supervised(site)) = self.sites.get(&app)
            && let Some(worker) = site.workers.get(&serial)
        {
            for complaint in complaints {
                tracing::warn!(worker = %worker.id, "warm-up: {complaint}");
            }
        }
        self.machines.queue.push_back((app, lifecycle::Event::Warmed { serial }));
    }

    /// It was not warm in time.
    pub(super) fn tell_cold(&self, app: &AppName, serial: Serial) {
        let Some(Site::Supervised(site)) = self.sites.get(app) else { return };
        let Some(worker) = site.workers.get(&serial) else { return };
        let release = site.releases.get(worker.id.generation);
        if let Some(Server::Command(command)) = release.map(|release| &release.app.server) {
            let limit = format_duration(command.deploy.warm.timeout);
            tracing::warn!(worker = %worker.id, "warm-up: not done within {limit}: the worker serves as it is");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers each request with the next of these, if it is no silence; gives what was asked.
    async fn warmed_by(answers: &[Vec<u8>], timeout: u64) -> (Option<Vec<String>>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let requests = (0..answers.len()).map(|number| format!("/{number}")).collect();
        let warm = Warm {
            requests,
            host: "example.com".into(),
            timeout: Duration::from_millis(timeout),
            slow_start: Duration::ZERO,
        };
        let server = async {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 1024];
                let length = stream.read(&mut head).await.unwrap();
                asked.push(String::from_utf8_lossy(&head[..length]).into_owned());
                stream.write_all(answer).await.unwrap();
                if answer.is_empty() {
                    let _ = stream.read(&mut [0; 1]).await;
                }
            }
            asked
        };
        tokio::join!(warm_up(&address, &warm, false), server)
    }

    fn answer(status: &str, body: usize) -> Vec<u8> {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {body}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; body]].concat()
    }

    #[tokio::test]
    async fn each_is_asked_for_in_turn_and_read_to_the_end() {
        let (complaints, asked) = warmed_by(&[answer("200 OK", 0), answer("200 OK", 4 << 20)], 10_000).await;
        assert_eq!(complaints, Some(Vec::new()));
        assert!(asked[1].starts_with("GET /1 HTTP/1.1\r\n") && asked[1].contains("host: example.com\r\n"), "{asked:?}");
    }

    #[tokio::test]
    async fn what_is_not_answered_well_is_told_and_the_rest_is_asked_for_all_the_same() {
        let (complaints, asked) = warmed_by(&[answer("500 No", 3), answer("302 Found", 0)], 10_000).await;
        assert_eq!((complaints, asked.len()), (Some(vec!["GET /0 answered 500".to_owned()]), 2));
    }

    #[tokio::test]
    async fn after_its_time_nobody_waits_any_more() {
        let (complaints, _) = warmed_by(&[Vec::new()], 50).await;
        assert_eq!(complaints, None);
    }
}
