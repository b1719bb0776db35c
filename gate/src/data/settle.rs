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
use portcullis_core::login::GivenToken;
use portcullis_core::refusal::Refusal;
use portcullis_core::standing::Verdict;

use super::WorkerRef;
use super::answer::Said;
use super::body::Upload;
use super::forward::Unanswered;
use super::identify::{Brought, Named, Proof};
use super::login::Login;
use super::respond::Asked;
use super::upstream;
use crate::live::connections::Ticket;
use crate::live::seals::SealId;
use crate::live::sessions::{self, End, Learnt, Place, Session, SessionHash, TOKEN_PLACE};
use crate::live::tenants::Tenant;

/// The request that an answer belongs to.
pub(super) struct Scene<'a> {
    pub worker: &'a WorkerRef,
    pub tenant: &'a Tenant,
    pub asked: &'a Asked,
    pub ticket: &'a Ticket,
    /// Host and cookies as the app got them.
    pub sent: &'a HeaderMap,
    /// Sessions that did not come as cookies of the app's own making.
    pub elsewhere: &'a [Brought],
    /// Where the ledger stood when the request came: what the app sets or says
    /// after a later revocation may rest on what was before it.
    pub begun: Revision,
    pub at_login: bool,
    pub at_logout: bool,
    pub named: &'a [Named],
    pub judged: &'a [Identity],
}

/// An attempt, with the user's revision when it was judged.
pub(super) type Tried<'a> = (&'a Login<'a>, Revision, &'a Permitted);

/// A session to be learnt, and for whom.
struct Lesson<'a> {
    user: &'a UserKey,
    learnt_at: Revision,
    hash: SessionHash,
    place: Place,
    by_login: bool,
}

/// The sessions that the sealed cookies of one answer are tied to, by their index.
type Ties = Vec<(usize, SealId)>;

