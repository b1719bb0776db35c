//! API keys that were given to users by the admin API, by the hash of each; those of
//! the configuration stand there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use portcullis_core::ids::{ApiKeyHash, TenantId, UserKey};

#[derive(Default)]
pub(super) struct ApiKeys {
    users: RwLock<HashMap<(TenantId, ApiKeyHash), UserKey>>,
    /// Mostly none, and then nobody need look.
    count: AtomicUsize,
}

impl ApiKeys {
    pub(super) fn find(&self, tenant: &TenantId, key: ApiKeyHash) -> Option<UserKey> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.get(&(tenant.clone(), key)).cloned()
    }

    /// A key that was taken away goes on meaning its user until it means another: the
    /// app may still take it.
    pub(super) fn point(&self, tenant: &TenantId, key: ApiKeyHash, user: UserKey) {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        users.insert((tenant.clone(), key), user);
        self.count.store(users.len(), Ordering::Release);
    }

    /// Lets the keys of `before` mean `after`; how many there are. Looks at all keys:
    /// a deletion is rare.
    pub(super) fn hand_over(&self, before: &UserKey, after: &UserKey) -> u64 {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        for user in users.values_mut().filter(|user| *user == before) {
            *user = after.clone();
            count += 1;
        }
        count
    }
}
