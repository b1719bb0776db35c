//! The cases of a policy: what it is asked, and what it must answer.
//!
//! A folder's `cases/*.toml` are the tenant's own tests. A case names what it
//! cares about under `[expect]`; what it does not name is not compared.

mod text;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_core::policy::{
    Channel, Fault, Message, NotificationInput, ReactivationDecision, ReactivationInput,
    RefusalDecision, RefusalInput,
};
use thiserror::Error;
use toml::{Table, Value};

use super::host::{Policy, PolicyHost};
use super::manifest::syntax_error;
use text::CaseText;

/// One case: a file.
#[derive(Debug, Clone)]
pub struct Case {
    pub path: PathBuf,
    question: Question,
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
    #[error("{path}: has not exactly one of [refusal], [reactivation] and [notification]")]
    Question { path: PathBuf },
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

#[derive(Debug, Clone)]
enum Question {
    Refusal(RefusalInput),
    Reactivation(ReactivationInput),
    Notification(NotificationInput),
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
            let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
            Case::parse(path, &text)
        })
        .collect()
}

impl Case {
    fn parse(path: PathBuf, text: &str) -> Result<Self, CaseError> {
        let CaseText {
            refusal,
            reactivation,
            notification,
            expect,
        } = toml::from_str(text).map_err(|error| syntax_error(&path, text, &error))?;
        let question = match (refusal, reactivation, notification) {
            (Some(text), None, None) => Question::Refusal(text.into()),
            (None, Some(text), None) => Question::Reactivation(text.into()),
            (None, None, Some(text)) => Question::Notification(text.into()),
            (..) => return Err(CaseError::Question { path }),
        };
        Ok(Self {
            path,
            question,
            expect,
        })
    }

    /// Asks the policy, as the gate would, and compares.
    ///
    /// # Errors
    /// The first thing that differs, or why there was no answer.
    pub async fn check(&self, host: &PolicyHost, policy: &Arc<Policy>) -> Result<(), CaseError> {
        let answer = match &self.question {
            Question::Refusal(input) => host
                .refusal(policy, input.clone())
                .await
                .map(|d| refusal_table(&d)),
            Question::Reactivation(input) => host
                .reactivation(policy, input.clone())
                .await
                .map(|d| reactivation_table(&d)),
            Question::Notification(input) => host
                .notification(policy, input.clone())
                .await
                .map(|m| messages_table(&m)),
        }
        .map_err(|fault| CaseError::Fault {
            path: self.path.clone(),
            fault,
        })?;
        self.expect
            .iter()
            .try_for_each(|(key, expected)| self.compare(&answer, key, expected))
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

fn refusal_table(decision: &RefusalDecision) -> Table {
    let links = decision
        .links
        .iter()
        .map(|link| Value::from(format!("{} -> {}", link.label, link.href)));
    let headers = decision.headers.iter().map(|(name, value)| {
        Value::from(format!(
            "{name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        ))
    });
    let mut table = Table::new();
    table.insert(
        "status".to_owned(),
        i64::from(decision.status.as_u16()).into(),
    );
    table.insert("language".to_owned(), decision.language.clone().into());
    table.insert("title".to_owned(), decision.title.clone().into());
    table.insert("message".to_owned(), decision.message.clone().into());
    table.insert("links".to_owned(), Value::Array(links.collect()));
    table.insert("headers".to_owned(), Value::Array(headers.collect()));
    insert(&mut table, "words", decision.words.as_deref());
    table
}

fn reactivation_table(decision: &ReactivationDecision) -> Table {
    let mut table = Table::new();
    table.insert("allowed".to_owned(), decision.allowed.into());
    table.insert(
        "lifetime_seconds".to_owned(),
        i64::from(decision.lifetime_seconds).into(),
    );
    table.insert("language".to_owned(), decision.language.clone().into());
    insert(&mut table, "redirect_to", decision.redirect_to.as_deref());
    insert(&mut table, "why_not", decision.why_not.as_deref());
    table
}

fn messages_table(messages: &[Message]) -> Table {
    let messages = messages
        .iter()
        .map(|message| Value::Table(message_table(message)));
    Table::from_iter([("messages".to_owned(), Value::Array(messages.collect()))])
}

fn message_table(message: &Message) -> Table {
    let mut table = Table::new();
    let channel = match message.channel {
        Channel::Email => "email",
        Channel::Sms => "sms",
    };
    insert(&mut table, "channel", Some(channel));
    if !message.to.is_empty() {
        table.insert("to".to_owned(), message.to.clone().into());
    }
    insert(&mut table, "from", message.from.as_deref());
    insert(&mut table, "subject", message.subject.as_deref());
    insert(&mut table, "text", Some(&message.text));
    insert(&mut table, "language", Some(&message.language));
    if let Some(reset) = &message.reset {
        let seconds = i64::from(reset.lifetime_seconds);
        table.insert("lifetime_seconds".to_owned(), seconds.into());
        insert(&mut table, "redirect_to", reset.redirect_to.as_deref());
    }
    table
}

fn insert(table: &mut Table, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        table.insert(key.to_owned(), text.into());
    }
}
