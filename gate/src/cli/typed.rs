//! What was typed, read as a command; and in one line what is wrong with it.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::print::visible;
use super::{Cli, Failure, Surroundings};

/// `None`: help or the version was asked for, and is printed.
pub(super) fn parse(
    words: &[OsString],
    surroundings: &mut Surroundings<'_>,
) -> Result<Option<Cli>, Failure> {
    let error = match Cli::try_parse_from(words) {
        Ok(cli) => return Ok(Some(cli)),
        Err(error) => error,
    };
    let (kind, text) = (error.kind(), error.render().to_string());
    if matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        write!(surroundings.out, "{text}")?;
        return Ok(None);
    }
    // Who types half a command looks for the rest of it, and is shown the help.
    Err(Failure::usage(
        if kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            text.trim_end().to_owned()
        } else {
            line(&text, words)
        },
    ))
}

/// Whether the result is wanted as JSON; known even where the rest can't be read.
pub(super) fn asks_for_json(words: &[OsString]) -> bool {
    let options = words.iter().take_while(|word| *word != "--");
    options.into_iter().any(|word| word == "--json")
}

/// Of clap's paragraphs, what is wrong and its tips; the usage is in the help.
fn line(text: &str, words: &[OsString]) -> String {
    let mut said: Vec<String> = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut lines = paragraph.lines().map(|line| visible(line.trim()));
        let first = lines.next().unwrap_or_default();
        let rest: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        let whole = match rest.as_slice() {
            [] => first,
            _ => format!("{first} {}", rest.join(", ")),
        };
        let whole = whole.trim();
        if let Some(what) = whole.strip_prefix("error: ") {
            said.push(what.to_owned());
        } else if let Some(tip) = whole.strip_prefix("tip: ") {
            said.push(tip.replace(", tip: ", "; "));
        }
    }
    format!("{}; see {} --help", said.join("; "), command(words))
}

/// The command as far as it is one.
fn command(words: &[OsString]) -> String {
    let mut path = String::from("portcullis");
    let mut command = Cli::command();
    for word in words.iter().skip(1) {
        let Some(below) = command.find_subcommand(word) else {
            break;
        };
        path = format!("{path} {}", below.get_name());
        command = below.clone();
    }
    path
}
