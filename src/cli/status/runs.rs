//! What there is to say of a task with a schedule: its times, its counts, and what became of the latest run.
//!
//! Pure.

use super::super::exit_line::second;
use super::super::paint::plain;
use crate::control::words::Job;

pub(super) fn told(job: &Job) -> Vec<String> {
    let next = job.next.as_ref().map_or_else(|| "never".to_owned(), |next| second(next));
    let missed = if job.missed == 0 { String::new() } else { format!(", {} left out", job.missed) };
    let (runs, failures) =
        (if job.runs == 1 { "1 run".to_owned() } else { format!("{} runs", job.runs) }, job.failures);
    let counts = format!("  schedule {}, next {next}; {runs}, {failures} failed{missed}", job.schedule);
    let last = job.last.as_ref().map(|run| {
        let reason = run.reason.as_ref().map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
        format!("  last run {} at {}{reason}", run.result, second(&run.ended))
    });
    std::iter::once(counts).chain(last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::words::Run;

    #[test]
    fn a_job_is_told_with_its_next_time_and_its_latest_run() {
        let at = |time: &str| format!("2026-01-31T{time}Z");
        let mut job = Job {
            schedule: "0 3 * * *".into(),
            next: Some(at("03:00:00")),
            running_since: None,
            last: None,
            last_success: None,
            runs: 0,
            failures: 0,
            missed: 0,
        };
        assert_eq!(told(&job), ["  schedule 0 3 * * *, next 2026-01-31T03:00:00Z; 0 runs, 0 failed"]);
        let reason = Some("worker report 2.0 exited with exit code 1 while it ran".to_owned());
        let last = Run { began: at("03:00:00"), ended: at("03:00:01.5"), result: "failed".into(), reason };
        job = Job { next: None, last: Some(last), runs: 2, failures: 1, missed: 3, ..job };
        let [counts, last] = told(&job).try_into().unwrap();
        assert!(counts.ends_with("next never; 2 runs, 1 failed, 3 left out"), "{counts}");
        assert!(last.starts_with("  last run failed at 2026-01-31T03:00:01Z: worker report 2.0 exited"), "{last}");
    }
}
