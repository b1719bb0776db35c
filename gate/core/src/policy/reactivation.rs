//! Whether a user may come back by a reset: question and answer.

use super::{Action, Channel, Context, Suspension};

/// At which moment of a reset the policy is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResetStep {
    Issue,
    Open,
    Complete,
}

/// Something that shows that it is the user, or that somebody agrees.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Proof {
    EmailLink,
    SmsCode,
    Approval,
    /// One that this gate has no name for, and so cannot get.
    Other(String),
}

impl Proof {
    pub fn as_str(&self) -> &str {
        match self {
            Proof::EmailLink => "email-link",
            Proof::SmsCode => "sms-code",
            Proof::Approval => "approval",
            Proof::Other(name) => name,
        }
    }
}

/// What a policy is asked about a reset. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReactivationInput {
    pub context: Context,
    pub suspension: Suspension,
    pub step: ResetStep,
    pub channel: Channel,
    pub issued_at: Option<u64>,
    /// What has been shown so far.
    pub proofs: Vec<Proof>,
}

/// The terms of a reset that may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetTerms {
    /// From when the link or code is made.
    pub lifetime_seconds: u32,
    pub redirect_to: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Allowed(ResetTerms),
    Refused,
    /// These are wanted besides.
    StepUp(Vec<Proof>),
}

/// Whether a step of a reset may be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactivationDecision {
    pub verdict: Verdict,
    /// Why not, or what else is wanted; plain text for the user.
    pub words: Option<String>,
    pub language: String,
    pub actions: Vec<Action>,
}
