//! The tenants as requests meet them: found by host, with their compiled policy
//! and their token keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use portcullis_core::host::HostName;
use portcullis_core::ids::{TenantId, UserId, UserKey};
use portcullis_core::limits;
use portcullis_core::path::CheckedPath;

use super::judges::Judges;
use super::sessions::TOKEN_PLACE;
use crate::config::{TenantConfig, UpstreamProtocol};
use crate::policy::{Decisions, Generations};

/// Where an app is, and what it speaks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct App {
    /// `host:port`.
    pub authority: Arc<str>,
    pub protocol: UpstreamProtocol,
}

pub struct Tenant {
    pub config: TenantConfig,
    pub policies: Generations,
    /// What they decided of late.
    pub decisions: Decisions,
    /// `judges[i]` judge what stands at `config.sources.tokens[i]`.
    pub judges: Vec<Judges>,
    pub upstream: App,
    login_page: Option<CheckedPath>,
    logout: Option<(Method, CheckedPath)>,
}

impl Tenant {
    pub fn new(config: TenantConfig, policies: Generations) -> Self {
        let judges = Judges::of(&config);
        let login_page = CheckedPath::parse(config.login_page.path()).ok();
        let upstream = App {
            authority: format!("{}:{}", config.upstream.host(), config.upstream.port()).into(),
            protocol: config.upstream.protocol(),
        };
        let logout = config.logout.as_ref().and_then(|logout| {
            let path = CheckedPath::parse(logout.path.path()).ok()?;
            Some((logout.method.clone(), path))
        });
        Self {
            config,
            policies,
            decisions: Decisions::among(1),
            judges,
            upstream,
            login_page,
            logout,
        }
    }

    pub fn id(&self) -> &TenantId {
        &self.config.id
    }

    /// The key of the user whom `name` spells, if it is a name at all.
    pub fn user_key(&self, name: &str) -> Option<UserKey> {
        let user = UserId::canonical(name, self.config.names).ok()?;
        Some(UserKey::new(&self.config.id, &user))
    }

    /// Whether logins give out tokens that the gate remembers.
    pub fn learns_tokens(&self) -> bool {
        self.config
            .logins
            .iter()
            .any(|login| login.session_token.is_some())
    }

    /// How long a session in the cookie of that name, or in a token, may rest.
    pub fn session_kept(&self, cookie: &str) -> Duration {
        if cookie == TOKEN_PLACE {
            let kept = self.config.session_tokens.iter().map(|entry| entry.kept);
            return kept.max().unwrap_or(limits::SESSION_KEPT);
        }
        let names = &self.config.sources.session_cookies;
        let index = names.iter().position(|name| name == cookie);
        let config = index.and_then(|index| self.config.session_cookies.get(index));
        config.map_or(limits::SESSION_KEPT, |config| config.kept)
    }

    /// Whether a request asks the app to log its user out.
    pub fn is_logout(&self, method: &Method, path: &CheckedPath) -> bool {
        self.logout
            .as_ref()
            .is_some_and(|(by, page)| (by == method || !method.is_safe()) && page.is_route(path))
    }

    /// Whether `path` is where people log in (the page or a login route).
    pub fn is_login(&self, path: &CheckedPath) -> bool {
        self.login_page
            .as_ref()
            .is_some_and(|page| page.is_route(path))
            || self
                .config
                .logins
                .iter()
                .any(|login| login.path.is_route(path))
    }
}

/// All tenants of a gate, immutable; a change publishes a new one.
#[derive(Default)]
pub struct Tenants {
    by_host: HashMap<HostName, Arc<Tenant>>,
    all: Vec<Arc<Tenant>>,
}

impl Tenants {
    pub fn new(tenants: Vec<Tenant>) -> Self {
        let count = tenants.len();
        let shared = |tenant| Tenant {
            decisions: Decisions::among(count),
            ..tenant
        };
        let all: Vec<Arc<Tenant>> = tenants.into_iter().map(shared).map(Arc::new).collect();
        let by_host = all
            .iter()
            .flat_map(|tenant| {
                tenant
                    .config
                    .hosts
                    .iter()
                    .map(move |host| (host.clone(), tenant))
            })
            .map(|(host, tenant)| (host, Arc::clone(tenant)))
            .collect();
        Self { by_host, all }
    }

    pub fn of_host(&self, host: &HostName) -> Option<&Arc<Tenant>> {
        self.by_host.get(host)
    }

    pub fn of_id(&self, id: &str) -> Option<&Arc<Tenant>> {
        self.all.iter().find(|tenant| tenant.id().as_str() == id)
    }

    pub fn all(&self) -> &[Arc<Tenant>] {
        &self.all
    }
}
