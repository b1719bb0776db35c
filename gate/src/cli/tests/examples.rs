//! Help that teaches by example, and examples that are right.

use clap::{Command, CommandFactory};

use super::*;

/// Splits as a shell would, as far as the examples need it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The command of a line: without what it is piped into, and the remark beside it.
fn command(line: &str) -> Option<String> {
    let at = line.find("portcullis ")?;
    let before = line[..at].trim_end();
    if !(before.is_empty() || before.ends_with('|') || before.ends_with("$(")) {
        return None;
    }
    let line = &line[at..];
    let ends = [" | ", " > ", "     ", ")"]
        .iter()
        .filter_map(|end| line.find(end));
    let end = ends.min().unwrap_or(line.len());
    Some(line[..end].trim_end().to_owned())
}

fn leaves(of: &Command, path: &str, found: &mut Vec<(String, Command)>) {
    for sub in of.get_subcommands() {
        let path = format!("{path} {}", sub.get_name());
        if sub.has_subcommands() {
            leaves(sub, &path, found);
        } else {
            found.push((path, sub.clone()));
        }
    }
}

fn check(text: &str, whence: &str) -> usize {
    let mut whole = text.split("\\\n").map(str::trim_start);
    let first = whole.next().unwrap_or_default().to_owned();
    let text = whole.fold(first, |before, next| before + next);
    let lines: Vec<String> = text.lines().filter_map(command).collect();
    for line in &lines {
        if let Err(error) = Cli::try_parse_from(words(line)) {
            panic!("{whence}: {line}\n{error}");
        }
    }
    lines.len()
}

#[test]
fn every_command_has_examples_and_they_are_taken() {
    let mut found = Vec::new();
    leaves(&Cli::command(), "portcullis", &mut found);
    assert!(found.len() > 15);
    for (path, command) in found {
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        assert!(help.contains("Examples:\n"), "{path} has no examples");
        assert!(help.contains(&path), "{path}: {help}");
        assert!(check(&help, &path) > 0);
    }
    let top = Cli::command().get_after_help().unwrap().to_string();
    assert!(check(&top, "portcullis") > 5);
}

#[test]
fn the_examples_of_the_reference_are_taken() {
    const REFERENCE: &str = include_str!("../../../../docs/commands.md");
    let mut blocks = REFERENCE.split("```");
    blocks.next();
    let blocks = blocks
        .step_by(2)
        .filter_map(|block| block.strip_prefix("sh\n"));
    let count: usize = blocks.map(|block| check(block, "docs/commands.md")).sum();
    assert!(count > 20, "{count}");
}

#[test]
fn shells_are_taught_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = run(&format!("completion {shell}"), &[]);
        outcome.result.unwrap();
        for word in ["sessions", "undo", "follow", "--approver", "approver"] {
            assert!(
                word.starts_with("--") || outcome.out.contains(word),
                "{shell}: {word}"
            );
        }
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("man1");
    run(&format!("man --output {}", to.display()), &[])
        .result
        .unwrap();
    let page = |name: &str| std::fs::read_to_string(to.join(name)).unwrap();
    assert!(page("portcullis-user-suspend.1").contains("suspiciousUserNoGood"));
    assert!(page("portcullis.1").contains("portcullis demo"));
    let first = run("man", &[]);
    first.result.unwrap();
    assert!(first.out.starts_with(".ie") || first.out.contains(".TH portcullis"));
}

#[test]
fn a_page_of_the_manual_can_be_copied_from() {
    let folder = tempfile::tempdir().unwrap();
    run(&format!("man --output {}", folder.path().display()), &[])
        .result
        .unwrap();
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let suspend = page("portcullis-user-suspend.1");
    // Line for line, between .nf and .fi.
    let (_, examples) = suspend.split_once(".SH EXAMPLES\n.nf\n").unwrap();
    let (examples, _) = examples.split_once("\n.fi").unwrap();
    assert_eq!(
        examples.lines().next().unwrap(),
        "  portcullis user suspend bob"
    );
    let plain = suspend.replace("\\-", "-");
    for part in [
        "[--reason KEY_OR_TEXT]",
        "[--hold NAME]",
        "[--dry-run]",
        " ID\n",
    ] {
        assert!(plain.contains(part), "{part}: {plain}");
    }
    let create = page("portcullis-token-create.1").replace("\\-", "-");
    assert!(create.contains(" --role ROLE "), "{create}");
    let bulk = page("portcullis-bulk-suspend.1").replace("\\-", "-");
    assert!(bulk.contains("(--from FILE | --filter FILTER)"), "{bulk}");
}

#[test]
fn what_the_completion_or_the_manual_cannot_write_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("taken");
    std::fs::write(&file, "").unwrap();
    let (line, code) = run(&format!("man --output {}/x", file.display()), &[]).failure();
    assert!(
        line.starts_with("--output: ") && line.ends_with("; name another folder"),
        "{line}"
    );
    assert_eq!(code, 1);
}
