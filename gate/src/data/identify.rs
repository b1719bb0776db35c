//! Turns what a request carries into users: what core found in the head, looked up
//! in live.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use portcullis_core::decide::{Carrier, Identity};
use portcullis_core::identify::{
    Basic, Credential, InTarget, TokenPlace, basic, credentials, query_tokens, trusted_names,
    url_sessions,
};
use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::limits;
use portcullis_core::login::Disclose;
use portcullis_core::refusal::Refusal;
use portcullis_core::request::HeadFault;
use portcullis_core::time::Timestamp;

use crate::config::{BasicConfig, UnknownSessions, api_key_hash};
use crate::live::Reader;
use crate::live::judges::Untaken;
use crate::live::passwords::PasswordHash;
use crate::live::seals::SealId;
use crate::live::sessions::{self, End, Session, SessionHash, TOKEN_PLACE};
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
    /// `cookie`: the one that carries it; `None`: a token does, or the target.
    Session {
        hash: SessionHash,
        cookie: Option<usize>,
        /// Of a cookie that the gate sealed.
        seal: Option<SealId>,
        session: Arc<Session>,
        /// Nobody has used it for longer than it may rest.
        expired: bool,
    },
    /// `cookie`: the token's own cookie, where it did not come in a header.
    Token {
        claims: Arc<Claims>,
        cookie: Option<String>,
        /// The login that gave it out, if the gate saw it.
        learnt: Option<Arc<Session>>,
    },
    ApiKey,
    TrustedHeader,
    /// `hash`: of the credentials, to know them again once the app accepts them.
    Basic {
        hash: Option<PasswordHash>,
        disclose: Disclose,
    },
}

/// Everyone whom the request names, and the token cookies that can't be verified.
#[derive(Default)]
pub(super) struct Found {
    pub named: Vec<Named>,
    pub spoilt: Vec<String>,
    /// Sessions that the gate has seen no login for.
    pub unknown: Vec<SessionHash>,
    /// Sessions in the target and in sealed cookies.
    pub elsewhere: Vec<Brought>,
}

/// A session that came with a request, whoever's it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brought {
    /// The index of its cookie.
    pub cookie: usize,
    pub hash: SessionHash,
    /// So short that it may be everybody's (`none`, `undefined`).
    pub guessable: bool,
}

impl Brought {
    pub(super) fn of(tenant: &Tenant, cookie: usize, value: &[u8]) -> Self {
        /// What is shorter keeps no secret.
        const SECRET_BYTES_MIN: usize = 16;
        let name = &tenant.config.sources.session_cookies[cookie];
        Self {
            cookie,
            hash: sessions::hash(tenant.id(), name, value),
            guessable: value.len() < SECRET_BYTES_MIN,
        }
    }
}

/// Looks up what the request carries. A credential that nobody knows names nobody:
/// the app fronts users whom the gate has never heard of. A token is different,
/// since it says who it is from: one that can't be verified is refused, or, where
/// a browser sent it by itself, taken back.
pub(super) async fn identify(
    tenant: &Tenant,
    live: &Reader,
    parts: &Parts,
    peer: IpAddr,
    now: Timestamp,
) -> Result<Found, Refusal> {
    let sources = &tenant.config.sources;
    let mut carried = credentials(&parts.headers, sources)?;
    carried.extend(query_tokens(parts.uri.query().unwrap_or_default(), sources));
    let in_target = url_sessions(&parts.uri, sources);
    if carried.len() + in_target.len() > limits::CREDENTIALS_MAX {
        return Err(HeadFault::ManyCredentials.into());
    }
    let mut found = Found::default();
    for credential in carried {
        match credential {
            Credential::Session { cookie, value } => {
                take_session(tenant, live, (cookie, &value), now, &mut found);
            }
            Credential::Token { source, text } => {
                if !take_given_token(tenant, live, (source, &text), now, &mut found)? {
                    take_token(tenant, live, (source, &text), (peer, now), &mut found).await?;
                }
            }
            Credential::ApiKey { source, value } => {
                let hash = api_key_hash(&value);
                let configured = tenant.config.api_keys[source].users.get(&hash);
                let configured = configured.map(|user| UserKey::new(tenant.id(), user));
                // Where the two differ, both are judged.
                for user in configured
                    .into_iter()
                    .chain(live.owner_of(tenant.id(), hash))
                {
                    found.name(live, user, Proof::ApiKey);
                }
            }
        }
    }
    take_url_sessions(tenant, live, in_target, now, &mut found)?;
    for name in trusted_names(&parts.headers, &listed_headers(tenant, peer))? {
        let user = tenant.user_key(&name).ok_or(HeadFault::OddTrustedHeader)?;
        found.name(live, user, Proof::TrustedHeader);
    }
    tell_unlisted(tenant, live, &parts.headers, peer);
    if let Some(config) = &tenant.config.basic {
        take_basic(tenant, live, &parts.headers, config, &mut found)?;
    }
    tell_contradictions(live, &found.named);
    Ok(found)
}

