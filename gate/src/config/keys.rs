//! The keys that judge tokens: one key or secret that the operator gives, or a set
//! that an identity provider publishes and changes.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

use super::endpoint::{self, Endpoint};
use super::fault::Noted;
use super::key_set::KeySet;
use super::section::Section;
use super::{credentials, scalar};

/// Where the keys of one `[[tenants.jwts]]` come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Given with the configuration. Its `Debug` hides the key.
    Fixed(DecodingKey),
    /// A JWK set in a file, read again when it changes.
    File { path: PathBuf, first: KeySet },
    /// A JWK set behind a URL.
    Url(KeyUrl),
}

#[derive(Clone, Debug)]
pub struct KeyUrl {
    pub endpoint: Endpoint,
    /// Between two fetches that nobody asked for.
    pub refresh: Duration,
    /// Between two fetches for keys that the set does not have.
    pub cooldown: Duration,
    /// How long a request waits for a fetch.
    pub wait: Duration,
}

const REFRESH: Duration = Duration::from_secs(15 * 60);
const COOLDOWN: Duration = Duration::from_secs(30);
const WAIT: Duration = Duration::from_secs(2);
/// A request that waits longer than this is better refused.
const WAIT_MAX: Duration = Duration::from_secs(30);

pub(super) fn read_keys(
    section: &Section<'_>,
    algorithms: Result<Vec<Algorithm>, Noted>,
) -> Result<(Vec<Algorithm>, KeySource), Noted> {
    let secret = credentials::read_secret(section);
    let url = read_url(section);
    let file = section.optional("jwks_file", |value| {
        Ok(section.resolve(scalar::text(value)?))
    });
    let (algorithms, secret, url, file) = (algorithms?, secret?, url?, file?);
    check_families(section, &algorithms, url.is_some() || file.is_some())?;
    let source = match (secret, url, file) {
        (Some((key, secret)), None, None) => {
            let decoding = credentials::decoding_key(&algorithms, &secret);
            KeySource::Fixed(decoding.map_err(|text| section.note(key, text))?)
        }
        (None, Some(url), None) => KeySource::Url(url),
        (None, None, Some(path)) => read_file(section, path, &algorithms)?,
        (None, None, None) => {
            return Err(section.note(
                "key_file",
                "is missing; add key_file = \"PATH\", key_env = \"VARIABLE\", jwks_url = \"URL\" or jwks_file = \"PATH\"",
            ));
        }
        (Some((key, _)), _, _) => {
            return Err(section.note(key, "stands beside a JWK set; keep one of them"));
        }
        (None, Some(_), Some(_)) => {
            return Err(section.note("jwks_file", "stands beside jwks_url; keep one of them"));
        }
    };
    Ok((algorithms, source))
}

fn check_families(
    section: &Section<'_>,
    algorithms: &[Algorithm],
    from_set: bool,
) -> Result<(), Noted> {
    let hmac = |algorithm: &Algorithm| algorithm.family() == AlgorithmFamily::Hmac;
    if from_set {
        return if algorithms.iter().any(hmac) {
            Err(section.note(
                "algorithms",
                "has HS*, which share a secret, and a JWK set holds public keys; name the provider's algorithms, or give the secret by key_file",
            ))
        } else {
            Ok(())
        };
    }
    let first = algorithms.first().map(|algorithm| algorithm.family());
    if algorithms.iter().any(|other| Some(other.family()) != first) {
        // A public key taken for an HMAC secret would let anyone sign (RFC 8725 §2.1).
        return Err(section.note(
            "algorithms",
            "mixes families (HS*, RS* and PS*, ES*, EdDSA), but one key is of one family; write a [[tenants.jwts]] for each",
        ));
    }
    Ok(())
}

fn read_url(section: &Section<'_>) -> Result<Option<KeyUrl>, Noted> {
    let second = Duration::from_secs(1);
    let endpoint = endpoint::read(section, "jwks_url", "jwks_ca_file");
    let mut given = None;
    let mut duration = |key: &'static str| {
        let read = section.optional(key, |value| scalar::duration(value, second));
        if matches!(read, Ok(Some(_))) {
            given = Some(key);
        }
        read
    };
    let (refresh, cooldown) = (duration("jwks_refresh"), duration("jwks_cooldown"));
    let wait = duration("jwks_wait");
    let (refresh, cooldown, wait) = (refresh?, cooldown?, wait?);
    if wait.is_some_and(|wait| wait > WAIT_MAX) {
        return Err(section.note("jwks_wait", "must be at most 30s"));
    }
    match (endpoint?, given) {
        (Some(endpoint), _) => Ok(Some(KeyUrl {
            endpoint,
            refresh: refresh.unwrap_or(REFRESH),
            cooldown: cooldown.unwrap_or(COOLDOWN),
            wait: wait.unwrap_or(WAIT),
        })),
        (None, Some(key)) => Err(section.note(
            key,
            "has no meaning without jwks_url; remove it, or add jwks_url",
        )),
        (None, None) => Ok(None),
    }
}

fn read_file(
    section: &Section<'_>,
    path: PathBuf,
    algorithms: &[Algorithm],
) -> Result<KeySource, Noted> {
    let bytes = std::fs::read(&path).map_err(|error| {
        let text = format!(
            "cannot read {}: {error}; create the file or correct the path",
            path.display()
        );
        section.note("jwks_file", text)
    })?;
    match KeySet::parse(&bytes, algorithms) {
        Ok(first) => Ok(KeySource::File { path, first }),
        Err(fault) => Err(section.note("jwks_file", format!("{} {fault}", path.display()))),
    }
}
