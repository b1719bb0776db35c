//! Logins that the app has answered, or may have: the sessions of an accepted one are
//! learnt, those of one that is withheld ended.

use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::Full;
use portcullis_core::decide::{Permitted, Question, decide};
use portcullis_core::identify::SetCookie;
use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::limits;
use portcullis_core::login::GivenToken;
use portcullis_core::refusal::Refusal;

use super::super::body::Upload;
use super::super::forward::Unanswered;
use super::super::identify::Brought;
use super::super::login::Login;
use super::super::upstream::Account;
use super::super::{WorkerRef, upstream};
use super::learning::Lesson;
use super::sealing::Ties;
use super::{Scene, Tried};
use crate::live::sessions::{self, End, Place, TOKEN_PLACE};
use crate::live::tenants::Tenant;

impl Scene<'_> {
    /// The app accepted the password.
    pub(super) async fn admit(
        &self,
        (login, judged_at, permitted): Tried<'_>,
        (set, token): (&[SetCookie], &GivenToken),
        answer: &HeaderMap,
        ties: &mut Ties,
    ) -> Result<(), Refusal> {
        let live = &self.worker.live;
        // The answer is the user's by now; in this order, as for those whom the
        // request named.
        live.enlist(self.ticket, &live.resolve(login.name.clone()));
        if let Err(refusal) = still_welcome(self.worker, login, permitted) {
            self.withhold(login, set, token, answer).await?;
            return Err(refusal);
        }
        let kept = self.kept(login, set, false)?;
        let learning = self.learn_login((login, judged_at), set, &kept, token, ties);
        if let Err(refusal) = learning.await {
            // The client has those already: they may not be nobody's.
            let lessons = kept.iter().map(|kept| {
                self.lesson(
                    &login.name,
                    judged_at,
                    self.place_of(kept.cookie),
                    kept.hash,
                )
            });
            self.bury(lessons.collect(), End::Unanswered).await;
            return Err(refusal);
        }
        if *token == GivenToken::Unclear {
            return Err(Refusal::CannotKnow("the token that the app gave out"));
        }
        // A suspension may have come while that was stored.
        still_welcome(self.worker, login, permitted)
    }

    async fn learn_login(
        &self,
        (login, judged_at): (&Login<'_>, Revision),
        set: &[SetCookie],
        kept: &[Brought],
        token: &GivenToken,
        ties: &mut Ties,
    ) -> Result<(), Refusal> {
        let mut lessons = Vec::new();
        for cookie in set {
            let hash = self.tied(cookie, ties)?;
            lessons.push(self.lesson(&login.name, judged_at, self.place(cookie), hash));
        }
        for kept in kept {
            let place = self.place_of(kept.cookie);
            lessons.push(self.lesson(&login.name, judged_at, place, kept.hash));
        }
        if let GivenToken::Found(token) = token {
            lessons.push(self.of_token(&login.name, judged_at, token));
        }
        for mut lesson in lessons {
            lesson.by_login = true;
            self.learn(lesson).await?;
        }
        Ok(())
    }

    /// Ends what a login made that the app accepted from a user who is out.
    async fn withhold(
        &self,
        login: &Login<'_>,
        set: &[SetCookie],
        token: &GivenToken,
        answer: &HeaderMap,
    ) -> Result<(), Refusal> {
        let kept = self.kept(login, set, true)?;
        let replaced = |kept: &Brought| set.iter().any(|set| set.cookie == kept.cookie);
        let cookies = cookies_to_end(answer, self.sent, !kept.iter().all(replaced));
        let kept = kept.iter().map(|kept| {
            self.lesson(
                &login.name,
                Revision(0),
                self.place_of(kept.cookie),
                kept.hash,
            )
        });
        let token_given = match token {
            // The app may give the same one out again and again.
            GivenToken::Found(token) => Some(self.of_token(&login.name, Revision(0), token)),
            GivenToken::Unasked | GivenToken::Absent | GivenToken::Unclear => None,
        };
        let lessons = kept.chain(token_given).collect();
        // It may not come alive with the user.
        self.bury(lessons, End::Revoked).await;
        let account = Account::of(Some(&login.name), self.asked.peer());
        end_session(
            self.worker,
            self.tenant,
            self.sent,
            cookies,
            token,
            &account,
        )
        .await;
        Ok(())
    }

    fn of_token<'a>(&self, user: &'a UserKey, learnt_at: Revision, token: &str) -> Lesson<'a> {
        let place = Place {
            name: TOKEN_PLACE.to_owned(),
            ..Place::default()
        };
        let hash = sessions::hash(self.tenant.id(), TOKEN_PLACE, token.as_bytes());
        self.lesson(user, learnt_at, place, hash)
    }

    /// The app has not answered, and may have accepted the password all the same.
    /// Nobody is to have what came along: not the user, who may be out, and nobody
    /// else. To say so in other words where the user is out would tell a stranger.
    pub(in super::super) async fn lose(&self, login: Option<Tried<'_>>, unanswered: &Unanswered) {
        let Some((login, judged_at, _)) = login else {
            return;
        };
        if matches!(
            unanswered,
            Unanswered::Refused(Refusal::UpstreamUnreachable)
        ) {
            // It never got there: nobody was logged in.
            return;
        }
        // What may be everybody's would be nobody's any more.
        let mut kept = self.kept(login, &[], true).unwrap_or_default();
        kept.retain(|kept| !kept.guessable);
        let lesson = |kept: &Brought| {
            self.lesson(
                &login.name,
                judged_at,
                self.place_of(kept.cookie),
                kept.hash,
            )
        };
        let lessons = kept.iter().map(lesson).collect();
        self.bury(lessons, End::Unanswered).await;
    }

    /// The sessions that the request brought to a login: some apps give an anonymous
    /// visitor one and only write the user into it, or write another user over the one
    /// that was there, whether or not they set a cookie again or another one.
    pub(super) fn kept(
        &self,
        login: &Login<'_>,
        set: &[SetCookie],
        withheld: bool,
    ) -> Result<Vec<Brought>, Refusal> {
        let sources = &self.tenant.config.sources;
        let mut kept = self.brought()?;
        if login.route.session_token.is_some() {
            // A token may be asked for by somebody else's page: whose the session is
            // already, it stays.
            let sessions = self.worker.live.sessions();
            kept.retain(|brought| !sessions.is_known(&brought.hash));
        }
        kept.retain(|brought| {
            let mut anew = set.iter().filter(|set| set.cookie == brought.cookie);
            let is_same = |set: &SetCookie| self.hash(set) == brought.hash;
            match anew.next() {
                None => true,
                Some(_) if sources.is_sealed(brought.cookie) => withheld,
                Some(first) => !brought.guessable || is_same(first) || anew.any(is_same),
            }
        });
        Ok(kept)
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
async fn end_session(
    worker: &WorkerRef,
    tenant: &Tenant,
    sent: &HeaderMap,
    cookies: Vec<u8>,
    token: &GivenToken,
    account: &Account,
) {
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
    if !cookies.is_empty() {
        request.headers_mut().insert(header::COOKIE, cookies);
    }
    if let GivenToken::Found(token) = token
        && let Ok(bearer) = HeaderValue::from_str(&format!("Bearer {token}"))
    {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    request
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    let sending = upstream::send(worker, &tenant.upstream, account, request);
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
