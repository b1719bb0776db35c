//! Names that point to a user: email, phone, username, employee id.

use portcullis_core::ids::UserKey;

use super::sharded::Sharded;

/// Canonical alias to user, both with their tenant.
#[derive(Default)]
pub(super) struct Aliases(Sharded<UserKey, UserKey>);

impl Aliases {
    pub(super) fn resolve(&self, name: UserKey) -> UserKey {
        let user = self.0.read(&name).get(&name).cloned();
        user.unwrap_or(name)
    }

    pub(super) fn point(&self, alias: UserKey, user: Option<UserKey>) {
        let mut shard = self.0.write(&alias);
        match user {
            Some(user) => shard.insert(alias, user),
            None => shard.remove(&alias),
        };
    }
}