fn take_session(
    tenant: &Tenant,
    live: &Reader,
    (cookie, value): (usize, &[u8]),
    now: Timestamp,
    found: &mut Found,
) {
    let name = &tenant.config.sources.session_cookies[cookie];
    let (hash, seal) = if tenant.config.sources.is_sealed(cookie) {
        match live.seals().open(tenant.id(), name, value) {
            // The app may write a user into it and set no new value.
            Some((bare, SealId::VISITOR)) => (sessions::hash(tenant.id(), name, bare), None),
            Some((_, id)) => (id.hash(tenant.id(), name), Some(id)),
            // Nothing that this gate let out: it is not forwarded.
            None => return,
        }
    } else {
        (sessions::hash(tenant.id(), name, value), None)
    };
    if tenant.config.sources.is_sealed(cookie) {
        // Only this gate can have written it.
        let guessable = false;
        found.elsewhere.push(Brought {
            cookie,
            hash,
            guessable,
        });
    }
    let kept = tenant.config.session_cookies[cookie].kept;
    let before = found.named.len();
    live.sessions().owners(&hash, |session| {
        let carried = (Some(cookie), seal);
        found
            .named
            .push(session_named(live, carried, session, kept, now));
    });
    if found.named.len() == before {
        found.unknown.push(hash);
    }
}

/// Servers of the servlet family take the session from the path or the query, too.
fn take_url_sessions(
    tenant: &Tenant,
    live: &Reader,
    in_target: Vec<InTarget>,
    now: Timestamp,
    found: &mut Found,
) -> Result<(), Refusal> {
    for InTarget {
        cookie,
        value,
        in_path,
    } in in_target
    {
        let brought = Brought::of(tenant, cookie, &value);
        let hash = brought.hash;
        found.elsewhere.push(brought);
        let kept = tenant.config.session_cookies[cookie].kept;
        let before = found.named.len();
        live.sessions().owners(&hash, |session| {
            let carried = (None, None);
            found
                .named
                .push(session_named(live, carried, session, kept, now));
        });
        if found.named.len() > before {
            continue;
        }
        if in_path && tenant.config.unknown_sessions == UnknownSessions::Login {
            return Err(Refusal::SessionEnded);
        }
        found.unknown.push(hash);
    }
    Ok(())
}

/// Looks a token up among those that logins gave out. `false`: others have to say
/// what it is.
fn take_given_token(
    tenant: &Tenant,
    live: &Reader,
    (source, text): (usize, &str),
    now: Timestamp,
    found: &mut Found,
) -> Result<bool, Refusal> {
    let Some(config) = tenant
        .config
        .session_tokens
        .iter()
        .find(|entry| entry.place == source)
    else {
        return Ok(false);
    };
    if text.is_empty() {
        return Err(Refusal::TokenInvalid("it is no token"));
    }
    let hash = sessions::hash(tenant.id(), TOKEN_PLACE, text.as_bytes());
    let before = found.named.len();
    live.sessions().owners(&hash, |session| {
        found
            .named
            .push(session_named(live, (None, None), session, config.kept, now));
    });
    if found.named.len() > before {
        return Ok(true);
    }
    if !tenant.judges[source].is_empty() {
        return Ok(false);
    }
    match tenant.config.unknown_sessions {
        UnknownSessions::Allow => {
            // A login may give out the same one again.
            found.unknown.push(hash);
            Ok(true)
        }
        UnknownSessions::Login => Err(Refusal::TokenInvalid("no login gave it out")),
    }
}

