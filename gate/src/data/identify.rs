//! Turns credentials into users: what core found in the head, looked up in live.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use portcullis_core::decide::{Carrier, Identity};
use portcullis_core::identify::{Credential, TokenPlace, credentials};
use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::refusal::Refusal;
use portcullis_core::time::Timestamp;

use crate::config::ApiKeyHash;
use crate::live::Reader;
use crate::live::sessions::{self, Session, SessionHash};
use crate::live::tenants::Tenant;
use crate::live::tokens::Claims;

/// A user whom the request names, and by what.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub user: UserKey,
    pub proof: Proof,
}

#[derive(Clone, Debug)]
pub(super) enum Proof {
    Session {
        hash: SessionHash,
        cookie: usize,
        session: Arc<Session>,
        /// Nobody has used it for longer than it may rest.
        expired: bool,
    },
    /// `cookie`: the token's own cookie, where it did not come in a header.
    Token {
        claims: Arc<Claims>,
        cookie: Option<String>,
    },
    ApiKey,
}

/// Everyone whom the request names, and the token cookies that can't be verified.
pub(super) struct Found {
    pub named: Vec<Named>,
    pub spoilt: Vec<String>,
    /// A session cookie is among them that the gate has seen no login for.
    pub unknown: bool,
}

/// Looks up what the request carries. A credential that nobody knows names nobody:
/// the app fronts users whom the gate has never heard of. A token is different,
/// since it says who it is from: one that can't be verified is refused, or, where
/// a browser sent it by itself, taken back.
pub(super) fn identify(
    tenant: &Tenant,
    live: &Reader,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Found, Refusal> {
    let found = credentials(headers, &tenant.config.sources)?;
    let mut named = Vec::with_capacity(found.len());
    let mut spoilt = Vec::new();
    let mut unknown = false;
    for credential in found {
        match credential {
            Credential::Session { cookie, value } => {
                let name = &tenant.config.sources.session_cookies[cookie];
                let hash = sessions::hash(tenant.id(), name, &value);
                let kept = tenant.config.session_cookies[cookie].kept;
                let before = named.len();
                live.sessions().owners(&hash, |session| {
                    named.push(session_named(live, cookie, session, kept, now));
                });
                unknown |= named.len() == before;
            }
            Credential::Token { source, text } => {
                let cookie = match &tenant.config.sources.tokens[source] {
                    TokenPlace::Bearer => None,
                    TokenPlace::Cookie(name) => Some(name.clone()),
                };
                match (verified(tenant, source, &text, now), cookie) {
                    (Ok((user, claims)), cookie) => {
                        let proof = Proof::Token { claims, cookie };
                        named.push(Named {
                            user: live.resolve(user),
                            proof,
                        });
                    }
                    (Err(_), Some(name)) => spoilt.push(name),
                    (Err(reason), None) => return Err(Refusal::TokenInvalid(reason)),
                }
            }
            Credential::ApiKey { source, value } => {
                let users = &tenant.config.api_keys[source].users;
                if let Some(user) = users.get(&ApiKeyHash::of(&value)) {
                    let user = live.resolve(UserKey::new(tenant.id(), user));
                    named.push(Named {
                        user,
                        proof: Proof::ApiKey,
                    });
                }
            }
        }
    }
    Ok(Found {
        named,
        spoilt,
        unknown,
    })
}

fn session_named(
    live: &Reader,
    cookie: usize,
    session: &Arc<Session>,
    kept: Duration,
    now: Timestamp,
) -> Named {
    let expired = session.has_expired(now, kept);
    if !expired {
        session.touch(now);
    }
    Named {
        user: live.resolve(session.user.clone()),
        proof: Proof::Session {
            hash: session.hash,
            cookie,
            session: Arc::clone(session),
            expired,
        },
    }
}

fn verified(
    tenant: &Tenant,
    source: usize,
    text: &str,
    now: Timestamp,
) -> Result<(UserKey, Arc<Claims>), &'static str> {
    let claims = tenant.verifiers[source].verify(text, now)?;
    let user = tenant
        .user_key(&claims.user)
        .ok_or("its user name is not valid")?;
    Ok((user, claims))
}

impl Named {
    /// With what is known of the user at this moment.
    pub(super) fn judged(&self, live: &Reader) -> Identity {
        let standing = live.standing(&self.user);
        let (carrier, dead) = match &self.proof {
            Proof::Session {
                session, expired, ..
            } => {
                let killed = standing.killed_session(session.learnt_at);
                (
                    Carrier::Session,
                    killed || *expired || session.ended().is_some(),
                )
            }
            Proof::Token {
                claims,
                cookie: None,
            } => (Carrier::Token, standing.killed_token(claims.issued_at)),
            // A cookie is sent by the browser itself: it is taken back like a session.
            Proof::Token {
                claims,
                cookie: Some(_),
            } => (Carrier::Session, standing.killed_token(claims.issued_at)),
            Proof::ApiKey => (Carrier::ApiKey, false),
        };
        Identity {
            user: self.user.clone(),
            carrier,
            standing,
            dead,
        }
    }

    /// From when a session that the app sets anew counts: it is as old as what
    /// the request came with, so that rotating a cookie does not renew a session.
    pub(super) fn known_since(&self, live: &Reader) -> Revision {
        match &self.proof {
            Proof::Session { session, .. } => session.learnt_at,
            Proof::Token { .. } | Proof::ApiKey => live.standing(&self.user).revision,
        }
    }
}
