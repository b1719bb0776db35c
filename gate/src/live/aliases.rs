//! Names that point to a user: email, phone, username, employee id.

use portcullis_core::ids::{TenantId, UserId, UserKey};
use portcullis_core::names;

use super::sharded::Sharded;

/// The phone number with its plus, of a name that could be one with `00` instead.
pub(super) fn dialled(name: &UserKey) -> Option<UserKey> {
    let phone = names::dialled(name.user())?;
    let tenant = TenantId::parse(name.tenant()).ok()?;
    Some(UserKey::new(&tenant, &UserId::parse(&phone).ok()?))
}

/// Canonical alias to user, both with their tenant.
#[derive(Default)]
pub(super) struct Aliases(Sharded<UserKey, UserKey>);

impl Aliases {
    pub(super) fn find(&self, name: &UserKey) -> Option<UserKey> {
        self.0.read(name).get(name).cloned()
    }

    /// Takes the alias away from `user`, whose it is.
    pub(super) fn unpoint(&self, alias: &UserKey, user: &UserKey) {
        let mut shard = self.0.write(alias);
        if shard.get(alias) == Some(user) {
            shard.remove(alias);
        }
    }

    pub(super) fn point(&self, alias: UserKey, user: UserKey) -> Option<UserKey> {
        self.0.write(&alias).insert(alias, user)
    }
}
