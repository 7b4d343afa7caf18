use std::io::{Read, Write};
use std::os::unix::net::UnixStream as Peer;

use tokio::sync::mpsc;

use super::*;
use crate::id::{Generation, Slot};
use crate::telemetry::exposition;
use crate::telemetry::supervisor_metrics::Picture;

/// What a test waits for comes within this time.
const SOON: Duration = Duration::from_secs(10);

struct Rig {
    channel: Channel,
    worker: Peer,
    events: mpsc::Receiver<Event>,
    metrics: SupervisorMetrics,
    tasks: TaskTracker,
}

fn rig() -> Rig {
    let (ours, theirs) = socket::pair().unwrap();
    let (sender, events) = mpsc::channel(4);
    let (tasks, metrics) = (TaskTracker::new(), SupervisorMetrics::new());
    let worker = WorkerId { app: "web".parse().unwrap(), generation: Generation(1), slot: Slot(0) };
    let subject = Subject { worker, serial: Serial(7), events: sender, metrics: metrics.clone() };
    let channel = Channel::open(ours, subject, &tasks).unwrap();
    Rig { channel, worker: theirs.into(), events, metrics, tasks }
}

impl Rig {
    /// Whether the worker's readiness was told of, once its end of the channel is closed.
    async fn declared_at_the_end(self) -> (bool, String) {
        let Self { channel, worker, mut events, metrics, tasks } = self;
        drop(worker);
        tasks.close();
        tokio::time::timeout(SOON, tasks.wait()).await.expect("the reader ends with the channel");
        assert!(!channel.shut_down(), "nobody could get the message");
        let first = events.try_recv().ok();
        let declared = matches!(first, Some(Event::Declared { serial: Serial(7), .. }));
        let last = if declared { events.try_recv().ok() } else { first };
        assert!(matches!(last, Some(Event::LeftChannel { serial: Serial(7), .. })), "{last:?}");
        assert!(events.try_recv().is_err(), "it is told once");
        (declared, exposition::render(metrics.gather(&Picture::default())))
    }
}

#[tokio::test]
async fn a_worker_is_heard_once_however_often_it_says_that_it_is_ready() {
    let mut rig = rig();
    rig.worker.write_all(&b"{\"type\":\"process:msg\"}\n\"ready\"\n".repeat(500)).unwrap();
    let (declared, metrics) = rig.declared_at_the_end().await;
    assert!(declared && !metrics.contains("portreeve_channel_faults_total{"), "{metrics}");
}

#[tokio::test]
async fn garbage_and_half_lines_are_counted_and_change_nothing_else() {
    let mut rig = rig();
    rig.worker.write_all(b"\x00\xff\n{{{\n\"ready\"\n\"half a li").unwrap();
    let (declared, metrics) = rig.declared_at_the_end().await;
    assert!(declared);
    assert!(metrics.contains("portreeve_channel_faults_total{app=\"web\",kind=\"garbage\"} 3\n"), "{metrics}");
}

#[tokio::test]
async fn an_endless_line_is_counted_and_the_next_one_is_heard() {
    let rig = rig();
    let mut worker = rig.worker.try_clone().unwrap();
    let written = tokio::task::spawn_blocking(move || {
        worker.write_all(&vec![b'x'; 10 * 1024 * 1024]).unwrap();
        worker.write_all(b"\n\"ready\"\n").unwrap();
    });
    written.await.unwrap();
    let (declared, metrics) = rig.declared_at_the_end().await;
    assert!(declared);
    assert!(metrics.contains("portreeve_channel_faults_total{app=\"web\",kind=\"too_long\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn the_order_to_end_arrives_as_one_line() {
    let mut rig = rig();
    // Before the first turn of the runtime nothing is known of the socket.
    tokio::time::timeout(SOON, rig.channel.line.stream.writable()).await.unwrap().unwrap();
    assert!(rig.channel.shut_down());
    let mut line = [0; 11];
    rig.worker.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"\"shutdown\"\n");
}

#[tokio::test]
async fn a_handle_is_refused_each_time() {
    let rig = rig();
    let mut worker = rig.worker.try_clone().unwrap();
    let answers = tokio::task::spawn_blocking(move || {
        worker
            .write_all(&b"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\"}\n{\"cmd\":\"NODE_X\"}\n".repeat(2))
            .unwrap();
        let mut answers = vec![0; 2 * wire::HANDLE_REFUSED.len()];
        worker.read_exact(&mut answers).unwrap();
        answers
    });
    assert_eq!(answers.await.unwrap(), wire::HANDLE_REFUSED.repeat(2));
    assert!(!rig.declared_at_the_end().await.0);
}

#[tokio::test]
async fn a_worker_that_does_not_read_gets_no_half_line_and_holds_nobody_up() {
    let mut rig = rig();
    tokio::time::timeout(SOON, rig.channel.line.stream.writable()).await.unwrap().unwrap();
    let sent = (0..1_000_000).take_while(|_| rig.channel.shut_down()).count();
    assert!(sent > 0 && sent < 1_000_000);
    let mut text = vec![0; sent * wire::SHUTDOWN.len()];
    rig.worker.read_exact(&mut text).unwrap();
    assert_eq!(text, wire::SHUTDOWN.repeat(sent));
    rig.worker.set_nonblocking(true).unwrap();
    assert_eq!(rig.worker.read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn reading_pauses_when_a_window_is_spent_and_goes_on_in_the_next() {
    let begin = Instant::now();
    let mut window = Window::new(begin);
    assert_eq!(window.spend(MOST_BYTES - 1, 0, begin), None);
    assert_eq!(window.spend(1, 0, begin), Some(begin + WINDOW));
    assert_eq!(window.spend(CHUNK, MOST_MESSAGES - 1, begin + WINDOW), None);
    assert_eq!(window.spend(1, 1, begin + WINDOW), Some(begin + 2 * WINDOW));
}

#[tokio::test]
async fn dropping_the_channel_ends_the_reader() {
    let Rig { channel, worker, tasks, .. } = rig();
    drop(channel);
    tasks.close();
    tokio::time::timeout(SOON, tasks.wait()).await.expect("the reader ends");
    drop(worker);
}
