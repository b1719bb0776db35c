//! How a tenant's requests say who they are from: session cookies, tokens, API
//! keys, and the keys and secrets that judge them.
//!
//! A credential that the gate cannot verify names nobody, so a key that could
//! never verify anything is a way around the gate: such keys are refused here.

use std::collections::HashMap;
use std::time::Duration;

use http::HeaderName;
use http::header::AUTHORIZATION;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use portcullis_core::forward;
use portcullis_core::identify::TokenPlace;
use portcullis_core::ids::{ApiKeyHash, UserId};
use portcullis_core::limits;
use portcullis_core::names::NameRule;
use toml::de::DeValue;

use super::fault::Noted;
use super::section::Section;
use super::{ApiKeyConfig, JwtConfig, SessionCookieConfig, SessionTokenConfig, keys, scalar};
use crate::secret::Secret;

/// More slack than this keeps expired tokens alive for too long.
const LEEWAY_MAX: Duration = Duration::from_secs(10 * 60);

const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

pub(super) fn read_session_cookies(
    tenant: &Section<'_>,
) -> Result<Vec<(String, SessionCookieConfig)>, Noted> {
    let mut cookies: Vec<(String, SessionCookieConfig)> = Vec::new();
    let mut outcome = Ok(());
    for section in tenant.sections("session_cookies")? {
        match read_session_cookie(&section) {
            Ok((name, _)) if cookies.iter().any(|(other, _)| *other == name) => {
                outcome = Err(section.note("name", format!("{name} is listed twice; remove one")));
            }
            Ok(cookie) => cookies.push(cookie),
            Err(noted) => outcome = Err(noted),
        }
    }
    outcome.map(|()| cookies)
}

fn read_session_cookie(section: &Section<'_>) -> Result<(String, SessionCookieConfig), Noted> {
    let name = section.required("name", "name = \"sessionid\"", scalar::cookie_name);
    let kept = section.optional("kept", read_kept);
    let sealed = section.optional("sealed", scalar::flag);
    section.refuse_unknown();
    let config = SessionCookieConfig {
        kept: kept?.unwrap_or(limits::SESSION_KEPT),
        sealed: sealed?.unwrap_or(false),
    };
    Ok((name?, config))
}

/// Tokens that are no JWT and that nobody can be asked about: the logins that give
/// them out say whose they are.
pub(super) fn read_session_tokens(
    tenant: &Section<'_>,
) -> Result<Vec<(TokenPlace, SessionTokenConfig)>, Noted> {
    let sections = tenant.sections("session_tokens")?;
    let read: Vec<_> = sections.iter().map(read_session_token).collect();
    read.into_iter().collect()
}

fn read_session_token(section: &Section<'_>) -> Result<(TokenPlace, SessionTokenConfig), Noted> {
    let place = read_place_but_cookie(section);
    let kept = section.optional("kept", read_kept);
    section.refuse_unknown();
    let config = SessionTokenConfig {
        place: 0,
        kept: kept?.unwrap_or(limits::SESSION_KEPT),
    };
    Ok((place?, config))
}

fn read_kept(value: &DeValue<'_>) -> Result<Duration, String> {
    const KEPT_MIN: Duration = Duration::from_secs(60);
    scalar::duration_within(value, KEPT_MIN, limits::SESSION_KEPT)
}

pub(super) fn read_jwts(tenant: &Section<'_>) -> Result<Vec<(TokenPlace, JwtConfig)>, Noted> {
    let sections = tenant.sections("jwts")?;
    let read: Vec<_> = sections.iter().map(read_jwt).collect();
    read.into_iter().collect()
}

fn read_jwt(section: &Section<'_>) -> Result<(TokenPlace, JwtConfig), Noted> {
    let place = read_place(section);
    let keys = keys::read_keys(section, read_algorithms(section));
    let user_claim = section.optional("user_claim", scalar::text);
    let issuer = section.optional("issuer", scalar::text);
    let audience = section.optional("audience", scalar::text);
    let leeway = section.optional("leeway", |value| {
        let leeway = scalar::duration(value, Duration::ZERO)?;
        if leeway <= LEEWAY_MAX {
            Ok(leeway)
        } else {
            Err("must be at most 10m".to_owned())
        }
    });
    section.refuse_unknown();
    let (algorithms, keys) = keys?;
    let config = JwtConfig {
        place: 0,
        algorithms,
        keys,
        user_claim: user_claim?.unwrap_or("sub").to_owned(),
        issuer: issuer?.map(str::to_owned),
        audience: audience?.map(str::to_owned),
        leeway: leeway?.unwrap_or(Duration::from_secs(30)),
    };
    Ok((place?, config))
}