fn session_named(
    live: &Reader,
    (cookie, seal): (Option<usize>, Option<SealId>),
    session: &Arc<Session>,
    kept: Duration,
    now: Timestamp,
) -> Named {
    let expired = session.has_expired(now, kept);
    Named {
        user: live.resolve(session.user.clone()),
        proof: Proof::Session {
            hash: session.hash,
            cookie,
            seal,
            session: Arc::clone(session),
            expired,
        },
    }
}

async fn take_token(
    tenant: &Tenant,
    live: &Reader,
    (source, text): (usize, &str),
    (peer, now): (IpAddr, Timestamp),
    found: &mut Found,
) -> Result<(), Refusal> {
    let cookie = match &tenant.config.sources.tokens[source] {
        TokenPlace::Bearer | TokenPlace::Header { .. } | TokenPlace::Query(_) => None,
        TokenPlace::Cookie(name) => Some(name.clone()),
    };
    let judged = tenant.judges[source].judge(text, peer, now).await;
    let known = match (judged, &cookie) {
        (Ok(known), _) => known,
        (Err(Untaken::Unknowable(what)), _) => return Err(Refusal::CannotKnow(what)),
        (Err(Untaken::Invalid(_)), Some(name)) => {
            found.spoilt.push(name.clone());
            return Ok(());
        }
        (Err(Untaken::Invalid(reason)), None) => return Err(Refusal::TokenInvalid(reason)),
    };
    for claims in known {
        match (tenant.user_key(&claims.user), &cookie) {
            (Some(user), _) => {
                let cookie = cookie.clone();
                let learnt = given_by(tenant, live, text, &user);
                let proof = Proof::Token {
                    claims,
                    cookie,
                    learnt,
                };
                found.name(live, user, proof);
            }
            (None, Some(name)) => found.spoilt.push(name.clone()),
            (None, None) => return Err(Refusal::TokenInvalid("its user name is not valid")),
        }
    }
    Ok(())
}

/// The login that gave a token out. The place in the ledger that it was learnt at
/// is exact, where a token's own time is in whole seconds.
fn given_by(tenant: &Tenant, live: &Reader, text: &str, user: &UserKey) -> Option<Arc<Session>> {
    if !tenant.learns_tokens() {
        return None;
    }
    let hash = sessions::hash(tenant.id(), TOKEN_PLACE, text.as_bytes());
    let user = live.resolve(user.clone());
    let mut learnt = None;
    live.sessions().owners(&hash, |session| {
        if live.resolve(session.user.clone()) == user {
            learnt = Some(Arc::clone(session));
        }
    });
    learnt
}

/// A name without proof is judged all the same: the app may take it for one. What
/// readers could take for different users is refused as a wrong password is.
fn take_basic(
    tenant: &Tenant,
    live: &Reader,
    headers: &HeaderMap,
    config: &BasicConfig,
    found: &mut Found,
) -> Result<(), Refusal> {
    let (user, pair) = match basic(headers) {
        None => return Ok(()),
        Some(Basic::Odd) => return Err(Refusal::BasicRefused),
        Some(Basic::Pair { user, pair }) => (user, pair),
    };
    let user = tenant.user_key(&user).ok_or(Refusal::BasicRefused)?;
    let proof = Proof::Basic {
        hash: live.passwords().hash(tenant.id(), &pair),
        disclose: config.disclose,
    };
    found.name(live, user, proof);
    Ok(())
}

