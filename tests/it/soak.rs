//! Everything that can happen to portreeve, in any order and for as long as wanted, under load that has to notice nothing.
//!
//! What must stay flat is measured after each round, when all has come to rest: descriptors, memory, processes. `SOAK_SECONDS` and
//! `SOAK_SEED` (printed) make a run longer or repeat its order.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use crate::harness::process::{self, status_field};
use crate::harness::{Failure, Load, Loaded, Portreeve, Running, SOON, until, worker};

const WORKERS: usize = 3;

/// What is done in each round, in an order that is drawn.
const HARMLESS: [Act; 8] = [
    Act::Reload,
    Act::Upgrade,
    Act::KillSupervisor,
    Act::Restart,
    Act::Scale,
    Act::DrainOne,
    Act::Refused,
    Act::Maintain,
];

/// What costs those requests that somebody has begun to read.
const HARMFUL: [Act; 2] = [Act::KillWorker, Act::KillProxy];

/// Failures that one death may cost each client: its request, and the connection that is found to be gone.
const A_DEATH: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Act {
    Reload,
    Upgrade,
    KillSupervisor,
    /// All workers, without another configuration.
    Restart,
    Scale,
    DrainOne,
    /// A reload of a file that cannot be read as a configuration.
    Refused,
    /// Requests wait for a moment.
    Maintain,
    KillWorker,
    KillProxy,
}

/// What may not grow.
struct Sample {
    round: usize,
    supervisor: Size,
    proxy: Size,
    processes: usize,
}

struct Size {
    descriptors: usize,
    kibibytes: u64,
}

impl Size {
    fn of(pid: u32) -> Self {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives and is ours").count();
        let resident = status_field(pid, "VmRSS").expect("it lives");
        Self { descriptors, kibibytes: resident.trim_end_matches(" kB").parse().expect("a number of kB") }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { round, supervisor, proxy, processes } = self;
        let [one, other] = [supervisor, proxy].map(|size| (size.descriptors, size.kibibytes));
        write!(f, "round {round}: supervisor {one:?}, proxy {other:?} (descriptors, KiB), {processes} processes")
    }
}

impl Running {
    fn act(&mut self, act: Act) {
        match act {
            Act::Reload => drop(self.reload_live()),
            Act::Upgrade => self.upgrade(),
            Act::KillSupervisor => self.kill_supervisor(),
            Act::Restart => self.does(&["restart", "web"]),
            Act::Scale => {
                self.does(&["scale", "web", "1"]);
                self.does(&["scale", "web", &WORKERS.to_string()]);
            }
            Act::DrainOne => {
                self.does(&["drain", "web:1"]);
                self.does(&["undrain", "web"]);
            }
            Act::Refused => self.reload_is_refused(),
            Act::Maintain => {
                self.does(&["pause", "web"]);
                self.does(&["resume", "web"]);
            }
            Act::KillWorker => process::kill(self.pids("web", WORKERS)[0]),
            Act::KillProxy => {
                let killed = self.kill_proxy();
                self.proxy_after(killed);
            }
        }
    }

    #[track_caller]
    fn does(&self, words: &[&str]) {
        let said = self.cli(words);
        assert_eq!(said.code, 0, "{words:?}: {}", said.text);
    }

    fn reload_is_refused(&self) {
        let text = fs::read_to_string(self.config()).expect("there is one");
        self.write_config(&format!("{text}\n[app.web.nonsense\n"));
        let said = self.cli_by_socket(&["reload"]);
        self.write_config(&text);
        assert_eq!(said.code, 4, "{}", said.text);
    }

    /// Waits until all has come to rest; then measures.
    #[track_caller]
    fn rest(&self, round: usize) -> Sample {
        self.serving("web", WORKERS);
        let status = until(SOON, "one proxy and as many workers as wanted are left", || {
            let status = self.try_status().ok()?;
            (status.proxies.len() == 1 && status.app("web").workers.len() == WORKERS).then_some(status)
        });
        let (supervisor, proxy) = (Size::of(status.pid), Size::of(status.proxies[0].pid));
        Sample { round, supervisor, proxy, processes: process::family(self.pid()).len() }
    }
}

