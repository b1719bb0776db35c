//! `portcullis completion` and `portcullis man`: what is typed, for shells and for
//! the manual, made from the arguments themselves.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::roff::{Roff, roman};

use super::{Cli, Failure, Surroundings};

#[derive(Debug, Args)]
pub(super) struct Completion {
    /// Which shell
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Write a page for each command into this folder [default: the first page, to
    /// standard output]
    #[arg(long, short, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

impl Completion {
    pub(super) fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "portcullis", &mut script);
        Ok(surroundings.out.write_all(&script)?)
    }
}

impl Man {
    pub(super) fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let Some(folder) = &self.output else {
            return Ok(write_page(&command, surroundings.out)?);
        };
        let made = fs::create_dir_all(folder).and_then(|()| write_pages(&command, folder));
        made.map_err(|error| {
            Failure::failed(format!(
                "--output: {} cannot be written: {error}; name another folder",
                folder.display()
            ))
        })?;
        let folder = folder.display();
        Ok(writeln!(
            surroundings.err,
            "The pages are in {folder}: man {folder}/portcullis.1"
        )?)
    }
}

fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands() {
        write_pages(below, folder)?;
    }
    let name = clap_mangen::Man::new(command.clone()).get_filename();
    let mut page = File::create(folder.join(name))?;
    write_page(command, &mut page)?;
    page.flush()
}

/// Like clap's own, but with the values of options in the synopsis, and with examples
/// that stay as they are, to be copied.
fn write_page(command: &Command, out: &mut dyn Write) -> io::Result<()> {
    let man = clap_mangen::Man::new(command.clone().override_usage(synopsis(command)));
    man.render_title(out)?;
    // Neither hyphens nor spaces come into a command by themselves.
    writeln!(out, ".nh\n.ad l")?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(out)?;
    }
    let after = command.get_after_help().map(ToString::to_string);
    after_help(&after.unwrap_or_default()).to_writer(out)?;
    if command.get_version().is_some() {
        man.render_version_section(out)?;
    }
    Ok(())
}

/// `portcullis user suspend [--reason KEY_OR_TEXT] … ID`
fn synopsis(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut parts = vec![name.to_owned()];
    let groups: Vec<Vec<&Arg>> = command
        .get_groups()
        .filter(|group| group.is_required_set())
        .map(|group| {
            let members = group.get_args();
            let members =
                members.filter_map(|id| command.get_arguments().find(|arg| arg.get_id() == id));
            members.collect()
        })
        .collect();
    let grouped = |arg: &Arg| {
        groups
            .iter()
            .flatten()
            .any(|other| other.get_id() == arg.get_id())
    };
    let options = command.get_arguments().filter(|arg| !arg.is_positional());
    for option in options.filter(|arg| !arg.is_hide_set() && !grouped(arg)) {
        parts.push(bracketed(option));
    }
    for members in &groups {
        let members: Vec<String> = members.iter().map(|arg| spelled(arg)).collect();
        parts.push(format!("({})", members.join(" | ")));
    }
    parts.extend(command.get_positionals().map(bracketed));
    if command.has_subcommands() {
        parts.push("COMMAND".to_owned());
    }
    parts.join(" ")
}

/// In brackets, where it may be left out.
fn bracketed(arg: &Arg) -> String {
    let again = if matches!(arg.get_action(), ArgAction::Append) {
        "..."
    } else {
        ""
    };
    if arg.is_required_set() {
        format!("{}{again}", spelled(arg))
    } else {
        format!("[{}]{again}", spelled(arg))
    }
}

/// `-o|--output FILE`, or `FILE`.
fn spelled(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let takes_values = arg.get_num_args().is_some_and(|count| count.takes_values());
    let values = arg.get_value_names().filter(|_| takes_values);
    let values = values.into_iter().flatten().map(ToString::to_string);
    let mut parts: Vec<String> = vec![names.join("|")];
    parts.extend(values);
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

/// What stands behind the options: remarks, and the examples line for line.
fn after_help(text: &str) -> Roff {
    let mut page = Roff::default();
    if text.is_empty() {
        return page;
    }
    if !text.starts_with("Examples:") {
        page.control("SH", ["NOTES"]);
    }
    let mut copied = false;
    for line in text.lines() {
        let is_example = line.starts_with(' ') || (copied && line.is_empty());
        if is_example != copied {
            page.control(if is_example { "nf" } else { "fi" }, []);
            copied = is_example;
        }
        if line == "Examples:" {
            page.control("SH", ["EXAMPLES"]);
        } else if line.is_empty() && !copied {
            page.control("PP", []);
        } else {
            page.text([roman(line)]);
        }
    }
    if copied {
        page.control("fi", []);
    }
    page
}