/// The trusted headers that are believed from `peer`.
pub(super) fn listed_headers(tenant: &Tenant, peer: IpAddr) -> Vec<HeaderName> {
    let entries = tenant.config.trusted_headers.iter();
    let listed = entries.filter(|entry| entry.lists(peer));
    listed.map(|entry| entry.header.clone()).collect()
}

/// From anyone else they are dropped, which to the proxy that is not listed looks
/// like nobody being signed in. Anyone can bring this about.
fn tell_unlisted(tenant: &Tenant, live: &Reader, headers: &HeaderMap, peer: IpAddr) {
    let entries = tenant.config.trusted_headers.iter();
    let dropped = entries.filter(|entry| !entry.lists(peer) && headers.contains_key(&entry.header));
    for entry in dropped {
        let line = format!("{} {} from a stranger", tenant.id(), entry.header);
        if let Some(kept_back) = live.repeats().due(line) {
            tracing::warn!(
                kept_back, tenant = %tenant.id(), header = %entry.header, %peer,
                "a header that names users came from a peer that is not listed, and was dropped; if it is your proxy, add its address to tenants.trusted_headers.from"
            );
        }
    }
}

/// Every one of them is judged, and may pass; that they are several is worth a
/// look.
fn tell_contradictions(live: &Reader, named: &[Named]) {
    let Some((first, rest)) = named.split_first() else {
        return;
    };
    for other in rest.iter().filter(|other| other.user != first.user) {
        if live.contradictions().is_news(&first.user, &other.user) {
            tracing::warn!(
                tenant = first.user.tenant(),
                user = first.user.user(),
                by = first.proof.name(),
                other = other.user.user(),
                other_by = other.proof.name(),
                "a request names two users; both are judged"
            );
        }
    }
}

impl Found {
    /// The sessions that came along, whoever's they are.
    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionHash> {
        let known = self.named.iter().filter_map(Named::session);
        known.chain(self.unknown.iter().copied())
    }

    /// Whether it names somebody by something else than a session cookie, and came
    /// with none.
    pub(super) fn is_beside(&self) -> bool {
        let by_cookie = |named: &Named| {
            matches!(
                named.proof,
                Proof::Session {
                    cookie: Some(_),
                    ..
                }
            )
        };
        !self.named.is_empty() && self.unknown.is_empty() && !self.named.iter().any(by_cookie)
    }

    /// Notes the use of the sessions, which was permitted.
    pub(super) fn touch(&self, now: Timestamp) {
        for named in &self.named {
            match &named.proof {
                Proof::Session {
                    session,
                    expired: false,
                    ..
                }
                | Proof::Token {
                    learnt: Some(session),
                    ..
                } => session.touch(now),
                Proof::Session { .. }
                | Proof::Token { .. }
                | Proof::ApiKey
                | Proof::TrustedHeader
                | Proof::Basic { .. } => {}
            }
        }
    }

    /// Adds whom `name` points to.
    fn name(&mut self, live: &Reader, name: UserKey, proof: Proof) {
        let user = live.resolve(name);
        self.named.push(Named { user, proof });
    }
}

impl Proof {
    const fn name(&self) -> &'static str {
        match self {
            Self::Session { .. } => "session",
            Self::Token { .. } => "token",
            Self::ApiKey => "API key",
            Self::TrustedHeader => "trusted header",
            Self::Basic { .. } => "Basic",
        }
    }
}

