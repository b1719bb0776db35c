//! The reference names every key that the gate knows, and no other.

use std::collections::BTreeSet;

use super::*;
use crate::config::{section, server};

const REFERENCE: &str = include_str!("../../../../docs/configuration.md");

/// The last example of the reference: all keys at once.
pub(super) fn example() -> &'static str {
    let (_, rest) = REFERENCE
        .split_once("## Everything at once\n\n```toml\n")
        .unwrap();
    rest.split_once("```").unwrap().0
}

/// Keys of the tables: what a row has in its first cell.
fn documented() -> BTreeSet<String> {
    let cells = REFERENCE
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    cells
        .filter_map(|rest| rest.split_once('`'))
        .map(|(key, _)| key.to_owned())
        .collect()
}

/// The keys that the reader asks for, tables among them.
fn asked() -> BTreeSet<String> {
    let folder = folder();
    let file = folder.path().join("portcullis.toml");
    let (outcome, asked) =
        section::read_and_list(example(), &file, &environment, server::read_config);
    outcome.expect("the reference's example is a good configuration");
    asked
}

#[test]
fn the_reference_and_the_code_know_the_same_keys() {
    let asked = asked();
    let holds_keys = |name: &str| asked.iter().any(|key| key.starts_with(&format!("{name}.")));
    // A list of tables written in one line is documented as a key too.
    let is_value = |name: &&String| !holds_keys(name) || *name == "tenants.api_keys.keys";
    let known: BTreeSet<String> = asked.iter().filter(is_value).cloned().collect();
    assert_eq!(documented(), known);
}

#[test]
fn the_example_of_the_reference_uses_every_key() {
    let written: BTreeSet<&str> = example()
        .lines()
        .flat_map(|line| line.split(['{', ',']))
        .filter_map(|part| part.split_once(" = "))
        .map(|(key, _)| key.trim())
        .collect();
    for key in documented() {
        let last = key.rsplit('.').next().unwrap();
        assert!(written.contains(last), "{key} is not in the example");
    }
}

#[test]
fn each_row_of_the_reference_has_a_type_default_unit_example_and_meaning() {
    for line in REFERENCE.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line
            .replace("\\|", "")
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect();
        assert_eq!(cells.len(), 8, "{line}");
        assert!(cells[1..7].iter().all(|cell| !cell.is_empty()), "{line}");
    }
}

#[test]
fn the_smallest_example_of_the_reference_is_good() {
    let folder = folder();
    let smallest = REFERENCE
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    parse(smallest, folder.path()).unwrap();
}

#[test]
fn the_examples_of_the_identities_are_good() {
    const IDENTITIES: &str = include_str!("../../../../docs/identities.md");
    let folder = folder();
    let key = super::faults::P256_PUBLIC;
    std::fs::write(folder.path().join("keys/shop.pem"), key).unwrap();
    let examples = IDENTITIES.split("```toml\n").skip(1);
    let examples = examples.map(|rest| rest.split("```").next().unwrap());
    let mut count = 0;
    for example in examples {
        let tenant =
            "[[tenants]]\nid = \"shop\"\nhosts = [\"shop.test\"]\nupstream = \"http://a:1\"\n";
        parse(&format!("{tenant}{example}"), folder.path()).expect(example);
        count += 1;
    }
    assert_eq!(count, 8);
}
