//! Promises of the commands, against an admin API that records what it is asked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod audit;
mod bulk;
mod examples;
mod holds;
mod lives;
mod policy;
mod problems;
mod tokens;
mod users;
mod widths;

use std::ffi::OsString;

use super::*;
use api::{AdminApi, Answers};

/// What a command printed, and how it ended.
struct Outcome {
    out: String,
    err: String,
    result: Result<(), Failure>,
}

impl Outcome {
    /// The one line of the failure, and its exit code.
    fn failure(&self) -> (String, u8) {
        let failure = self.result.as_ref().expect_err("the command fails");
        (failure.to_string(), failure.exit_code())
    }
}

/// Runs `portcullis LINE` (words apart by spaces) with these variables.
fn run(line: &str, variables: &[(&str, &str)]) -> Outcome {
    run_at(Terminal::default(), "", line, variables)
}

/// As [`run`], at a terminal or not, where somebody types.
fn run_at(terminal: Terminal, typed: &str, line: &str, variables: &[(&str, &str)]) -> Outcome {
    let words = std::iter::once("portcullis").chain(line.split(' '));
    run_words(terminal, typed, words, variables)
}

/// As [`run_at`], of words that may hold spaces or nothing.
fn run_words<'a>(
    terminal: Terminal,
    typed: &str,
    words: impl Iterator<Item = &'a str>,
    variables: &[(&str, &str)],
) -> Outcome {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let mut surroundings = Surroundings {
        out: &mut out,
        err: &mut err,
        input: &mut typed.as_bytes(),
        terminal,
        variable: &variable,
    };
    let result = super::run(words.map(OsString::from), &mut surroundings);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome {
        out: text(out),
        err: text(err),
        result,
    }
}

/// Somebody who can be asked, and looks at nothing but the questions.
const ASKED: Terminal = Terminal {
    asks: true,
    watched: false,
    width: None,
};

/// As [`run_with`], where somebody types.
fn type_with(api: &AdminApi, typed: &str, line: &str) -> Outcome {
    let url = api.url();
    let variables = [
        ("PORTCULLIS_ADMIN_URL", url.as_str()),
        ("PORTCULLIS_TOKEN", "t0ken"),
    ];
    run_at(ASKED, typed, line, &variables)
}

/// As [`run`], with an admin API that gives `answers`.
fn run_with(api: &AdminApi, line: &str) -> Outcome {
    run(
        line,
        &[
            ("PORTCULLIS_ADMIN_URL", &api.url()),
            ("PORTCULLIS_TOKEN", "t0ken"),
        ],
    )
}

#[test]
fn the_arguments_are_well_formed() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}

#[test]
fn help_teaches_by_example() {
    use clap::CommandFactory;
    let help = Cli::command().render_long_help().to_string();
    for example in [
        "portcullis demo",
        "portcullis run --config",
        "portcullis user suspend bob",
    ] {
        assert!(help.contains(example), "{example}");
    }
}

#[test]
fn help_fits_a_terminal_of_eighty_columns() {
    use clap::CommandFactory;
    let mut left = vec![Cli::command().term_width(80)];
    left[0].build();
    while let Some(mut command) = left.pop() {
        let after = command.get_after_help().map(ToString::to_string);
        for line in after.unwrap_or_default().lines() {
            // Folded it could not be copied.
            assert!(line.chars().count() <= 80, "{line}");
        }
        let help = command.render_long_help().to_string();
        for line in help.lines() {
            let option = line.trim_start().starts_with(['-', '[']);
            assert!(line.chars().count() <= 80 || option, "{line}");
        }
        left.extend(command.get_subcommands().cloned());
    }
}

#[test]
fn what_a_tenant_is_for_is_said_of_each_command() {
    let table = [
        ("user show", "Whose user; needless"),
        ("user list", "Whose users; needless"),
        ("bulk suspend", "Whose users; needless"),
        ("bulk undo", "Whose batch; needless"),
        ("audit list", "Entries of this tenant alone"),
        ("audit follow", "Entries of this tenant alone"),
    ];
    for (command, words) in table {
        let help = run(&format!("{command} --help"), &[]);
        help.result.unwrap();
        assert!(help.out.contains(words), "{}", help.out);
    }
}

