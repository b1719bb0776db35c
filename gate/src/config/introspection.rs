//! Opaque tokens, which the server that gave them out is asked about (RFC 7662).

use std::time::Duration;

use portcullis_core::identify::TokenPlace;

use super::credentials;
use super::endpoint::{self, Endpoint};
use super::fault::Noted;
use super::scalar;
use super::section::Section;
use crate::secret::Secret;

/// How the opaque tokens of one place are judged.
#[derive(Clone, Debug)]
pub struct IntrospectionConfig {
    /// Index into `sources.tokens`.
    pub place: usize,
    pub endpoint: Endpoint,
    pub client_id: String,
    pub client_secret: Secret,
    /// The member of the answer that holds the user's id.
    pub user_claim: String,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    /// How long an answer is believed; never beyond the token's `exp`.
    pub cache: Duration,
    /// How long a request waits for an answer.
    pub wait: Duration,
}

const CACHE: Duration = Duration::from_secs(60);
/// A token that was revoked at its server is believed for as long as this.
const CACHE_MAX: Duration = Duration::from_secs(3600);
const WAIT: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(30);

pub(super) fn read_introspections(
    tenant: &Section<'_>,
) -> Result<Vec<(TokenPlace, IntrospectionConfig)>, Noted> {
    let sections = tenant.sections("introspection")?;
    let read: Vec<_> = sections.iter().map(read_introspection).collect();
    read.into_iter().collect()
}

fn read_introspection(section: &Section<'_>) -> Result<(TokenPlace, IntrospectionConfig), Noted> {
    let place = credentials::read_place(section);
    let endpoint = endpoint::read(section, "url", "ca_file");
    let client_id = section.required("client_id", "client_id = \"gate\"", scalar::text);
    let secret = credentials::read_one_of(section, "client_secret_file", "client_secret_env");
    let user_claim = section.optional("user_claim", scalar::text);
    let issuer = section.optional("issuer", scalar::text);
    let audience = section.optional("audience", scalar::text);
    let cache = at_most(section, "cache", Duration::ZERO, CACHE_MAX);
    let wait = at_most(section, "wait", Duration::from_millis(10), WAIT_MAX);
    section.refuse_unknown();
    let (endpoint, secret) = (endpoint?, secret?);
    let Some(endpoint) = endpoint else {
        return Err(section.note(
            "url",
            "is missing; add url = \"https://id.example.com/introspect\"",
        ));
    };
    let Some((_, client_secret)) = secret else {
        return Err(section.note(
            "client_secret_file",
            "is missing; add client_secret_file = \"PATH\" or client_secret_env = \"VARIABLE\"",
        ));
    };
    let config = IntrospectionConfig {
        place: 0,
        endpoint,
        client_id: client_id?.to_owned(),
        client_secret,
        user_claim: user_claim?.unwrap_or("sub").to_owned(),
        issuer: issuer?.map(str::to_owned),
        audience: audience?.map(str::to_owned),
        cache: cache?.unwrap_or(CACHE),
        wait: wait?.unwrap_or(WAIT),
    };
    Ok((place?, config))
}

fn at_most(
    section: &Section<'_>,
    key: &'static str,
    least: Duration,
    most: Duration,
) -> Result<Option<Duration>, Noted> {
    section.optional(key, |value| {
        let read = scalar::duration(value, least)?;
        if read <= most {
            Ok(read)
        } else {
            Err(format!(
                "must be at most {}",
                humantime::format_duration(most)
            ))
        }
    })
}
