//! Sessions as they are learnt: whose, since when, in which cookie.

use portcullis_core::identify::SetCookie;
use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::refusal::Refusal;
use portcullis_core::standing::Verdict;

use super::super::WorkerRef;
use super::Scene;
use crate::live::sessions::{self, End, LearnError, Learnt, Place, SessionHash};
use crate::live::tenants::Tenant;

/// A session to be learnt, and for whom.
pub(super) struct Lesson<'a> {
    pub user: &'a UserKey,
    pub learnt_at: Revision,
    pub hash: SessionHash,
    pub place: Place,
    pub by_login: bool,
}

impl Scene<'_> {
    pub(super) fn lesson<'a>(
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

    pub(super) fn place_of(&self, cookie: usize) -> Place {
        Place {
            name: self.tenant.config.sources.session_cookies[cookie].clone(),
            ..Place::default()
        }
    }

    pub(super) fn place(&self, cookie: &SetCookie) -> Place {
        Place {
            path: cookie.path.clone(),
            domain: cookie.domain.clone(),
            ..self.place_of(cookie.cookie)
        }
    }

    pub(super) fn hash(&self, cookie: &SetCookie) -> SessionHash {
        let name = &self.tenant.config.sources.session_cookies[cookie.cookie];
        sessions::hash(self.tenant.id(), name, &cookie.value)
    }

    pub(super) fn learnt(&self, lesson: &Lesson<'_>) -> Learnt {
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

    pub(super) async fn learn(&self, lesson: Lesson<'_>) -> Result<(), Refusal> {
        let live = &self.worker.live;
        let (hash, learnt_at) = (lesson.hash, lesson.learnt_at);
        let learnt = self.learnt(&lesson);
        let user = learnt.user.clone();
        let dead_before = live.standing(&user).sessions_revoked_at;
        let sessions = live.sessions();
        let learning = if self.beside {
            sessions.learn_beside(learnt, dead_before).await
        } else {
            let by_login = lesson.by_login;
            sessions.learn(learnt, by_login, dead_before).await
        };
        let displaced = learning.map_err(|error| not_learnt(self.worker, self.tenant, &error))?;
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

    /// Puts the user's name on sessions that nobody may use, whatever the bounds and
    /// the store say.
    pub(super) async fn bury(&self, lessons: Vec<Lesson<'_>>, why: End) {
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
}

/// A session has no room, or the store fails. Logged once a minute: whoever tries
/// on fills no log.
pub(in super::super) fn not_learnt(
    worker: &WorkerRef,
    tenant: &Tenant,
    error: &LearnError,
) -> Refusal {
    let whose = match error {
        LearnError::Full(_) => "all",
        LearnError::Store(_) => "the store",
        LearnError::Share { user, .. } => user,
    };
    let line = format!("{} sessions of {whose}", tenant.id());
    if let Some(kept_back) = worker.live.repeats().due(line) {
        tracing::error!(tenant = %tenant.id(), %error, kept_back, "a session could not be learnt; its answer is refused");
    }
    Refusal::CannotKnow("the session could not be stored")
}
