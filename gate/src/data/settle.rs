//! What the app's answer means for sessions: which it sets, keeps or renews, and
//! the login that it accepted from a user who is out.

use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use portcullis_core::decide::{Identity, Permitted, Question, decide};
use portcullis_core::identify::{Credential, SetCookie, credentials, set_cookies};
use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::limits;
use portcullis_core::login::success::BodyVerdict;
use portcullis_core::refusal::Refusal;

use super::WorkerRef;
use super::body::Upload;
use super::identify::{Named, Proof};
use super::login::Login;
use super::upstream;
use crate::live::sessions::{self, Session};
use crate::live::tenants::Tenant;

/// What the app's answer means for sessions: learns those that it sets, and
/// withholds a login that it accepted from a user who is out. When this returns,
/// what was learnt is durable, so that a crash can't bring a stranger's cookie
/// into being.
pub(super) async fn settle(
    worker: &WorkerRef,
    tenant: &Tenant,
    login: Option<(&Login<'_>, Revision, &Permitted)>,
    (named, judged): (&[Named], &[Identity]),
    sent: &HeaderMap,
    response: &Response<Incoming>,
    body: BodyVerdict,
) -> Result<(), Refusal> {
    let set: Vec<SetCookie> = set_cookies(response.headers(), &tenant.config.sources)
        .into_iter()
        .filter(|cookie| !cookie.expires)
        .collect();
    if login.is_none() && set.is_empty() {
        return Ok(());
    }
    let accepted = login.filter(|(login, ..)| {
        login
            .route
            .accepted(response.status(), !set.is_empty(), body)
    });
    if let Some((login, judged_at, permitted)) = accepted {
        let kept = kept_sessions(worker, tenant, sent, &set)?;
        if let Err(refusal) = still_welcome(worker, login, permitted) {
            let cookies = cookies_to_end(response.headers(), sent, !kept.is_empty());
            for cookie in kept {
                // Older than any revocation: it may not come alive with the user.
                learn(worker, tenant, &login.name, Revision(0), cookie).await?;
            }
            end_session(worker, tenant, sent, cookies).await;
            return Err(refusal);
        }
        for cookie in set.into_iter().chain(kept) {
            learn(worker, tenant, &login.name, judged_at, cookie).await?;
        }
        return Ok(());
    }
    // Dead sessions were taken out of the request: what the app sets is not theirs.
    let alive = named.iter().zip(judged).filter(|(_, judged)| !judged.dead);
    let alive: Vec<&Named> = alive.map(|(named, _)| named).collect();
    for cookie in set {
        if let Some((owner, since)) = renewed(worker, &alive, cookie.cookie)? {
            learn(worker, tenant, &owner, since, cookie).await?;
        }
    }
    Ok(())
}

/// Whose session a cookie is that the app sets for a request that is no login, and
/// since when it counts: the one that came by the same name, else whoever the
/// request is from. Nobody's on a request that names nobody.
fn renewed(
    worker: &WorkerRef,
    named: &[&Named],
    cookie: usize,
) -> Result<Option<(UserKey, Revision)>, Refusal> {
    let same_name = |named: &&&Named| matches!(&named.proof, Proof::Session { cookie: brought, .. } if *brought == cookie);
    let mut owners: Vec<&Named> = named.iter().filter(same_name).copied().collect();
    if owners.is_empty() {
        owners = named.to_vec();
    }
    let Some(first) = owners.first() else {
        return Ok(None);
    };
    if owners.iter().any(|other| other.user != first.user) {
        return Err(Refusal::CannotKnow("whose session the app renewed"));
    }
    let owner = match &first.proof {
        Proof::Session { session, .. } => session.user.clone(),
        Proof::Token { .. } | Proof::ApiKey => first.user.clone(),
    };
    let since = owners.iter().map(|owner| owner.known_since(&worker.live));
    Ok(since.min().map(|since| (owner, since)))
}

/// The session cookies that the request brought and the app went on with: some
/// give an anonymous visitor a session and only write the user into it at login.
/// A session that is known already stays its user's.
fn kept_sessions(
    worker: &WorkerRef,
    tenant: &Tenant,
    sent: &HeaderMap,
    set: &[SetCookie],
) -> Result<Vec<SetCookie>, Refusal> {
    let sources = &tenant.config.sources;
    let brought = credentials(sent, sources)?.into_iter();
    let brought = brought.filter_map(|credential| match credential {
        Credential::Session { cookie, value } => Some((cookie, value)),
        Credential::Token { .. } | Credential::ApiKey { .. } => None,
    });
    let is_new = |(cookie, value): &(usize, Vec<u8>)| {
        let hash = sessions::hash(tenant.id(), &sources.session_cookies[*cookie], value);
        worker.live.sessions().find(&hash).is_none() && !set.iter().any(|set| set.cookie == *cookie)
    };
    let kept = brought.filter(is_new).map(|(cookie, value)| SetCookie {
        cookie,
        value,
        path: None,
        domain: None,
        expires: false,
    });
    Ok(kept.collect())
}

/// Judges the user again: a suspension may have come while the app checked the
/// password.
fn still_welcome(
    worker: &WorkerRef,
    login: &Login<'_>,
    permitted: &Permitted,
) -> Result<(), Refusal> {
    if let Some(user) = permitted.withhold_login() {
        return Err(Refusal::Suspended(user));
    }
    let attempt = Some(login.attempt(&worker.live));
    let again = decide(
        &Question {
            attempt,
            ..Question::default()
        },
        (worker.clock)(),
    )?;
    match again.withhold_login() {
        Some(user) => Err(Refusal::Suspended(user)),
        None => Ok(()),
    }
}

async fn learn(
    worker: &WorkerRef,
    tenant: &Tenant,
    user: &UserKey,
    learnt_at: Revision,
    cookie: SetCookie,
) -> Result<(), Refusal> {
    let name = &tenant.config.sources.session_cookies[cookie.cookie];
    let hash = sessions::hash(tenant.id(), name, &cookie.value);
    let session = Session {
        user: user.clone(),
        learnt_at,
        first_seen: (worker.clock)(),
        path: cookie.path,
        domain: cookie.domain,
    };
    worker.live.sessions().learn(hash, session).await.map_err(|error| {
        tracing::error!(tenant = %tenant.id(), %error, "a login could not be learnt and is refused");
        Refusal::CannotKnow("the session could not be stored")
    })
}

/// The `Cookie` header of the session that a withheld login made: the cookies that
/// the app set, or those that it kept.
fn cookies_to_end(answer: &HeaderMap, sent: &HeaderMap, kept: bool) -> Vec<u8> {
    let set = answer.get_all(header::SET_COOKIE).iter();
    let set = set.filter_map(|cookie| cookie.as_bytes().split(|b| *b == b';').next());
    let brought = sent.get(header::COOKIE).filter(|_| kept);
    let all: Vec<&[u8]> = brought
        .map(HeaderValue::as_bytes)
        .into_iter()
        .chain(set)
        .collect();
    all.join(&b"; "[..])
}

/// Ends, in the app, the session of a login that is withheld. Its cookie never
/// leaves the gate, or is known as a suspended user's, so a failure here leaves a
/// session that nobody can use.
async fn end_session(worker: &WorkerRef, tenant: &Tenant, sent: &HeaderMap, cookies: Vec<u8>) {
    let Some(logout) = &tenant.config.logout else {
        return;
    };
    let Ok(cookies) = HeaderValue::from_bytes(&cookies) else {
        return;
    };
    let mut request = Request::new(Upload::Whole(Full::default()));
    *request.method_mut() = logout.method.clone();
    *request.uri_mut() = logout.path.clone().into();
    if let Some(host) = sent.get(header::HOST) {
        request.headers_mut().insert(header::HOST, host.clone());
    }
    request.headers_mut().insert(header::COOKIE, cookies);
    request
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    let sending = upstream::send(worker, &tenant.upstream, request);
    match tokio::time::timeout(limits::UPSTREAM_CONNECT_WAIT, sending).await {
        Ok(Ok((answer, _))) if answer.status().as_u16() < 400 => {}
        Ok(Ok((answer, _))) => {
            tracing::warn!(tenant = %tenant.id(), status = %answer.status(), "the app did not end a withheld session");
        }
        Ok(Err(_)) | Err(_) => {
            tracing::warn!(tenant = %tenant.id(), "the app could not be asked to end a withheld session");
        }
    }
}
