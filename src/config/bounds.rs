//! What the workers of an app are bound to: whom they run as, their priority, and the limits of what they may use.
//!
//! Whether this machine grants it is not known here: see `permits`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::defaults;
use super::fault::Fault;
use super::reader::Table;
use super::units::{self, Amount};
use super::value::{self, Value};

/// The keys of an app that are read here.
pub(super) const KEYS: [&str; 12] = [
    "user",
    "group",
    "groups",
    "umask",
    "nice",
    "oom_score_adj",
    "no_new_privs",
    "on_supervisor_death",
    "cpu",
    "cpu_weight",
    "limits",
    "memory",
];

/// What workers are bound to; `None`: as the supervisor is, or unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    pub user: Option<String>,
    /// In place of the user's own.
    pub group: Option<String>,
    /// Beside the user's own.
    pub groups: Vec<String>,
    pub umask: Option<u32>,
    pub nice: Option<i32>,
    pub oom_score_adj: Option<i32>,
    pub no_new_privs: bool,
    pub on_supervisor_death: OnDeath,
    /// Of all processes of a worker together, in thousandths of a CPU.
    pub cpu: Option<u32>,
    /// Of all processes of a worker together, against the other groups of the machine when all want the CPU.
    pub cpu_weight: Option<u32>,
    /// Of each process.
    pub limits: Vec<Limit>,
    pub memory: Memory,
}

/// What becomes of workers when the supervisor dies that has started them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDeath {
    /// They serve on, for whoever takes them over.
    #[default]
    Keep,
    /// They get their stop signal.
    Stop,
}

pub(super) const ON_DEATH: [(&str, OnDeath); 2] = [("keep", OnDeath::Keep), ("stop", OnDeath::Stop)];

/// What all processes of a worker together may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Beyond it the worker is replaced.
    pub soft: Option<Amount>,
    /// Beyond it the worker is killed.
    pub hard: Option<Amount>,
    /// From one look to the next.
    pub interval: Duration,
}

impl Default for Memory {
    fn default() -> Self {
        Self { soft: None, hard: None, interval: defaults::MEMORY_INTERVAL.default }
    }
}

/// A limit as setrlimit(2) has it; `None`: unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub limited: Limited,
    /// In force.
    pub soft: Option<u64>,
    /// As far as a worker may raise it.
    pub hard: Option<u64>,
}

/// What is limited, and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    OpenFiles,
    Processes,
    Core,
    AddressSpace,
    Stack,
    FileSize,
    LockedMemory,
    CpuTime,
}

