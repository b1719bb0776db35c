//! `policy.toml`: which module, with which settings, within which limits.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use portcullis_core::policy::Settings;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use toml::{Table, Value};

use super::files;
use super::limits::PolicyLimits;

/// What a `policy.toml` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub module: Module,
    pub settings: Settings,
    pub limits: LimitsAsked,
}

/// Where a policy's component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Module {
    /// `builtin:NAME`: one that the gate brings.
    Builtin(String),
    /// A file, relative to the folder of the manifest.
    File(PathBuf),
}

/// Limits of this policy alone; the host's defaults stand where none is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsAsked {
    pub deadline_ms: Option<u64>,
    pub memory_bytes_max: Option<usize>,
    pub result_bytes_max: Option<usize>,
}

impl LimitsAsked {
    pub(super) fn over(&self, defaults: &PolicyLimits) -> PolicyLimits {
        PolicyLimits {
            deadline_ms: self.deadline_ms.unwrap_or(defaults.deadline_ms),
            memory_bytes_max: self.memory_bytes_max.unwrap_or(defaults.memory_bytes_max),
            result_bytes_max: self.result_bytes_max.unwrap_or(defaults.result_bytes_max),
        }
    }
}

/// What is wrong with a `policy.toml`, and where.
#[derive(Debug, Error)]
pub enum ManifestError {
    #[error("{path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}{position}: {message}")]
    Syntax {
        path: PathBuf,
        position: String,
        message: String,
    },
    #[error("{path}: {key}: {message}")]
    Value {
        path: PathBuf,
        key: String,
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    module: String,
    #[serde(default)]
    settings: Table,
    #[serde(default)]
    limits: LimitsAsked,
}

impl Manifest {
    /// Reads a file.
    ///
    /// # Errors
    /// What cannot be read, with line and column.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let text = files::text(path).map_err(|source| ManifestError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// Parses `text`, which stands in `path`.
    ///
    /// # Errors
    /// What is wrong, with line and column or the key.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ManifestError> {
        let Text {
            module,
            settings,
            limits,
        } = toml::from_str(text).map_err(|error| syntax_error(path, text, &error))?;
        let wrong = |key: &str, message: &str| ManifestError::Value {
            path: path.to_owned(),
            key: key.to_owned(),
            message: message.to_owned(),
        };
        let module = match module.strip_prefix("builtin:") {
            Some(name) => Module::Builtin(name.to_owned()),
            None if module.is_empty() => {
                return Err(wrong("module", "is empty; give builtin:standard or a file"));
            }
            None => Module::File(PathBuf::from(module)),
        };
        let settings = flatten(&settings).map_err(|(key, message)| wrong(&key, message))?;
        Ok(Self {
            module,
            settings,
            limits,
        })
    }
}

/// Settings as a `policy.toml` has them: nested tables become dotted keys, and scalars
/// text.
///
/// # Errors
/// The key of a value that has no such form, and why.
pub fn read_settings(table: &Table) -> Result<Settings, (String, &'static str)> {
    flatten(table)
}

/// Turns nested tables into dotted keys, and scalars into text.
///
/// # Errors
/// The key of a value that has no such form, and why.
pub(super) fn flatten(table: &Table) -> Result<Settings, (String, &'static str)> {
    let mut flat = BTreeMap::new();
    flatten_into(&mut flat, "", table)?;
    Ok(Settings(flat))
}

fn flatten_into(
    flat: &mut BTreeMap<String, String>,
    prefix: &str,
    table: &Table,
) -> Result<(), (String, &'static str)> {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        if name.is_empty() || name.contains('.') {
            return Err((key, "a key may not be empty or hold a dot"));
        }
        let text = match value {
            Value::Table(inner) => {
                flatten_into(flat, &key, inner)?;
                continue;
            }
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Boolean(flag) => flag.to_string(),
            Value::Float(_) => return Err((key, "is a fraction; settings know whole numbers")),
            Value::Datetime(_) => return Err((key, "is a bare time; put it in quotes")),
            Value::Array(items) => {
                join(items).ok_or_else(|| (key.clone(), "is a list of something else than text"))?
            }
        };
        flat.insert(key, text);
    }
    Ok(())
}

/// A list of texts travels as its parts joined with a comma and a space.
fn join(items: &[Value]) -> Option<String> {
    items
        .iter()
        .map(Value::as_str)
        .collect::<Option<Vec<_>>>()
        .map(|parts| parts.join(", "))
}

pub(super) fn syntax_error(path: &Path, text: &str, error: &toml::de::Error) -> ManifestError {
    let mut position = String::new();
    if let Some(before) = error.span().and_then(|span| text.get(..span.start)) {
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        // Writing to a string cannot fail.
        let _ = write!(position, ":{line}:{column}");
    }
    ManifestError::Syntax {
        path: path.to_owned(),
        position,
        message: error.message().replace('\n', " "),
    }
}