/// What came of it, beside what the clients saw.
struct Soak {
    acts: usize,
    deaths: usize,
    samples: Vec<Sample>,
}

fn soak(running: &mut Running, load: &Loaded, acts: &[Act]) -> Soak {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (limit, seed) =
        (number("SOAK_SECONDS").unwrap_or(12), number("SOAK_SEED").unwrap_or_else(|| fastrand::u64(..)));
    println!("SOAK_SECONDS={limit} SOAK_SEED={seed}");
    let (mut dice, end) = (fastrand::Rng::with_seed(seed), Instant::now() + Duration::from_secs(limit));
    let mut soak = Soak { acts: 0, deaths: 0, samples: vec![running.rest(0)] };
    while Instant::now() < end || soak.samples.len() < 4 {
        let mut acts = acts.to_vec();
        dice.shuffle(&mut acts);
        for act in acts {
            running.act(act);
            load.goes_on(20);
            soak.acts += 1;
            soak.deaths += usize::from(matches!(act, Act::KillWorker | Act::KillProxy));
        }
        soak.samples.push(running.rest(soak.samples.len()));
        println!("{}", soak.samples[soak.samples.len() - 1]);
    }
    soak
}

/// Nobody has more in the end than after the first rounds, but for connections that come and go.
#[track_caller]
fn assert_flat(samples: &[Sample]) {
    let (first, rest) = samples[1..].split_at((samples.len() - 1).div_ceil(3));
    let last = &rest[rest.len() / 2..];
    let most = |samples: &[Sample], of: fn(&Sample) -> u64| samples.iter().map(of).max().unwrap_or_default();
    let grown = |of: fn(&Sample) -> u64| most(last, of).saturating_sub(most(first, of));
    let told = || samples.iter().fold(String::new(), |told, one| format!("{told}\n{one}"));
    assert!(grown(|one| one.supervisor.descriptors as u64) <= 2, "the supervisor's descriptors: {}", told());
    assert!(grown(|one| one.proxy.descriptors as u64) <= 16, "the proxy's descriptors: {}", told());
    assert!(grown(|one| one.supervisor.kibibytes) <= 8 * 1024, "the supervisor's memory: {}", told());
    assert!(grown(|one| one.proxy.kibibytes) <= 16 * 1024, "the proxy's memory: {}", told());
    assert!(grown(|one| one.processes as u64) == 0, "processes: {}", told());
}

fn clients(running: &Running) -> Load {
    Load::new().clients(4, &running.http()).clients(2, &running.https()).clients(2, &running.h2())
}

#[test]
fn whatever_is_done_to_it_in_any_order_no_request_is_lost_and_nothing_grows() {
    let mut running = Portreeve::new().kept().https().app("web", worker().workers(WORKERS)).start();
    let load = clients(&running).start();
    let soak = soak(&mut running, &load, &HARMLESS);
    let tally = load.finish();
    println!("{} acts: {tally}", soak.acts);
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    assert_flat(&soak.samples);
}

#[test]
fn with_workers_and_proxies_killed_as_well_only_what_they_had_begun_is_lost_and_nothing_grows() {
    let mut running = Portreeve::new().kept().https().app("web", worker().workers(WORKERS)).start();
    let load = clients(&running).start();
    let soak = soak(&mut running, &load, &[&HARMLESS[..], &HARMFUL[..]].concat());
    let tally = load.finish();
    println!("{} acts, {} deaths: {tally}", soak.acts, soak.deaths);
    let plain = |failure: &Failure| matches!(failure, Failure::Connect(text) if text.contains("refused"));
    assert!(!tally.failures.iter().any(|one| plain(&one.failure)), "nobody is turned away: {tally}");
    assert!(tally.failures.len() <= soak.deaths * 8 * A_DEATH, "{} deaths: {tally}", soak.deaths);
    tally.assert_each_order_once(running.ledger());
    assert_flat(&soak.samples);
}
