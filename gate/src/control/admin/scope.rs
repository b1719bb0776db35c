//! Whose users a call is about: the tenant, and the user that a name means.

use portcullis_core::ids::{IdError, TenantId, UserId, UserKey};
use portcullis_core::names::NameRule;
use portcullis_core::user::User;

use super::ask::Ask;
use super::problem::Problem;
use crate::live::Reader;

/// A tenant, as far as a call needs it.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) tenant: TenantId,
    pub(super) names: NameRule,
}

impl Scope {
    /// The user that `name`, an id or an alias, means or meant.
    pub(super) fn key(&self, live: &Reader, name: &str) -> Result<UserKey, IdError> {
        let id = UserId::canonical(name, self.names)?;
        Ok(live.whom(UserKey::new(&self.tenant, &id)))
    }
}

impl Ask {
    /// The tenant of the call: the token's, or the one that is named, or the only one.
    pub(super) fn scope(&self) -> Result<Scope, Problem> {
        if let Some(scope) = self.named_scope()? {
            return Ok(scope);
        }
        let known = self.tenants();
        match known.as_slice() {
            [only] => Ok(only.clone()),
            _ => {
                let ids: Vec<&str> = known.iter().map(|scope| scope.tenant.as_str()).collect();
                Err(
                    Problem::field("tenant", "which tenant is meant is not said").mend(format!(
                        "add ?tenant= or X-Tenant with one of {}",
                        ids.join(", ")
                    )),
                )
            }
        }
    }

    /// As [`Ask::scope`], but `None` where a token for all tenants names none.
    pub(super) fn named_scope(&self) -> Result<Option<Scope>, Problem> {
        let named = self.named_tenant()?;
        let tenant = match (&self.caller.tenant, named) {
            (Some(own), Some(named)) if own.as_str() != named => return Err(no_tenant(&named)),
            (Some(own), _) => own.as_str().to_owned(),
            (None, Some(named)) => named,
            (None, None) => return Ok(None),
        };
        let found = self
            .tenants()
            .into_iter()
            .find(|scope| scope.tenant.as_str() == tenant);
        found.map(Some).ok_or_else(|| no_tenant(&tenant))
    }

    fn named_tenant(&self) -> Result<Option<String>, Problem> {
        let in_query = self.query.find("tenant").map(str::to_owned);
        let mut headers = self.headers.get_all("x-tenant").iter();
        let in_header = headers
            .next()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        match (in_query, in_header) {
            (Some(one), Some(other)) if one != other => Err(Problem::field(
                "tenant",
                "?tenant= and X-Tenant name different tenants",
            )
            .mend("name the tenant once")),
            (Some(named), _) | (None, Some(named)) => Ok(Some(named)),
            (None, None) => Ok(None),
        }
    }

    pub(super) fn tenants(&self) -> Vec<Scope> {
        let tenants = self.api.state.live.tenants();
        let scopes = tenants.all().iter().map(|tenant| Scope {
            tenant: tenant.id().clone(),
            names: tenant.config.names,
        });
        scopes.collect()
    }

    /// The user that the path names, by id or alias.
    pub(super) fn user_key(&self) -> Result<UserKey, Problem> {
        self.resolve(&self.scope()?, "id", &self.id)
    }

    pub(super) fn resolve(
        &self,
        scope: &Scope,
        field: &str,
        name: &str,
    ) -> Result<UserKey, Problem> {
        let key = scope.key(&self.api.state.live, name);
        key.map_err(|error| Problem::field(field, error.to_string()))
    }

    /// The user that the path names, who must be known and not deleted.
    pub(super) async fn user(&self) -> Result<(UserKey, User), Problem> {
        let key = self.user_key()?;
        let wanted = key.clone();
        let user = self.api.read(move |store| store.user(&wanted)).await?;
        let user = user.ok_or_else(|| self.unknown(&key))?;
        if user.deleted_at.is_some() {
            return Err(Problem::deleted());
        }
        Ok((key, user))
    }
}

impl Ask {
    pub(super) fn unknown(&self, key: &UserKey) -> Problem {
        let what = format!(
            "the gate has not heard of the user {:?} of tenant {}",
            key.user(),
            key.tenant()
        );
        Problem::not_found(what)
            .mend("check the id; users whom nobody ever changed are active and unknown here")
    }
}

/// One that is not there and one that is another's look alike.
pub(super) fn no_tenant(id: &str) -> Problem {
    let what = format!("there is no tenant {id:?} that this token acts on");
    Problem::not_found(what).of("tenant")
}
