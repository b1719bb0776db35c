//! Names that point to a user: email, phone, username, employee id.

use portcullis_core::ids::{TenantId, UserId, UserKey};
use portcullis_core::names;

use super::sharded::Sharded;

/// Canonical alias to user, both with their tenant.
#[derive(Default)]
pub(super) struct Aliases(Sharded<UserKey, UserKey>);

impl Aliases {
    pub(super) fn resolve(&self, name: UserKey) -> UserKey {
        let user = self.find(&name).or_else(|| self.dialled(&name));
        user.unwrap_or(name)
    }

    fn find(&self, name: &UserKey) -> Option<UserKey> {
        self.0.read(name).get(name).cloned()
    }

    /// A phone number may begin with `00` instead of `+`; an employee's number may
    /// begin so, too, and is not touched.
    fn dialled(&self, name: &UserKey) -> Option<UserKey> {
        let phone = names::dialled(name.user())?;
        let tenant = TenantId::parse(name.tenant()).ok()?;
        self.find(&UserKey::new(&tenant, &UserId::parse(&phone).ok()?))
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
