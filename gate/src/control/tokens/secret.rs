//! The making of a token: its id, its secret, and the hash that is kept of it.

use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use portcullis_core::ledger::Role;
use portcullis_core::time::Timestamp;

use super::{NewToken, TokenAsk, TokenError};
use crate::control::store::TokenRow;

/// So that secret scanners can find a token that was pasted somewhere.
const PREFIX: &str = "portcullis_";

const ID_PREFIX: &str = "tok_";

pub(super) fn make(ask: TokenAsk, now: Timestamp) -> Result<NewToken, TokenError> {
    match (ask.role, &ask.tenant) {
        (Role::GlobalAdmin, Some(_)) => return Err(TokenError::NeedsNoTenant),
        (Role::TenantAdmin | Role::Support, None) => return Err(TokenError::NeedsTenant(ask.role)),
        (Role::GlobalAdmin | Role::Auditor, None)
        | (Role::TenantAdmin | Role::Support | Role::Auditor, Some(_)) => {}
    }
    if let (Some(user), Some(tenant)) = (&ask.user, &ask.tenant)
        && user.tenant() != tenant.as_str()
    {
        return Err(TokenError::UserOfAnother);
    }
    if is_misleading(&ask.name) {
        return Err(TokenError::MisleadingName(ask.name));
    }
    if ask.expires_at.is_some_and(|end| end <= now) {
        return Err(TokenError::ExpiresInThePast);
    }
    let secret = fresh()?;
    let row = TokenRow {
        id: format!("{ID_PREFIX}{}", random::<9>()?),
        hash: hash(&secret),
        role: ask.role,
        tenant: ask.tenant,
        user: ask.user,
        name: ask.name,
        created_at: now,
        expires_at: ask.expires_at,
        revoked_at: None,
        last_used_at: None,
        old: None,
    };
    Ok(NewToken { row, secret })
}

/// Whether a name would look like something else where it stands as the actor: the
/// gate itself, another token's id, or what a reader's screen makes of marks that turn
/// the direction of text.
fn is_misleading(name: &str) -> bool {
    let turns = |c: char| matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let own = ["gate", "command line"];
    own.iter().any(|own| name.trim().eq_ignore_ascii_case(own))
        || name
            .trim_start()
            .to_ascii_lowercase()
            .starts_with(ID_PREFIX)
        || name.chars().any(|c| c.is_control() || turns(c))
}

/// A secret that nobody has seen.
pub(super) fn fresh() -> Result<String, TokenError> {
    Ok(format!("{PREFIX}{}", random::<32>()?))
}

fn random<const N: usize>() -> Result<String, TokenError> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| TokenError::Randomness)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

pub(super) fn hash(secret: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    hash
}
