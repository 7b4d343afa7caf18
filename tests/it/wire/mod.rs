//! What is written on the wire, case by case, and what a worker or a client is made to see of it.
//!
//! The cases are data, in `tests/wire`. Whatever is sent, a recording worker must have got nothing, or exactly the requests
//! that the case names, each in the one form that a strict reader takes; and what is asked behind a case on the same
//! connection must be read as what it is.

mod case;
mod client;
#[path = "../../wire/frames.rs"]
mod frames;
#[path = "../../wire/reader.rs"]
mod reader;
mod stage;

use std::collections::BTreeSet;
use std::path::Path;

use toml::{Table, Value};

use crate::harness::{Portreeve, Running, Target, upstream};
use case::Case;
use client::{BEHIND, END, Heard1};
use frames::Heard;
use reader::Message;
use stage::Stage;

/// Fields that the proxy vouches for.
const VOUCHED: [&str; 6] =
    ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-request-id", "traceparent"];

fn start(stage: &mut Stage) -> Running {
    let portreeve = Portreeve::new().https();
    let other = rcgen::generate_simple_self_signed(vec!["other.test".to_owned()]).unwrap();
    let files = ["other.pem", "other.key"].map(|name| portreeve.path().join(name).display().to_string());
    std::fs::write(&files[0], other.cert.pem()).unwrap();
    std::fs::write(&files[1], other.signing_key.serialize_pem()).unwrap();
    let [cert, key] = files.map(Value::from);
    let table = Table::from_iter([("cert".to_owned(), cert), ("key".to_owned(), key)]);
    let app = upstream(&[stage.address().to_string()]).set("ready", "tcp");
    let running = portreeve.set("tls.certificate", vec![Value::from(table)]).app("web", app).start();
    // The first probe has found it when it answers.
    let heard = client::http1(stage, running.http().address(), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 1, false);
    assert_eq!(heard.answers[0].status(), 200);
    running
}

