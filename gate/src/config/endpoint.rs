//! Servers of identity providers that the gate itself calls.

use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use toml::de::DeValue;

use super::fault::Noted;
use super::scalar;
use super::section::Section;

/// A URL that is called over TLS, or in the clear on this machine alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    uri: Uri,
    /// Certificates (DER) of the authorities that vouch for it; empty: those of
    /// the system.
    pub authorities: Vec<Vec<u8>>,
}

impl Endpoint {
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    pub fn is_tls(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// Without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        let host = self.uri.host().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    pub fn port(&self) -> u16 {
        let default = if self.is_tls() { 443 } else { 80 };
        self.uri.port_u16().unwrap_or(default)
    }
}

/// The URL at `key`, with the authorities at `ca_key`.
pub(super) fn read(
    section: &Section<'_>,
    key: &'static str,
    ca_key: &'static str,
) -> Result<Option<Endpoint>, Noted> {
    let uri = section.optional(key, read_uri);
    let authorities = section.optional(ca_key, |value| read_authorities(section, value));
    match (uri?, authorities?) {
        (Some(uri), authorities) => Ok(Some(Endpoint {
            uri,
            authorities: authorities.unwrap_or_default(),
        })),
        (None, Some(_)) => Err(section.note(
            ca_key,
            format!("has no meaning without {key}; remove it, or add {key}"),
        )),
        (None, None) => Ok(None),
    }
}

fn read_uri(value: &DeValue<'_>) -> Result<Uri, String> {
    let text = scalar::text(value)?;
    if scalar::has_userinfo(text) {
        return Err(
            "has a user name or a password in it; remove what stands before the '@'".to_owned(),
        );
    }
    let bad =
        |what: &str| format!("{text:?} {what}; write one such as \"https://id.example.com/keys\"");
    let uri: Uri = text.parse().map_err(|_| bad("is not a URL"))?;
    let authority = uri.authority().ok_or_else(|| bad("has no host"))?;
    if authority.host().is_empty() || (uri.port().is_some() && uri.port_u16() == Some(0)) {
        return Err(bad("has no usable host and port"));
    }
    let on_this_machine = |host: &str| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    };
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if on_this_machine(authority.host()) => Ok(uri),
        Some("http") => Err(bad(
            "is not on this machine, and over http:// anyone on the way could answer",
        )),
        Some(_) | None => Err(bad("does not begin with https://")),
    }
}

fn read_authorities(section: &Section<'_>, value: &DeValue<'_>) -> Result<Vec<Vec<u8>>, String> {
    let path = section.resolve(scalar::text(value)?);
    let bytes = std::fs::read(&path).map_err(|error| {
        format!(
            "cannot read {}: {error}; create the file or correct the path",
            path.display()
        )
    })?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(list) if !list.is_empty() => Ok(list.iter().map(|one| one.to_vec()).collect()),
        Ok(_) | Err(_) => Err(format!(
            "{} holds no certificate in PEM form; it begins with -----BEGIN CERTIFICATE-----",
            path.display()
        )),
    }
}
