//! A login attempt: whose name is in the body, and whether the app's answer says
//! that the password was right. The body is read as the app would read it; what
//! two readers could read differently is refused.

pub mod fields;
pub mod form;
pub mod json;
pub mod multipart;
pub mod success;

use http::{HeaderMap, Method, StatusCode, header};

use crate::path::CheckedPath;
use fields::{UserField, alike, one_user};
use json::Json;
use multipart::Boundary;
use success::{BodyRule, BodyVerdict};

/// How a login's body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// `application/x-www-form-urlencoded`
    Form,
    /// `application/json`
    Json,
    /// `multipart/form-data`
    Multipart,
}

/// When a suspended user is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disclose {
    /// Only after the app itself accepted the password.
    #[default]
    AfterPassword,
    /// At once; the app never sees the attempt.
    Always,
}

/// One login route of a tenant.
#[derive(Clone, Debug)]
pub struct LoginRoute {
    pub path: CheckedPath,
    /// What the app takes here; at least one.
    pub formats: Vec<BodyFormat>,
    /// Where the user's name may be; exactly one of them is in a body.
    pub user_fields: Vec<UserField>,
    pub disclose: Disclose,
    /// Statuses that mean "accepted"; empty: any below 400.
    pub success_statuses: Vec<StatusCode>,
    /// Whether "accepted" also needs a session cookie in the answer (a form that
    /// is shown again with 200 sets none).
    pub success_sets_cookie: bool,
    /// What the body of the answer must say besides.
    pub success_body: Option<BodyRule>,
    /// Where a JSON answer holds the session's token (RFC 6901), if it is none of
    /// the cookies. An answer without it is no accepted login.
    pub session_token: Option<Vec<String>>,
}

/// The token of a new session, as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenToken {
    /// The route gives none out.
    Unasked,
    Absent,
    Found(String),
    /// The answer could not be read: there may be one.
    Unclear,
}

/// The format of one attempt, with what its reading needs of the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    Form,
    Json,
    Multipart(Boundary),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginFault {
    #[error("this login takes {0}, in UTF-8")]
    MediaType(String),
    #[error("a login's body must not be compressed: send it without Content-Encoding")]
    Encoded,
    #[error("the login body is not readable as {0}")]
    Unreadable(&'static str),
    #[error("the login body has no field '{0}'")]
    NoUser(String),
    #[error("the login body has the field '{0}' more than once, or in another spelling")]
    ManyUsers(String),
    #[error("the user name of a login belongs in its body, not in the query ('{0}')")]
    InQuery(String),
    #[error("the user name in the login body is not valid")]
    BadUser,
    #[error("a login is a POST with a body: this method and what it carries would be two things")]
    HiddenAttempt,
    #[error("the login body is too large")]
    TooLarge,
}

impl BodyFormat {
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Json => "application/json",
            Self::Multipart => "multipart/form-data",
        }
    }
}

impl LoginRoute {
    /// Whether a request is an attempt on this route. Any method that may carry a
    /// body counts: apps often do not look.
    pub fn takes(&self, method: &Method, path: &CheckedPath) -> bool {
        let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        !safe && self.path.is_route(path)
    }

    /// Whether a request that is no attempt by its method could still be one to the
    /// app: a GET with a body, or one that asks to be taken for a POST.
    pub fn is_hidden_attempt(headers: &HeaderMap, has_body: bool) -> bool {
        const OVERRIDES: [&str; 3] = [
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
        ];
        has_body || OVERRIDES.iter().any(|name| headers.contains_key(*name))
    }

    /// Refuses a user's name in the query. An app that merges query and body, or
    /// reads the query of a GET, would see a user whom the gate did not.
    pub fn check_query(&self, query: &str) -> Result<(), LoginFault> {
        let in_query = |field: &UserField| LoginFault::InQuery(field.as_str().to_owned());
        let Some(first) = self.user_fields.first() else {
            return Ok(());
        };
        let pairs = form::pairs(query.as_bytes()).map_err(|_| in_query(first))?;
        let named = |field: &&UserField| {
            let name = field.name().unwrap_or_default();
            !name.is_empty() && pairs.iter().any(|(given, _)| alike(given, name))
        };
        match self.user_fields.iter().find(named) {
            Some(field) => Err(in_query(field)),
            None => Ok(()),
        }
    }

