//! Sessions that end by the app's answer, and what is open in them.

use std::sync::Arc;

use super::super::identify::Proof;
use super::Scene;
use crate::live::sessions::{End, Session};

impl Scene<'_> {
    /// Ends the sessions that came by the cookies in question, if there are any, and
    /// returns them. The user wants them gone, so a store that fails is no reason to
    /// say that they are not.
    pub(super) async fn end(&self, is_over: impl Fn(Option<usize>) -> bool) -> Vec<Arc<Session>> {
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
    pub(super) fn cut(&self, sessions: &[Arc<Session>]) {
        let live = &self.worker.live;
        for session in sessions {
            for name in [session.user.clone(), live.resolve(session.user.clone())] {
                live.cut_session(&name, &session.hash, self.ticket);
            }
        }
    }
}
