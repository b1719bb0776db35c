//! What a suspended user is told: question and answer.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};

use super::{Action, Context, Occasion, Suspension, Template};

/// Who reads a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    Page,
    Api,
}

/// What a policy is asked about a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RefusalInput {
    pub context: Context,
    pub suspension: Suspension,
    pub surface: Surface,
    pub occasion: Occasion,
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkKind {
    Contact,
    Appeal,
    Reset,
    Other,
}

impl LinkKind {
    pub fn as_str(self) -> &'static str {
        match self {
            LinkKind::Contact => "contact",
            LinkKind::Appeal => "appeal",
            LinkKind::Reset => "reset",
            LinkKind::Other => "other",
        }
    }
}

/// Something for the reader of a refusal to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub kind: LinkKind,
    pub label: String,
    pub href: String,
}

/// A refusal as the guest gave it, before [`super::check_refusal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalAnswer {
    pub status: u16,
    pub language: String,
    pub key: Option<String>,
    pub title: String,
    pub words: Option<String>,
    pub message: String,
    pub surface: Option<Surface>,
    /// The name of a template with a page.
    pub template: Option<String>,
    pub links: Vec<Link>,
    pub headers: Vec<(String, String)>,
    pub actions: Vec<Action>,
}

/// A refusal fit to be rendered. Its texts are plain: escape them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalDecision {
    pub status: StatusCode,
    pub language: String,
    /// In place of the gate's own key.
    pub key: Option<String>,
    pub title: String,
    /// The policy's words for the reason; without them a program gets the key.
    pub words: Option<String>,
    pub message: String,
    /// In place of what the reader asked for.
    pub surface: Option<Surface>,
    /// In place of the gate's own layout.
    pub page: Option<Arc<Template>>,
    pub links: Vec<Link>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub actions: Vec<Action>,
}
