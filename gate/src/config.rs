//! Configuration: a TOML file, read once into types that cannot be wrong.
//!
//! Nothing past this room parses a host, a path, a duration or a key again. All
//! that is wrong with a file is reported at once, a line each, with the place,
//! the key, what is wrong and the mend. Every key is described in
//! `docs/configuration.md`; a test holds the two together.

mod credentials;
mod endpoint;
mod fault;
mod holds;
mod introspection;
mod key_set;
mod keys;
mod login;
mod peers;
mod scalar;
mod section;
mod server;
mod tenant;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, Method};
use jsonwebtoken::Algorithm;
use portcullis_core::host::HostName;
use portcullis_core::identify::Sources;
use portcullis_core::ids::{ApiKeyHash, TenantId, UserId};
use portcullis_core::lift::LiftRules;
use portcullis_core::login::LoginRoute;
use portcullis_core::names::NameRule;

pub use endpoint::Endpoint;
pub use fault::{ConfigError, Fault};
pub use introspection::IntrospectionConfig;
pub use key_set::{KeySet, KeySetFault, SetKey};
pub use keys::{KeySource, KeyUrl};
pub use peers::{BasicConfig, TrustedHeaderConfig};

/// A whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    pub data: DataConfig,
    pub admin: AdminConfig,
    /// Where the ledger and what is derived from it are kept.
    pub store_folder: PathBuf,
    pub sessions: SessionBounds,
    pub log: LogConfig,
    /// At least one; ids and hosts are unique.
    pub tenants: Vec<TenantConfig>,
    /// What is allowed, and seldom what was meant.
    pub doubts: Vec<Fault>,
}

/// The data listener.
#[derive(Clone, Debug)]
pub struct DataConfig {
    pub listen: SocketAddr,
    /// Threads that serve requests, 1 to 64.
    pub workers: usize,
    pub deadlines: Deadlines,
}

/// How long the gate waits for peers. Each is described at its default, in
/// [`portcullis_core::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    pub first_bytes: Duration,
    pub request_head: Duration,
    pub request_body_idle: Duration,
    pub upstream_connect: Duration,
    pub upstream_head: Duration,
    pub response_body_idle: Duration,
    pub http2_idle: Duration,
    pub upgraded_idle: Duration,
    pub drain: Duration,
}

/// The admin listener.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    pub listen: SocketAddr,
    /// Whether the Circularo calls take `?token=`.
    pub query_token: bool,
}

/// How many learnt sessions the gate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionBounds {
    /// Of all users together, ended ones included; at the bound, logins are refused.
    pub all: usize,
    /// Alive ones of one user; with one more, the least recently used ends.
    pub per_user: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    pub level: tracing::Level,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// One tenant: where it lives, how its users are told apart, what they are told.
#[derive(Clone, Debug)]
pub struct TenantConfig {
    pub id: TenantId,
    /// At least one.
    pub hosts: Vec<HostName>,
    pub upstream: Upstream,
    pub names: NameRule,
    /// Who may lift which hold.
    pub holds: LiftRules,
    /// Where pages of ended sessions are sent: a path on the tenant's own host.
    pub login_page: PathAndQuery,
    pub policy: PolicyConfig,
    /// Where credentials stand. `sources.tokens[i]` is judged by the `jwts` and
    /// `introspections` whose `place` is `i`, `sources.api_key_headers[i]` by
    /// `api_keys[i]`, and `sources.trusted_headers[i]` is `trusted_headers[i]`.
    pub sources: Sources,
    /// `session_cookies[i]` is about the cookie `sources.session_cookies[i]`.
    pub session_cookies: Vec<SessionCookieConfig>,
    pub session_tokens: Vec<SessionTokenConfig>,
    pub unknown_sessions: UnknownSessions,
    /// Response header by which the app says whose the session is.
    pub taught_by: Option<HeaderName>,
    pub jwts: Vec<JwtConfig>,
    pub introspections: Vec<IntrospectionConfig>,
    pub api_keys: Vec<ApiKeyConfig>,
    pub trusted_headers: Vec<TrustedHeaderConfig>,
    pub basic: Option<BasicConfig>,
    pub logins: Vec<LoginRoute>,
    /// How the gate ends a session that it withheld from a suspended user.
    pub logout: Option<LogoutConfig>,
}

