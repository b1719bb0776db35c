//! What the app's answer means for sessions: which it sets, keeps, renews or ends,
//! whose it says they are, and the login that it accepted from a user who is out.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use portcullis_core::decide::{Carrier, Identity, Permitted, Question, decide};
use portcullis_core::identify::{Credential, SetCookie, credentials, set_cookies};
use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::limits;
use portcullis_core::login::success::BodyVerdict;
use portcullis_core::refusal::Refusal;

use super::WorkerRef;
use super::body::Upload;
use super::identify::{Named, Proof};
use super::login::Login;
use super::respond::Asked;
use super::upstream;
use crate::live::connections::Ticket;
use crate::live::sessions::{self, End, Learnt, Place, Session, SessionHash};
use crate::live::tenants::Tenant;

/// The request that an answer belongs to.
pub(super) struct Scene<'a> {
    pub worker: &'a WorkerRef,
    pub tenant: &'a Tenant,
    pub asked: &'a Asked,
    pub ticket: &'a Ticket,
    /// Host and cookies as the app got them.
    pub sent: &'a HeaderMap,
    /// Where the ledger stood when the request came: what the app sets or says
    /// after a later revocation may rest on what was before it.
    pub begun: Revision,
    pub at_login: bool,
    pub at_logout: bool,
    pub named: &'a [Named],
    pub judged: &'a [Identity],
    /// What a login's rule says of the answer's body.
    pub body_verdict: BodyVerdict,
}

/// An attempt, with the user's revision when it was judged.
pub(super) type Tried<'a> = (&'a Login<'a>, Revision, &'a Permitted);

/// A session to be learnt, and for whom.
struct Lesson<'a> {
    user: &'a UserKey,
    learnt_at: Revision,
    cookie: SetCookie,
    by_login: bool,
}