#[test]
fn the_reference_of_the_commands_has_every_command_and_option() {
    use clap::CommandFactory;
    const REFERENCE: &str = include_str!("../../../docs/commands.md");
    let mut left = vec![(String::new(), Cli::command())];
    while let Some((path, command)) = left.pop() {
        for option in command.get_arguments().filter_map(clap::Arg::get_long) {
            let written = option == "help"
                || option == "version"
                || REFERENCE.contains(&format!("--{option}"));
            assert!(written, "{path} --{option}");
        }
        let is_leaf = !command.has_subcommands();
        assert!(
            !is_leaf || REFERENCE.contains(&format!("portcullis{path}")),
            "{path}"
        );
        let below = command
            .get_subcommands()
            .map(|sub| (format!("{path} {}", sub.get_name()), sub.clone()));
        left.extend(below);
    }
}

#[test]
fn a_bad_configuration_is_told_line_by_line_with_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.toml");
    std::fs::write(&file, "[data]\nworkers = 0\nlisten = \"x\"\n").unwrap();
    for command in ["run", "check", "token create --role global-admin"] {
        let (lines, code) = run(&format!("{command} --config {}", file.display()), &[]).failure();
        assert_eq!((lines.lines().count(), code), (3, 2), "{command}: {lines}");
        assert!(
            lines.contains("p.toml:2: data.workers: must be a whole number from 1 to 64, not 0")
        );
    }
    let (line, code) = run("check --config /nonexistent/p.toml", &[]).failure();
    assert_eq!(code, 2);
    assert!(
        line.starts_with("/nonexistent/p.toml: there is no such file; "),
        "{line}"
    );
}

#[test]
fn without_an_admin_api_the_commands_say_what_to_set() {
    let (line, code) = run("user show bob", &[]).failure();
    assert_eq!(
        line,
        "PORTCULLIS_ADMIN_URL is not set; set it to the admin listener, such as http://127.0.0.1:8081"
    );
    assert_eq!(code, 2);
    let url = ("PORTCULLIS_ADMIN_URL", "http://127.0.0.1:1");
    let (line, code) = run("user show bob", &[url]).failure();
    assert!(line.starts_with("PORTCULLIS_TOKEN is not set; "), "{line}");
    assert_eq!(code, 2);
}

#[test]
fn an_admin_url_that_cannot_be_used_is_told_with_the_mend() {
    let call = |url| {
        run(
            "user show bob",
            &[("PORTCULLIS_ADMIN_URL", url), ("PORTCULLIS_TOKEN", "t")],
        )
    };
    let (line, code) = call("https://gate.test").failure();
    assert_eq!(
        line,
        "PORTCULLIS_ADMIN_URL: the commands do not speak TLS yet; use http:// on the gate's own machine, or through a tunnel (ssh -L 8081:127.0.0.1:8081 HOST)"
    );
    assert_eq!(code, 2);
    for (url, what) in [
        ("gate:8081x y", "is not a URL"),
        ("gate", "does not begin with http://"),
        ("http://gate/x", "has a path; the commands add their own"),
    ] {
        let (line, code) = call(url).failure();
        assert!(line.contains(what), "{line}");
        assert_eq!(code, 2);
    }
}

#[test]
fn a_gate_that_is_not_there_is_told_from_one_that_refuses() {
    let gone = { Answers::new().serve().url() };
    let variables = [
        ("PORTCULLIS_ADMIN_URL", gone.as_str()),
        ("PORTCULLIS_TOKEN", "t"),
    ];
    let (line, code) = run("user show bob", &variables).failure();
    assert!(
        line.starts_with(&format!("cannot reach the admin API at {gone}/: ")),
        "{line}"
    );
    assert!(
        line.ends_with("; start the gate, or correct PORTCULLIS_ADMIN_URL"),
        "{line}"
    );
    assert_eq!(code, 1);
}

#[test]
fn a_token_never_shows_in_an_error() {
    let api = Answers::new().on("/api/v1/users/bob", 401, "{}").serve();
    let outcome = run(
        "user show bob",
        &[
            ("PORTCULLIS_ADMIN_URL", &api.url()),
            ("PORTCULLIS_TOKEN", "s3cret"),
        ],
    );
    assert!(!format!("{:?}{}", outcome.result, outcome.err).contains("s3cret"));
    let outcome = run(
        "user show bob",
        &[
            ("PORTCULLIS_ADMIN_URL", &api.url()),
            ("PORTCULLIS_TOKEN", "s3cret\nx"),
        ],
    );
    let (line, code) = outcome.failure();
    assert_eq!(
        line,
        "PORTCULLIS_TOKEN does not hold a token; it is one word of printable characters"
    );
    assert_eq!(code, 2);
}