/// Where tokens stand: `from`, and what belongs to it.
pub(super) fn read_place(section: &Section<'_>) -> Result<TokenPlace, Noted> {
    const FROM: [(&str, &str); 4] = [
        ("bearer", "bearer"),
        ("cookie", "cookie"),
        ("header", "header"),
        ("query", "query"),
    ];
    let from = section.required(
        "from",
        "from = \"bearer\", \"cookie\", \"header\" or \"query\"",
        |value| scalar::word(value, &FROM),
    );
    let cookie = section.optional("cookie", scalar::cookie_name);
    place_of(section, from, cookie)
}

/// The same without cookies, which are sessions of their own.
fn read_place_but_cookie(section: &Section<'_>) -> Result<TokenPlace, Noted> {
    const FROM: [(&str, &str); 3] = [
        ("bearer", "bearer"),
        ("header", "header"),
        ("query", "query"),
    ];
    let from = section.required(
        "from",
        "from = \"bearer\", \"header\" or \"query\"; for a cookie, write [[tenants.session_cookies]]",
        |value| scalar::word(value, &FROM),
    );
    place_of(section, from, Ok(None))
}

fn place_of(
    section: &Section<'_>,
    from: Result<&str, Noted>,
    cookie: Result<Option<String>, Noted>,
) -> Result<TokenPlace, Noted> {
    let header = section.optional("header", read_token_header);
    let scheme = section.optional("scheme", read_scheme);
    let parameter = section.optional("parameter", scalar::text);
    let (from, cookie, header) = (from?, cookie?, header?);
    let (scheme, parameter) = (scheme?, parameter?);
    let given = [
        ("cookie", cookie.is_some(), "cookie"),
        ("header", header.is_some(), "header"),
        ("scheme", scheme.is_some(), "header"),
        ("parameter", parameter.is_some(), "query"),
    ];
    for (key, is_given, belongs_to) in given {
        if is_given && from != belongs_to {
            let text = format!(
                "has no meaning where from is \"{from}\"; remove it, or write from = \"{belongs_to}\""
            );
            return Err(section.note(key, text));
        }
    }
    let missing = |key: &'static str, example: &str| {
        section.note(
            key,
            format!("is missing, as from is \"{from}\"; add {example}"),
        )
    };
    match from {
        "cookie" => match cookie {
            Some(name) => Ok(TokenPlace::Cookie(name)),
            None => Err(missing("cookie", "cookie = \"NAME\"")),
        },
        "header" => match (header, scheme) {
            (Some(name), None) if name == AUTHORIZATION => Err(missing(
                "scheme",
                "scheme = \"JWT\", or write from = \"bearer\"",
            )),
            (Some(name), scheme) => Ok(TokenPlace::Header { name, scheme }),
            (None, _) => Err(missing("header", "header = \"X-Auth-Token\"")),
        },
        "query" => match parameter {
            Some(name) => Ok(TokenPlace::Query(name.to_owned())),
            None => Err(missing("parameter", "parameter = \"access_token\"")),
        },
        _ => Ok(TokenPlace::Bearer),
    }
}

/// `Authorization`, or a header of the app's own.
fn read_token_header(value: &DeValue<'_>) -> Result<HeaderName, String> {
    let name = scalar::header(value)?;
    if name == AUTHORIZATION {
        return Ok(name);
    }
    check_own(&name).map(|()| name)
}

/// Refuses headers that never reach an app as the client sent them.
fn check_own(name: &HeaderName) -> Result<(), String> {
    if forward::is_managed(name.as_str()) || forward::is_reserved(name.as_str()) {
        return Err(format!(
            "\"{name}\" is dropped or written anew on the way to the app, as headers of proxies and of the protocol are; use another name"
        ));
    }
    Ok(())
}

