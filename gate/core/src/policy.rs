//! What a tenant's policy is asked and may answer, in plain types.
//!
//! The guest itself runs elsewhere; here is only what both sides agree on, and
//! ([`check`]) the proof that an answer is fit to be sent. A guest is trusted
//! as much as a client: not at all.

pub mod about;
pub mod answer_limits;
pub mod check;
pub mod fault;
pub mod notification;
pub mod reactivation;
pub mod refusal;
pub mod scrub;
pub mod template;

use std::collections::BTreeMap;

pub use crate::refusal::Occasion;
pub use crate::user::Kind as SuspensionKind;
pub use about::{Description, SettingDescription};
pub use answer_limits::AnswerLimits;
pub use check::{check_messages, check_reactivation, check_refusal};
pub use fault::Fault;
pub use notification::{
    Audience, Body, Message, NotificationDecision, NotificationInput, Rendered, ResetOffer,
    UserEvent, Wording,
};
pub use reactivation::{
    Proof, ReactivationDecision, ReactivationInput, ResetStep, ResetTerms, Verdict,
};
pub use refusal::{Link, LinkKind, RefusalAnswer, RefusalDecision, RefusalInput, Surface};
pub use template::{Template, TemplateTexts, Templates};

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

/// What every question comes with, the settings aside, which are the policy's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Context {
    pub tenant: String,
    pub user_id: String,
    /// Unix seconds.
    pub now: u64,
    /// New for each question, and not secret.
    pub seed: u64,
    /// BCP 47 tags, best first.
    pub locales: Vec<String>,
    pub attributes: Vec<(String, String)>,
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

/// A way to reach a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Channel {
    Email,
    Sms,
    /// One that this gate has no name for.
    Other(String),
}

impl Channel {
    pub fn as_str(&self) -> &str {
        match self {
            Channel::Email => "email",
            Channel::Sms => "sms",
            Channel::Other(name) => name,
        }
    }
}

/// Something else that a policy asks for, by name. No gate knows one yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    pub name: String,
    pub arguments: Vec<(String, String)>,
}
