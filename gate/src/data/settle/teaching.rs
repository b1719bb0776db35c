//! Apps that name the user of a request in their answer.

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_core::decide::{Carrier, Identity, Question, decide};
use portcullis_core::identify::SetCookie;
use portcullis_core::ids::Revision;
use portcullis_core::refusal::Refusal;

use super::super::identify::Brought;
use super::Scene;

impl Scene<'_> {
    /// The app names the user of this request in a header of its answer, which is
    /// for the gate alone. From now on the sessions of the request are that user's,
    /// and the answer is judged as the request would have been.
    pub(super) async fn be_taught(
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
            deed: self.deed,
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
}