    /// How the body is to be read, by the request's content type. A format that is
    /// not declared is refused: an app that reads it too would see a user whom the
    /// gate did not.
    pub fn framing(&self, headers: &HeaderMap) -> Result<Framing, LoginFault> {
        if headers.contains_key(header::CONTENT_ENCODING) {
            return Err(LoginFault::Encoded);
        }
        let other_type = || {
            let types: Vec<&str> = self.formats.iter().map(|f| f.media_type()).collect();
            LoginFault::MediaType(types.join(" or "))
        };
        let mut types = headers.get_all(header::CONTENT_TYPE).iter();
        let (first, more) = (types.next(), types.next());
        let (Some(given), None) = (first.and_then(|value| value.to_str().ok()), more) else {
            return Err(other_type());
        };
        let (essence, parameters) = given.split_at(given.find(';').unwrap_or(given.len()));
        let is_given = |f: &&BodyFormat| essence.trim().eq_ignore_ascii_case(f.media_type());
        let format = self.formats.iter().find(is_given).ok_or_else(other_type)?;
        match format {
            BodyFormat::Form | BodyFormat::Json if !is_utf8(parameters) => Err(other_type()),
            BodyFormat::Form => Ok(Framing::Form),
            BodyFormat::Json => Ok(Framing::Json),
            BodyFormat::Multipart => Ok(Framing::Multipart(Boundary::parse(parameters)?)),
        }
    }

    /// The user whom a body names. `parse` reads JSON.
    pub fn user(
        &self,
        framing: &Framing,
        body: &[u8],
        parse: impl FnOnce(&[u8]) -> Option<Json>,
    ) -> Result<String, LoginFault> {
        let names: Vec<&str> = self
            .user_fields
            .iter()
            .filter_map(UserField::name)
            .collect();
        match framing {
            Framing::Form => one_user(form::pairs(body)?, &names),
            Framing::Multipart(boundary) => {
                let is_user = |given: &str| names.iter().any(|name| alike(given, name));
                let parts = multipart::parts(body, boundary)?;
                one_user(multipart::fields(parts, is_user)?, &names)
            }
            Framing::Json => parse(body)
                .ok_or(LoginFault::Unreadable("JSON"))?
                .user(&self.user_fields),
        }
    }

    /// Whether the head of the app's answer could mean that it accepted the
    /// password: without it, the body need not be looked at.
    pub fn may_be_accepted(&self, status: StatusCode) -> bool {
        if self.success_statuses.is_empty() {
            status.as_u16() < 400
        } else {
            self.success_statuses.contains(&status)
        }
    }

    /// Whether the app's answer means that it accepted the password. `body` is what
    /// the route's rule says of it; a route without one takes any.
    pub fn accepted(
        &self,
        status: StatusCode,
        sets_session: bool,
        body: BodyVerdict,
        token: &GivenToken,
    ) -> bool {
        self.may_be_accepted(status)
            && (sets_session || !self.success_sets_cookie)
            && body.counts_as_accepted()
            && *token != GivenToken::Absent
    }

    /// The token in the whole of an answer's body.
    pub fn given_token(&self, body: Option<Json>) -> GivenToken {
        let Some(steps) = &self.session_token else {
            return GivenToken::Unasked;
        };
        let Some(body) = body else {
            return GivenToken::Unclear;
        };
        match body.at(steps, |key, step| key == step) {
            Ok(Some(Json::Text(token))) if !token.is_empty() => GivenToken::Found(token.clone()),
            Ok(Some(_) | None) => GivenToken::Absent,
            Err(_) => GivenToken::Unclear,
        }
    }

    /// Whether the body of the app's answer has to be read.
    pub const fn reads_answer(&self) -> bool {
        self.success_body.is_some() || self.session_token.is_some()
    }
}

/// Whether the parameters of a content type name no charset but UTF-8.
fn is_utf8(parameters: &str) -> bool {
    parameters
        .split(';')
        .all(|parameter| match parameter.trim().split_once('=') {
            Some((name, value)) if name.trim().to_ascii_lowercase().starts_with("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            Some(_) | None => true,
        })
}

#[cfg(test)]
mod tests;
