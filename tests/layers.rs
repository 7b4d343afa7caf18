//! The walls of the house: which room may use which, what is allowed in which, and how big anything may grow.
//!
//! Reads every file of `src` as tokens, so paths inside macros count and words in comments do not. A new arrow is an
//! edit of [`ARROWS`], reviewed with its reason. `cargo test --test layers -- --nocapture` prints the figures.

#[path = "layers/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use source::Source;

/// Each room with the rooms that its code may name, in ascending order of floors.
const ARROWS: &[(&str, &[&str])] = &[
    ("id", &[]),
    ("sys", &[]),
    ("config", &["id"]),
    ("telemetry", &["id"]),
    ("certs", &[]),
    ("route", &["id"]),
    ("upstream", &["id"]),
    ("lifecycle", &["id"]),
    ("link", &["id", "telemetry"]),
    ("control", &["id"]),
    ("import", &["id", "config"]),
    ("proxy", &["id", "sys", "telemetry", "certs", "route", "upstream", "link"]),
    ("supervisor", &["id", "sys", "config", "telemetry", "certs", "lifecycle", "link", "control"]),
    // What is fuzzed is everybody's readers; nobody uses it.
    ("fuzzing", &["config", "link", "proxy", "supervisor"]),
    ("cli", &["id", "sys", "config", "import", "telemetry", "control", "certs", "supervisor", "proxy"]),
    ("main", &["cli"]),
];

/// Rooms without clock, I/O or waiting: everything comes in as an argument.
const PURE: &[&str] = &["lifecycle", "route"];

/// What would make a pure room impure.
const IMPURE_WORDS: &[&str] = &[
    "async",
    "await",
    "tokio",
    "fs",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixListener",
    "UnixStream",
    "SystemTime",
];

/// Crates that speak to the kernel, for `sys` alone.
const KERNEL_CRATES: &[&str] = &["libc", "nix", "rustix", "sd_notify", "seccompiler", "socket2"];

/// Words that say nothing about what a type or file is for.
const EMPTY_WORDS: &[&str] = &["Base", "Common", "Helper", "Helpers", "Manager", "Util", "Utils"];

const MOST_LINES_PER_FILE: usize = 400;
const MOST_LINES_PER_FUNCTION: usize = 60;
const MOST_PARAMETERS: usize = 5;
const MOST_FIELDS: usize = 12;
const FEWEST_HEADER_LINES: usize = 2;

/// A file this short says all there is to say without a header.
const SHORTEST_FILE_WITH_HEADER: usize = 5;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file, read once.
fn house() -> &'static [Source] {
    static HOUSE: LazyLock<Vec<Source>> = LazyLock::new(|| Source::load_all(&root().join("src")));
    assert!(HOUSE.len() > 3, "the house is in src");
    &HOUSE
}

/// Fails with all faults at once, one a line.
fn expect_none(what: &str, faults: impl IntoIterator<Item = String>) {
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "{what}:\n  {}\n", faults.join("\n  "));
}

#[test]
fn rooms_use_only_the_rooms_that_the_table_allows() {
    let mut faults = BTreeSet::new();
    for file in house().iter().filter(|file| file.room != "lib") {
        let Some((_, allowed)) = ARROWS.iter().find(|(room, _)| *room == file.room) else {
            faults.insert(format!("{}: the room `{}` is not in the table", file.place(1), file.room));
            continue;
        };
        for used in file.rooms_used() {
            if used.name != file.room && !allowed.contains(&used.name.as_str()) {
                faults.insert(format!("{}: `{}` may not use `{}`", file.place(used.line), file.room, used.name));
            }
        }
    }
    expect_none("arrows that the table lacks", faults);
}

#[test]
fn the_table_knows_each_room_once_and_points_downwards() {
    for (index, (room, allowed)) in ARROWS.iter().enumerate() {
        let below: Vec<&str> = ARROWS[..index].iter().map(|(room, _)| *room).collect();
        assert!(!below.contains(room), "{room} is there twice");
        for used in *allowed {
            assert!(below.contains(used), "{room} uses {used}, which is not below it");
        }
    }
}

#[test]
fn only_sys_speaks_to_the_kernel() {
    let outside = |file: &&Source| file.room != "sys";
    let faults = house()
        .iter()
        .filter(outside)
        .flat_map(|file| {
            file.find_production(|tokens| {
                tokens.word() == "unsafe" || (KERNEL_CRATES.contains(&tokens.word()) && tokens.begins_path())
            })
        })
        .collect::<Vec<_>>();
    expect_none("unsafe code or kernel crates outside of src/sys", faults);
}