impl Scene<'_> {
    /// Learns the sessions that the app sets, ends those that it ends, and withholds
    /// a login that it accepted from a user who is out. When this returns, what was
    /// learnt is durable, so that a crash can't bring a stranger's cookie into being.
    pub(super) async fn settle(
        &self,
        login: Option<Tried<'_>>,
        said: &Said,
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
        let mut over = Vec::new();
        if logged_out || !gone.is_empty() {
            over = self
                .end(|cookie| logged_out || cookie.is_some_and(is_over))
                .await;
        }
        let (status, sets) = (response.status(), !set.is_empty());
        let is_accepted = |(login, ..): &Tried<'_>| {
            let route = login.route;
            route.accepted(status, sets, said.verdict, &said.token)
        };
        let accepted = login.filter(is_accepted);
        if login.is_none() && self.named.is_empty() && sets && status.as_u16() < 400 {
            self.tell_of_door();
        }
        let mut ties = Ties::new();
        match accepted {
            Some(tried) => {
                let given = (&set[..], &said.token);
                self.admit(tried, given, response.headers(), &mut ties)
                    .await?;
            }
            // What an app sets as it lets somebody go is a visitor's.
            None if logged_out => {}
            None => self.renew(&set, &over, &mut ties).await?,
        }
        self.seal(response.headers_mut(), &ties);
        Ok(())
    }

    /// A session for a stranger who sent something in: perhaps a login.
    fn tell_of_door(&self) {
        let Some(path) = self.asked.changing_path() else {
            return;
        };
        if self.worker.live.doors().is_news(self.tenant.id(), path) {
            tracing::warn!(
                tenant = %self.tenant.id(), path,
                "the app set a session cookie here: if people log in here, add a [[tenants.logins]], or the gate can't keep them out"
            );
        }
    }

    /// The app accepted the password.
    async fn admit(
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
        end_session(self.worker, self.tenant, self.sent, cookies, token).await;
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

    /// What the app sets outside of a login belongs to whoever the request is from:
    /// to those who came by the same cookie, else to all. To nobody on a request
    /// that names nobody. A new value is as old as what the request came with.
    /// `over`: ended by this very answer.
    async fn renew(
        &self,
        set: &[SetCookie],
        over: &[Arc<Session>],
        ties: &mut Ties,
    ) -> Result<(), Refusal> {
        // Dead sessions were taken out of the request: what the app sets is not theirs.
        let alive = self.named.iter().zip(self.judged);
        // Basic names whomever it likes: what it is given proves nothing.
        let proves = |named: &Named| !matches!(named.proof, Proof::Basic { .. });
        let is_over = |named: &Named| {
            let hash = named.session();
            hash.is_some_and(|hash| over.iter().any(|over| over.hash == hash))
        };
        let alive: Vec<&Named> = alive
            .filter(|(named, judged)| !judged.dead && proves(named) && !is_over(named))
            .map(|(named, _)| named)
            .collect();
        if !set.is_empty() && alive.iter().any(|named| named.has_ended()) {
            // Ended while the app was answering: its successor would be nobody's.
            return Err(Refusal::SessionEnded);
        }
        for cookie in set {
            let same_name = |named: &&&Named| matches!(&named.proof, Proof::Session { cookie: Some(brought), .. } if *brought == cookie.cookie);
            let mut owners: Vec<&Named> = alive.iter().filter(same_name).copied().collect();
            if owners.is_empty() {
                owners.clone_from(&alive);
            }
            if owners.is_empty() {
                continue;
            }
            let seals = owners.iter().filter_map(|owner| match &owner.proof {
                Proof::Session { seal, .. } => *seal,
                Proof::Token { .. }
                | Proof::ApiKey
                | Proof::TrustedHeader
                | Proof::Basic { .. } => None,
            });
            ties.extend(seals.map(|id| (cookie.cookie, id)));
            let hash = self.tied(cookie, ties)?;
            for owner in owners {
                let user = match &owner.proof {
                    Proof::Session { session, .. } => &session.user,
                    Proof::Token { .. }
                    | Proof::ApiKey
                    | Proof::TrustedHeader
                    | Proof::Basic { .. } => &owner.user,
                };
                let since = owner.known_since(&self.worker.live);
                let lesson = self.lesson(user, since, self.place(cookie), hash);
                self.learn(lesson).await?;
            }
        }
        Ok(())
    }

    /// The app has not answered, and may have accepted the password all the same.
    /// Nobody is to have what came along: not the user, who may be out, and nobody
    /// else. To say so in other words where the user is out would tell a stranger.
    pub(super) async fn lose(&self, login: Option<Tried<'_>>, unanswered: &Unanswered) {
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

    /// Puts the user's name on sessions that nobody may use, whatever the bounds and
    /// the store say.
    async fn bury(&self, lessons: Vec<Lesson<'_>>, why: End) {
        for lesson in lessons {
            let mut learnt = self.learnt(&lesson);
            learnt.ended = Some(why);
            let (hash, user) = (lesson.hash, learnt.user.clone());
            let live = &self.worker.live;
            let keeping = live.sessions().bury(learnt).await;
            live.adopt(&hash, &user);
            live.cut_session(&user, &hash, self.ticket);
            if let Err(error) = keeping {
                tracing::error!(tenant = %self.tenant.id(), %error, "a withheld session is refused, but would be forgotten at a restart");
            }
        }
    }

    fn lesson<'a>(
        &self,
        user: &'a UserKey,
        learnt_at: Revision,
        place: Place,
        hash: SessionHash,
    ) -> Lesson<'a> {
        Lesson {
            user,
            learnt_at,
            hash,
            place,
            by_login: false,
        }
    }

    fn place_of(&self, cookie: usize) -> Place {
        Place {
            name: self.tenant.config.sources.session_cookies[cookie].clone(),
            ..Place::default()
        }
    }

    fn place(&self, cookie: &SetCookie) -> Place {
        Place {
            path: cookie.path.clone(),
            domain: cookie.domain.clone(),
            ..self.place_of(cookie.cookie)
        }
    }

    /// What a cookie's session is remembered by: its value, or, where values come
    /// and go, the id that is sealed into each of them.
    fn tied(&self, cookie: &SetCookie, ties: &mut Ties) -> Result<SessionHash, Refusal> {
        if !self.tenant.config.sources.is_sealed(cookie.cookie) {
            return Ok(self.hash(cookie));
        }
        let known = ties.iter().find(|(index, _)| *index == cookie.cookie);
        let id = if let Some((_, id)) = known {
            *id
        } else {
            let id = SealId::random().ok_or(Refusal::CannotKnow("a session's new id"))?;
            ties.push((cookie.cookie, id));
            id
        };
        let name = &self.tenant.config.sources.session_cookies[cookie.cookie];
        Ok(id.hash(self.tenant.id(), name))
    }

    /// Seals what the app sets of the cookies that are to be sealed.
    fn seal(&self, headers: &mut HeaderMap, ties: &Ties) {
        let sources = &self.tenant.config.sources;
        if !sources.sealed_cookies.contains(&true) {
            return;
        }
        let lines: Vec<HeaderValue> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .cloned()
            .collect();
        headers.remove(header::SET_COOKIE);
        for line in lines {
            let sealed = self.sealed(&line, ties).unwrap_or(line);
            headers.append(header::SET_COOKIE, sealed);
        }
    }

    /// `None`: it goes out as it is.
    fn sealed(&self, line: &HeaderValue, ties: &Ties) -> Option<HeaderValue> {
        let sources = &self.tenant.config.sources;
        let bytes = line.as_bytes();
        let pair = bytes.split(|b| *b == b';').next()?;
        let equals = pair.iter().position(|b| *b == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        let mut names = sources.session_cookies.iter().enumerate();
        let (cookie, name) = names.find(|(_, known)| known.as_bytes() == name)?;
        if !sources.is_sealed(cookie) || value.is_empty() {
            return None;
        }
        let tie = ties.iter().find(|(index, _)| *index == cookie);
        let id = tie.map_or(SealId::VISITOR, |(_, id)| *id);
        let seals = self.worker.live.seals();
        let value = seals.seal(self.tenant.id(), name, value, id);
        let line = [name.as_bytes(), b"=", &value, &bytes[pair.len()..]].concat();
        HeaderValue::from_bytes(&line).ok()
    }

    /// Ends the sessions that came by the cookies in question, if there are any, and
    /// returns them. The user wants them gone, so a store that fails is no reason to
    /// say that they are not.
    async fn end(&self, is_over: impl Fn(Option<usize>) -> bool) -> Vec<Arc<Session>> {
        let over = self.named.iter().filter_map(|named| match &named.proof {
            Proof::Session {
                cookie, session, ..
            } if is_over(*cookie) => Some(Arc::clone(session)),
            Proof::Token {
                learnt: Some(session),
                ..
            } if is_over(None) => Some(Arc::clone(session)),
            Proof::Session { .. }
            | Proof::Token { .. }
            | Proof::ApiKey
            | Proof::TrustedHeader
            | Proof::Basic { .. } => None,
        });
        let over: Vec<Arc<Session>> = over.collect();
        if over.is_empty() {
            return over;
        }
        let live = &self.worker.live;
        let ending = live.sessions().end(&over, End::LoggedOut).await;
        self.cut(&over);
        if let Err(error) = ending {
            tracing::error!(tenant = %self.tenant.id(), %error, "a logout is in force, but would be forgotten at a restart");
        }
        over
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
        let brought = self.brought()?;
        self.note_births(set, &brought);
        let name = match said.as_slice() {
            [] => return Ok(()),
            [one] => std::str::from_utf8(one.as_bytes()).map_err(|_| UNCLEAR)?,
            [_, _, ..] => return Err(UNCLEAR),
        };
        if name.trim().is_empty() {
            return Ok(());
        }
        let user = self.tenant.user_key(name).ok_or(UNCLEAR)?;
        let resolved = self.worker.live.resolve(user);
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
        let mut hashes = Vec::new();
        let set_now = set
            .iter()
            .map(|cookie| (self.place(cookie), self.hash(cookie)));
        let is_set = |kept: &&Brought| set.iter().any(|set| set.cookie == kept.cookie);
        let kept = brought.iter().filter(|kept| !is_set(kept));
        let kept = kept.map(|kept| (self.place_of(kept.cookie), kept.hash));
        for (place, hash) in set_now.chain(kept) {
            let sessions = self.worker.live.sessions();
            if sessions.is_owned(&hash, &resolved) {
                continue;
            }
            hashes.push(hash);
            let learnt_at = sessions.birth(&hash).unwrap_or(unseen);
            dead |= standing.killed_session(learnt_at) && !sessions.is_known(&hash);
            let lesson = self.lesson(&resolved, learnt_at, place, hash);
            self.learn(lesson).await?;
        }
        // Judged before by what the request itself carried (a spared API key, say).
        if !dead && self.judged.iter().any(|judged| judged.user == resolved) {
            return Ok(());
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
        let judged = decide(&question, (self.worker.clock)()).map(drop);
        if judged.is_err() {
            // And so does what was open while the session was nobody's yet.
            for hash in &hashes {
                let live = &self.worker.live;
                live.cut_session(&question.identities[0].user, hash, self.ticket);
            }
        }
        judged
    }

    fn note_births(&self, set: &[SetCookie], brought: &[Brought]) {
        for hash in set.iter().map(|cookie| self.hash(cookie)) {
            // One that is merely set again began before.
            if brought.iter().all(|brought| brought.hash != hash) {
                let sessions = self.worker.live.sessions();
                sessions.note_birth(hash, self.begun);
            }
        }
    }

    fn hash(&self, cookie: &SetCookie) -> SessionHash {
        let name = &self.tenant.config.sources.session_cookies[cookie.cookie];
        sessions::hash(self.tenant.id(), name, &cookie.value)
    }

    /// The sessions that the request brought to a login: some apps give an anonymous
    /// visitor one and only write the user into it, or write another user over the one
    /// that was there, whether or not they set a cookie again or another one.
    fn kept(
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

    /// The sessions that the request came with, as the app got them.
    fn brought(&self) -> Result<Vec<Brought>, Refusal> {
        let sources = &self.tenant.config.sources;
        let cookies = credentials(self.sent, sources)?.into_iter();
        let cookies = cookies.filter_map(|credential| match credential {
            Credential::Session { cookie, value } if !sources.is_sealed(cookie) => {
                Some(Brought::of(self.tenant, cookie, &value))
            }
            Credential::Session { .. } | Credential::Token { .. } | Credential::ApiKey { .. } => {
                None
            }
        });
        // Dead ones did not reach the app.
        let dead = |hash: &SessionHash| {
            let mut judged = self.named.iter().zip(self.judged);
            judged.any(|(named, judged)| judged.dead && named.session() == Some(*hash))
        };
        let elsewhere = self.elsewhere.iter().filter(|brought| !dead(&brought.hash));
        let elsewhere = elsewhere.copied();
        Ok(cookies.chain(elsewhere).collect())
    }

    fn learnt(&self, lesson: &Lesson<'_>) -> Learnt {
        let now = (self.worker.clock)();
        Learnt {
            hash: lesson.hash,
            // Whom the name means now: it may be given to another user later on.
            user: self.worker.live.resolve(lesson.user.clone()),
            learnt_at: lesson.learnt_at,
            first_seen: now,
            last_seen: now,
            place: lesson.place.clone(),
            address: Some(self.asked.peer()),
            agent: self.asked.agent(),
            ended: None,
        }
    }

    async fn learn(&self, lesson: Lesson<'_>) -> Result<(), Refusal> {
        let live = &self.worker.live;
        let (hash, learnt_at) = (lesson.hash, lesson.learnt_at);
        let learnt = self.learnt(&lesson);
        let user = learnt.user.clone();
        let dead_before = live.standing(&user).sessions_revoked_at;
        let learning = live.sessions().learn(learnt, lesson.by_login, dead_before);
        let displaced = learning.await.map_err(|error| {
            tracing::error!(tenant = %self.tenant.id(), %error, "a login could not be learnt and is refused");
            Refusal::CannotKnow("the session could not be stored")
        })?;
        self.cut(&displaced);
        live.adopt(&hash, &user);
        // What was opened before is on the table only now: a cut may have passed it by.
        let standing = live.standing(&user);
        let is_out = standing.judge((self.worker.clock)()) != Verdict::Active;
        if is_out || standing.killed_session(learnt_at) {
            live.cut_session(&user, &hash, self.ticket);
        }
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
async fn end_session(
    worker: &WorkerRef,
    tenant: &Tenant,
    sent: &HeaderMap,
    cookies: Vec<u8>,
    token: &GivenToken,
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
