use std::io::Write;
use std::process::{Child, Command, Stdio};

use tokio::sync::mpsc;

use super::*;
use crate::config::{Channel, Socket as Listens};
use crate::id::{Generation, Serial, Slot, WorkerId};
use crate::telemetry::exposition;
use crate::telemetry::supervisor_metrics::{Picture, SupervisorMetrics};

/// What a test waits for comes within this time.
const SOON: Duration = Duration::from_secs(10);

struct Rig {
    notify: Notify,
    path: std::path::PathBuf,
    events: mpsc::Receiver<Event>,
    metrics: SupervisorMetrics,
    _home: tempfile::TempDir,
    _folder: SocketFolder,
}

/// The socket of a worker that was started as `leader`.
fn rig(leader: u32) -> Rig {
    let home = tempfile::tempdir().unwrap();
    let folder = SocketFolder::make(home.path().join("7"), None, None).unwrap();
    let contract = Contract {
        socket: Listens::Port,
        channel: Channel::Absent,
        notify: true,
        watchdog: Some(Duration::from_secs(10)),
        ready: Readiness::Notify,
        stop_signal: crate::config::StopSignal::Term,
        node: crate::config::Node::PLAIN,
    };
    let socket = Notify::offer(contract, Some(&folder), &mut Kit::default()).unwrap().unwrap();
    let (sender, events) = mpsc::channel(4);
    let metrics = SupervisorMetrics::new();
    let worker = WorkerId { app: "web".parse().unwrap(), generation: Generation(1), slot: Slot(0) };
    let subject = Subject { worker, serial: Serial(7), events: sender, metrics: metrics.clone() };
    let notify = Notify::open(socket, leader, subject, &TaskTracker::new()).unwrap();
    let path = folder.socket(SOCKET).unwrap();
    Rig { notify, path, events, metrics, _home: home, _folder: folder }
}

impl Rig {
    fn say(&self, message: &[u8]) {
        Socket::unbound().unwrap().send_to(message, &self.path).unwrap();
    }

    async fn next(&mut self) -> Event {
        tokio::time::timeout(SOON, self.events.recv()).await.expect("something is told").unwrap()
    }

    fn faults(&self, kind: &str) -> bool {
        let text = exposition::render(self.metrics.gather(&Picture::default()));
        text.contains(&format!("portreeve_notify_faults_total{{app=\"web\",kind=\"{kind}\"}} 1\n"))
    }
}

/// A process that is none of ours to anybody but us.
fn stranger() -> Child {
    Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

#[tokio::test]
async fn a_worker_is_heard_once_and_garbage_before_it_is_counted() {
    let mut rig = rig(std::process::id());
    rig.say(b"\xff\0");
    rig.say(&[b'x'; LONGEST_MESSAGE + 1]);
    rig.say(b"STATUS=warming up\nREADY=1\nREADY=1");
    rig.say(b"READY=1");
    assert!(matches!(rig.next().await, Event::Declared { serial: Serial(7), by: Readiness::Notify, .. }));
    assert_eq!(rig.notify.status().as_deref(), Some("warming up"));
    assert!(rig.faults("garbage") && rig.faults("too_long"));
    assert!(rig.events.try_recv().is_err(), "it is told once");
}

#[tokio::test]
async fn a_stranger_is_not_heard() {
    let mut leader = stranger();
    let mut rig = rig(leader.id());
    rig.say(b"READY=1\nSTATUS=mine");
    tokio::time::timeout(SOON, async {
        while !rig.faults("stranger") {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is counted");
    assert!(rig.events.try_recv().is_err() && rig.notify.status().is_none());
    leader.stdin.take().unwrap().flush().unwrap();
    leader.wait().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_taken_in_no_faster_than_agreed() {
    let rig = rig(std::process::id());
    let client = Socket::unbound().unwrap();
    client.set_nonblocking(true).unwrap();
    // So many may wait in the socket.
    let setting = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").unwrap();
    let waiting: u32 = setting.trim().parse().unwrap();
    let begin = Instant::now();
    let mut sent = 0;
    while sent <= 5 * MOST_MESSAGES + waiting {
        match client.send_to(format!("STATUS={sent}").as_bytes(), &rig.path) {
            Ok(_) => sent += 1,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    assert!(begin.elapsed() >= 4 * WINDOW, "{:?}", begin.elapsed());
}
