//! The cases of a policy: what it is asked, and what it must answer.
//!
//! A folder's `cases/*.toml` are the tenant's own tests. A case names what it
//! cares about under `[expect]`; what it does not name is not compared. It may
//! change settings, and may expect a failure: of the call (`fault`), or of the
//! settings (`problems`).

mod text;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_core::policy::{Fault, Settings};
use thiserror::Error;
use toml::{Table, Value};

use super::bundle::Bundle;
use super::files;
use super::host::PolicyHost;
use super::load::LoadError;
use super::loaded::Policy;
use super::manifest::{flatten, syntax_error};
use super::question::Question;
use text::CaseText;

/// One case: a file.
#[derive(Debug, Clone)]
pub struct Case {
    pub path: PathBuf,
    /// None: the case is about settings alone.
    pub question: Option<Question>,
    /// In place of the policy's own, or besides.
    settings: Settings,
    expect: Table,
}

/// Why a case did not hold.
#[derive(Debug, Error)]
pub enum CaseError {
    #[error("{path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{0}")]
    Syntax(#[from] super::manifest::ManifestError),
    #[error(
        "{path}: has not exactly one of [refusal], [reactivation] and [notification]; only a case \
         with expect.problems has none"
    )]
    Question { path: PathBuf },
    #[error("{path}: expect.{key} is nothing that this can be compared by; name one of {known}")]
    Unknown {
        path: PathBuf,
        key: String,
        known: String,
    },
    #[error("{path}: settings.{key}: {message}")]
    Setting {
        path: PathBuf,
        key: String,
        message: &'static str,
    },
    #[error("{path}: with its settings, the policy cannot be loaded: {error}")]
    Load {
        path: PathBuf,
        error: Box<LoadError>,
    },
    #[error("{path}: the policy gave no answer: {fault}")]
    Fault { path: PathBuf, fault: Fault },
    #[error("{path}: expect.{key} is {expected}, the policy answers {actual}")]
    Differs {
        path: PathBuf,
        key: String,
        expected: String,
        actual: String,
    },
}

/// Reads the cases of a policy's folder, in the order of their names.
///
/// # Errors
/// The first file that cannot be read, and where.
pub fn read(folder: &Path) -> Result<Vec<Case>, CaseError> {
    let cases = folder.join("cases");
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| CaseError::Read { path, source }
    };
    let mut paths = fs::read_dir(&cases)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(unreadable(&cases))?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = files::text(&path).map_err(unreadable(&path))?;
            Case::parse(path, &text)
        })
        .collect()
}

/// A key that is mistyped would be compared with nothing for ever.
fn check_expected(
    path: &Path,
    question: Option<&Question>,
    expect: &Table,
) -> Result<(), CaseError> {
    let known: &[&str] = match question {
        None => &["problems"],
        Some(Question::Refusal(_)) => &[
            "status", "key", "language", "title", "words", "message", "surface", "own_page",
            "links", "headers", "actions", "fault", "problems",
        ],
        Some(Question::Reactivation(_)) => &[
            "verdict",
            "lifetime_seconds",
            "redirect_to",
            "proofs",
            "words",
            "language",
            "actions",
            "fault",
            "problems",
        ],
        Some(Question::Notification(_)) => &["messages", "actions", "fault", "problems"],
    };
    let wrong = |key: &str, known: &[&str]| CaseError::Unknown {
        path: path.to_owned(),
        key: key.to_owned(),
        known: known.join(", "),
    };
    if let Some(key) = expect.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(wrong(key, known));
    }
    match expect
        .get("fault")
        .map(|fault| fault.as_str().unwrap_or_default())
    {
        Some(fault) if !Fault::NAMES.contains(&fault) => {
            Err(wrong(&format!("fault = {fault:?}"), &Fault::NAMES))
        }
        Some(_) | None => Ok(()),
    }
}

impl Case {
    /// Reads the text of a case, which stands in `path`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(path: PathBuf, text: &str) -> Result<Self, CaseError> {
        let CaseText {
            refusal,
            reactivation,
            notification,
            settings,
            expect,
        } = toml::from_str(text).map_err(|error| syntax_error(&path, text, &error))?;
        let question = match (refusal, reactivation, notification) {
            (Some(text), None, None) => Some(Question::Refusal(text.into())),
            (None, Some(text), None) => Some(Question::Reactivation(text.into())),
            (None, None, Some(text)) => Some(Question::Notification(text.into())),
            (None, None, None) if expect.contains_key("problems") => None,
            (..) => return Err(CaseError::Question { path }),
        };
        check_expected(&path, question.as_ref(), &expect)?;
        let settings = flatten(&settings).map_err(|(key, message)| CaseError::Setting {
            path: path.clone(),
            key,
            message,
        })?;
        Ok(Self {
            path,
            question,
            settings,
            expect,
        })
    }

    /// Asks the policy, as the gate would, and compares. `bundle` is what the
    /// policy was loaded from, for a case with settings of its own.
    ///
    /// # Errors
    /// The first thing that differs, or why there was no answer.
    pub async fn check(
        &self,
        host: &PolicyHost,
        bundle: &Bundle,
        policy: &Arc<Policy>,
    ) -> Result<(), CaseError> {
        let changed = match self.change(host, bundle, policy) {
            Ok(changed) => changed,
            Err(LoadError::Settings(problems)) if self.expect.contains_key("problems") => {
                let keys = problems
                    .iter()
                    .map(|problem| Value::from(problem.key.clone()));
                let table = Table::from_iter([(
                    "problems".to_owned(),
                    Value::Array(keys.collect::<Vec<_>>()),
                )]);
                return self.compare_all(&table);
            }
            Err(error) => {
                return Err(CaseError::Load {
                    path: self.path.clone(),
                    error: Box::new(error),
                });
            }
        };
        let Some(question) = &self.question else {
            return self.compare_all(&Table::from_iter([(
                "problems".to_owned(),
                Value::Array(Vec::new()),
            )]));
        };
        let policy = changed.as_ref().unwrap_or(policy);
        match host.answer(policy, question).await {
            Ok(answer) => self.compare_all(&answer.table()),
            Err(fault) if self.expect.contains_key("fault") => {
                let name = Value::from(fault.name());
                self.compare_all(&Table::from_iter([("fault".to_owned(), name)]))
            }
            Err(fault) => Err(CaseError::Fault {
                path: self.path.clone(),
                fault,
            }),
        }
    }

    /// The policy with the settings of the case, where it has some.
    fn change(
        &self,
        host: &PolicyHost,
        bundle: &Bundle,
        policy: &Policy,
    ) -> Result<Option<Arc<Policy>>, LoadError> {
        if self.settings.0.is_empty() {
            return Ok(None);
        }
        let mut bundle = bundle.clone();
        bundle.settings.0.extend(self.settings.0.clone());
        host.load_for(&policy.owner, policy.generation(), &bundle)
            .map(Some)
    }

    fn compare_all(&self, answer: &Table) -> Result<(), CaseError> {
        self.expect
            .iter()
            .try_for_each(|(key, expected)| self.compare(answer, key, expected))
    }

    fn compare(&self, answer: &Table, key: &str, expected: &Value) -> Result<(), CaseError> {
        let actual = answer.get(key);
        // What is absent in an answer is written as an empty text in a case.
        let absent = actual.is_none() && expected.as_str() == Some("");
        if absent || actual == Some(expected) {
            return Ok(());
        }
        Err(CaseError::Differs {
            path: self.path.clone(),
            key: key.to_owned(),
            expected: expected.to_string(),
            actual: actual.map_or_else(|| "nothing".to_owned(), Value::to_string),
        })
    }
}
