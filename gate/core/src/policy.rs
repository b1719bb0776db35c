//! What a tenant's policy is asked and may answer, in plain types.
//!
//! The guest itself runs elsewhere; here is only what both sides agree on, and
//! ([`check`]) the proof that an answer is fit to be sent. A guest is trusted
//! as much as a client: not at all.

pub mod check;

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, StatusCode};
use thiserror::Error;

pub use crate::refusal::Occasion;
pub use crate::user::Kind as SuspensionKind;
pub use check::{check_messages, check_reactivation, check_refusal};

/// What an answer may hold at most. Lengths are in bytes of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerLimits {
    /// A one-line text: title, label, subject.
    pub line_bytes_max: usize,
    /// A text of several lines: message, words, mail text.
    pub text_bytes_max: usize,
    /// A URL or path.
    pub href_bytes_max: usize,
    /// A language tag. BCP 47 (RFC 5646 §4.4.1) asks for room for 35.
    pub language_bytes_max: usize,
    pub header_value_bytes_max: usize,
    pub links_max: usize,
    pub headers_max: usize,
    pub messages_max: usize,
    pub recipients_max: usize,
    /// A reset shorter than this cannot be used by a person.
    pub reset_seconds_min: u32,
    /// A reset longer than this is a spare key left under the mat.
    pub reset_seconds_max: u32,
}

impl AnswerLimits {
    /// The limits in force; a constant, so that a table of tests can use them.
    pub const STANDARD: AnswerLimits = AnswerLimits {
        line_bytes_max: 200,
        text_bytes_max: 16 * 1024,
        href_bytes_max: 2048,
        language_bytes_max: 35,
        header_value_bytes_max: 1024,
        links_max: 8,
        headers_max: 8,
        messages_max: 8,
        recipients_max: 16,
        reset_seconds_min: 60,
        reset_seconds_max: 7 * 24 * 3600,
    };
}

impl Default for AnswerLimits {
    fn default() -> Self {
        Self::STANDARD
    }
}

/// A policy's settings: dotted keys (`words.en.suspiciousUserNoGood`) to text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(pub BTreeMap<String, String>);

impl Settings {
    /// The settings as the contract carries them: sorted, no key twice.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }
}

/// The suspension that a policy is told of. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Suspension {
    pub kind: SuspensionKind,
    pub reason_key: Option<String>,
    pub reason_text: Option<String>,
    pub since: u64,
    pub until: Option<u64>,
    /// `api`, `console`, `cli`, `scim`, `signal`, `policy`, `schedule`, …
    pub source: String,
}

/// Who reads a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    Page,
    Api,
}

/// What a policy is asked about a refusal. Everything that the answer may
/// depend on is here, so equal inputs may share one answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RefusalInput {
    pub tenant: String,
    pub user_id: String,
    pub suspension: Suspension,
    /// BCP 47 tags, best first.
    pub locales: Vec<String>,
    pub surface: Surface,
    pub occasion: Occasion,
    pub attributes: Vec<(String, String)>,
}

/// Something for the reader of a refusal to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub label: String,
    pub href: String,
}

/// A refusal as the guest gave it, before [`check_refusal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalAnswer {
    pub status: u16,
    pub language: String,
    pub title: String,
    pub words: Option<String>,
    pub message: String,
    pub links: Vec<Link>,
    pub headers: Vec<(String, String)>,
}

/// A refusal fit to be rendered. Its texts are plain: escape them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalDecision {
    pub status: StatusCode,
    pub language: String,
    pub title: String,
    /// The policy's words for the reason; without them a program gets the key.
    pub words: Option<String>,
    pub message: String,
    pub links: Vec<Link>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// A way to reach a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    Email,
    Sms,
}

/// At which moment of a reset the policy is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResetStep {
    Issue,
    Open,
    Complete,
}

/// What a policy is asked about a reset. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactivationInput {
    pub tenant: String,
    pub user_id: String,
    pub suspension: Suspension,
    pub step: ResetStep,
    pub channel: Channel,
    pub now: u64,
    pub issued_at: Option<u64>,
    pub locales: Vec<String>,
    pub attributes: Vec<(String, String)>,
}

/// Whether a step of a reset may be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactivationDecision {
    pub allowed: bool,
    /// From when the link or code is made.
    pub lifetime_seconds: u32,
    pub redirect_to: Option<String>,
    pub why_not: Option<String>,
    pub language: String,
}

/// What happened to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserEvent {
    Suspended,
    Restored,
    Deleted,
    Reactivated,
    /// Named by a gate newer than the policy.
    Other(String),
}

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    User,
    Stakeholder,
}

/// What a policy is asked about a notification. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationInput {
    pub tenant: String,
    pub user_id: String,
    pub event: UserEvent,
    pub audience: Audience,
    pub suspension: Option<Suspension>,
    pub source: String,
    pub has_email: bool,
    pub has_phone: bool,
    pub now: u64,
    pub locales: Vec<String>,
    pub attributes: Vec<(String, String)>,
}

/// The reset that a message offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetOffer {
    pub lifetime_seconds: u32,
    pub redirect_to: Option<String>,
}

/// A message to be sent. `{link}` and `{code}` in its text are the gate's to
/// fill, where a reset is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub channel: Channel,
    /// Empty for the user, whose address the gate alone knows.
    pub to: Vec<String>,
    pub from: Option<String>,
    pub subject: Option<String>,
    pub text: String,
    pub language: String,
    pub reset: Option<ResetOffer>,
}

/// Why a policy gave no answer that can be used. Each is the policy's fault or
/// the load's, never the user's, so none of it is shown to the user.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The component no longer fits this gate; loading should have said so.
    #[error("the policy does not fit this gate: {0}")]
    Invalid(String),
    /// The guest stopped itself: a panic, an uncaught exception, a bad access.
    #[error("the policy trapped: {0}")]
    Trap(String),
    #[error("the policy took longer than its {limit_ms} ms and was stopped")]
    Deadline { limit_ms: u64 },
    #[error("the policy wanted more than its {limit_bytes} bytes of memory")]
    Memory { limit_bytes: usize },
    #[error("the policy recursed beyond its stack")]
    StackOverflow,
    #[error("the policy's answer is larger than {limit_bytes} bytes")]
    ResultTooLarge { limit_bytes: usize },
    /// The answer breaks a rule of the contract; `what` names field and rule.
    #[error("the policy's answer cannot be used: {what}")]
    BadOutput { what: String },
    /// The guest answered with its own error.
    #[error("the policy declined: {code}: {message}")]
    Declined { code: String, message: String },
    /// All guest threads are taken and no more calls may wait.
    #[error("too many policy calls are waiting")]
    Busy,
}

impl Fault {
    /// A short fixed name, for metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Invalid(_) => "invalid",
            Fault::Trap(_) => "trap",
            Fault::Deadline { .. } => "deadline",
            Fault::Memory { .. } => "memory",
            Fault::StackOverflow => "stack_overflow",
            Fault::ResultTooLarge { .. } => "result_too_large",
            Fault::BadOutput { .. } => "bad_output",
            Fault::Declined { .. } => "declined",
            Fault::Busy => "busy",
        }
    }
}
