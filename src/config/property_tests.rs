//! Whatever a file contains, reading it ends with a meaning or with places that are in the file.

use std::path::Path;

use proptest::prelude::*;

use super::sample_tests::everything;
use super::{Loaded, Place, Problems, parse};

/// Reads a text and checks what can be checked of every outcome.
fn read(text: &str) -> Result<Loaded, Problems> {
    let outcome = parse(text, Path::new("/x/portreeve.toml"));
    match &outcome {
        Ok(loaded) => assert!(!loaded.warnings.has_errors()),
        Err(problems) => {
            assert!(problems.has_errors());
            let places = problems.problems().iter().flat_map(|problem| problem.place.iter().chain(&problem.related));
            places.for_each(|place| assert_within(place, text));
            for color in [true, false] {
                assert!(problems.render(color).contains("portreeve.toml"));
            }
            assert!(problems.to_string().lines().count() == problems.problems().len());
        }
    }
    outcome
}

fn assert_within(place: &Place, text: &str) {
    let line = text.split('\n').nth(place.line - 1);
    let line = line.unwrap_or_else(|| panic!("line {} is not in {text:?}", place.line));
    assert!(place.line == 1 || place.line <= text.lines().count(), "{place:?} is behind the end of {text:?}");
    assert!(place.column > 0 && place.column - 1 <= line.chars().count(), "{place:?} is not in {line:?}");
    assert!(text.get(place.span.clone()).is_some_and(|bytes| !bytes.contains('\n')), "{place:?} is not in {text:?}");
}

/// One change of a text, at a place given as a fraction of its length.
#[derive(Clone, Debug)]
enum Mutation {
    Insert(usize, String),
    Remove(usize, usize),
    RepeatLine(usize),
    RemoveLine(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let token = prop_oneof![
        "[\\[\\]{}=\"'.,#\n\r\t ]{1,3}",
        "[a-z_]{1,8}",
        "-?[0-9]{1,12}",
        any::<char>().prop_map(String::from),
        Just("\u{0}é\u{202e}".to_owned()),
    ];
    prop_oneof![
        (any::<usize>(), token).prop_map(|(at, text)| Mutation::Insert(at, text)),
        (any::<usize>(), 1..40_usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        any::<usize>().prop_map(Mutation::RepeatLine),
        any::<usize>().prop_map(Mutation::RemoveLine),
    ]
}

fn mutate(text: &str, mutation: &Mutation) -> String {
    let boundary = |at: usize| text.floor_char_boundary(at % (text.len() + 1));
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    match mutation {
        Mutation::Insert(at, token) => format!("{}{token}{}", &text[..boundary(*at)], &text[boundary(*at)..]),
        Mutation::Remove(at, length) => {
            let start = boundary(*at);
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            format!("{}{}", &text[..start], &text[end..])
        }
        Mutation::RepeatLine(at) | Mutation::RemoveLine(at) if !lines.is_empty() => {
            let at = at % lines.len();
            match mutation {
                Mutation::RepeatLine(_) => lines.insert(at, lines[at]),
                _ => lines[at] = "",
            }
            lines.concat()
        }
        Mutation::RepeatLine(_) | Mutation::RemoveLine(_) => String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(read(&String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn random_text_like_toml_is_read_to_an_end(text in "[a-z0-9\\[\\]{}=\"'.,#\n\t é]{0,200}") {
        drop(read(&text));
    }

    #[test]
    fn a_sample_with_mistakes_is_read_to_an_end(mutations in prop::collection::vec(mutation(), 1..6)) {
        drop(read(&mutations.iter().fold(everything(true), |text, mutation| mutate(&text, mutation))));
    }

    #[test]
    fn the_meaning_does_not_depend_on_the_order_of_tables(first in any::<prop::sample::Index>()) {
        let text = everything(false);
        let (preamble, rest) = text.split_at(text.find('[').expect("there are tables"));
        let mut tables: Vec<String> = Vec::new();
        for line in rest.split_inclusive('\n') {
            match tables.last_mut() {
                Some(table) if !line.starts_with('[') => table.push_str(line),
                _ => tables.push(line.to_owned()),
            }
        }
        let count = tables.len();
        tables.rotate_left(first.index(count));
        prop_assert_eq!(read(&(preamble.to_owned() + &tables.concat())).unwrap().config, read(&text).unwrap().config);
    }
}