impl Limited {
    /// All there are, each with its key.
    pub const ALL: [(&'static str, Self); 8] = [
        ("open_files", Self::OpenFiles),
        ("processes", Self::Processes),
        ("core", Self::Core),
        ("address_space", Self::AddressSpace),
        ("stack", Self::Stack),
        ("file_size", Self::FileSize),
        ("locked_memory", Self::LockedMemory),
        ("cpu_time", Self::CpuTime),
    ];

    fn read(self, value: Value) -> Result<Option<u64>, Fault> {
        value::unless("unlimited", value, |value| match self {
            Self::OpenFiles | Self::Processes => value::count(value, &defaults::LIMIT_COUNT).map(u64::from),
            Self::CpuTime => value::duration(value, &defaults::LIMIT_TIME).map(|time| time.as_secs()),
            _ => value::size(value, &defaults::LIMIT_SIZE),
        })
    }
}

/// All that an app says about it.
pub(super) fn bounds(table: &mut Table) -> Bounds {
    let name = |table: &mut Table, key| table.take(key, value::text).map(str::to_owned);
    Bounds {
        user: name(table, "user"),
        group: name(table, "group"),
        groups: table.list("groups", |value| value::text(value).map(str::to_owned)),
        umask: table.take("umask", umask),
        nice: table.take("nice", |value| value::integer(value, &defaults::NICE)),
        oom_score_adj: table.take("oom_score_adj", |value| value::integer(value, &defaults::OOM_SCORE_ADJ)),
        no_new_privs: table.boolean("no_new_privs"),
        on_supervisor_death: table
            .take("on_supervisor_death", |value| value::word(value, &ON_DEATH))
            .unwrap_or_default(),
        cpu: table.take("cpu", cpu),
        cpu_weight: table.take("cpu_weight", |value| value::count(value, &defaults::CPU_WEIGHT)),
        limits: table.section("limits", limits),
        memory: table.section("memory", memory),
    }
}

/// Octal, as chmod(1) takes it.
fn umask(value: Value) -> Result<u32, Fault> {
    let wanted = || value.mismatch("a text of three or four octal digits, such as \"027\"");
    let text = value.str().ok_or_else(wanted)?;
    let is_octal = matches!(text.len(), 3 | 4) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mask = u32::from_str_radix(text, 8).ok().filter(|mask| is_octal && *mask <= 0o777);
    mask.ok_or_else(|| wanted().label("not such a number"))
}

/// A number of CPUs, or a share of one.
fn cpu(value: Value) -> Result<u32, Fault> {
    let wanted = || value.mismatch("a number of CPUs such as 1.5, or a share of one such as \"50%\"");
    let percent = |text: &str| Some(text.strip_suffix('%')?.trim_end().parse::<f64>().ok()? / 100.0);
    let cpus = value.number().or_else(|| percent(value.str()?)).ok_or_else(wanted)?;
    let range: RangeInclusive<f64> = 0.01..=1024.0;
    if range.contains(&cpus) {
        #[allow(clippy::cast_sign_loss, reason = "the range begins above zero")]
        return Ok((cpus * 1000.0).round() as u32);
    }
    Err(value.fault(format!("`{}` must be from 1% to 1024 CPUs", value.key)).label("out of range"))
}

fn limits(table: &mut Table) -> Vec<Limit> {
    Limited::ALL.iter().filter_map(|(key, limited)| limit(table, key, *limited)).collect()
}

/// One value for both, or a table.
fn limit(table: &mut Table, key: &'static str, limited: Limited) -> Option<Limit> {
    let value = table.value(key)?;
    if value.table().is_none() {
        let both = limited.read(value).map_err(|fault| table.report(fault)).ok()?;
        return Some(Limit { limited, soft: both, hard: both });
    }
    table.inner(value, table.dotted(key), |table| {
        let [soft, hard] = ["soft", "hard"].map(|key| table.take(key, |value| limited.read(value)));
        let (Some(soft), Some(hard)) = (soft, hard) else {
            for key in ["soft", "hard"].into_iter().filter(|key| !table.has(key)) {
                table.report_missing(&[key], "`soft` is in force, and a worker may raise it up to `hard`");
            }
            return None;
        };
        if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
            let fault = Fault::error(table.span_of("soft"), "`soft` is above `hard`").label("more than may be had");
            table.report(fault.related(table.span_of("hard"), "as far as it may be raised"));
        }
        Some(Limit { limited, soft, hard })
    })
}

fn memory(table: &mut Table) -> Memory {
    let [soft, hard] = ["soft", "hard"].map(|key| table.take(key, amount));
    let is_reached = match (soft, hard) {
        (Some(Amount::Bytes(soft)), Some(Amount::Bytes(hard))) => soft >= hard,
        (Some(Amount::Percent(soft)), Some(Amount::Percent(hard))) => soft >= hard,
        _ => false,
    };
    if is_reached {
        let fault = Fault::error(table.span_of("soft"), "`soft` is not below `hard`");
        let fault = fault.label("a worker is to be replaced before it is killed");
        table.report(fault.related(table.span_of("hard"), "here it is killed"));
    }
    Memory { soft, hard, interval: table.duration("interval", &defaults::MEMORY_INTERVAL) }
}

/// A size, or a share of the memory that there is.
pub(super) fn amount(value: Value) -> Result<Amount, Fault> {
    let wanted = || value.mismatch("a size such as \"500M\" or \"1.5GiB\", or a share such as \"20%\"");
    let text = value.str().ok_or_else(wanted)?;
    let amount = units::parse_amount(text).map_err(|bad| {
        wanted()
            .label(bad.to_string())
            .help("K, M and G are powers of 1024, as KiB, MiB and GiB; kB, MB and GB of 1000")
    })?;
    let is_within = match amount {
        Amount::Bytes(bytes) => defaults::MEMORY_BYTES.contains(&bytes),
        Amount::Percent(percent) => (1..=100).contains(&percent),
    };
    if is_within {
        return Ok(amount);
    }
    Err(value.fault(format!("`{}` must be from 1MiB to 1PiB, or from 1% to 100%", value.key)).label("out of range"))
}

