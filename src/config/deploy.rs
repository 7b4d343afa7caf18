//! `[app.NAME.deploy]`: how a new generation takes the place of the one before it, and what keeps a bad build from hurting.
//!
//! Values; what follows from them is decided in `lifecycle::rollout` and `lifecycle::trial`.

use std::time::Duration;

use super::bounds;
use super::command;
use super::defaults;
use super::fault::Fault;
use super::reader::Table;
use super::units::Amount;
use super::value::{self, Value};
use super::{Program, Warm};

/// How a new generation of an app comes into service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deploy {
    /// `None`: as memory allows.
    pub strategy: Option<Strategy>,
    /// So many processes more than there are workers; `None`: as many, or one where they are to come one by one.
    pub max_surge: Option<Part>,
    /// So many fewer serve than there are workers.
    pub max_unavailable: Part,
    /// Memory that is left; `None`: 256 MiB or a twentieth of all, whichever is more.
    pub reserve: Option<Amount>,
    /// Where there is no room for a second worker, requests wait while the only one is replaced.
    pub holds: bool,
    /// A reload of which nothing has come for so long is undone.
    pub progress: Duration,
    /// What is run before a new generation takes requests, and has to succeed.
    pub pre_promote: Option<Program>,
    /// What is run once it has them.
    pub post_promote: Option<Program>,
    /// Longest time of each.
    pub hook_timeout: Duration,
    pub trial: Trial,
    /// A client that has seen it is not given an older one while it serves.
    pub consistent: bool,
    /// How each of its workers comes to its full share.
    pub warm: Warm,
}

/// How a new generation has to prove itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// So long a new generation is watched once it serves; zero: it is not.
    pub bake: Duration,
    /// So long the one before it is kept running, beginning at the same moment; zero: it leaves at once.
    pub retain: Duration,
    /// Before it takes over it serves so many of all clients, in ten thousandths; `None`: it takes over at once.
    pub canary: Option<u32>,
    /// So long.
    pub canary_bake: Duration,
}

/// In which order workers come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// All new ones come, then all old ones go.
    BlueGreen,
    /// Some come, as many go, and so on.
    Rolling,
    /// One goes, one comes, and so on.
    ShrinkFirst,
    /// The same with one worker alone.
    Hold,
}

/// A number of workers, or a share of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Count(u32),
    /// In hundredths.
    Percent(u32),
}

impl Default for Part {
    fn default() -> Self {
        Self::Count(0)
    }
}

pub(super) const STRATEGIES: [(&str, Option<Strategy>); 5] = [
    ("auto", None),
    ("blue-green", Some(Strategy::BlueGreen)),
    ("rolling", Some(Strategy::Rolling)),
    ("shrink-first", Some(Strategy::ShrinkFirst)),
    ("hold", Some(Strategy::Hold)),
];

/// What to do where there is no room for a second worker: do requests wait?
pub(super) const WITHOUT_ROOM: [(&str, bool); 2] = [("refuse", false), ("hold", true)];

/// A canary's share: what is more than half of all is no trial any more.
const CANARY: std::ops::RangeInclusive<u32> = 1..=5_000;

pub(super) fn deploy(table: &mut Table) -> Deploy {
    let trial = trial(table);
    let strategy = table.take("strategy", strategy).flatten();
    if strategy == Some(Strategy::Hold) && trial.canary.is_some() {
        let fault = Fault::error(table.span_of("canary"), "`canary` has no meaning beside this `strategy`");
        let fault = fault.label("of one worker alone there is no share");
        table.report(fault.related(table.span_of("strategy"), "its only worker goes before another one comes"));
    }
    Deploy {
        strategy,
        max_surge: table.take("max_surge", |value| value::unless("auto", value, part)).flatten(),
        max_unavailable: table.take("max_unavailable", part).unwrap_or_default(),
        reserve: table.take("reserve", |value| value::unless("auto", value, bounds::amount)).flatten(),
        holds: table.take("on_no_room", |value| value::word(value, &WITHOUT_ROOM)).unwrap_or(false),
        progress: table.duration("progress_deadline", &defaults::PROGRESS_DEADLINE),
        pre_promote: table.take("pre_promote", command::hook),
        post_promote: table.take("post_promote", command::hook),
        hook_timeout: table.duration("hook_timeout", &defaults::HOOK_TIMEOUT),
        trial,
        consistent: table.boolean("consistent"),
        // Read when it is known by which name the app is asked.
        warm: Warm::default(),
    }
}

fn trial(table: &mut Table) -> Trial {
    let bake = table.duration("bake", &defaults::BAKE);
    let retain = table.take("retain", |value| value::duration(value, &defaults::BAKE.range)).unwrap_or(bake);
    if retain < bake {
        let fault = Fault::error(table.span_of("retain"), "`retain` is shorter than `bake`");
        let fault = fault.label("nobody would be there to go back to");
        let fault = fault.related(table.span_of("bake"), "watched for so long");
        table.report(fault.help("leave `retain` out, and it is as long as `bake`"));
    }
    let canary = table.take("canary", share);
    Trial { bake, retain, canary, canary_bake: table.duration("canary_bake", &defaults::CANARY_BAKE) }
}

fn strategy(value: Value) -> Result<Option<Strategy>, Fault> {
    value::word(value, &STRATEGIES).map_err(|fault| match value.str() {
        Some("blue/green" | "bluegreen" | "blue_green") => fault.label("did you mean \"blue-green\"?"),
        Some("RollingUpdate" | "rolling-update") => fault.label("did you mean \"rolling\"?"),
        Some("Recreate" | "recreate") => fault
            .label("stops before it starts")
            .help("`portreeve restart` does that; \"hold\" replaces one after the other"),
        _ => fault,
    })
}

