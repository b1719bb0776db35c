//! Doors of apps that may log people in and are no listed logins: each is worth one
//! word in the log.

use moka::sync::Cache;
use portcullis_core::ids::TenantId;
use portcullis_core::limits;

pub struct Doors(Cache<String, ()>);

impl Default for Doors {
    fn default() -> Self {
        let told = Cache::builder()
            .max_capacity(limits::DOORS_TOLD_MAX)
            .time_to_live(limits::DOOR_TOLD)
            .build();
        Self(told)
    }
}

impl Doors {
    /// Whether nobody was told of this path lately.
    pub fn is_news(&self, tenant: &TenantId, path: &str) -> bool {
        self.0
            .entry(format!("{tenant} {path}"))
            .or_insert(())
            .is_fresh()
    }
}