/// Plays all cases of a file, and tells of all that did not go as they say.
fn play(file: &str, mut play: impl FnMut(&mut Stage, &Running, &Case) -> Vec<String>) {
    let mut stage = Stage::new();
    let running = start(&mut stage);
    let cases = Case::load(file);
    let mut faults = Vec::new();
    for case in &cases {
        for fault in play(&mut stage, &running, case) {
            faults.push(format!("{} {}: {}", case.class, case.name, fault.chars().take(600).collect::<String>()));
        }
    }
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

#[test]
fn whatever_is_written_in_http_1_a_worker_gets_nothing_or_what_everybody_reads_alike() {
    play("http1", |stage, running, case| {
        stage.begin(None);
        let count = case.worker().len().max(1);
        let heard = client::http1(stage, running.http().address(), &case.request(), count, case.sent.hang_up);
        stage.settle();
        let mut faults = seen(stage, case, !heard.is_closed);
        faults.extend(heard.wrong.clone());
        let status = heard.answers.first().map_or(0, Message::status);
        if case.is_refused() && !case.may_refuse_with(status) {
            faults.push(format!("the answer is {status}"));
        }
        if case.expected.closes.is_some_and(|closes| closes != heard.is_closed) {
            faults.push(format!("closed: {}", heard.is_closed));
        }
        faults
    });
}

#[test]
fn whatever_is_said_in_http_2_a_worker_gets_nothing_or_what_everybody_reads_alike() {
    play("http2", |stage, running, case| {
        stage.begin(None);
        let Target::Http2(address, config) = running.h2() else { panic!("h2() is HTTP/2") };
        let heard = client::http2(stage, address, &config, &case.frames());
        stage.settle();
        let mut faults = seen(stage, case, heard.status.get(&BEHIND) == Some(&200));
        faults.extend(said(case, &heard));
        faults
    });
}

#[test]
fn whatever_a_worker_answers_a_client_of_http_1_sees_a_whole_answer_or_an_error() {
    play("responses", |stage, running, case| {
        if case.answer.over.as_deref() == Some("http2") {
            return Vec::new();
        }
        stage.begin(Some(case));
        let method = case.sent.method.as_deref().unwrap_or("GET");
        let heard = client::http1_case(stage, running.http().address(), method);
        stage.settle();
        answered(case, &heard)
    });
}

#[test]
fn whatever_a_worker_answers_a_client_of_http_2_sees_a_whole_answer_or_an_error() {
    play("responses", |stage, running, case| {
        if case.answer.over.as_deref() == Some("http1") {
            return Vec::new();
        }
        stage.begin(Some(case));
        let Target::Http2(address, config) = running.h2() else { panic!("h2() is HTTP/2") };
        let block = frames::block(&frames::plain(case.sent.method.as_deref().unwrap_or("GET"), stage::CASE));
        let heard = client::http2(stage, address, &config, &frames::head(1, frames::END_STREAM, &block));
        stage.settle();
        let body = heard.bodies.get(&1).cloned().unwrap_or_default();
        let mut faults = Vec::new();
        if case.answer.cut {
            if heard.ended.contains(&1) {
                faults.push(format!("a cut answer ends: {heard:?}"));
            }
        } else if heard.status.get(&1) != Some(&case.answer.status) || case.body().is_some_and(|it| it != body) {
            faults.push(format!("{heard:?}"));
        }
        if heard.bodies.get(&BEHIND).map(Vec::as_slice) != Some(END.as_bytes()) {
            faults.push(format!("the next answer is another one: {heard:?}"));
        }
        faults
    });
}

/// What the worker got, against what it should have; `asked_on`: what was asked behind the case was answered.
fn seen(stage: &Stage, case: &Case, asked_on: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expected = case.worker();
    if asked_on {
        let host = ("host".to_owned(), "localhost".to_owned());
        expected.push(Message { start: format!("GET {END} HTTP/1.1"), fields: vec![host], body: Vec::new() });
    }
    let mut got = Vec::new();
    for message in &stage.seen {
        match message {
            Ok(message) => got.push(form(message, &mut faults)),
            Err(why) => faults.push(format!("the worker got {why}")),
        }
    }
    if got != expected {
        faults.push(format!("the worker got {got:?} and not {expected:?}"));
    }
    if !case.expected.broken && case.worker().is_empty() && !asked_on && !stage.raw.is_empty() {
        faults.push(format!("the worker got {:?}", reader::text_of(&stage.raw)));
    }
    let found = case.never().into_iter().find(|text| reader::find(&stage.raw, text).is_some());
    faults.extend(found.map(|text| format!("the worker got {:?}", reader::text_of(&text))));
    faults
}

/// A request in the form in which it is compared: fields sorted, those that the proxy vouches for looked at and left out.
fn form(message: &Message, faults: &mut Vec<String>) -> Message {
    let host = message.only("host");
    let (own, mut fields): (Vec<_>, Vec<_>) =
        message.fields.iter().cloned().partition(|(name, _)| VOUCHED.contains(&name.as_str()));
    let is_id = |id: &str| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let is_vouched = message.only("x-forwarded-for") == Some("127.0.0.1")
        && message.only("x-real-ip") == Some("127.0.0.1")
        && message.only("x-forwarded-host") == host
        && matches!(message.only("x-forwarded-proto"), Some("http" | "https"))
        && message.only("x-request-id").is_some_and(is_id);
    if !is_vouched || own.len() != VOUCHED.len() {
        faults.push(format!("the proxy vouches for {own:?}"));
    }
    fields.sort();
    Message { start: message.start.clone(), fields, body: message.body.clone() }
}

/// What an HTTP/2 client was told.
fn said(case: &Case, heard: &Heard) -> Vec<String> {
    let mut faults = Vec::new();
    let status = heard.status.get(&1).copied().unwrap_or(0);
    if case.is_refused() && !case.may_refuse_with(status) {
        faults.push(format!("the answer is {status}: {heard:?}"));
    }
    let code = heard.resets.get(&1).copied().or(heard.goaway);
    if case.expected.reset && code.is_none() {
        faults.push(format!("no reset: {heard:?}"));
    }
    if case.expected.code.is_some_and(|expected| code != Some(expected)) {
        faults.push(format!("code {code:?}: {heard:?}"));
    }
    if !case.expected.acknowledged.iter().all(|kind| heard.acknowledged.contains(kind)) {
        faults.push(format!("not acknowledged: {heard:?}"));
    }
    faults
}

/// What an HTTP/1.1 client was answered.
fn answered(case: &Case, heard: &Heard1) -> Vec<String> {
    let mut faults: Vec<String> = heard.wrong.iter().cloned().collect();
    let first = heard.answers.first();
    if case.answer.cut {
        faults.extend(first.map(|answer| format!("a cut answer is whole: {answer:?}")));
    } else {
        let is_it = |answer: &Message| {
            answer.status() == case.answer.status && case.body().is_none_or(|body| body == answer.body)
        };
        if !first.is_some_and(is_it) {
            faults.push(format!("the answer is {first:?}"));
        }
        match heard.answers.get(1) {
            Some(next) if next.body == END.as_bytes() => {}
            next => faults.push(format!("the next answer is {next:?}")),
        }
    }
    let found = case.never().into_iter().find(|text| reader::find(&heard.raw, text).is_some());
    faults.extend(found.map(|text| format!("the client got {:?}", reader::text_of(&text))));
    faults
}

#[test]
fn every_kind_of_trouble_is_named_by_a_case_or_a_test_or_is_none_of_ours() {
    let files = ["http1", "http2", "responses"];
    let cases: BTreeSet<u32> = files.into_iter().flat_map(Case::load).map(|case| case.class).collect();
    let classes = case::classes();
    let numbers: Vec<u32> = classes.iter().map(|class| class.number).collect();
    assert_eq!(numbers, (1..=44).collect::<Vec<_>>(), "each of them once, in order");
    assert!(cases.iter().all(|class| numbers.contains(class)));
    let names = test_names();
    for class in classes {
        let ways = [cases.contains(&class.number), !class.tests.is_empty(), class.reason.is_some()];
        assert!(ways.contains(&true), "nothing proves {}: {}", class.number, class.title);
        assert!(class.reason.is_none() || !ways[0] && !ways[1], "{} concerns us and does not", class.number);
        let missing: Vec<_> = class.tests.iter().filter(|name| !names.contains(*name)).collect();
        assert!(missing.is_empty(), "{}: there is no test {missing:?}", class.number);
    }
}

#[test]
fn no_two_cases_have_the_same_name() {
    for file in ["http1", "http2", "responses"] {
        let mut names = BTreeSet::new();
        for case in Case::load(file) {
            assert!(names.insert((case.class, case.name.clone())), "{file}: {} {}", case.class, case.name);
        }
    }
}

/// The names of all functions behind `#[test]`, wherever they are.
pub(crate) fn test_names() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("tests")];
    let mut names = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|it| it == "rs") {
                let text = std::fs::read_to_string(&entry).unwrap();
                let tests = text.split("#[test]").skip(1).chain(text.split("#[tokio::test").skip(1));
                names.extend(tests.filter_map(|rest| Some(rest.split("fn ").nth(1)?.split('(').next()?.to_owned())));
            }
        }
    }
    names
}

#[test]
fn what_proves_conformance_exists() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let table = std::fs::read_to_string(path).unwrap();
    let names = test_names();
    let files = ["http1", "http2", "responses"].map(|file| (file, Case::load(file)));
    let is_case = |name: &str| {
        let (file, case) = name.split_once(": ").unwrap_or_default();
        files.iter().any(|(of, cases)| *of == file && cases.iter().any(|it| it.name == case))
    };
    let rows: Vec<&str> =
        table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| section")).collect();
    let rows = rows.into_iter().filter(|line| !line.starts_with("| ---"));
    let mut count = 0;
    for row in rows {
        let proofs = row.rsplit(" | ").next().unwrap().split('`').skip(1).step_by(2);
        let missing: Vec<&str> = proofs.clone().filter(|name| !names.contains(*name) && !is_case(name)).collect();
        assert!(proofs.count() > 0 && missing.is_empty(), "{row}\nthere is no {missing:?}");
        count += 1;
    }
    assert!(count > 60, "{count} rows");
}
