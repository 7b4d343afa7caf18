use std::path::Path;
use std::sync::mpsc;

use super::super::tests::write;
use super::*;

const LIMIT: Duration = Duration::from_secs(10);

fn counter() -> IntCounter {
    IntCounter::new("dropped_total", "Dropped.").unwrap()
}

fn log_to(path: &Path) -> AccessLog {
    AccessLog::start(Target::File(path.to_owned()), Format::Json, counter()).unwrap()
}

fn log_on(output: impl Write + Send + 'static, dropped: &IntCounter) -> AccessLog {
    AccessLog::start_on(Box::new(output), Target::Stdout, Format::Text, dropped.clone()).unwrap()
}

/// The paths of the JSON lines in a file, in order.
fn paths_in(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let path =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["path"].as_str().unwrap().to_owned();
    text.lines().map(path).collect()
}

#[test]
fn lines_of_many_threads_are_whole_and_flushed_on_drop() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let log = log_to(&file);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || (0..250).for_each(|n| write(log, &format!("/{thread}/{n:03}"))));
        }
    });
    drop(log);
    let mut paths = paths_in(&file);
    for thread in 0..4 {
        let prefix = format!("/{thread}/");
        assert!(paths.iter().filter(|path| path.starts_with(&prefix)).is_sorted(), "order within a thread");
    }
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 1000);
}

#[test]
fn lines_are_appended_to_a_file_that_is_there_and_not_readable_by_all() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    for path in ["/first", "/second"] {
        write(&log_to(&file), path);
    }
    assert_eq!(paths_in(&file), ["/first", "/second"]);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o007, 0);
}

#[test]
fn what_is_written_after_a_reopen_is_in_the_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let (file, rotated) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let log = log_to(&file);
    write(&log, "/before");
    std::fs::rename(&file, &rotated).unwrap();
    log.reopen();
    write(&log, "/after");
    drop(log);
    let (old, new) = (paths_in(&rotated), paths_in(&file));
    assert!(new.ends_with(&["/after".to_owned()]), "{new:?}");
    assert_eq!([old, new].concat(), ["/before", "/after"]);
}

#[test]
fn when_the_new_file_cannot_be_opened_the_old_one_is_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, rotated) = (folder.path().join("logs"), folder.path().join("rotated"));
    std::fs::create_dir(&logs).unwrap();
    let log = log_to(&logs.join("access.log"));
    std::fs::rename(&logs, &rotated).unwrap();
    log.reopen();
    write(&log, "/after");
    drop(log);
    assert_eq!(paths_in(&rotated.join("access.log")), ["/after"]);
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/access.log");
    let error = AccessLog::start(Target::File(path.clone()), Format::Text, counter()).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

type Taken = Arc<Mutex<Vec<u8>>>;

/// An output that says when it is written to, and then waits for the word.
struct Stuck {
    entered: mpsc::Sender<()>,
    word: mpsc::Receiver<()>,
    taken: Taken,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.entered.send(());
        let _ = self.word.recv();
        self.taken.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stuck() -> (Stuck, mpsc::Receiver<()>, mpsc::Sender<()>, Taken) {
    let ((entered, has_entered), (give, word)) = (mpsc::channel(), mpsc::channel());
    let taken = Arc::default();
    (Stuck { entered, word, taken: Arc::clone(&taken) }, has_entered, give, taken)
}

#[test]
fn a_stuck_output_drops_and_counts_lines_and_never_blocks() {
    let (output, has_entered, give, taken) = stuck();
    let dropped = counter();
    let log = log_on(output, &dropped);
    write(&log, "/first");
    has_entered.recv_timeout(LIMIT).unwrap();
    let path = format!("/{}", "x".repeat(1000));
    let written = 3000;
    (0..written).for_each(|_| write(&log, &path));
    let lost = dropped.get();
    assert!(lost > 1000 && lost < written, "{lost}");
    drop(give);
    drop(log);
    let kept = taken.lock().unwrap().split(|byte| *byte == b'\n').count() as u64 - 2;
    assert_eq!(kept + lost, written, "every line is either written or counted");
    assert_eq!(dropped.get(), lost);
}

#[test]
fn the_end_does_not_wait_for_ever_for_a_stuck_output() {
    let (output, has_entered, give, _) = stuck();
    let log = log_on(output, &counter());
    write(&log, "/");
    has_entered.recv_timeout(LIMIT).unwrap();
    let (ended, has_ended) = mpsc::channel();
    std::thread::spawn(move || {
        drop(log);
        let _ = ended.send(());
    });
    has_ended.recv_timeout(LIMIT).expect("the drop came back");
    drop(give);
}

/// An output that answers as scripted: `Ok(n)` takes at most `n` bytes. After the script it takes all.
struct Scripted {
    script: Vec<io::Result<usize>>,
    taken: Taken,
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = if self.script.is_empty() { bytes.len() } else { self.script.remove(0)? };
        let taken = most.min(bytes.len());
        self.taken.lock().unwrap().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink on a scripted output, without its thread.
fn sink(script: Vec<io::Result<usize>>, dropped: &IntCounter) -> (Sink, Taken) {
    let taken = Arc::default();
    let output = Box::new(Scripted { script, taken: Arc::clone(&taken) });
    let (state, work, ended) = (Mutex::default(), Condvar::new(), Condvar::new());
    let shared = Arc::new(Shared { state, work, ended, dropped: dropped.clone() });
    (Sink { output, target: Target::Stdout, shared, is_torn: false, is_failing: false }, taken)
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

#[test]
fn a_full_disk_is_counted_and_a_torn_line_is_closed_before_the_next() {
    let dropped = counter();
    let (mut sink, taken) = sink(vec![Ok(4), Err(full()), Err(full())], &dropped);
    sink.write(b"one\ntwo\nthree\n");
    assert_eq!(dropped.get(), 2, "two and three");
    sink.write(b"four\n");
    assert_eq!(dropped.get(), 3, "four as well");
    sink.write(b"five\n");
    assert_eq!(dropped.get(), 3);
    assert_eq!(*taken.lock().unwrap(), b"one\nfive\n");
}

#[test]
fn a_line_torn_in_the_middle_is_counted_once_and_ends_before_the_next() {
    let dropped = counter();
    let (mut sink, taken) = sink(vec![Ok(6), Err(full()), Err(full())], &dropped);
    sink.write(b"one\ntwo\n");
    sink.write(b"lost\n");
    sink.write(b"three\n");
    assert_eq!(dropped.get(), 2);
    assert_eq!(*taken.lock().unwrap(), b"one\ntw\nthree\n");
}

#[test]
fn an_output_that_does_not_block_is_tried_again_when_it_was_full() {
    let dropped = counter();
    let again = || Err(io::ErrorKind::WouldBlock.into());
    let (mut sink, taken) = sink(vec![Ok(2), again(), Err(io::ErrorKind::Interrupted.into()), again()], &dropped);
    sink.write(b"one\ntwo\n");
    assert_eq!(*taken.lock().unwrap(), b"one\ntwo\n");
    assert_eq!(dropped.get(), 0);
}

#[test]
fn after_a_panic_of_the_thread_lines_are_counted_and_the_end_is_quick() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("an output that panics: this is part of the test");
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let dropped = counter();
    let log = log_on(Broken, &dropped);
    write(&log, "/lost");
    let state = log.shared.lock();
    let state = log.shared.ended.wait_timeout_while(state, LIMIT, |state| !state.has_ended).unwrap().0;
    assert!(state.has_ended);
    drop(state);
    write(&log, "/counted");
    assert_eq!(dropped.get(), 1);
}