#[cfg(test)]
mod tests {
    use super::super::Server;
    use super::super::testing::{bad, fault_of, good, meaning_of};
    use super::*;

    fn bounds_of(lines: &str) -> Bounds {
        let config = good(&format!("[app.web]\ncommand = 'node x'\n{lines}\n")).config;
        let Server::Command(command) = config.apps.into_values().next().unwrap().server else { panic!("has workers") };
        command.bounds
    }

    fn messages(lines: &str) -> Vec<String> {
        let problems = bad(&format!("[app.web]\ncommand = 'node x'\n{lines}\n"));
        problems.problems().iter().map(|problem| problem.message.clone()).collect()
    }

    #[test]
    fn without_a_word_nothing_is_bound() {
        assert_eq!(bounds_of(""), Bounds::default());
    }

    #[test]
    fn everything_is_read() {
        let text = "user = 'www'\ngroup = 'web'\ngroups = ['video', 'audio']\numask = '027'\nnice = -5\n\
                    oom_score_adj = 300\nno_new_privs = true\non_supervisor_death = 'stop'\ncpu = 1.5\ncpu_weight = 50\n[app.web.limits]\nopen_files = 65536\n\
                    core = 'unlimited'\nstack = { soft = '8MiB', hard = 'unlimited' }\ncpu_time = '1h'\n\
                    [app.web.memory]\nsoft = '500M'\nhard = '20%'\ninterval = '1s'\n";
        let limit = |limited, soft, hard| Limit { limited, soft, hard };
        let expected = Bounds {
            user: Some("www".into()),
            group: Some("web".into()),
            groups: vec!["video".into(), "audio".into()],
            umask: Some(0o027),
            nice: Some(-5),
            oom_score_adj: Some(300),
            no_new_privs: true,
            on_supervisor_death: OnDeath::Stop,
            cpu: Some(1500),
            cpu_weight: Some(50),
            limits: vec![
                limit(Limited::OpenFiles, Some(65_536), Some(65_536)),
                limit(Limited::Core, None, None),
                limit(Limited::Stack, Some(8 << 20), None),
                limit(Limited::CpuTime, Some(3600), Some(3600)),
            ],
            memory: Memory {
                soft: Some(Amount::Bytes(500 << 20)),
                hard: Some(Amount::Percent(20)),
                interval: Duration::from_secs(1),
            },
        };
        assert_eq!(bounds_of(text), expected);
        for (text, thousandths) in [("2", 2000), ("'50%'", 500), ("0.25", 250), ("'1%'", 10)] {
            assert_eq!(bounds_of(&format!("cpu = {text}")).cpu, Some(thousandths), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (lines, word) in [
            ("umask = '8'", "octal"),
            ("umask = '0888'", "octal"),
            ("umask = 27", "octal"),
            ("nice = 20", "from -20 to 19"),
            ("nice = 'low'", "whole number"),
            ("oom_score_adj = -1001", "from -1000 to 1000"),
            ("cpu = 0", "from 1%"),
            ("cpu = '2'", "number of CPUs"),
            ("cpu_weight = 0", "from 1 to 10000"),
            ("limits = { open_files = '1MiB' }", "whole number"),
            ("limits = { stack = 8 }", "a size"),
            ("limits = { open_files = { soft = 2, hard = 1 } }", "`soft` is above `hard`"),
            ("limits = { open_files = { soft = 2 } }", "needs `hard`"),
            ("limits = { nofile = 2 }", "unknown key"),
            ("memory = { soft = '1GiB', hard = '800M' }", "`soft` is not below `hard`"),
            ("memory = { soft = '20%', hard = '20%' }", "`soft` is not below `hard`"),
            ("memory = { soft = '0%' }", "from 1MiB"),
            ("memory = { soft = '500' }", "a size such as"),
            ("memory = { soft = 500 }", "a size such as"),
        ] {
            let messages = messages(lines);
            assert!(messages.len() == 1 && messages[0].contains(word), "{lines}: {messages:?}");
        }
    }

    #[test]
    fn amounts_are_sizes_or_shares() {
        assert_eq!(meaning_of("1.5GiB", amount), Amount::Bytes(3 << 29));
        assert_eq!(meaning_of("800M", amount), Amount::Bytes(800 << 20));
        assert_eq!(meaning_of("100%", amount), Amount::Percent(100));
        assert!(fault_of("1.5x", amount).help.unwrap().contains("powers of 1024"));
    }
}
