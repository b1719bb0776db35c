//! Names that come without a proof of the gate's own: headers from listed proxies,
//! and HTTP Basic.

use std::net::IpAddr;

use http::HeaderName;
use http::header::HeaderValue;
use ipnet::IpNet;
use portcullis_core::forward;
use portcullis_core::login::Disclose;
use toml::de::DeValue;

use super::fault::Noted;
use super::login::DISCLOSES;
use super::scalar;
use super::section::Section;

/// A header that names the user, and the peers who are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedHeaderConfig {
    pub header: HeaderName,
    /// At least one.
    pub from: Vec<IpNet>,
}

impl TrustedHeaderConfig {
    /// Whether the header is believed from `peer`.
    pub fn lists(&self, peer: IpAddr) -> bool {
        // ::ffff:10.0.0.1 is how a socket for both families writes 10.0.0.1.
        let peer = peer.to_canonical();
        self.from.iter().any(|net| net.contains(&peer))
    }
}

/// HTTP Basic (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicConfig {
    pub disclose: Disclose,
    /// `Basic realm="…"`, as it is sent.
    pub challenge: HeaderValue,
}

pub(super) fn read_trusted_headers(
    tenant: &Section<'_>,
) -> Result<Vec<TrustedHeaderConfig>, Noted> {
    let mut read: Vec<TrustedHeaderConfig> = Vec::new();
    let mut outcome = Ok(());
    for section in tenant.sections("trusted_headers")? {
        match read_trusted_header(&section) {
            Ok(entry) if read.iter().any(|other| other.header == entry.header) => {
                let text = "is listed twice; put its peers into one [[tenants.trusted_headers]]";
                outcome = Err(section.note("header", text));
            }
            Ok(entry) => read.push(entry),
            Err(noted) => outcome = Err(noted),
        }
    }
    outcome.map(|()| read)
}

fn read_trusted_header(section: &Section<'_>) -> Result<TrustedHeaderConfig, Noted> {
    let header = section.required("header", "header = \"X-Auth-User\"", |value| {
        let name = scalar::header(value)?;
        if forward::is_reserved(name.as_str()) {
            return Err(format!(
                "{name:?} is a header of the protocol or of the gate; use another name"
            ));
        }
        Ok(name)
    });
    let from = section.list("from", read_net);
    section.refuse_unknown();
    let (header, from) = (header?, from?);
    if from.is_empty() {
        return Err(section.note(
            "from",
            "is missing or empty, so the header would be believed from nobody; add from = [\"10.0.0.5\"], the addresses of the proxies that set it",
        ));
    }
    if from.iter().any(|net| net.prefix_len() == 0) {
        return Err(section.note(
            "from",
            "lists everybody, so anyone could claim to be anyone; list the addresses of the proxies that set the header",
        ));
    }
    Ok(TrustedHeaderConfig { header, from })
}

/// An address, or a network as `ADDRESS/PREFIX`.
fn read_net(value: &DeValue<'_>) -> Result<IpNet, String> {
    let text = scalar::text(value)?;
    let bad = || {
        format!(
            "{text:?} is no IP address or network; write one such as \"10.0.0.5\" or \"10.0.0.0/8\""
        )
    };
    let net: IpNet = match text.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().into(),
        Err(_) => text.parse().map_err(|_| bad())?,
    };
    if net != net.trunc() {
        return Err(format!(
            "{text:?} has bits behind its prefix; write \"{}\"",
            net.trunc()
        ));
    }
    Ok(net)
}

/// `default_realm`: the tenant's id.
pub(super) fn read_basic(
    tenant: &Section<'_>,
    default_realm: &str,
) -> Result<Option<BasicConfig>, Noted> {
    let section = tenant.section("basic")?;
    let disclose = section.optional("disclose", |value| scalar::word(value, &DISCLOSES));
    let realm = section.optional("realm", |value| {
        let text = scalar::text(value)?;
        let plain = |b: u8| (b.is_ascii_graphic() || b == b' ') && b != b'"' && b != b'\\';
        if text.bytes().all(plain) {
            Ok(text)
        } else {
            Err(format!(
                "{text:?} must be printable ASCII without quotes and backslashes"
            ))
        }
    });
    section.refuse_unknown();
    let (disclose, realm) = (disclose?, realm?.unwrap_or(default_realm));
    if !section.is_present() {
        return Ok(None);
    }
    let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    let challenge = HeaderValue::try_from(challenge)
        .map_err(|_| section.note("realm", "is no text for a header"))?;
    Ok(Some(BasicConfig {
        disclose: disclose.unwrap_or_default(),
        challenge,
    }))
}