/// The name of an authentication scheme (a token, RFC 9110 §11.1).
fn read_scheme(value: &DeValue<'_>) -> Result<String, String> {
    let text = scalar::text(value)?;
    let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !fits || text.starts_with('-') {
        return Err(format!(
            "{text:?} is not a scheme; write the word before the token, such as \"JWT\" or \"Token\""
        ));
    }
    match text.to_ascii_lowercase().as_str() {
        "bearer" => Err("is what from = \"bearer\" means; write that".to_owned()),
        "basic" => Err("holds passwords and no tokens; write [tenants.basic]".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

fn read_algorithms(section: &Section<'_>) -> Result<Vec<Algorithm>, Noted> {
    let algorithms = section.list("algorithms", |value| scalar::word(value, &ALGORITHMS))?;
    if algorithms.is_empty() {
        return Err(section.note(
            "algorithms",
            "is missing; add algorithms = [\"HS256\"] (or RS256, ES256, EdDSA …)",
        ));
    }
    Ok(algorithms)
}

/// The bytes of `key_file` or `key_env`, and which of the two it was.
pub(super) fn read_secret(section: &Section<'_>) -> Result<Option<(&'static str, Secret)>, Noted> {
    read_one_of(section, "key_file", "key_env")
}

/// The bytes of a file or of a variable of the environment, and which key it was.
pub(super) fn read_one_of(
    section: &Section<'_>,
    file: &'static str,
    variable: &'static str,
) -> Result<Option<(&'static str, Secret)>, Noted> {
    let from_file = section.optional(file, |value| {
        let path = section.resolve(scalar::text(value)?);
        std::fs::read(&path).map_err(|error| {
            format!(
                "cannot read {}: {error}; create the file or correct the path",
                path.display()
            )
        })
    });
    let from_environment = section.optional(variable, |value| {
        let name = scalar::text(value)?;
        match section.variable(name) {
            Some(value) if !value.is_empty() => Ok(value.into_encoded_bytes()),
            Some(_) | None => Err(format!(
                "the variable {name} is not set; set it, or use {file}"
            )),
        }
    });
    match (from_file?, from_environment?) {
        (Some(bytes), None) => Ok(Some((file, without_line_break(bytes)))),
        (None, Some(bytes)) => Ok(Some((variable, Secret::new(bytes)))),
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(section.note(variable, format!("stands beside {file}; keep one of them")))
        }
    }
}

/// Editors and `echo` end a text with a line break that is no part of the
/// secret. Random bytes are left alone.
fn without_line_break(mut bytes: Vec<u8>) -> Secret {
    if std::str::from_utf8(&bytes).is_ok() && bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Secret::new(bytes)
}

pub(super) fn decoding_key(
    algorithms: &[Algorithm],
    secret: &Secret,
) -> Result<DecodingKey, String> {
    let bytes = secret.expose_bytes();
    let Some(family) = algorithms.first().map(|algorithm| algorithm.family()) else {
        return Err("has no algorithm".to_owned());
    };
    let is_pem = bytes.trim_ascii_start().starts_with(b"-----BEGIN");
    if family == AlgorithmFamily::Hmac {
        let least = algorithms
            .iter()
            .copied()
            .map(hmac_bytes_min)
            .max()
            .unwrap_or_default();
        if is_pem {
            return Err("holds a PEM key, but HS* algorithms share a secret; name the algorithm of the key, such as \"RS256\"".to_owned());
        }
        if secret.len() < least {
            return Err(format!(
                "holds a weak secret of {} bytes; use at least {least} random bytes (openssl rand -hex {least})",
                secret.len()
            ));
        }
        return Ok(DecodingKey::from_secret(bytes));
    }
    if !is_pem {
        return Err(
            "does not hold a public key in PEM form; it begins with -----BEGIN PUBLIC KEY-----"
                .to_owned(),
        );
    }
    if bytes.windows(12).any(|window| window == b"PRIVATE KEY-") {
        return Err("holds a private key, which the gate must not have; give it the public half (openssl pkey -pubout)".to_owned());
    }
    let (key, expected) = match family {
        AlgorithmFamily::Rsa => (DecodingKey::from_rsa_pem(bytes), "an RSA public key"),
        AlgorithmFamily::Ec => (
            DecodingKey::from_ec_pem(bytes),
            "a public key on an elliptic curve",
        ),
        AlgorithmFamily::Ed => (DecodingKey::from_ed_pem(bytes), "an Ed25519 public key"),
        AlgorithmFamily::Hmac => return Err("is no public key".to_owned()),
    };
    let key = key.map_err(|_| format!("does not hold {expected}, which the algorithms ask for; give the key that the app's tokens are signed for"))?;
    check_key_fits(&key, algorithms)?;
    Ok(key)
}

/// RFC 7518 §3.2: a secret at least as long as the hash.
fn hmac_bytes_min(algorithm: Algorithm) -> usize {
    if algorithm == Algorithm::HS512 {
        64
    } else if algorithm == Algorithm::HS384 {
        48
    } else {
        32
    }
}

/// Refuses keys that parse but would verify nothing.
fn check_key_fits(key: &DecodingKey, algorithms: &[Algorithm]) -> Result<(), String> {
    /// A modulus of 2048 bits in bytes: shorter keys are refused when verifying.
    const RSA_BYTES_MIN: usize = 256;
    /// An uncompressed point (SEC 1 §2.3.3).
    const P256_BYTES: usize = 65;
    const P384_BYTES: usize = 97;
    let bytes = key.try_get_as_bytes().map_err(|error| error.to_string())?;
    for algorithm in algorithms {
        let fits = match (algorithm.family(), *algorithm) {
            (AlgorithmFamily::Rsa, _) => bytes.len() > RSA_BYTES_MIN,
            (AlgorithmFamily::Ec, Algorithm::ES256) => bytes.len() == P256_BYTES,
            (AlgorithmFamily::Ec, _) => bytes.len() == P384_BYTES,
            (AlgorithmFamily::Hmac | AlgorithmFamily::Ed, _) => true,
        };
        if !fits {
            return Err(format!(
                "holds a key that {algorithm:?} cannot use; it takes {}",
                match algorithm.family() {
                    AlgorithmFamily::Rsa => "RSA of 2048 bits or more",
                    AlgorithmFamily::Ec if *algorithm == Algorithm::ES256 => "a key on P-256",
                    AlgorithmFamily::Ec => "a key on P-384",
                    AlgorithmFamily::Hmac | AlgorithmFamily::Ed => "another key",
                }
            ));
        }
    }
    Ok(())
}

pub(super) fn read_api_keys(
    tenant: &Section<'_>,
    rule: NameRule,
) -> Result<Vec<ApiKeyConfig>, Noted> {
    let mut sources: Vec<ApiKeyConfig> = Vec::new();
    let mut outcome = Ok(());
    for section in tenant.sections("api_keys")? {
        match read_api_key_source(&section, rule) {
            Ok(source) if sources.iter().any(|other| other.header == source.header) => {
                let text = "is listed twice; put its keys into one [[tenants.api_keys]]";
                outcome = Err(section.note("header", text));
            }
            Ok(source) => sources.push(source),
            Err(noted) => outcome = Err(noted),
        }
    }
    outcome.map(|()| sources)
}

fn read_api_key_source(section: &Section<'_>, rule: NameRule) -> Result<ApiKeyConfig, Noted> {
    let header = section.required("header", "header = \"X-API-Key\"", read_header);
    let mut users = HashMap::new();
    let mut outcome = Ok(());
    for entry in section.sections("keys")? {
        let hash = entry.required("hash", "hash = \"sha256:HEX\"", read_hash);
        let user = entry.required("user", "user = \"bob\"", |value| {
            let text = scalar::text(value)?;
            UserId::canonical(text, rule).map_err(|error| error.to_string())
        });
        entry.refuse_unknown();
        match (hash, user) {
            (Ok(hash), Ok(user)) => {
                if users.insert(hash, user).is_some() {
                    outcome = Err(entry.note("hash", "is listed twice; a key belongs to one user"));
                }
            }
            (Err(noted), _) | (_, Err(noted)) => outcome = Err(noted),
        }
    }
    section.refuse_unknown();
    outcome?;
    let header = header?;
    Ok(ApiKeyConfig { header, users })
}

fn read_header(value: &DeValue<'_>) -> Result<HeaderName, String> {
    let name = scalar::header(value)?;
    check_own(&name).map(|()| name)
}

fn read_hash(value: &DeValue<'_>) -> Result<ApiKeyHash, String> {
    let bad = |_| {
        "must be \"sha256:\" and 64 hexadecimal digits; make it with: printf %s KEY | sha256sum"
            .to_owned()
    };
    ApiKeyHash::parse(scalar::text(value)?).map_err(bad)
}