#[test]
fn pure_rooms_take_time_and_the_world_as_arguments() {
    let pure = |file: &&Source| PURE.contains(&file.room.as_str());
    let faults = house()
        .iter()
        .filter(pure)
        .flat_map(|file| {
            file.find_production(|tokens| {
                IMPURE_WORDS.contains(&tokens.word()) || tokens.are(&["Instant", "::", "now"])
            })
        })
        .collect::<Vec<_>>();
    expect_none("impurities", faults);
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    let faults = house()
        .iter()
        .flat_map(|file| file.find_production(|tokens| tokens.are(&[".", "unwrap", "("])))
        .collect::<Vec<_>>();
    expect_none("unwraps", faults);
}

#[test]
fn files_stay_small_and_open_with_what_they_own() {
    let mut faults = Vec::new();
    for file in house() {
        let lines = file.production_lines();
        if lines > MOST_LINES_PER_FILE {
            faults.push(format!("{}: {lines} production lines, {MOST_LINES_PER_FILE} at most", file.place(1)));
        }
        if lines >= SHORTEST_FILE_WITH_HEADER && file.header_lines() < FEWEST_HEADER_LINES {
            faults.push(format!("{}: opens with fewer than {FEWEST_HEADER_LINES} lines of `//!`", file.place(1)));
        }
        if file.names().iter().any(|name| EMPTY_WORDS.iter().any(|word| word.eq_ignore_ascii_case(name))) {
            faults.push(format!("{}: the name says nothing", file.place(1)));
        }
    }
    expect_none("files", faults);
}

#[test]
fn functions_and_types_stay_small_and_say_what_they_are() {
    let mut faults = Vec::new();
    for file in house() {
        let shapes = file.shapes();
        for function in shapes.functions {
            if function.lines > MOST_LINES_PER_FUNCTION {
                faults.push(format!("{}: {} has {} lines", file.place(function.line), function.name, function.lines));
            }
            if function.parameters > MOST_PARAMETERS {
                faults.push(format!("{}: {} takes {}", file.place(function.line), function.name, function.parameters));
            }
        }
        for shape in shapes.types {
            if shape.fields > MOST_FIELDS {
                faults.push(format!("{}: {} has {} fields", file.place(shape.line), shape.name, shape.fields));
            }
            if source::words_of(&shape.name).iter().any(|word| EMPTY_WORDS.contains(&word.as_str())) {
                faults.push(format!("{}: the name {} says nothing", file.place(shape.line), shape.name));
            }
        }
    }
    expect_none("functions and types", faults);
}

#[test]
fn the_map_names_places_that_exist() {
    let Ok(map) = std::fs::read_to_string(root().join("ARCHITECTURE.md")) else {
        eprintln!("skipped: no ARCHITECTURE.md yet");
        return;
    };
    let quoted = map.split('`').skip(1).step_by(2);
    let missing = quoted.filter(|text| text.starts_with("src/") && !root().join(text).exists());
    expect_none("ARCHITECTURE.md names what is not there", missing.map(str::to_owned));
}

#[test]
fn figures() {
    let house = house();
    let mut lengths: Vec<(usize, String)> =
        house.iter().filter(|file| !file.is_test).map(|file| (file.production_lines(), file.place(1))).collect();
    lengths.sort();
    let at = |percent: usize| lengths[(lengths.len() - 1) * percent / 100].0;
    let (largest, where_largest) = &lengths[lengths.len() - 1];
    let mut functions: Vec<(usize, String)> = Vec::new();
    for file in house {
        let shapes = file.shapes().functions.into_iter();
        functions.extend(shapes.map(|shape| (shape.lines, format!("{} {}", file.place(shape.line), shape.name))));
    }
    functions.sort();
    let (longest, where_longest) = functions.last().expect("a house has functions");
    let all_lines: usize = house.iter().map(|file| file.text.lines().count()).sum();
    println!("files            {} with production code, {} in all", lengths.len(), house.len());
    println!(
        "lines            {} of production code, {all_lines} in all",
        lengths.iter().map(|(lines, _)| lines).sum::<usize>()
    );
    println!("production lines median {}, p90 {}, largest {largest} ({where_largest})", at(50), at(90));
    println!(
        "functions        {}, median {}, p90 {}, longest {longest} ({where_longest})",
        functions.len(),
        functions[functions.len() / 2].0,
        functions[functions.len() * 9 / 10].0
    );
}
