//! What is wrong with a configuration, in one line each.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// All that is wrong with a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub faults: Vec<Fault>,
}

/// One thing that is wrong. Prints as `FILE:LINE: KEY: what; the mend`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: PathBuf,
    /// From 1; `None` where the fault is the file as a whole.
    pub line: Option<usize>,
    /// As in the reference (`tenants.jwts.key_file`); empty where no key is to blame.
    pub key: String,
    /// What is wrong, and the mend.
    pub text: String,
}

/// A fault was noted: there is nothing to go on with, and nothing to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted;

pub(super) fn unreadable(file: &Path, error: &io::Error) -> ConfigError {
    let text = if error.kind() == io::ErrorKind::NotFound {
        "there is no such file; create it or name another with --config FILE".to_owned()
    } else {
        format!("cannot be read: {error}; the file must be UTF-8 text that this user may read")
    };
    ConfigError {
        faults: vec![Fault {
            file: file.to_owned(),
            line: None,
            key: String::new(),
            text,
        }],
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.text)
    }
}