impl Scene<'_> {
    /// Learns the sessions that the app sets, ends those that it ends, and withholds
    /// a login that it accepted from a user who is out. When this returns, what was
    /// learnt is durable, so that a crash can't bring a stranger's cookie into being.
    pub(super) async fn settle(
        &self,
        login: Option<Tried<'_>>,
        response: &mut Response<Incoming>,
    ) -> Result<(), Refusal> {
        let all = set_cookies(response.headers(), &self.tenant.config.sources);
        let (gone, set): (Vec<SetCookie>, Vec<SetCookie>) =
            all.into_iter().partition(|cookie| cookie.expires);
        if let Some(header) = &self.tenant.config.taught_by {
            self.be_taught(header, &set, response.headers_mut()).await?;
        }
        let is_over = |cookie: usize| {
            gone.iter().any(|gone| gone.cookie == cookie)
                && !set.iter().any(|set| set.cookie == cookie)
        };
        let logged_out = self.at_logout && response.status().as_u16() < 400;
        if logged_out || !gone.is_empty() {
            self.end(|cookie| logged_out || is_over(cookie)).await;
        }
        let (status, sets) = (response.status(), !set.is_empty());
        let is_accepted =
            |(login, ..): &Tried<'_>| login.route.accepted(status, sets, self.body_verdict);
        let accepted = login.filter(is_accepted);
        match accepted {
            Some(tried) => self.admit(tried, set, response.headers()).await,
            None => self.renew(set).await,
        }
    }

    /// The app accepted the password.
    async fn admit(
        &self,
        (login, judged_at, permitted): Tried<'_>,
        set: Vec<SetCookie>,
        answer: &HeaderMap,
    ) -> Result<(), Refusal> {
        let kept = self.kept(&set)?;
        let lesson = |learnt_at, cookie, by_login| Lesson {
            user: &login.name,
            learnt_at,
            cookie,
            by_login,
        };
        if let Err(refusal) = still_welcome(self.worker, login, permitted) {
            let cookies = cookies_to_end(answer, self.sent, !kept.is_empty());
            for cookie in kept {
                // Older than any revocation: it may not come alive with the user.
                self.learn(lesson(Revision(0), cookie, false)).await?;
            }
            end_session(self.worker, self.tenant, self.sent, cookies).await;
            return Err(refusal);
        }
        for cookie in set.into_iter().chain(kept) {
            self.learn(lesson(judged_at, cookie, true)).await?;
        }
        Ok(())
    }

    /// What the app sets outside of a login belongs to whoever the request is from:
    /// to those who came by the same cookie, else to all. To nobody on a request
    /// that names nobody. A new value is as old as what the request came with.
    async fn renew(&self, set: Vec<SetCookie>) -> Result<(), Refusal> {
        // Dead sessions were taken out of the request: what the app sets is not theirs.
        let alive = self.named.iter().zip(self.judged);
        let alive: Vec<&Named> = alive
            .filter(|(_, judged)| !judged.dead)
            .map(|(named, _)| named)
            .collect();
        for cookie in set {
            let same_name = |named: &&&Named| matches!(&named.proof, Proof::Session { cookie: brought, .. } if *brought == cookie.cookie);
            let mut owners: Vec<&Named> = alive.iter().filter(same_name).copied().collect();
            if owners.is_empty() {
                owners.clone_from(&alive);
            }
            for owner in owners {
                let user = match &owner.proof {
                    Proof::Session { session, .. } => &session.user,
                    Proof::Token { .. }
                    | Proof::ApiKey
                    | Proof::TrustedHeader
                    | Proof::Basic { .. } => &owner.user,
                };
                let lesson = Lesson {
                    user,
                    learnt_at: owner.known_since(&self.worker.live),
                    cookie: cookie.clone(),
                    by_login: false,
                };
                self.learn(lesson).await?;
            }
        }
        Ok(())
    }

    /// Ends the sessions that came by the cookies in question. The user wants them
    /// gone, so a store that fails is no reason to say that they are not.
    async fn end(&self, is_over: impl Fn(usize) -> bool) {
        let over = self.named.iter().filter_map(|named| match &named.proof {
            Proof::Session {
                cookie, session, ..
            } if is_over(*cookie) => Some(Arc::clone(session)),
            Proof::Session { .. }
            | Proof::Token { .. }
            | Proof::ApiKey
            | Proof::TrustedHeader
            | Proof::Basic { .. } => None,
        });
        let over: Vec<Arc<Session>> = over.collect();
        if over.is_empty() {
            return;
        }
        let live = &self.worker.live;
        let ending = live.sessions().end(&over, End::LoggedOut).await;
        self.cut(&over);
        if let Err(error) = ending {
            tracing::error!(tenant = %self.tenant.id(), %error, "a logout is in force, but would be forgotten at a restart");
        }
    }

    /// What is open in sessions that have ended goes with them, but for this request.
    fn cut(&self, sessions: &[Arc<Session>]) {
        let live = &self.worker.live;
        for session in sessions {
            for name in [session.user.clone(), live.resolve(session.user.clone())] {
                live.cut_session(&name, &session.hash, self.ticket);
            }
        }
    }

    /// The app names the user of this request in a header of its answer, which is
    /// for the gate alone. From now on the sessions of the request are that user's,
    /// and the answer is judged as the request would have been.
    async fn be_taught(
        &self,
        header: &HeaderName,
        set: &[SetCookie],
        answer: &mut HeaderMap,
    ) -> Result<(), Refusal> {
        const UNCLEAR: Refusal = Refusal::CannotKnow("whose session the app says it is");
        let said: Vec<HeaderValue> = answer.get_all(header).iter().cloned().collect();
        answer.remove(header);
        for cookie in set {
            let sessions = self.worker.live.sessions();
            sessions.note_birth(self.hash(cookie), self.begun);
        }
        let name = match said.as_slice() {
            [] => return Ok(()),
            [one] => std::str::from_utf8(one.as_bytes()).map_err(|_| UNCLEAR)?,
            [_, _, ..] => return Err(UNCLEAR),
        };
        if name.trim().is_empty() {
            return Ok(());
        }
        let user = self.tenant.user_key(name).ok_or(UNCLEAR)?;
        let resolved = self.worker.live.resolve(user.clone());
        // In this order, as for those whom the request named.
        self.worker.live.enlist(self.ticket, &resolved);
        let standing = self.worker.live.standing(&resolved);
        // One whose beginning was not seen can't show that it is younger than a
        // revocation.
        let unseen = if standing.sessions_revoked_at > Revision(0) {
            Revision(0)
        } else {
            self.begun
        };
        let mut dead = false;
        for cookie in set.iter().cloned().chain(self.kept(set)?) {
            let sessions = self.worker.live.sessions();
            let hash = self.hash(&cookie);
            if sessions.is_owned(&hash, &user) {
                continue;
            }
            let learnt_at = sessions.birth(&hash).unwrap_or(unseen);
            dead |= standing.killed_session(learnt_at) && !sessions.is_known(&hash);
            let lesson = Lesson {
                user: &user,
                learnt_at,
                cookie,
                by_login: false,
            };
            self.learn(lesson).await?;
        }
        let taught = Identity {
            user: resolved,
            carrier: Carrier::Session,
            standing,
            dead,
        };
        let question = Question {
            identities: vec![taught],
            at_login: self.at_login,
            ..Question::default()
        };
        decide(&question, (self.worker.clock)()).map(drop)
    }

    fn hash(&self, cookie: &SetCookie) -> SessionHash {
        let name = &self.tenant.config.sources.session_cookies[cookie.cookie];
        sessions::hash(self.tenant.id(), name, &cookie.value)
    }

    /// The session cookies that the request brought and the app went on with: some
    /// give an anonymous visitor a session and only write the user into it at login,
    /// or write another user over the one that was there.
    fn kept(&self, set: &[SetCookie]) -> Result<Vec<SetCookie>, Refusal> {
        let brought = credentials(self.sent, &self.tenant.config.sources)?.into_iter();
        let brought = brought.filter_map(|credential| match credential {
            Credential::Session { cookie, value } => Some((cookie, value)),
            Credential::Token { .. } | Credential::ApiKey { .. } => None,
        });
        let kept = brought.filter(|(cookie, _)| !set.iter().any(|set| set.cookie == *cookie));
        Ok(kept
            .map(|(cookie, value)| SetCookie {
                cookie,
                value,
                path: None,
                domain: None,
                expires: false,
            })
            .collect())
    }

    async fn learn(&self, lesson: Lesson<'_>) -> Result<(), Refusal> {
        let live = &self.worker.live;
        let cookie = lesson.cookie;
        let name = &self.tenant.config.sources.session_cookies[cookie.cookie];
        let now = (self.worker.clock)();
        let learnt = Learnt {
            hash: self.hash(&cookie),
            user: lesson.user.clone(),
            learnt_at: lesson.learnt_at,
            first_seen: now,
            last_seen: now,
            place: Place {
                name: name.clone(),
                path: cookie.path,
                domain: cookie.domain,
            },
            address: Some(self.asked.peer()),
            agent: self.asked.agent(),
            ended: None,
        };
        let dead_before = live
            .standing(&live.resolve(lesson.user.clone()))
            .sessions_revoked_at;
        let learning = live.sessions().learn(learnt, lesson.by_login, dead_before);
        let displaced = learning.await.map_err(|error| {
            tracing::error!(tenant = %self.tenant.id(), %error, "a login could not be learnt and is refused");
            Refusal::CannotKnow("the session could not be stored")
        })?;
        self.cut(&displaced);
        Ok(())
    }
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
