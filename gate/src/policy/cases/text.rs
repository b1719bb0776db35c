//! How a case is written in TOML.

use std::collections::BTreeMap;

use portcullis_core::policy::{
    Audience, Channel, Context, NotificationInput, Occasion, Proof, ReactivationInput,
    RefusalInput, ResetStep, Surface, Suspension, SuspensionKind, UserEvent,
};
use serde::Deserialize;
use toml::Table;

/// A file: one question, and what the answer must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseText {
    pub(super) refusal: Option<RefusalText>,
    pub(super) reactivation: Option<ReactivationText>,
    pub(super) notification: Option<NotificationText>,
    /// In place of the policy's own, or besides.
    #[serde(default)]
    pub(super) settings: Table,
    pub(super) expect: Table,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefusalText {
    #[serde(default = "tenant")]
    tenant: String,
    #[serde(default = "user")]
    user: String,
    #[serde(default)]
    now: u64,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    locales: Vec<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    suspension: SuspensionText,
    #[serde(default)]
    surface: SurfaceText,
    #[serde(default)]
    occasion: OccasionText,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReactivationText {
    #[serde(default = "tenant")]
    tenant: String,
    #[serde(default = "user")]
    user: String,
    now: u64,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    locales: Vec<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    suspension: SuspensionText,
    step: StepText,
    channel: ChannelText,
    issued_at: Option<u64>,
    #[serde(default)]
    proofs: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotificationText {
    #[serde(default = "tenant")]
    tenant: String,
    #[serde(default = "user")]
    user: String,
    #[serde(default)]
    now: u64,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    locales: Vec<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    event: String,
    audience: AudienceText,
    suspension: Option<SuspensionText>,
    #[serde(default = "source")]
    source: String,
    #[serde(default)]
    channels: Vec<ChannelText>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuspensionText {
    kind: KindText,
    reason_key: Option<String>,
    reason_text: Option<String>,
    since: u64,
    until: Option<u64>,
    #[serde(default = "source")]
    source: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindText {
    Temporary,
    Permanent,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SurfaceText {
    #[default]
    Page,
    Api,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OccasionText {
    #[default]
    Request,
    Login,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StepText {
    Issue,
    Open,
    Complete,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChannelText {
    Email,
    Sms,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AudienceText {
    User,
    Stakeholder,
}

fn tenant() -> String {
    "tenant".to_owned()
}

fn user() -> String {
    "bob".to_owned()
}

fn source() -> String {
    "api".to_owned()
}

impl From<RefusalText> for RefusalInput {
    fn from(text: RefusalText) -> Self {
        Self {
            context: Context {
                tenant: text.tenant,
                user_id: text.user,
                now: text.now,
                seed: text.seed,
                locales: text.locales,
                attributes: text.attributes.into_iter().collect(),
            },
            suspension: text.suspension.into(),
            surface: match text.surface {
                SurfaceText::Page => Surface::Page,
                SurfaceText::Api => Surface::Api,
            },
            occasion: match text.occasion {
                OccasionText::Request => Occasion::Request,
                OccasionText::Login => Occasion::Login,
            },
        }
    }
}

impl From<ReactivationText> for ReactivationInput {
    fn from(text: ReactivationText) -> Self {
        Self {
            context: Context {
                tenant: text.tenant,
                user_id: text.user,
                now: text.now,
                seed: text.seed,
                locales: text.locales,
                attributes: text.attributes.into_iter().collect(),
            },
            suspension: text.suspension.into(),
            step: match text.step {
                StepText::Issue => ResetStep::Issue,
                StepText::Open => ResetStep::Open,
                StepText::Complete => ResetStep::Complete,
            },
            channel: text.channel.into(),
            issued_at: text.issued_at,
            proofs: text.proofs.into_iter().map(proof).collect(),
        }
    }
}

impl From<NotificationText> for NotificationInput {
    fn from(text: NotificationText) -> Self {
        Self {
            context: Context {
                tenant: text.tenant,
                user_id: text.user,
                now: text.now,
                seed: text.seed,
                locales: text.locales,
                attributes: text.attributes.into_iter().collect(),
            },
            event: match text.event.as_str() {
                "suspended" => UserEvent::Suspended,
                "restored" => UserEvent::Restored,
                "deleted" => UserEvent::Deleted,
                "reactivated" => UserEvent::Reactivated,
                "reset-requested" => UserEvent::ResetRequested,
                "review-due" => UserEvent::ReviewDue,
                other => UserEvent::Other(other.to_owned()),
            },
            audience: match text.audience {
                AudienceText::User => Audience::User,
                AudienceText::Stakeholder => Audience::Stakeholder,
            },
            suspension: text.suspension.map(Into::into),
            source: text.source,
            channels: text.channels.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<ChannelText> for Channel {
    fn from(text: ChannelText) -> Self {
        match text {
            ChannelText::Email => Self::Email,
            ChannelText::Sms => Self::Sms,
        }
    }
}

fn proof(name: String) -> Proof {
    match name.as_str() {
        "email-link" => Proof::EmailLink,
        "sms-code" => Proof::SmsCode,
        "approval" => Proof::Approval,
        _ => Proof::Other(name),
    }
}

impl From<SuspensionText> for Suspension {
    fn from(text: SuspensionText) -> Self {
        Self {
            kind: match text.kind {
                KindText::Temporary => SuspensionKind::Temporary,
                KindText::Permanent => SuspensionKind::Permanent,
            },
            reason_key: text.reason_key,
            reason_text: text.reason_text,
            since: text.since,
            until: text.until,
            source: text.source,
        }
    }
}
