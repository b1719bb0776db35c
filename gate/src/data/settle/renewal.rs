//! What the app sets outside of logins: it belongs to whoever the request is from.

use std::sync::Arc;

use portcullis_core::decide::Identity;
use portcullis_core::identify::SetCookie;
use portcullis_core::ids::Revision;
use portcullis_core::refusal::Refusal;

use super::super::identify::{Named, Proof};
use super::Scene;
use super::sealing::Ties;
use crate::live::sessions::Session;

impl Scene<'_> {
    /// What the app sets outside of a login belongs to whoever the request is from:
    /// to those who came by the same cookie, else to all. To nobody on a request
    /// that names nobody. A new value is as old as what the request came with.
    /// `over`: ended by this very answer.
    pub(super) async fn renew(
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
        let alive: Vec<(&Named, &Identity)> = alive
            .filter(|(named, judged)| !judged.dead && proves(named) && !is_over(named))
            .collect();
        if !set.is_empty() && alive.iter().any(|(named, _)| named.has_ended()) {
            // Ended while the app was answering: its successor would be nobody's.
            return Err(Refusal::SessionEnded);
        }
        for cookie in set {
            let same_name = |(named, _): &&(&Named, &Identity)| matches!(&named.proof, Proof::Session { cookie: Some(brought), .. } if *brought == cookie.cookie);
            let mut owners: Vec<_> = alive.iter().filter(same_name).copied().collect();
            if owners.is_empty() {
                owners.clone_from(&alive);
            }
            if owners.is_empty() {
                continue;
            }
            let seals = owners.iter().filter_map(|(owner, _)| match &owner.proof {
                Proof::Session { seal, .. } => *seal,
                Proof::Token { .. }
                | Proof::ApiKey
                | Proof::TrustedHeader
                | Proof::Basic { .. } => None,
            });
            ties.extend(seals.map(|id| (cookie.cookie, id)));
            let hash = self.tied(cookie, ties)?;
            for (owner, judged) in owners {
                let user = owner.login_name();
                let since = owner.known_since(judged);
                let lesson = self.lesson(user, since, self.place(cookie), hash);
                self.learn(lesson).await?;
            }
        }
        Ok(())
    }

    /// Whether one more session may be given out beside what the request is known by.
    /// To forget an older one would make it nobody's, so the new one stays here.
    pub(super) fn has_room_for(&self, cookie: &SetCookie) -> bool {
        let live = &self.worker.live;
        let sessions = live.sessions();
        let has_room = self.named.iter().all(|named| {
            let user = named.login_name();
            let lesson = self.lesson(user, Revision(0), self.place(cookie), self.hash(cookie));
            let dead_before = live
                .standing(&live.resolve(user.clone()))
                .sessions_revoked_at;
            sessions.is_owned(&lesson.hash, user)
                || sessions.has_room_beside(&self.learnt(&lesson), dead_before)
        });
        let line = || format!("{} sessions beside", self.tenant.id());
        if !has_room && let Some(kept_back) = live.repeats().due(line()) {
            tracing::info!(
                tenant = %self.tenant.id(), peer = %self.asked.peer(), kept_back,
                "the app gives a session to each call of a client that never comes with one; it is left out of the answers"
            );
        }
        has_room
    }
}
