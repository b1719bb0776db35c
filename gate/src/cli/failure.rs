//! Why a command was not done, and the exit code that says so.

use std::fmt;
use std::io;

use crate::config::ConfigError;

/// Prints as one line for each thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// Wrong arguments, environment or configuration.
    Usage(String),
    /// It was tried and did not work.
    Failed(String),
    /// Nobody takes the output any more (`| head -1`), so there is nobody to tell.
    Unheard,
}

impl Failure {
    pub(super) fn usage(error: impl fmt::Display) -> Self {
        Self::Usage(error.to_string())
    }

    pub(super) fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// The exit code to leave with.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::Unheard => 1,
            Self::Usage(_) => 2,
        }
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Failed(text) => f.write_str(text),
            Self::Unheard => f.write_str("nobody takes the output"),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Unheard;
        }
        Self::Failed(format!(
            "cannot write the result: {error}; look at where the output goes"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stops_reading_is_told_nothing() {
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(Failure::from(broken), Failure::Unheard);
        assert_eq!(Failure::Unheard.exit_code(), 1);
    }
}
