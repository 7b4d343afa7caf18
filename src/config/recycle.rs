//! `[app.NAME.recycle]`: when workers are replaced although nothing is wrong with them.
//!
//! A schedule is read by `croner` and kept as it is meant; what it says of a given time is asked of [`Schedule`].

use std::fmt;
use std::str::FromStr;

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::Zoned;

use super::fault::Fault;
use super::reader::Table;
use super::value::{self, Value};
use super::{Recycle, defaults};

/// Points in time that come again and again, in the time zone of the clock that it is asked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Box<Cron>);

impl Schedule {
    /// The first point in time after `now`; `None`: there is none any more.
    #[must_use]
    pub fn next_after(&self, now: &Zoned) -> Option<Zoned> {
        self.0.find_next_occurrence(now, false).ok()
    }
}

impl FromStr for Schedule {
    type Err = String;

    /// Five fields from minute to day of the week, or six with the second in front.
    fn from_str(text: &str) -> Result<Self, String> {
        let parser = CronParser::builder().seconds(Seconds::Optional).build();
        parser.parse(text).map(|cron| Self(Box::new(cron))).map_err(|error| error.to_string())
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

pub(super) fn recycle(table: &mut Table) -> Recycle {
    let recycle = Recycle {
        max_age: table.take("max_age", |value| value::duration(value, &defaults::MAX_AGE)),
        max_requests: table.take("max_requests", |value| value::count(value, &defaults::MAX_REQUESTS)),
        jitter: table.take("jitter", share).unwrap_or(defaults::JITTER),
        schedule: table.take("schedule", schedule),
    };
    if table.has("jitter") && !table.has("max_age") && !table.has("max_requests") {
        let fault =
            Fault::error(table.span_of("jitter"), "`jitter` has no meaning without `max_age` or `max_requests`");
        table.report(fault.label("nothing to vary"));
    }
    recycle
}

/// Hundredths, such as `"10%"`.
fn share(value: Value) -> Result<u32, Fault> {
    let number = value.str().and_then(|text| text.strip_suffix('%')?.trim_end().parse().ok());
    number.filter(|share| *share <= 100).ok_or_else(|| value.mismatch("a share from \"0%\" to \"100%\""))
}

pub(super) fn schedule(value: Value) -> Result<Schedule, Fault> {
    let text = value::text(value)?;
    text.parse().map_err(|error: String| {
        value
            .fault(format!("`{}` is no schedule", value.key))
            .label(error)
            .help("minute, hour, day, month, day of the week: \"30 4 * * *\" is half past four each night")
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fault_of, meaning_of};
    use super::*;

    fn next(expression: &str, now: &str) -> String {
        let schedule = meaning_of(expression, schedule);
        schedule.next_after(&now.parse().unwrap()).unwrap().strftime("%F %T").to_string()
    }

    #[test]
    fn a_schedule_names_points_in_local_time() {
        for (expression, now, then) in [
            ("30 4 * * *", "2026-01-31T04:30:00[Europe/Berlin]", "2026-02-01 04:30:00"),
            ("0 3 * * SUN", "2026-11-25T10:00:00[Europe/Berlin]", "2026-11-29 03:00:00"),
            ("*/15 * * * * *", "2026-11-25T10:00:16[UTC]", "2026-11-25 10:00:30"),
            ("@daily", "2026-11-25T10:00:00[UTC]", "2026-11-26 00:00:00"),
        ] {
            assert_eq!(next(expression, now), then, "{expression}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_an_example() {
        for text in ["", "whenever", "61 * * * *", "* * *", "* * * * * * * *"] {
            let fault = fault_of(text, schedule);
            assert!(fault.message.contains("schedule") || fault.message.contains("empty"), "{text}: {fault:?}");
        }
        assert!(fault_of("61 * * * *", schedule).help.is_some_and(|help| help.contains("30 4 * * *")));
    }

    #[test]
    fn a_share_has_its_sign_and_is_no_more_than_all() {
        assert_eq!(["0%", "10%", "100%"].map(|text| meaning_of(text, share)), [0, 10, 100]);
        for text in ["10", "101%", "-1%", "%", "ten%"] {
            assert!(fault_of(text, share).message.contains("\"0%\" to \"100%\""), "{text}");
        }
    }
}
