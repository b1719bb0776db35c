//! Where a tenant's users log in, and what an accepted login looks like.

use http::StatusCode;
use http::uri::PathAndQuery;
use portcullis_core::login::{BodyFormat, Disclose, LoginRoute};
use toml::de::DeValue;

use super::fault::Noted;
use super::scalar;
use super::section::Section;

const BODIES: [(&str, BodyFormat); 2] = [("form", BodyFormat::Form), ("json", BodyFormat::Json)];
pub(super) const DISCLOSES: [(&str, Disclose); 2] = [
    ("after-password", Disclose::AfterPassword),
    ("always", Disclose::Always),
];

/// The login routes, each with its path as written. `no_cookies`: the tenant has
/// no session cookie that a login could set.
pub(super) fn read_logins(
    tenant: &Section<'_>,
    no_cookies: bool,
) -> Result<Vec<(LoginRoute, PathAndQuery)>, Noted> {
    let sections = tenant.sections("logins")?;
    let read: Vec<_> = sections
        .iter()
        .map(|section| read_login(section, no_cookies))
        .collect();
    let logins: Vec<_> = read.into_iter().collect::<Result<_, _>>()?;
    for (index, (route, path)) in logins.iter().enumerate() {
        let before = logins.iter().take(index);
        if before
            .into_iter()
            .any(|(other, _): &(LoginRoute, _)| other.path.is_route(&route.path))
            && let Some(section) = sections.get(index)
        {
            return Err(section.note(
                "path",
                format!("{path} has a login already; keep one of them"),
            ));
        }
    }
    Ok(logins)
}

fn read_login(
    section: &Section<'_>,
    no_cookies: bool,
) -> Result<(LoginRoute, PathAndQuery), Noted> {
    let path = section.required("path", "path = \"/login\"", |value| {
        Ok((scalar::route(value)?, scalar::path_and_query(value)?))
    });
    let body = section.optional("body", |value| scalar::word(value, &BODIES));
    let user_field = section.optional("user_field", scalar::text);
    let disclose = section.optional("disclose", |value| scalar::word(value, &DISCLOSES));
    let success_statuses = section.list("success_statuses", read_status);
    let sets_cookie = section.optional("success_sets_cookie", scalar::flag);
    section.refuse_unknown();

    let success_sets_cookie = sets_cookie?.unwrap_or(true);
    if success_sets_cookie && no_cookies {
        return Err(section.note(
            "success_sets_cookie",
            "is on, but no session cookie is known; add [[tenants.session_cookies]], or write success_sets_cookie = false",
        ));
    }
    let (path, raw) = path?;
    let route = LoginRoute {
        path,
        body: body?.unwrap_or(BodyFormat::Form),
        user_field: user_field?.unwrap_or("username").to_owned(),
        disclose: disclose?.unwrap_or_default(),
        success_statuses: success_statuses?,
        success_sets_cookie,
    };
    Ok((route, raw))
}

fn read_status(value: &DeValue<'_>) -> Result<StatusCode, String> {
    let status = scalar::whole(value, 200, 599)?;
    u16::try_from(status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| format!("{status} is not an HTTP status; write one such as 303"))
}
