//! Where a tenant's users log in, and what an accepted login looks like.

use http::StatusCode;
use http::uri::PathAndQuery;
use portcullis_core::login::fields::{UserField, pointer};
use portcullis_core::login::json::Json;
use portcullis_core::login::success::BodyRule;
use portcullis_core::login::{BodyFormat, Disclose, LoginRoute};
use toml::de::DeValue;

use super::fault::Noted;
use super::scalar;
use super::section::Section;

const BODIES: [(&str, BodyFormat); 3] = [
    ("form", BodyFormat::Form),
    ("json", BodyFormat::Json),
    ("multipart", BodyFormat::Multipart),
];
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
    let formats = section.one_or_more("body", |value| scalar::word(value, &BODIES));
    let user_fields = section.one_or_more("user_field", |value| {
        UserField::parse(scalar::text(value)?).map_err(|fault| fault.to_string())
    });
    let disclose = section.optional("disclose", |value| scalar::word(value, &DISCLOSES));
    let success_statuses = section.list("success_statuses", read_status);
    let sets_cookie = section.optional("success_sets_cookie", scalar::flag);
    let success_body = read_body_rule(section);
    let session_token = section.optional("session_token", read_pointer);
    section.refuse_unknown();

    let session_token = session_token?;
    let success_sets_cookie = sets_cookie?.unwrap_or(session_token.is_none());
    if success_sets_cookie && no_cookies {
        return Err(section.note(
            "success_sets_cookie",
            "is on, but no session cookie is known; add [[tenants.session_cookies]], or write success_sets_cookie = false",
        ));
    }
    let (success_statuses, success_body) = (success_statuses?, success_body?);
    let tells = success_sets_cookie || success_body.is_some() || session_token.is_some();
    if success_statuses.is_empty() && !tells {
        section.doubt(
            "success_sets_cookie",
            "is off, and nothing else says what an accepted login looks like: every answer below 400 counts as one, a form that is shown again as well; add success_statuses or success_body",
        );
    }
    let (path, raw) = path?;
    let formats = formats?.unwrap_or_else(|| vec![BodyFormat::Form]);
    let user_fields = match user_fields? {
        Some(fields) => fields,
        None => vec![default_field(section)?],
    };
    check_fields(section, &formats, &user_fields)?;
    let route = LoginRoute {
        path,
        formats,
        user_fields,
        disclose: disclose?.unwrap_or_default(),
        success_statuses,
        success_sets_cookie,
        success_body,
        session_token,
    };
    Ok((route, raw))
}

fn default_field(section: &Section<'_>) -> Result<UserField, Noted> {
    UserField::parse("username").map_err(|fault| section.note("user_field", fault.to_string()))
}

/// A format in which no field could name the user would refuse every login.
fn check_fields(
    section: &Section<'_>,
    formats: &[BodyFormat],
    fields: &[UserField],
) -> Result<(), Noted> {
    let lost = |format: &&BodyFormat| !fields.iter().any(|field| field.fits(**format));
    match formats.iter().find(lost) {
        Some(format) => Err(section.note(
            "user_field",
            format!(
                "has JSON pointers alone, which {} bodies don't have; add the field's name there, such as \"user[email]\"",
                format.media_type()
            ),
        )),
        None => Ok(()),
    }
}

/// The one rule of `success_body`, if there is the table.
fn read_body_rule(login: &Section<'_>) -> Result<Option<BodyRule>, Noted> {
    let section = login.section("success_body")?;
    let steps = section.optional("pointer", read_pointer);
    let equals = section.optional("equals", read_scalar);
    let contains = section.optional("contains", scalar::text);
    let absent = section.optional("absent", scalar::text);
    section.refuse_unknown();
    let (steps, equals) = (steps?, equals?);
    let (contains, absent) = (contains?, absent?);
    if equals.is_some() && steps.is_none() {
        return Err(section.note(
            "equals",
            "needs a pointer to what it compares; add pointer = \"/success\"",
        ));
    }
    let rules = [
        steps.map(|steps| BodyRule::Pointer { steps, equals }),
        contains.map(|text| BodyRule::Contains(text.to_owned())),
        absent.map(|text| BodyRule::Absent(text.to_owned())),
    ];
    let mut rules = rules.into_iter().flatten();
    match (rules.next(), rules.next()) {
        (rule @ Some(_), None) => Ok(rule),
        (None, _) if !section.is_present() => Ok(None),
        (_, _) => Err(section.note_whole(
            "must have exactly one of pointer, contains and absent; write one such as { absent = \"Invalid password\" }",
        )),
    }
}

fn read_pointer(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let bad = |_| "is not a JSON pointer (RFC 6901); write one such as \"/success\"".to_owned();
    pointer(scalar::text(value)?).map_err(bad)
}

/// What a JSON value can be compared with: text, a whole number, true or false.
fn read_scalar(value: &DeValue<'_>) -> Result<Json, String> {
    if let Some(flag) = value.as_bool() {
        return Ok(Json::Flag(flag));
    }
    if let Some(text) = value.as_str() {
        return Ok(Json::Text(text.to_owned()));
    }
    let whole = value
        .as_integer()
        .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
    whole
        .map(|number| Json::Whole(number.into()))
        .ok_or_else(|| {
            format!(
                "must be text, a whole number, true or false, not {}",
                scalar::kind(value)
            )
        })
}

fn read_status(value: &DeValue<'_>) -> Result<StatusCode, String> {
    let status = scalar::whole(value, 200, 599)?;
    u16::try_from(status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| format!("{status} is not an HTTP status; write one such as 303"))
}
