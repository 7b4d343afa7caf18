//! A job in the situations that have a name, and in all that there are within a dozen steps.

use std::collections::HashSet;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn terms(overlap: Overlap) -> Terms {
    Terms { overlap, timeout: Some(MINUTE) }
}

fn due(overlap: Overlap) -> JobEvent {
    JobEvent::Due { terms: terms(overlap), is_between: false }
}

fn ended(failure: Option<&str>) -> JobEvent {
    JobEvent::Ended { failure: failure.map(str::to_owned) }
}

/// A job that runs, from a minute ago or so.
fn running(now: Instant) -> Job {
    let mut job = Job::default();
    assert_eq!(job.handle(now, due(Overlap::Skip)), Some(JobAction::Begin));
    job
}

fn last(job: &Job) -> (RunResult, Option<&str>) {
    let run = job.last().expect("a run is over");
    (run.result, run.reason.as_deref())
}

#[test]
fn a_run_is_over_when_nothing_is_left_of_it() {
    let now = Instant::now();
    let mut job = running(now);
    assert_eq!((job.running_since(), job.deadline(), job.begun()), (Some(now), Some(now + MINUTE), 1));
    assert_eq!(job.handle(now, ended(None)), Some(JobAction::End));
    assert!(job.last().is_none() && !job.is_running() && job.deadline().is_none());
    assert_eq!(job.handle(now + MINUTE, JobEvent::Gone), None);
    assert_eq!(job.last(), Some(&Run { began: now, ended: now + MINUTE, result: RunResult::Succeeded, reason: None }));
    assert_eq!(job.running_since(), None);
}

#[test]
fn a_start_that_meets_a_run_is_left_out_replaces_it_or_waits() {
    let now = Instant::now();
    let mut job = running(now);
    assert_eq!((job.handle(now, due(Overlap::Skip)), job.missed()), (None, 1));

    assert_eq!(job.handle(now, due(Overlap::Replace)), Some(JobAction::End));
    assert_eq!(job.handle(now, JobEvent::Gone), Some(JobAction::Begin));
    assert_eq!((last(&job), job.begun()), ((RunResult::Replaced, None), 2));

    assert_eq!((job.handle(now, due(Overlap::Queue)), job.handle(now, due(Overlap::Queue))), (None, None));
    assert_eq!(job.missed(), 2, "one waits, and no more");
    assert_eq!(job.handle(now, ended(Some("exit code 3"))), Some(JobAction::End));
    assert_eq!(job.handle(now, JobEvent::Gone), Some(JobAction::Begin));
    assert_eq!((last(&job), job.begun()), ((RunResult::Failed, Some("exit code 3")), 3));
}

#[test]
fn a_run_that_takes_too_long_is_ended_and_not_before() {
    let now = Instant::now();
    let mut job = running(now);
    assert_eq!(job.handle(now + MINUTE / 2, JobEvent::Wake), None);
    assert_eq!(job.handle(now + MINUTE, JobEvent::Wake), Some(JobAction::End));
    assert_eq!(job.handle(now + MINUTE, ended(Some("signal 15"))), None, "that is its end, and not its result");
    assert_eq!(job.handle(now + MINUTE, JobEvent::Gone), None);
    assert_eq!(last(&job).0, RunResult::TimedOut);
}

#[test]
fn between_two_attempts_the_next_time_is_a_fresh_start() {
    let now = Instant::now();
    let mut job = running(now);
    let between = JobEvent::Due { terms: terms(Overlap::Skip), is_between: true };
    assert_eq!(job.handle(now, between), Some(JobAction::End));
    assert_eq!(job.handle(now, JobEvent::Gone), Some(JobAction::Begin));
    assert_eq!((last(&job).0, job.begun(), job.missed()), (RunResult::Failed, 2, 0));
}

#[test]
fn whoever_asks_gets_a_run_now_whatever_the_overlap() {
    let now = Instant::now();
    let mut job = running(now);
    assert_eq!(job.handle(now, JobEvent::Asked(terms(Overlap::Skip))), Some(JobAction::End));
    assert_eq!(job.handle(now, JobEvent::Gone), Some(JobAction::Begin));
    assert_eq!(job.handle(now, JobEvent::Exceeded), Some(JobAction::End));
    assert_eq!(job.handle(now, JobEvent::Asked(terms(Overlap::Skip))), None);
    assert_eq!(job.handle(now, JobEvent::Gone), Some(JobAction::Begin));
    assert_eq!((last(&job).0, job.begun()), (RunResult::Failed, 3));
}

