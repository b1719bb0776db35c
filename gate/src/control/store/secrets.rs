//! Secrets that the gate makes for itself and must keep across restarts.

use rusqlite::params;

use super::SqliteStore;
use crate::control::ledger::AppendError;

impl SqliteStore {
    /// The secret of that name: the one that is kept, or else `fresh`, kept from now on.
    pub async fn secret(
        &self,
        name: &'static str,
        fresh: [u8; 32],
    ) -> Result<[u8; 32], AppendError> {
        self.write(move |tx, _| {
            tx.prepare_cached("INSERT INTO secrets VALUES (?, ?) ON CONFLICT DO NOTHING")?
                .execute(params![name, fresh])?;
            let kept = tx
                .prepare_cached("SELECT value FROM secrets WHERE name = ?")?
                .query_row([name], |row| row.get(0))?;
            Ok(kept)
        })
        .await
    }
}
