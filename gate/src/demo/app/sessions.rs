//! Sessions: an opaque random id in a cookie, the user behind it in memory.

use std::fmt;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// The cookie's name.
pub(super) const COOKIE_NAME: &str = "demo_session";
/// Sessions kept at once; beyond it the one that was idle longest ends.
const MAX_SESSIONS: u64 = 10_000;
/// A session that nobody used for so long ends.
const MAX_IDLE: Duration = Duration::from_secs(12 * 60 * 60);
/// Bytes of randomness in ids that must not be guessed.
const SECRET_BYTES: usize = 24;

/// The system gave no random bytes: nothing may be issued then.
#[derive(Debug, thiserror::Error)]
#[error("the system has no randomness to make a session or link from; try again")]
pub(super) struct NoRandomness;

/// A fresh id that nobody can guess, in letters safe for cookies and links.
pub(super) fn mint_secret() -> Result<String, NoRandomness> {
    let mut bytes = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The open sessions.
pub(super) struct Sessions {
    users: Cache<String, &'static str>,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            users: Cache::builder()
                .max_capacity(MAX_SESSIONS)
                // Least recently used, since a new session must always get in.
                .eviction_policy(EvictionPolicy::lru())
                .time_to_idle(MAX_IDLE)
                .build(),
        }
    }

    /// Opens a session and gives the `Set-Cookie` value for it.
    pub(super) fn open(&self, user: &'static str) -> Result<String, NoRandomness> {
        let id = mint_secret()?;
        let cookie = CookieLine(&id).to_string();
        self.users.insert(id, user);
        Ok(cookie)
    }

    /// Whose session the request carries. Of several cookies by our name the
    /// first that is a session counts: browsers send a stale one beside it.
    pub(super) fn user(&self, headers: &HeaderMap) -> Option<&'static str> {
        session_ids(headers).find_map(|id| self.users.get(id))
    }

    /// Ends every session that the request carries, and gives the `Set-Cookie`
    /// value that makes the browser forget it.
    pub(super) fn end(&self, headers: &HeaderMap) -> String {
        for id in session_ids(headers) {
            self.users.invalidate(id);
        }
        format!("{}; Max-Age=0", CookieLine(""))
    }
}

/// A `Set-Cookie` value without a lifetime: it goes when the browser closes.
struct CookieLine<'a>(&'a str);

impl fmt::Display for CookieLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0;
        write!(f, "{COOKIE_NAME}={id}; Path=/; HttpOnly; SameSite=Lax")
    }
}

fn session_ids(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE_NAME)
        .map(|(_, id)| id)
}