impl Named {
    /// With what is known of the user at this moment.
    pub(super) fn judged(&self, live: &Reader) -> Identity {
        // Resolved once more: since the request was registered, the name may have
        // been given to another user.
        let user = live.resolve(self.user.clone());
        let mut standing = live.standing(&user);
        let (carrier, dead) = match &self.proof {
            Proof::Session {
                session,
                expired,
                cookie,
                ..
            } => {
                let killed = standing.killed_session(session.learnt_at);
                if session.ended() == Some(End::Unanswered) {
                    // Whose it is was never proven: it says nothing of the user.
                    standing = Arc::default();
                }
                let carrier = match cookie {
                    Some(_) => Carrier::Session,
                    None => Carrier::Token,
                };
                (carrier, killed || *expired || session.ended().is_some())
            }
            Proof::Token {
                claims,
                cookie,
                learnt,
            } => {
                let dead = match learnt {
                    Some(login) => {
                        standing.killed_session(login.learnt_at) || login.ended().is_some()
                    }
                    None => standing.killed_token(claims.issued_at),
                };
                // A cookie is sent by the browser itself: it is taken back like a
                // session.
                match cookie {
                    Some(_) => (Carrier::Session, dead),
                    None => (Carrier::Token, dead),
                }
            }
            Proof::ApiKey => (Carrier::ApiKey, false),
            Proof::TrustedHeader => (Carrier::TrustedHeader, false),
            Proof::Basic { hash, disclose } => {
                let seen = || hash.is_some_and(|hash| live.passwords().was_accepted(&hash));
                let told = *disclose == Disclose::Always || seen();
                (Carrier::Basic { told }, false)
            }
        };
        Identity {
            user,
            carrier,
            standing,
            dead,
        }
    }

    /// The session that named the user.
    pub(super) fn session(&self) -> Option<SessionHash> {
        match &self.proof {
            Proof::Session { hash, .. } => Some(*hash),
            Proof::Token { .. } | Proof::ApiKey | Proof::TrustedHeader | Proof::Basic { .. } => {
                None
            }
        }
    }

    /// The name that the sessions of its user are learnt under.
    pub(super) fn login_name(&self) -> &UserKey {
        match &self.proof {
            Proof::Session { session, .. } => &session.user,
            Proof::Token { .. } | Proof::ApiKey | Proof::TrustedHeader | Proof::Basic { .. } => {
                &self.user
            }
        }
    }

    /// Whether its session has ended since the request came.
    pub(super) fn has_ended(&self) -> bool {
        match &self.proof {
            Proof::Session { session, .. } => session.ended().is_some(),
            Proof::Token { .. } | Proof::ApiKey | Proof::TrustedHeader | Proof::Basic { .. } => {
                false
            }
        }
    }

    /// From when a session that the app sets anew counts: it is as old as what
    /// the request came with, so that rotating a cookie does not renew a session, nor
    /// does a revocation that came while the app was answering.
    pub(super) fn known_since(&self, judged: &Identity) -> Revision {
        match &self.proof {
            Proof::Session { session, .. } => session.learnt_at,
            Proof::Token { .. } | Proof::ApiKey | Proof::TrustedHeader | Proof::Basic { .. } => {
                judged.standing.revision
            }
        }
    }
}

/// Remembers the Basic credentials of a request that the app has answered: 2xx (or
/// a switch of protocols) says that it took them; anything else may be said to a
/// wrong password too.
pub(super) fn learn_passwords(live: &Reader, named: &[Named], status: StatusCode) {
    if !status.is_success() && status != StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    for named in named {
        if let Proof::Basic {
            hash: Some(hash), ..
        } = &named.proof
        {
            live.passwords().remember(*hash);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use http::HeaderValue;
    use http::header::AUTHORIZATION;
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Basic {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&format!("Basic {text}")).unwrap();
        headers.insert(AUTHORIZATION, value);
        basic(&headers).unwrap()
    }

    proptest! {
        #[test]
        fn what_any_client_writes_is_read_as_it_was_meant(user in "[^:]{0,20}", password in any::<String>()) {
            let pair = format!("{user}:{password}").into_bytes();
            let read = read(&BASE64_STANDARD.encode(&pair));
            prop_assert_eq!(read, Basic::Pair { user, pair });
        }

        /// What is taken at all, a strict decoder takes for the same bytes.
        #[test]
        fn nothing_is_read_that_another_would_not_read_alike(text in "[A-Za-z0-9+/=]{0,16}|[YTpiOmMN=]{8}") {
            if let Basic::Pair { pair, .. } = read(&text) {
                prop_assert_eq!(BASE64_STANDARD.decode(&text).ok(), Some(pair));
            }
        }
    }
}