/// What an app speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1 (`http://`).
    Http1,
    /// HTTP/2 with prior knowledge (`h2c://`).
    Http2,
}

/// The app behind the gate, without TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    protocol: UpstreamProtocol,
    authority: Authority,
}

impl Upstream {
    pub const fn protocol(&self) -> UpstreamProtocol {
        self.protocol
    }

    /// Host and, where one was given, port.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    pub fn host(&self) -> &str {
        self.authority.host()
    }

    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(80)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyConfig {
    pub source: PolicySource,
    /// What changes in the folder is put in force while the gate runs.
    pub watch: bool,
    pub on_failure: OnFailure,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// A folder with a `policy.toml`.
    Folder(PathBuf),
    Builtin(BuiltinPolicy),
}

/// A policy that the gate brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltinPolicy {
    Standard,
    Acme,
    Globex,
}

impl BuiltinPolicy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Acme => "acme",
            Self::Globex => "globex",
        }
    }
}

/// What a suspended user is answered when the policy fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The gate's own refusal.
    #[default]
    BuiltinAnswer,
    /// That of the policy before it; the gate's own where there is none, or it fails
    /// too.
    PreviousPolicy,
    /// 503 with `Retry-After`.
    Unavailable,
}

/// What is to be known of one session cookie besides its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCookieConfig {
    /// A session that nobody used for so long is over.
    pub kept: Duration,
    /// The app writes the session into the cookie itself, anew with each answer.
    pub sealed: bool,
}

/// Where tokens stand that only the login which gives them out explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTokenConfig {
    /// Index into `sources.tokens`.
    pub place: usize,
    /// A session that nobody used for so long is over.
    pub kept: Duration,
}

/// What becomes of a session cookie that the gate has never seen a login for: a
/// stranger's, or one that is older than the gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownSessions {
    /// It is forwarded and names nobody, until the user logs in anew.
    #[default]
    Allow,
    /// It is not forwarded except to the login, so that the app asks for one.
    Login,
}

/// How tokens of one place are verified (RFC 7519, RFC 8725).
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// Index into `sources.tokens`.
    pub place: usize,
    /// At least one; all of the key's family where there is one key.
    pub algorithms: Vec<Algorithm>,
    pub keys: KeySource,
    /// The claim that holds the user's id.
    pub user_claim: String,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    /// Slack for clocks that disagree, on `exp` and `nbf`.
    pub leeway: Duration,
}

/// The header of API keys, and those that are configured; users may have others from
/// the admin API.
#[derive(Clone, Debug)]
pub struct ApiKeyConfig {
    pub header: HeaderName,
    /// Whose key it is, by the key's hash. Canonical by the tenant's rule.
    pub users: HashMap<ApiKeyHash, UserId>,
}

/// The hash of an API key as it stands in a request.
pub fn api_key_hash(key: &[u8]) -> ApiKeyHash {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    ApiKeyHash(hash)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutConfig {
    pub method: Method,
    pub path: PathAndQuery,
}

/// Looks a variable of the environment up; an argument so that tests need not
/// touch the real one.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<std::ffi::OsString>;

impl Config {
    /// Reads the file at `path`, and the secrets that it names.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| fault::unreadable(path, &error))?;
        Self::parse(&text, path, &|name| std::env::var_os(name))
    }

    /// Reads `text` as if it stood in `file`: relative paths start there.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(
        text: &str,
        file: &Path,
        environment: Environment<'_>,
    ) -> Result<Self, ConfigError> {
        section::read(text, file, environment, server::read_config)
    }
}
