//! What holds when the file does not say, with the bounds of what it may say, and the reason of each.
//!
//! The one home of these numbers: the reader takes them from here and the commented sample is tested against
//! them. A range is meant to catch a slip of the pen (`30h` for `30s`), not to forbid what might be wanted.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A value for silence and the range that a written value must be in.
#[derive(Clone, Debug)]
pub struct Setting<T> {
    pub default: T,
    pub range: RangeInclusive<T>,
}

const fn setting<T: Copy>(default: T, least: T, most: T) -> Setting<T> {
    Setting { default, range: RangeInclusive::new(least, most) }
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn mins(count: u64) -> Duration {
    Duration::from_mins(count)
}

const fn hours(count: u64) -> Duration {
    Duration::from_hours(count)
}

const fn positive(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("every default and bound of a count is above zero")
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// Plain HTTP when the file names no listener at all: a port that needs no privilege, on this machine only.
pub const HTTP_LISTEN: SocketAddr = loopback(8080);
/// Metrics tell much about a site: on this machine only.
pub const METRICS_LISTEN: SocketAddr = loopback(9900);

/// More threads than this are a slip; the default is one per CPU that the process may use.
pub const THREADS: RangeInclusive<NonZeroU32> = RangeInclusive::new(positive(1), positive(1024));
/// As for a worker: what is in flight on a retiring proxy seldom takes longer.
pub const PROXY_DRAIN_TIMEOUT: Setting<Duration> = setting(secs(30), millis(0), hours(24));

/// Up to two descriptors each: well below the usual hard limit.
pub const CONNECTIONS: Setting<u32> = setting(10_000, 1, 1_000_000);
/// Room for large cookies, as nginx's four buffers of 8 KiB; the HTTP parser needs at least 8 KiB.
pub const HEADER_BYTES: Setting<u64> = setting(32 << 10, 8 << 10, 1 << 20);
/// Browsers send about 20; 100 is what most servers take.
pub const HEADER_COUNT: Setting<u32> = setting(100, 8, 1_000);
/// Unlimited by default: bodies are streamed, and a limit that nobody asked for is found in production.
pub const BODY_BYTES: RangeInclusive<u64> = RangeInclusive::new(0, 1 << 50);
/// A handshake takes two round trips; ten seconds suffice on the worst of lines.
pub const HANDSHAKE_TIMEOUT: Setting<Duration> = setting(secs(10), millis(100), mins(5));
/// Bounds clients that send a head byte by byte.
pub const HEADER_TIMEOUT: Setting<Duration> = setting(secs(10), millis(100), mins(5));
/// Bounds clients that stop in the midst of a body, yet leaves a lost network time to return.
pub const BODY_IDLE: Setting<Duration> = setting(secs(30), millis(100), hours(1));
/// Bounds clients that drip; slower than any line that people use.
pub const BODY_RATE: Setting<u64> = setting(256, 1, 1 << 30);
/// Bounds clients that read nothing of what they have asked for, as nginx's `send_timeout`.
pub const WRITE_STALL: Setting<Duration> = setting(secs(60), millis(100), hours(1));
/// Above the 60 s after which load balancers in front give up a connection, so that they close first.
pub const KEEPALIVE_IDLE: Setting<Duration> = setting(secs(75), millis(100), hours(1));
/// Enough to keep every CPU at work; with more at a time, requests wait behind handshakes.
pub const HANDSHAKES: Setting<u32> = setting(16, 1, 10_000);
/// A tenth of all connections: more than any household, office or carrier has at one small server.
pub const CONNECTIONS_PER_IP: Setting<u32> = setting(1_000, 1, 1_000_000);
/// Off by default: what is too much, only the operator knows.
pub const RATE_PER_IP: RangeInclusive<NonZeroU32> = RangeInclusive::new(positive(1), positive(1_000_000));
/// At least 100 is advised by RFC 9113 section 6.5.2.
pub const H2_STREAMS: Setting<u32> = setting(128, 1, 10_000);
/// Nobody notices: the client is told before, and nothing of it is lost.
pub const H2_REQUESTS: Setting<u32> = setting(10_000, 1, 1_000_000_000);

/// One line for each event of note.
pub const LOG_LEVEL: &str = "info";

/// More workers than this are a slip; the default is one per CPU that the process may use.
pub const WORKERS: RangeInclusive<NonZeroU32> = RangeInclusive::new(positive(1), positive(1024));
/// Long enough for a large application to boot on a small machine.
pub const START_TIMEOUT: Setting<Duration> = setting(secs(60), millis(100), hours(1));
/// What most servers and platforms allow a request that is in flight.
pub const DRAIN_TIMEOUT: Setting<Duration> = setting(secs(30), millis(0), hours(24));
/// Off by default: whoever comes first after a while waits for a start. Below a second every pause would be a restart.
pub const IDLE_TIMEOUT: RangeInclusive<Duration> = RangeInclusive::new(secs(1), hours(24 * 366));
/// As long as the rest of a drain: clients that come back all at once are a flood of their own making.
pub const STREAM_SPREAD: Setting<Duration> = setting(secs(30), millis(0), hours(24));
/// A drained worker has little left to do: flush its logs, close its database.
pub const KILL_TIMEOUT: Setting<Duration> = setting(secs(10), millis(0), hours(1));
/// Short, so that a reload is not slowed by the asking.
pub const PROBE_INTERVAL: Setting<Duration> = setting(millis(250), millis(10), mins(10));
/// A first answer may have to fill caches.
pub const PROBE_TIMEOUT: Setting<Duration> = setting(secs(5), millis(10), mins(5));
/// One answer may be luck; three in a row are a server.
pub const PROBE_SUCCESSES: Setting<NonZeroU32> = setting(positive(3), positive(1), positive(100));
/// One failure may be a pause; three in a row are an outage.
pub const PROBE_FAILURES: Setting<NonZeroU32> = setting(positive(3), positive(1), positive(100));
/// Of a task that does not say that it is ready: what fails at its start has failed by then, and a reload is not slowed.
pub const READY_UPTIME: Setting<Duration> = setting(secs(1), millis(0), hours(1));
/// A task is as often as it is said: how much one worker of a queue can do is not known here, and some must be alone.
pub const TASK_WORKERS: NonZeroU32 = positive(1);
/// Unlimited by default: some jobs take the night.
pub const RUN_TIMEOUT: RangeInclusive<Duration> = RangeInclusive::new(millis(100), hours(24 * 366));
/// Above the standard streams.
pub const READY_DESCRIPTOR: RangeInclusive<u8> = RangeInclusive::new(3, 255);
/// As often as costs nothing to speak of, also with a hundred workers.
pub const LIVE_INTERVAL: Setting<Duration> = setting(secs(5), millis(10), mins(10));
/// Who serves is warm: a health page that takes longer is in trouble.
pub const LIVE_TIMEOUT: Setting<Duration> = setting(secs(2), millis(10), mins(5));
/// A worker that has failed is not believed at once.
pub const LIVE_SUCCESSES: Setting<NonZeroU32> = setting(positive(2), positive(1), positive(100));
/// One failure may be a pause; three in a row are an outage.
pub const LIVE_FAILURES: Setting<NonZeroU32> = setting(positive(3), positive(1), positive(100));
/// Time for a dependency to come back before anything is started anew.
pub const REPLACE_AFTER: Setting<Duration> = setting(secs(30), millis(0), hours(24));
/// Longer than an honest request takes to say its first word, and less than `response_timeout`, after which the proxy gives
/// up waiting, and than an unready worker is given before it is replaced: so the dump comes first.
pub const HUNG_AFTER: Setting<Duration> = setting(secs(30), millis(100), hours(24));
/// Off by default: a program that does not know the word would be taken for dead.
pub const WATCHDOG: RangeInclusive<Duration> = RangeInclusive::new(millis(100), hours(24));
/// What saving all files of an editor takes.
pub const DEBOUNCE: Setting<Duration> = setting(millis(200), millis(10), mins(1));
/// A first crash costs next to nothing.
pub const BACKOFF_MIN: Setting<Duration> = setting(millis(100), millis(1), hours(1));
/// A broken worker is tried for ever, but not in a tight loop.
pub const BACKOFF_MAX: Setting<Duration> = setting(secs(30), millis(1), hours(1));
/// Twice the longest wait: who lived that long was not in a crash loop.
pub const BACKOFF_RESET: Setting<Duration> = setting(secs(60), millis(1), hours(24));
/// A fixed pause is asked for where a dependency needs time: any that is no slip.
pub const RESTART_DELAY: RangeInclusive<Duration> = RangeInclusive::new(millis(1), hours(1));
/// Exit codes are what wait(2) gives.
pub const EXIT_CODES: RangeInclusive<u8> = RangeInclusive::new(0, 255);
/// By default twice the number of workers, so that a crash of all of them is no loop yet.
pub const INTENSITY: RangeInclusive<NonZeroU32> = RangeInclusive::new(positive(1), positive(10_000));
/// With the backoff, five ends in a minute are no accident.
pub const INTENSITY_PERIOD: Setting<Duration> = setting(secs(60), secs(1), hours(24));
/// Often enough that nobody waits long for an app whose database is back.
pub const LOOP_RETRY: Setting<Duration> = setting(secs(30), millis(100), hours(24));

/// As the kernel has them, setpriority(2).
pub const NICE: RangeInclusive<i32> = RangeInclusive::new(-20, 19);
/// As the kernel has them, `proc_pid_oom_score_adj(5)`.
pub const OOM_SCORE_ADJ: RangeInclusive<i32> = RangeInclusive::new(-1000, 1000);
/// As the kernel has them, `cpu.weight` of its cgroup-v2 document; a group that says nothing has 100.
pub const CPU_WEIGHT: RangeInclusive<u32> = RangeInclusive::new(1, 10_000);
/// Descriptors and processes: more than the kernel lets anybody have.
pub const LIMIT_COUNT: RangeInclusive<u32> = RangeInclusive::new(0, 1 << 30);
pub const LIMIT_SIZE: RangeInclusive<u64> = RangeInclusive::new(0, 1 << 50);
pub const LIMIT_TIME: RangeInclusive<Duration> = RangeInclusive::new(secs(1), hours(24 * 366));
/// Nothing serves requests in less than a megabyte.
pub const MEMORY_BYTES: RangeInclusive<u64> = RangeInclusive::new(1 << 20, 1 << 50);
/// A leak takes minutes; a look costs next to nothing.
pub const MEMORY_INTERVAL: Setting<Duration> = setting(secs(5), millis(100), hours(1));

/// A file that anybody can still look into; with ten old ones, compressed, a known share of the disk.
pub const ROTATE_SIZE: Setting<u64> = setting(100 << 20, 1 << 10, 1 << 50);
/// Size alone by default: days without lines make no files.
pub const ROTATE_AGE: RangeInclusive<Duration> = RangeInclusive::new(secs(60), hours(24 * 366));
/// As many as most people keep.
pub const ROTATE_KEEP: Setting<u32> = setting(10, 0, 10_000);

/// Off by default: a program that does not leak gains nothing. Below a second workers would only ever be replaced.
pub const MAX_AGE: RangeInclusive<Duration> = RangeInclusive::new(secs(1), hours(24 * 366));
/// Off by default, as above.
pub const MAX_REQUESTS: RangeInclusive<NonZeroU32> = RangeInclusive::new(positive(1), positive(u32::MAX));
/// In hundredths: enough to spread workers that were started together, too little to be noticed.
pub const JITTER: u32 = 10;

/// Whoever waits for the reload waits for this too; what takes longer serves cold.
pub const WARMUP_TIMEOUT: Setting<Duration> = setting(secs(10), millis(10), mins(10));
/// Off by default: most programs are as fast with their first request as with any.
pub const SLOW_START: Setting<Duration> = setting(millis(0), millis(0), hours(1));

/// Off by default: it takes the memory of two generations for as long.
pub const BAKE: Setting<Duration> = setting(millis(0), millis(0), hours(24));
/// Long enough for an error that comes now and then to come.
pub const CANARY_BAKE: Setting<Duration> = setting(secs(60), millis(100), hours(24));
/// A migration that takes longer is better run by itself.
pub const HOOK_TIMEOUT: Setting<Duration> = setting(secs(60), millis(100), hours(24));
/// Of a reload: as many workers as there may be.
pub const PART: RangeInclusive<u32> = RangeInclusive::new(0, 1024);
/// What orchestrators wait for, and longer than any honest start.
pub const PROGRESS_DEADLINE: Setting<Duration> = setting(mins(10), secs(1), hours(24));

/// Unlimited by default: tunnels and event streams count as in flight.
pub const MAX_INFLIGHT: RangeInclusive<NonZeroU32> = RangeInclusive::new(positive(1), positive(1_000_000));
/// The burst that a restart of all workers may leave waiting.
pub const HOLD_REQUESTS: Setting<u32> = setting(1_000, 0, 1_000_000);
/// People leave after about ten seconds.
pub const HOLD_TIME: Setting<Duration> = setting(secs(10), millis(0), mins(10));
/// A burst is worked off by then; what waits longer is more than the workers can do.
pub const SHED_AFTER: Setting<Duration> = setting(secs(1), millis(1), mins(10));
/// Workers are on this machine: a connection is taken at once or not at all.
pub const CONNECT_TIMEOUT: Setting<Duration> = setting(secs(1), millis(1), mins(5));
/// What nginx and most platforms wait for an answer.
pub const RESPONSE_TIMEOUT: Setting<Duration> = setting(secs(60), millis(1), hours(24));
/// Below the 5 s after which Node and uvicorn close an idle connection.
pub const KEEPALIVE: Setting<Duration> = setting(secs(4), millis(0), hours(1));
