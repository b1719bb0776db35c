//! What the store remembers of a tenant's configuration, because what it holds was
//! written by it.

use portcullis_core::ids::TenantId;
use rusqlite::{OptionalExtension, params};

use super::SqliteStore;
use crate::control::ledger::AppendError;

impl SqliteStore {
    /// Notes the rule by which the tenant's names are spelt here. `Some`: they are spelt
    /// by that other one, and it stays so; a store that holds none of them takes any.
    pub async fn keep_name_rule(
        &self,
        tenant: &TenantId,
        rule: &'static str,
    ) -> Result<Option<String>, AppendError> {
        let tenant = tenant.clone();
        self.write(move |tx, _| {
            let kept: Option<String> = tx
                .prepare_cached("SELECT names FROM tenants WHERE id = ?")?
                .query_row([tenant.as_str()], |row| row.get(0))
                .optional()?;
            let other = kept.filter(|kept| kept != rule);
            if other.is_some() {
                let any = "SELECT EXISTS (SELECT 1 FROM users WHERE key > ?1 AND key < ?2)
                               OR EXISTS (SELECT 1 FROM sessions WHERE tenant = ?3)
                               OR EXISTS (SELECT 1 FROM tokens WHERE user_tenant = ?3)";
                let name = tenant.as_str();
                let (first, end) = (format!("{name}/"), format!("{name}0"));
                let any: bool = tx
                    .prepare_cached(any)?
                    .query_row([first.as_str(), end.as_str(), name], |row| row.get(0))?;
                if any {
                    return Ok(other);
                }
            }
            let note = "INSERT INTO tenants (id, names) VALUES (?, ?)
                        ON CONFLICT (id) DO UPDATE SET names = excluded.names
                        WHERE names <> excluded.names";
            tx.prepare_cached(note)?
                .execute(params![tenant.as_str(), rule])?;
            Ok(None)
        })
        .await
    }
}