#[test]
fn what_is_called_off_is_not_followed_by_what_waits() {
    let now = Instant::now();
    let mut job = running(now);
    assert_eq!(job.handle(now, due(Overlap::Queue)), None);
    assert_eq!(job.handle(now, JobEvent::CalledOff), Some(JobAction::End));
    assert_eq!(job.handle(now, JobEvent::Gone), None);
    assert_eq!(last(&job).0, RunResult::Stopped);
    let mut job = running(now);
    assert_eq!(job.handle(now, due(Overlap::Replace)), Some(JobAction::End));
    assert_eq!(job.handle(now, JobEvent::CalledOff), None, "it is on its way out");
    assert_eq!((job.handle(now, JobEvent::Gone), job.handle(now, JobEvent::Gone)), (None, None));
    let mut stopped = running(now);
    assert_eq!(stopped.handle(now, JobEvent::Gone), None);
    assert_eq!(last(&stopped).0, RunResult::Stopped);
}

/// What of a job can matter to what follows.
fn key(job: &Job, now: Instant) -> (String, bool) {
    let is_due = job.deadline().is_some_and(|until| until <= now);
    let name = match &job.state {
        State::Idle => "idle".to_owned(),
        State::Running { again, .. } => format!("running {again:?}"),
        State::Ending { result, again, .. } => format!("ending {result} {again:?}"),
    };
    (name, is_due)
}

/// Every state that a job can come to, met by everything: it begins only when nothing is on, ends what is on once, and
/// every run is over once.
#[test]
fn whatever_happens_no_two_runs_are_on_at_once_and_each_is_over_once() {
    let begin = Instant::now();
    let overlaps = [Overlap::Skip, Overlap::Replace, Overlap::Queue];
    let dues = overlaps
        .into_iter()
        .flat_map(|overlap| [false, true].map(|is_between| JobEvent::Due { terms: terms(overlap), is_between }));
    let others = [ended(None), ended(Some("exit code 1")), JobEvent::CalledOff, JobEvent::Exceeded, JobEvent::Gone];
    let asked = [JobEvent::Asked(terms(Overlap::Skip)), JobEvent::Wake];
    let events: Vec<_> = dues.chain(others).chain(asked).collect();
    let mut seen = HashSet::new();
    // The job, the time, whether its machine is on, and whether that was asked to stop.
    let mut frontier = vec![(Job::default(), begin, false, false)];
    while let Some((job, now, is_on, is_stopping)) = frontier.pop() {
        for (event, wait) in events.iter().flat_map(|event| [(event, Duration::ZERO), (event, MINUTE)]) {
            let (mut next, now) = (job.clone(), now + wait);
            let over = job.last().map(|run| (run.began, run.ended, run.result));
            let action = next.handle(now, event.clone());
            let is_gone = *event == JobEvent::Gone;
            let (was_on, was_stopping) = (is_on && !is_gone, is_stopping && !is_gone);
            match action {
                Some(JobAction::Begin) => assert!(!was_on, "{event:?} begins a second run in {job:?}"),
                Some(JobAction::End) => assert!(was_on && !was_stopping, "{event:?} ends what is not on in {job:?}"),
                None => {}
            }
            let is_new = next.last().map(|run| (run.began, run.ended, run.result)) != over;
            assert!(!is_new || (is_on && is_gone), "{event:?} makes an end of {job:?}");
            assert!(!(is_on && is_gone) || next.last().is_some_and(|run| run.ended == now), "no end of {job:?}");
            let is_on = was_on || action == Some(JobAction::Begin);
            let is_stopping = is_on && (was_stopping || action == Some(JobAction::End));
            assert_eq!((next.running_since().is_some(), next.is_running()), (is_on, is_on && !is_stopping));
            if seen.insert((key(&next, now), is_on, is_stopping)) {
                frontier.push((next, now, is_on, is_stopping));
            }
        }
    }
    assert!(seen.len() > 15, "only {} states", seen.len());
}
