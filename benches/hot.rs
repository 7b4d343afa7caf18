//! What every request pays for here: one claim with its end, one look-up of its route.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use portreeve::id::{Address, Generation, Serial, Slot};
use portreeve::route::Table;
use portreeve::upstream::{Bounds, Spec, Streams, Upstream};

fn upstream(endpoints: u32) -> Upstream<()> {
    let upstream = Upstream::new(1, Arc::new(|_| {}));
    let spec = |number| Spec {
        serial: Serial(u64::from(number)),
        slot: Slot(number),
        generation: Generation(1),
        address: Address::Tcp(([127, 0, 0, 1], 1).into()),
        open: true,
        introduced: false,
        leaving: false,
        streams: Streams::Wait,
        ramp: None,
    };
    let bounds = Bounds {
        max_inflight: None,
        hold_requests: 1,
        hold_time: Duration::from_secs(1),
        expected: true,
        wakes: false,
        shed_after: None,
    };
    upstream.set(&(0..endpoints).map(spec).collect::<Vec<_>>(), bounds);
    upstream
}

fn claim(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("claim and give up");
    for endpoints in [1, 4, 256] {
        let upstream = upstream(endpoints);
        group.bench_function(BenchmarkId::from_parameter(endpoints), |bench| {
            bench.iter(|| drop(black_box(&upstream).try_claim(&[])));
        });
    }
}

fn table(hosts: u32) -> Table<u32> {
    let hosts: Vec<_> = (0..hosts).map(|number| ([format!("app{number}.example.com")], number)).collect();
    let entries = hosts.iter().map(|(host, number)| (host.as_slice(), "/", *number)).collect();
    Table::build(entries).expect("each host is listed once")
}

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("find the route");
    for hosts in [1, 1_000] {
        let table = table(hosts);
        let last = format!("app{}.example.com", hosts - 1);
        group.bench_function(BenchmarkId::new("exact host of", hosts), |bench| {
            bench.iter(|| black_box(&table).find(black_box(&last), black_box("/a/b/c")));
        });
        group.bench_function(BenchmarkId::new("unknown host of", hosts), |bench| {
            bench.iter(|| black_box(&table).find(black_box("www.example.org"), black_box("/a/b/c")));
        });
    }
}

criterion_group!(hot, claim, find);
criterion_main!(hot);
