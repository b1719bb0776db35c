//! What is sent, to whom: question and answer, and the answer as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::template::{self, Markup, Template};
use super::{Action, AnswerLimits, Channel, Context, Fault, Suspension};

/// What happened to a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UserEvent {
    Suspended,
    Restored,
    Deleted,
    Reactivated,
    ResetRequested,
    ReviewDue,
    /// Named by a gate newer than the policy.
    Other(String),
}

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    User,
    Stakeholder,
}

/// What a policy is asked about a notification.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NotificationInput {
    pub context: Context,
    pub event: UserEvent,
    pub audience: Audience,
    pub suspension: Option<Suspension>,
    pub source: String,
    /// The ways in which the user can be reached.
    pub channels: Vec<Channel>,
}

/// The reset that a message offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetOffer {
    pub lifetime_seconds: u32,
    pub redirect_to: Option<String>,
}

/// The texts that a message is made of, as the guest chose them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wording {
    /// A template of the policy's folder, or of the gate.
    Named(String),
    /// The guest's own words, in which placeholders may stand.
    Inline {
        subject: Option<String>,
        text: String,
    },
}

/// A message as the guest gave it, or with its texts found ([`Body`]), which is
/// what [`super::check_messages`] makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<T = Body> {
    pub channel: Channel,
    /// Empty for the user, whose address the gate alone knows.
    pub to: Vec<String>,
    pub from: Option<String>,
    pub language: String,
    pub wording: T,
    pub variables: BTreeMap<String, String>,
    pub reset: Option<ResetOffer>,
}

/// The texts of a message, not yet filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    pub subject: Option<Arc<Template>>,
    pub text: Arc<Template>,
    /// Absent: derived from the text.
    pub html: Option<Arc<Template>>,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationDecision<T = Body> {
    pub messages: Vec<Message<T>>,
    pub actions: Vec<Action>,
}

/// A message ready to go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub subject: Option<String>,
    pub text: String,
    /// For an email.
    pub html: Option<String>,
}

/// The placeholder that the gate fills: a link for a mail, a code for an SMS.
pub const LINK: &str = "link";
pub const CODE: &str = "code";

impl Message {
    /// Fills in the texts. `secret` is the link or the code of the reset that the
    /// message offers; without one its placeholder stays, as for a test.
    ///
    /// Everything is filled in one pass, so that what a variable holds is never
    /// read as a placeholder.
    ///
    /// # Errors
    /// [`Fault::BadOutput`] for a name that is no variable, and for what comes out
    /// too long.
    pub fn render(&self, secret: Option<&str>, limits: &AnswerLimits) -> Result<Rendered, Fault> {
        let held = self.reset.as_ref().map(|_| match self.channel {
            Channel::Email => (LINK, secret.unwrap_or("{link}")),
            Channel::Sms | Channel::Other(_) => (CODE, secret.unwrap_or("{code}")),
        });
        let value = |name: &str| match held {
            Some((placeholder, secret)) if placeholder == name => Some(secret),
            _ => self.variables.get(name).map(String::as_str),
        };
        let render =
            |template: &Template, markup| template.render(value, markup, limits.rendered_bytes_max);
        let Body {
            subject,
            text,
            html,
        } = &self.wording;
        let subject = match subject {
            Some(subject) => Some(template::one_line(
                &render(subject, Markup::Plain)?,
                limits.line_bytes_max,
            )),
            None => None,
        };
        let html = match (&self.channel, html) {
            (Channel::Email, Some(html)) => Some(render(html, Markup::Html)?),
            (Channel::Email, None) => Some(template::document(
                &self.language,
                &render(text, Markup::Html)?,
                held.filter(|(placeholder, _)| *placeholder == LINK)
                    .map(|(_, link)| link),
            )),
            (Channel::Sms | Channel::Other(_), _) => None,
        };
        Ok(Rendered {
            subject,
            text: render(text, Markup::Plain)?,
            html,
        })
    }
}
