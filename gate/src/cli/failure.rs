//! Why a command was not done, and the exit code that says so.

use std::fmt;
use std::io;

use serde_json::{Map, Value, json};

use crate::config::ConfigError;

/// Prints as one line for each thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Wrong arguments, environment or configuration.
    Usage(String),
    /// It was tried and did not work.
    Failed(String),
    /// The gate is not there: nothing was done.
    Unreachable(String),
    /// The gate did not answer to the end: what was done is not known.
    Unknown(String),
    /// The gate says no.
    Refused {
        line: String,
        /// The answer's problem object (RFC 9457), as it came.
        problem: String,
    },
    /// It did not all work, and the answer, which is printed, says so.
    Told(String),
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
            Self::Failed(_)
            | Self::Unreachable(_)
            | Self::Unknown(_)
            | Self::Refused { .. }
            | Self::Told(_)
            | Self::Unheard => 1,
            Self::Usage(_) => 2,
        }
    }

    /// For scripts: a problem object like those of the admin API, in one line. What
    /// is no answer of the API has no `status`.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Usage(text) => Some(problem("usage", "Wrong usage", text, wrong_option(text))),
            Self::Failed(text) => Some(problem("failed", "Failed", text, None)),
            Self::Unreachable(text) => Some(problem("unreachable", "Gate unreachable", text, None)),
            Self::Unknown(text) => Some(problem("outcome_unknown", "Outcome unknown", text, None)),
            Self::Refused { problem, .. } => Some(problem.clone()),
            Self::Told(_) | Self::Unheard => None,
        }
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text)
            | Self::Failed(text)
            | Self::Unreachable(text)
            | Self::Unknown(text)
            | Self::Refused { line: text, .. }
            | Self::Told(text) => f.write_str(text),
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

fn problem(code: &str, title: &str, detail: &str, field: Option<&str>) -> String {
    let mut object = Map::new();
    object.insert("type".to_owned(), json!("about:blank"));
    object.insert("title".to_owned(), json!(title));
    object.insert("detail".to_owned(), json!(detail));
    object.insert("code".to_owned(), json!(code));
    if let Some(field) = field {
        object.insert("field".to_owned(), json!(field));
    }
    // Several lines are several things, and their mends stand in them.
    let one = (!detail.contains('\n')).then_some(detail);
    if let Some((_, mend)) = one.and_then(|detail| detail.split_once("; ")) {
        object.insert("mend".to_owned(), json!(mend));
    }
    Value::Object(object).to_string()
}

/// The option or the variable that is wrong, where the text says which.
fn wrong_option(text: &str) -> Option<&str> {
    let what = text.split("; ").next()?;
    let words = what.split([' ', '\'', ':', '=']);
    let mut named = words.filter(|word| word.starts_with("--") || word.starts_with("PORTCULLIS_"));
    named.next()
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
