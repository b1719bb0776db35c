//! Errors as RFC 9457 problems: what is wrong, in which field, and the mend.

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portcullis_core::plan::{PlanError, Weaker};
use schemars::JsonSchema;
use serde::Serialize;

use crate::control::command::CommandError;
use crate::control::ledger::{AppendError, ReadError};
use crate::control::tokens::TokenError;
use crate::live::forgotten::is_pseudonym;

/// Seconds until a retry makes sense where the store or the ledger is in the way.
const RETRY_AFTER_SECONDS: &str = "1";

/// Of a name or a key that means another user.
const TAKE_AWAY: &str = "take it away from that user first";

/// An answer of failure.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    what: String,
    field: Option<String>,
    mend: Option<String>,
    headers: Vec<(HeaderName, String)>,
}

/// As it is sent. `code`, `field` and `mend` are the extension members.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: String,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<&'a str>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, what: impl Into<String>) -> Self {
        Self {
            status,
            code,
            what: what.into(),
            field: None,
            mend: None,
            headers: Vec::new(),
        }
    }

    pub(super) fn bad(code: &'static str, what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, what)
    }

    /// A field, parameter or header that holds what it can't hold.
    pub(super) fn field(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self::bad("invalid_field", what).of(field)
    }

    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", what)
    }

    pub(super) fn conflict(code: &'static str, what: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, what)
    }

    pub(super) fn unavailable(code: &'static str, what: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, what)
            .with(header::RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    pub(super) fn wrong_method(method: &Method, path: &str) -> Self {
        let what = format!("{method} is nothing that can be done with {path}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", what)
            .mend("use one of those that the header Allow lists")
    }

    pub(super) fn deleted() -> Self {
        let what = PlanError::Deleted.to_string();
        Self::new(StatusCode::GONE, "deleted", what)
    }

    pub(super) fn of(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub(super) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// What is wrong, and the mend.
    pub(super) fn detail(&self) -> String {
        match &self.mend {
            Some(mend) => format!("{}; {mend}", self.what),
            None => self.what.clone(),
        }
    }

    pub(super) fn body(&self) -> Body<'_> {
        Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail(),
            code: self.code,
            field: self.field.as_deref(),
            mend: self.mend.as_deref(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let text = serde_json::to_string(&self.body()).unwrap_or_default();
        let mut response = (self.status, text).into_response();
        let headers = response.headers_mut();
        let problem = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, problem);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(name, value);
            }
        }
        response
    }
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Self {
        let what = error.to_string();
        match error {
            PlanError::Deleted => Self::deleted(),
            PlanError::NoSuchHold(_) => Self::new(StatusCode::NOT_FOUND, "no_such_hold", what)
                .of("hold")
                .mend("name one that the user's `holds` list, or none to lift all"),
            PlanError::WouldLetIn { how, .. } => {
                let field = match how {
                    Weaker::StartsLater => "starts_at",
                    Weaker::EndsSooner => "ends_at",
                    Weaker::LetsLook => "access",
                    Weaker::FreesApiKeys => "disable_api_keys",
                };
                Self::conflict("would_let_in", what).of(field).mend(
                    "to weaken it, place another hold beside it under another name, then restore this one",
                )
            }
            PlanError::TooManyHolds => Self::conflict("too_many_holds", what)
                .of("hold")
                .mend("place one of those again under its name, or restore one first"),
            PlanError::TooManyWaiting => Self::conflict("too_many_holds", what)
                .of("starts_at")
                .mend("let it begin now, or restore one that waits first"),
            PlanError::MayNotLift { .. } => {
                Self::new(StatusCode::FORBIDDEN, "may_not_lift", what).of("hold")
            }
            PlanError::EndsBeforeStart => {
                Self::field("ends_at", what).mend("name a time after `starts_at`")
            }
            PlanError::EndsInThePast => {
                Self::field("ends_at", what).mend("name a time that is to come, or leave it out")
            }
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        let what = error.to_string();
        match error {
            AppendError::Conflict { .. } => Self::conflict("conflict", what),
            AppendError::KeyReused => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self::new(status, "idempotency_key_reused", what)
                    .of("Idempotency-Key")
                    .mend("choose a new key for a new request")
            }
            AppendError::AliasTaken { alias, user } => {
                let lasting = user.user() == alias || is_pseudonym(&user);
                Self::conflict("alias_taken", what).mend(match lasting {
                    true => "choose another name: an id means its user for ever",
                    false => TAKE_AWAY,
                })
            }
            AppendError::ApiKeyTaken { .. } => Self::conflict("api_key_taken", what)
                .of("api_keys")
                .mend(TAKE_AWAY),
            AppendError::UserDeleted => Self::deleted(),
            AppendError::TokenTaken => Self::conflict("token_taken", what),
            AppendError::SecretShown(_) => Self::conflict("secret_shown", what)
                .of("Idempotency-Key")
                .mend("rotate the token under a new key: that gives it another secret"),
            AppendError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", what)
            }
            AppendError::Nameless => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", what),
            AppendError::Unavailable(_) => Self::unavailable("unavailable", what),
            AppendError::Unknown => Self::unavailable("outcome_unknown", what),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::unavailable("unavailable", error.to_string())
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let what = error.to_string();
        match error {
            CommandError::Plan(error) => error.into(),
            CommandError::Append(error) => error.into(),
            CommandError::Read(error) => error.into(),
            CommandError::Stale { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "stale_revision", what)
                    .of("If-Match")
                    .mend("read the user again, and decide again")
            }
            CommandError::Oneself => Self::conflict("oneself", what),
            CommandError::LastAdministrator => Self::conflict("last_administrator", what)
                .mend("make another administrator's token first, or have a global-admin revoke this one's"),
            CommandError::NotInForce => Self::unavailable("not_in_force", what),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let what = error.to_string();
        match error {
            TokenError::Randomness => Self::unavailable("unavailable", what),
            TokenError::NeedsTenant(_) | TokenError::NeedsNoTenant => Self::field("tenant", what),
            TokenError::UserOfAnother => Self::field("user_tenant", what)
                .mend("leave it out: the token's tenant is the user's"),
            TokenError::UserDeleted => Self::new(StatusCode::GONE, "deleted", what).of("user"),
            TokenError::MisleadingName(_) => Self::field("name", what).mend(
                "choose one line of plain text that neither is `gate` or `command line` nor begins with `tok_`",
            ),
            TokenError::ExpiresInThePast => Self::field("expires", what),
            TokenError::NoSuchToken(_) => Self::not_found(what).mend("look at GET /api/v1/tokens"),
            TokenError::Ended => Self::conflict("token_ended", what),
            TokenError::Changed => Self::conflict("conflict", what),
            TokenError::LastAdministrator => Self::conflict("last_administrator", what)
                .mend("make another tenant-admin's token first, or ask a global-admin"),
            TokenError::LastGlobalAdmin => Self::conflict("last_administrator", what).mend(
                "make another global-admin's token first, of a user without holds or of none",
            ),
            TokenError::Append(error) => error.into(),
            TokenError::Read(error) => error.into(),
        }
    }
}
