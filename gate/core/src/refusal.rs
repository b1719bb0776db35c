//! The gate's own answers in place of the app's: one closed list, each with its
//! status, public code, whose fault it is, how loud it is logged, and whether the
//! connection closes.

use http::StatusCode;

use crate::ids::{Revision, UserKey};
use crate::login::LoginFault;
use crate::request::HeadFault;
use crate::standing::Suspension;
use crate::user::{Access, Kind};

/// On what a suspended user was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Occasion {
    Request,
    /// A login whose password the app accepted (or any, where the tenant
    /// discloses always).
    Login,
}

/// A user who is out, as far as the answer needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspendedUser {
    pub user: UserKey,
    pub revision: Revision,
    /// `None`: the user is deleted.
    pub suspension: Option<Suspension>,
    /// What the user may still do, though not this.
    pub access: Access,
    pub occasion: Occasion,
}

impl SuspendedUser {
    /// The stable key of the answer, as ReachFive writes it:
    /// `error.account.temporarilySuspended.REASON`.
    pub fn message_key(&self) -> String {
        let Some(suspension) = &self.suspension else {
            return "error.account.deleted".into();
        };
        let kind = match suspension.kind {
            Kind::Temporary => "temporarilySuspended",
            Kind::Permanent => "permanentlySuspended",
        };
        match &suspension.reason {
            Some(reason) => format!("error.account.{kind}.{reason}"),
            None => format!("error.account.{kind}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Client,
    Origin,
    Gate,
    /// Nobody's: the answer is the product at work.
    Account,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the user is suspended or deleted")]
    Suspended(SuspendedUser),
    #[error("the session has ended")]
    SessionEnded,
    #[error("the token was revoked")]
    TokenRevoked,
    #[error("the token is not valid: {0}")]
    TokenInvalid(&'static str),
    #[error("the API key is disabled")]
    ApiKeyDisabled,
    /// Basic credentials that are none, or that nobody has seen the app accept and
    /// whose user is out: what a wrong password gets, so that nothing is told.
    #[error("the user name or the password is wrong")]
    BasicRefused,
    #[error("{0}")]
    Head(#[from] HeadFault),
    #[error("{0}")]
    Login(#[from] LoginFault),
    #[error("no tenant of this gate has that host")]
    UnknownHost,
    #[error("nothing is here")]
    ReservedPath,
    #[error("the request body came too slowly")]
    SlowBody,
    #[error("the request body broke off")]
    BrokenBody,
    #[error("the gate cannot know whether this user may pass: {0}")]
    CannotKnow(&'static str),
    #[error("the gate is at its limit of {0}")]
    Overloaded(&'static str),
    #[error("the app could not be reached")]
    UpstreamUnreachable,
    #[error("the app did not answer in time")]
    UpstreamSlow,
    #[error("the app broke off its answer")]
    UpstreamBroken,
}

impl Refusal {
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Suspended(_) => StatusCode::FORBIDDEN,
            Self::SessionEnded
            | Self::TokenRevoked
            | Self::TokenInvalid(_)
            | Self::BasicRefused
            | Self::ApiKeyDisabled => StatusCode::UNAUTHORIZED,
            Self::Head(fault) => head_status(*fault),
            Self::Login(fault) => match fault {
                LoginFault::MediaType(_) | LoginFault::Encoded => {
                    StatusCode::UNSUPPORTED_MEDIA_TYPE
                }
                LoginFault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                LoginFault::Unreadable(_)
                | LoginFault::NoUser(_)
                | LoginFault::ManyUsers(_)
                | LoginFault::InQuery(_)
                | LoginFault::HiddenAttempt
                | LoginFault::BadUser => StatusCode::BAD_REQUEST,
            },
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Self::ReservedPath => StatusCode::NOT_FOUND,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::BrokenBody => StatusCode::BAD_REQUEST,
            Self::CannotKnow(_) | Self::Overloaded(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpstreamUnreachable | Self::UpstreamBroken => StatusCode::BAD_GATEWAY,
            Self::UpstreamSlow => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Stable code for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Suspended(_) => "access_denied",
            Self::SessionEnded => "session_ended",
            Self::TokenRevoked => "token_revoked",
            Self::TokenInvalid(_) => "invalid_token",
            Self::ApiKeyDisabled => "api_key_disabled",
            Self::BasicRefused => "invalid_credentials",
            Self::Head(_) => "bad_request",
            Self::Login(_) => "bad_login",
            Self::UnknownHost => "unknown_host",
            Self::ReservedPath => "not_found",
            Self::SlowBody => "request_timeout",
            Self::BrokenBody => "broken_body",
            Self::CannotKnow(_) => "cannot_know",
            Self::Overloaded(_) => "overloaded",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamSlow => "upstream_timeout",
            Self::UpstreamBroken => "upstream_broken",
        }
    }

    pub const fn fault(&self) -> Fault {
        match self {
            Self::Suspended(_) | Self::SessionEnded | Self::TokenRevoked | Self::ApiKeyDisabled => {
                Fault::Account
            }
            Self::TokenInvalid(_)
            | Self::BasicRefused
            | Self::Head(_)
            | Self::Login(_)
            | Self::UnknownHost
            | Self::ReservedPath
            | Self::SlowBody
            | Self::BrokenBody => Fault::Client,
            Self::CannotKnow(_) | Self::Overloaded(_) => Fault::Gate,
            Self::UpstreamUnreachable | Self::UpstreamSlow | Self::UpstreamBroken => Fault::Origin,
        }
    }

    pub const fn log_level(&self) -> LogLevel {
        match self.fault() {
            Fault::Client => LogLevel::Debug,
            Fault::Account if self.user().is_some() => LogLevel::Info,
            Fault::Account => LogLevel::Debug,
            Fault::Origin => LogLevel::Warn,
            Fault::Gate => LogLevel::Error,
        }
    }

    /// Whose account the answer speaks of.
    pub const fn user(&self) -> Option<&UserKey> {
        if let Self::Suspended(user) = self {
            Some(&user.user)
        } else {
            None
        }
    }

    /// Whether the tenant's session cookies are taken back with the answer. Not
    /// from who may go on looking with them.
    pub const fn takes_cookies_back(&self) -> bool {
        match self {
            Self::Suspended(user) => matches!(user.access, Access::None),
            Self::SessionEnded => true,
            Self::TokenRevoked
            | Self::TokenInvalid(_)
            | Self::ApiKeyDisabled
            | Self::BasicRefused
            | Self::Head(_)
            | Self::Login(_)
            | Self::UnknownHost
            | Self::ReservedPath
            | Self::SlowBody
            | Self::BrokenBody
            | Self::CannotKnow(_)
            | Self::Overloaded(_)
            | Self::UpstreamUnreachable
            | Self::UpstreamSlow
            | Self::UpstreamBroken => false,
        }
    }

    /// Whether the answer challenges for a better token (RFC 6750 §3).
    pub const fn challenges(&self) -> bool {
        matches!(self, Self::TokenRevoked | Self::TokenInvalid(_))
    }

    /// Whether the answer asks for a name and a password (RFC 7617 §2).
    pub const fn asks_password(&self) -> bool {
        matches!(self, Self::BasicRefused)
    }

    /// Whether the client's connection is closed after the answer: where its
    /// framing can't be trusted, or a body is still on its way.
    pub const fn closes(&self) -> bool {
        match self {
            Self::Head(_)
            | Self::Login(_)
            | Self::SlowBody
            | Self::BrokenBody
            | Self::Overloaded(_) => true,
            Self::Suspended(_)
            | Self::SessionEnded
            | Self::TokenRevoked
            | Self::TokenInvalid(_)
            | Self::ApiKeyDisabled
            | Self::BasicRefused
            | Self::UnknownHost
            | Self::ReservedPath
            | Self::CannotKnow(_)
            | Self::UpstreamUnreachable
            | Self::UpstreamSlow
            | Self::UpstreamBroken => false,
        }
    }
}

const fn head_status(fault: HeadFault) -> StatusCode {
    match fault {
        HeadFault::Method => StatusCode::METHOD_NOT_ALLOWED,
        HeadFault::Expectation => StatusCode::EXPECTATION_FAILED,
        HeadFault::LongTarget => StatusCode::URI_TOO_LONG,
        HeadFault::ManyCookies | HeadFault::ManyCredentials => {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        }
        HeadFault::NoHost
        | HeadFault::ManyHosts
        | HeadFault::BadHost
        | HeadFault::BadTarget
        | HeadFault::BadPath(_)
        | HeadFault::TransferCoding
        | HeadFault::Upgrade
        | HeadFault::OddApiKey
        | HeadFault::OddTrustedHeader
        | HeadFault::ManyAuthorizations => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{ReasonKey, TenantId, UserId};
    use crate::time::Timestamp;
    use crate::user::Source;

    #[test]
    fn the_key_of_a_suspension_is_reachfives() {
        let key = |kind, reason: Option<&str>| {
            let tenant = TenantId::parse("acme").unwrap();
            SuspendedUser {
                user: UserKey::new(&tenant, &UserId::parse("bob").unwrap()),
                revision: Revision(1),
                suspension: Some(Suspension {
                    kind,
                    reason: reason.map(|text| ReasonKey::parse(text).unwrap()),
                    reason_text: None,
                    source: Source::Api,
                    since: Timestamp(0),
                    until: None,
                }),
                access: Access::None,
                occasion: Occasion::Login,
            }
            .message_key()
        };
        assert_eq!(
            key(Kind::Temporary, Some("suspiciousUserNoGood")),
            "error.account.temporarilySuspended.suspiciousUserNoGood"
        );
        assert_eq!(
            key(Kind::Permanent, None),
            "error.account.permanentlySuspended"
        );
    }

    #[test]
    fn what_the_gate_cannot_know_is_its_own_fault_and_says_try_later() {
        let refusal = Refusal::CannotKnow("the store");
        assert_eq!(
            (refusal.status().as_u16(), refusal.fault()),
            (503, Fault::Gate)
        );
    }
}