/// `"5%"`, `"0.5%"`, in ten thousandths.
fn share(value: Value) -> Result<u32, Fault> {
    let fault = || value.mismatch("a share of all clients, from \"0.01%\" to \"50%\"");
    let Some(text) = value.str() else {
        return Err(fault()
            .label(value.integer().map_or("not a share".to_owned(), |number| format!("did you mean \"{number}%\"?"))));
    };
    let number = text.strip_suffix('%').map(str::trim_end).ok_or_else(fault)?;
    let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
    let is_number =
        !whole.is_empty() && [whole, rest].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let digits = Some(format!("{whole}{rest:0<2}")).filter(|_| is_number && rest.len() <= 2);
    let share = digits.and_then(|digits| digits.parse().ok());
    share.filter(|share| CANARY.contains(share)).ok_or_else(fault)
}

/// `1`, `"25%"`.
fn part(value: Value) -> Result<Part, Fault> {
    let Some(text) = value.str() else { return value::count(value, &defaults::PART).map(Part::Count) };
    let percent = text.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
    let percent = percent.filter(|percent| *percent <= 100).map(Part::Percent);
    percent.ok_or_else(|| value.mismatch("a number of workers, or a share from \"0%\" to \"100%\""))
}

#[cfg(test)]
mod tests {
    use super::super::Server;
    use super::super::testing::{bad, fault_of, good, meaning_of};
    use super::*;

    fn deploy_of(lines: &str) -> Deploy {
        let config = good(&format!("[app.web]\ncommand = 'node x'\n[app.web.deploy]\n{lines}\n")).config;
        let Server::Command(command) = config.apps.into_values().next().unwrap().server else { panic!("has workers") };
        command.deploy
    }

    #[test]
    fn without_a_word_memory_decides_and_nobody_is_missing() {
        let deploy = deploy_of("");
        assert_eq!((deploy.strategy, deploy.max_surge, deploy.max_unavailable), (None, None, Part::Count(0)));
        assert_eq!((deploy.reserve, deploy.holds, deploy.progress), (None, false, Duration::from_mins(10)));
    }

    #[test]
    fn everything_is_read() {
        let deploy = deploy_of(
            "strategy = 'shrink-first'\nmax_surge = '25%'\nmax_unavailable = 2\nreserve = '1GiB'\non_no_room = 'hold'\n\
             progress_deadline = '5m'\npre_promote = 'npm run migrate && echo done'\n\
             post_promote = ['node', 'tell them.js']\nhook_timeout = '90s'\nbake = '1s'\nretain = '2s'\ncanary = '5%'\nconsistent = true\n\
             canary_bake = '3s'",
        );
        let expected = Deploy {
            strategy: Some(Strategy::ShrinkFirst),
            max_surge: Some(Part::Percent(25)),
            max_unavailable: Part::Count(2),
            reserve: Some(Amount::Bytes(1 << 30)),
            holds: true,
            progress: Duration::from_mins(5),
            pre_promote: Some(Program::Shell("npm run migrate && echo done".to_owned())),
            post_promote: Some(Program::Direct(vec!["node".to_owned(), "tell them.js".to_owned()])),
            hook_timeout: Duration::from_secs(90),
            trial: Trial {
                bake: Duration::from_secs(1),
                retain: Duration::from_secs(2),
                canary: Some(500),
                canary_bake: Duration::from_secs(3),
            },
            consistent: true,
            warm: Warm::default(),
        };
        assert_eq!(Deploy { warm: Warm::default(), ..deploy }, expected);
    }

    #[test]
    fn words_of_others_are_told_apart() {
        for (text, said) in [
            ("blue/green", "\"blue-green\""),
            ("RollingUpdate", "\"rolling\""),
            ("recreate", "stops before"),
            ("rollin", "\"rolling\""),
        ] {
            assert!(fault_of(text, strategy).label.contains(said), "{text}");
        }
        let problems =
            bad("[app.web]\ncommand = 'x'\ndeploy = { on_no_room = 'wait', max_surge = -1 }\n").render(false);
        assert!(problems.contains("\"refuse\"") && problems.contains("`max_surge`"), "{problems}");
    }

    #[test]
    fn a_part_is_a_number_or_a_share_of_all() {
        assert_eq!(meaning_of("25%", part), Part::Percent(25));
        for text in ["", "two", "101%", "-1%", "25"] {
            assert!(fault_of(text, part).message.contains("\"0%\" to \"100%\""), "{text}");
        }
    }

    #[test]
    fn a_canary_is_a_share_of_the_clients() {
        for (text, expected) in [("5%", 500), ("0.5%", 50), ("0.01%", 1), ("12.34 %", 1_234), ("50%", 5_000)] {
            assert_eq!(meaning_of(text, share), expected, "{text}");
        }
        for text in ["", "5", "0%", "51%", "-1%", "1.234%", ".5%", "five%"] {
            assert!(fault_of(text, share).message.contains("\"0.01%\" to \"50%\""), "{text}");
        }
        let problems =
            bad("[app.web]\ncommand = 'x'\ndeploy = { canary = 5 }\n[app.api]\ncommand = 'x'\npath = '/api'\n\
                 deploy = { strategy = 'hold', canary = '5%' }\n")
            .render(false);
        assert!(problems.contains("did you mean \"5%\"?"), "{problems}");
        assert!(problems.contains("of one worker alone there is no share"), "{problems}");
    }
}
