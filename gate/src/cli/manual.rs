//! `portcullis completion` and `portcullis man`: what is typed, for shells and for
//! the manual, made from the arguments themselves.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

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
        let Some(folder) = &self.output else {
            return Ok(clap_mangen::Man::new(Cli::command()).render(surroundings.out)?);
        };
        let made = fs::create_dir_all(folder);
        let made = made.and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
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
