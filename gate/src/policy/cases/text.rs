//! How a case is written in TOML.

use std::collections::BTreeMap;

use portcullis_core::policy::{
    Audience, Channel, NotificationInput, Occasion, ReactivationInput, RefusalInput, ResetStep,
    Surface, Suspension, SuspensionKind, UserEvent,
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
    pub(super) expect: Table,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefusalText {
    #[serde(default = "tenant")]
    tenant: String,
    #[serde(default = "user")]
    user: String,
    suspension: SuspensionText,
    #[serde(default)]
    locales: Vec<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
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
    suspension: SuspensionText,
    step: StepText,
    channel: ChannelText,
    now: u64,
    issued_at: Option<u64>,
    #[serde(default)]
    locales: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotificationText {
    #[serde(default = "tenant")]
    tenant: String,
    #[serde(default = "user")]
    user: String,
    event: String,
    audience: AudienceText,
    suspension: Option<SuspensionText>,
    #[serde(default = "source")]
    source: String,
    #[serde(default)]
    has_email: bool,
    #[serde(default)]
    has_phone: bool,
    #[serde(default)]
    now: u64,
    #[serde(default)]
    locales: Vec<String>,
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
            tenant: text.tenant,
            user_id: text.user,
            suspension: text.suspension.into(),
            locales: text.locales,
            surface: match text.surface {
                SurfaceText::Page => Surface::Page,
                SurfaceText::Api => Surface::Api,
            },
            occasion: match text.occasion {
                OccasionText::Request => Occasion::Request,
                OccasionText::Login => Occasion::Login,
            },
            attributes: text.attributes.into_iter().collect(),
        }
    }
}

impl From<ReactivationText> for ReactivationInput {
    fn from(text: ReactivationText) -> Self {
        Self {
            tenant: text.tenant,
            user_id: text.user,
            suspension: text.suspension.into(),
            step: match text.step {
                StepText::Issue => ResetStep::Issue,
                StepText::Open => ResetStep::Open,
                StepText::Complete => ResetStep::Complete,
            },
            channel: match text.channel {
                ChannelText::Email => Channel::Email,
                ChannelText::Sms => Channel::Sms,
            },
            now: text.now,
            issued_at: text.issued_at,
            locales: text.locales,
            attributes: Vec::new(),
        }
    }
}

impl From<NotificationText> for NotificationInput {
    fn from(text: NotificationText) -> Self {
        Self {
            tenant: text.tenant,
            user_id: text.user,
            event: match text.event.as_str() {
                "suspended" => UserEvent::Suspended,
                "restored" => UserEvent::Restored,
                "deleted" => UserEvent::Deleted,
                "reactivated" => UserEvent::Reactivated,
                other => UserEvent::Other(other.to_owned()),
            },
            audience: match text.audience {
                AudienceText::User => Audience::User,
                AudienceText::Stakeholder => Audience::Stakeholder,
            },
            suspension: text.suspension.map(Into::into),
            source: text.source,
            has_email: text.has_email,
            has_phone: text.has_phone,
            now: text.now,
            locales: text.locales,
            attributes: Vec::new(),
        }
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
