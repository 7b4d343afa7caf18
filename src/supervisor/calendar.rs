//! When jobs are to run, and workers of which app to be replaced, by the clock on the wall.
//!
//! Only knows times; what is done then is the loop's. Invariant: the clock is looked at once a minute at least, so that one
//! that was set is noticed: set ahead over a point in time, that time has come; set back, it comes again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Zoned;

use super::Supervisor;
use super::site::Site;
use crate::config::{Kind, Schedule, Server};
use crate::id::AppName;
use crate::lifecycle::{Event, RecycleReason};

/// The clock is looked at no less often.
const LOOK: Duration = Duration::from_mins(1);

/// What is due next of each app that has a schedule.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    dates: BTreeMap<AppName, Date>,
    /// When to look next; `None`: there is no schedule.
    look: Option<Instant>,
}

#[derive(Debug)]
struct Date {
    schedule: Schedule,
    next: Option<Zoned>,
}

impl Calendar {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.look
    }

    /// Schedules may have changed.
    pub(super) fn look_soon(&mut self, now: Instant) {
        self.look = Some(now);
    }

    /// What is due next of an app that has a schedule.
    pub(super) fn next(&self, app: &AppName) -> Option<&Zoned> {
        self.dates.get(app)?.next.as_ref()
    }

    /// Looks at the clock; gives the apps whose time has come since it last did. `schedules` are those that hold now.
    pub(super) fn look<'a>(
        &mut self,
        now: Instant,
        wall: &Zoned,
        schedules: impl Iterator<Item = (&'a AppName, &'a Schedule)>,
    ) -> Vec<AppName> {
        let mut before = std::mem::take(&mut self.dates);
        let mut due = Vec::new();
        for (app, schedule) in schedules {
            let next = schedule.next_after(wall);
            let kept = before.remove(app).filter(|date| date.schedule == *schedule);
            if kept.and_then(|date| date.next).is_some_and(|at| at <= *wall) {
                due.push(app.clone());
            }
            self.dates.insert(app.clone(), Date { schedule: schedule.clone(), next });
        }
        let until = |at: &Zoned| Duration::try_from(wall.duration_until(at)).unwrap_or_default().min(LOOK);
        let first = self.dates.values().filter_map(|date| date.next.as_ref()).map(until).min();
        self.look = first.map(|wait| now + wait);
        due
    }
}

impl Supervisor {
    /// Runs the jobs whose time has come, and asks for new workers where it is time for all of them.
    pub(super) fn consult_calendar(&mut self, now: Instant) {
        if self.chores.calendar.deadline().is_none_or(|look| look > now) {
            return;
        }
        let schedules = self.config.apps.iter().filter_map(|(name, app)| match (&app.kind, &app.server) {
            (Kind::Job(job), _) => Some((name, &job.schedule)),
            (_, Server::Command(command)) => Some((name, command.recycle.schedule.as_ref()?)),
            (_, Server::Fixed(_)) => None,
        });
        let due = self.chores.calendar.look(now, &Zoned::now(), schedules);
        for app in due.into_iter().filter(|_| !self.is_stopping()).collect::<Vec<_>>() {
            let Some(Site::Supervised(site)) = self.sites.get(&app) else { continue };
            if site.runs.is_some() {
                self.job_is_due(&app);
                continue;
            }
            let reason = RecycleReason::Schedule;
            let events = site.serving().into_iter().map(|serial| (app.clone(), Event::Recycle { serial, reason }));
            self.machines.queue.extend(events);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn schedule(expression: &str) -> Schedule {
        let text = format!("[app.web]\ncommand = \"true\"\nrecycle = {{ schedule = \"{expression}\" }}\n");
        let loaded = config::parse(&text, std::path::Path::new("/etc/portreeve.toml")).unwrap();
        let config::Server::Command(command) = &loaded.config.apps.values().next().unwrap().server else { panic!() };
        command.recycle.schedule.clone().unwrap()
    }

    fn wall(time: &str) -> Zoned {
        format!("2026-11-25T{time}[UTC]").parse().unwrap()
    }

    #[test]
    fn each_point_in_time_comes_once() {
        let (web, schedule, now) = ("web".parse().unwrap(), schedule("*/10 * * * * *"), Instant::now());
        let mut calendar = Calendar::default();
        let mut look =
            |time: &str| (calendar.look(now, &wall(time), [(&web, &schedule)].into_iter()).len(), calendar.look);
        let at = |seconds| Some(now + Duration::from_secs(seconds));
        assert_eq!(look("10:00:03"), (0, at(7)));
        assert_eq!(look("10:00:09"), (0, at(1)), "too early");
        assert_eq!(look("10:00:10"), (1, at(10)));
        assert_eq!(look("10:00:10"), (0, at(10)));
        assert_eq!(look("10:00:47"), (1, at(3)), "those that were missed count as one");
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_within_a_minute() {
        let (web, schedule, now) = ("web".parse().unwrap(), schedule("0 12 * * *"), Instant::now());
        let mut calendar = Calendar::default();
        let mut look =
            |time: &str| (calendar.look(now, &wall(time), [(&web, &schedule)].into_iter()).len(), calendar.look);
        assert_eq!(look("10:00:00"), (0, Some(now + LOOK)));
        assert_eq!(look("13:00:00").0, 1, "set ahead");
        assert_eq!(look("11:59:30"), (0, Some(now + LOOK / 2)), "set back");
        assert_eq!(look("12:00:00").0, 1);
    }

    #[test]
    fn a_schedule_that_changes_or_goes_is_forgotten() {
        let (web, now): (AppName, _) = ("web".parse().unwrap(), Instant::now());
        let (early, late) = (schedule("0 12 * * *"), schedule("0 13 * * *"));
        let mut calendar = Calendar::default();
        calendar.look(now, &wall("11:00:00"), [(&web, &early)].into_iter());
        assert!(calendar.look(now, &wall("12:30:00"), [(&web, &late)].into_iter()).is_empty());
        assert!(calendar.look(now, &wall("13:30:00"), [].into_iter()).is_empty());
        assert_eq!(calendar.deadline(), None);
    }
}
