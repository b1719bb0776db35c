//! Keeps learnt sessions in the store, for [`crate::live`] to find after a restart.

use std::pin::Pin;
use std::sync::Arc;

use portcullis_core::ids::{TenantId, UserId, UserKey};

use super::ledger::ReadError;
use super::store::{SessionRow, SqliteStore};
use crate::live::Writer;
use crate::live::sessions::{LearnError, Session, SessionHash, SessionStore};

pub struct KeptSessions(pub Arc<SqliteStore>);

impl SessionStore for KeptSessions {
    fn keep(
        &self,
        hash: SessionHash,
        session: Session,
    ) -> Pin<Box<dyn Future<Output = Result<(), LearnError>> + Send>> {
        let store = Arc::clone(&self.0);
        Box::pin(async move {
            let parsed = TenantId::parse(session.user.tenant())
                .and_then(|tenant| Ok((tenant, UserId::parse(session.user.user())?)));
            let (tenant, user) = parsed.map_err(|error| LearnError::Store(error.to_string()))?;
            let row = SessionRow {
                tenant,
                hash,
                user,
                learnt_at_revision: session.learnt_at,
                learnt_at: session.first_seen,
                expires_at: None,
                path: session.path,
                domain: session.domain,
            };
            store
                .learn_session(row)
                .await
                .map_err(|error| LearnError::Store(error.to_string()))
        })
    }
}

/// Reads the sessions that were learnt before this start.
pub fn load(store: &SqliteStore, live: &Writer) -> Result<(), ReadError> {
    store.load_sessions(|row| {
        let session = Session {
            user: UserKey::new(&row.tenant, &row.user),
            learnt_at: row.learnt_at_revision,
            first_seen: row.learnt_at,
            path: row.path,
            domain: row.domain,
        };
        live.sessions().insert(row.hash, session);
    })
}
