//! `portcullis policy new`: a folder that builds and passes its cases.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::scaffold;
use crate::cli::{Failure, Surroundings};

#[derive(Debug, Args)]
pub(in crate::cli) struct New {
    /// The policy's name, which is its folder's: lower case, digits and hyphens
    name: String,
    /// The language to write it in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
    /// Where the folder is made
    #[arg(long = "in", value_name = "FOLDER", default_value = ".")]
    place: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum Language {
    Rust,
    #[value(alias = "javascript")]
    Js,
    Python,
}

impl New {
    pub(super) fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        self.check_name()?;
        let folder = self.place.join(&self.name);
        if folder.exists() {
            return Err(Failure::usage(format!(
                "{}: there is one already; choose another name",
                folder.display()
            )));
        }
        for (place, text) in scaffold::files(self.lang, &self.name) {
            write(&folder.join(place), &text)?;
        }
        let shown = folder.display();
        writeln!(surroundings.out, "{shown}: a policy to begin with. Now:")?;
        writeln!(surroundings.out, "  cd {shown} && sh build.sh")?;
        Ok(writeln!(surroundings.out, "  portcullis policy test")?)
    }

    fn check_name(&self) -> Result<(), Failure> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = self.name.starts_with(|c: char| c.is_ascii_lowercase())
            && self.name.len() <= 64
            && self.name.chars().all(plain);
        if fits {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{:?}: is not a name of lower-case letters, digits and hyphens, such as my-shop",
            self.name
        )))
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text))
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}
