//! Login attempts: read before they are judged.

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use portcullis_core::decide::Attempt;
use portcullis_core::ids::UserKey;
use portcullis_core::limits;
use portcullis_core::login::{BodyFormat, LoginFault, LoginRoute, form_field, one_field};
use portcullis_core::refusal::Refusal;
use portcullis_core::request::CheckedHead;

use crate::live::Reader;
use crate::live::tenants::Tenant;

/// An attempt whose body has been read.
pub(super) struct Login<'a> {
    pub route: &'a LoginRoute,
    /// The user as the body spells it, which may be an alias.
    pub name: UserKey,
    pub user: UserKey,
    pub body: Bytes,
}

impl Login<'_> {
    pub(super) fn attempt(&self, live: &Reader) -> Attempt {
        Attempt {
            user: self.user.clone(),
            standing: live.standing(&self.user),
            disclose: self.route.disclose,
        }
    }
}

/// Reads the attempt, if the request is one. The body comes back whole.
pub(super) async fn read<'a>(
    tenant: &'a Tenant,
    live: &Reader,
    head: &CheckedHead,
    parts: &Parts,
    body: &mut Incoming,
) -> Result<Option<Login<'a>>, Refusal> {
    let at_route = |login: &&LoginRoute| login.path.is_route(&head.path);
    let Some(route) = tenant.config.logins.iter().find(at_route) else {
        return Ok(None);
    };
    // An app that merges query and body, or reads the query of a GET, would see a
    // user whom the gate did not.
    let query = parts.uri.query().unwrap_or_default();
    match form_field(query.as_bytes(), &route.user_field) {
        Err(LoginFault::NoUser(_)) => {}
        Ok(_) | Err(_) => return Err(LoginFault::InQuery(route.user_field.clone()).into()),
    }
    if !route.takes(&parts.method, &head.path) {
        return if LoginRoute::is_hidden_attempt(&parts.headers, !body.is_end_stream()) {
            Err(LoginFault::HiddenAttempt.into())
        } else {
            Ok(None)
        };
    }
    route.check_media_type(&parts.headers)?;
    let collected = tokio::time::timeout(limits::LOGIN_BODY_WAIT, collect(body)).await;
    let body = collected.map_err(|_| Refusal::SlowBody)??;
    let name = match route.body {
        BodyFormat::Form => form_field(&body, &route.user_field)?,
        BodyFormat::Json => json_field(&body, &route.user_field)?,
    };
    let name = tenant.user_key(&name).ok_or(LoginFault::BadUser)?;
    Ok(Some(Login {
        route,
        user: live.resolve(name.clone()),
        name,
        body,
    }))
}

async fn collect(body: &mut Incoming) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::Login(LoginFault::TooLarge);
    if body.size_hint().lower() > limits::LOGIN_BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::BrokenBody)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if all.len() + data.len() > limits::LOGIN_BODY_BYTES_MAX {
            return Err(too_large());
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

/// The text at `field` of a JSON object. A key that stands twice is refused:
/// parsers disagree on which one counts.
fn json_field(body: &[u8], field: &str) -> Result<String, LoginFault> {
    let unreadable = |_| LoginFault::Unreadable("JSON");
    let Entries(entries) = serde_json::from_slice(body).map_err(unreadable)?;
    match one_field(entries, field)? {
        serde_json::Value::String(name) => Ok(name),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => Err(LoginFault::BadUser),
    }
}

/// A JSON object with its keys as they stand, twice if they stand twice.
struct Entries(Vec<(String, serde_json::Value)>);

impl<'de> serde::Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> serde::de::Visitor<'de> for Reading {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_login_with_two_readings_is_refused() {
        let read = |body: &str| json_field(body.as_bytes(), "email");
        assert_eq!(
            read(r#"{"email":"bob@a.test","password":"x"}"#),
            Ok("bob@a.test".into())
        );
        assert_eq!(read(r#"{"\u0065mail":"bob"}"#), Ok("bob".into()));
        let twice = LoginFault::ManyUsers("email".into());
        assert_eq!(
            read(r#"{"email":"alice","email":"bob"}"#),
            Err(twice.clone())
        );
        assert_eq!(read(r#"{"email":"alice","\u0065mail":"bob"}"#), Err(twice));
        assert_eq!(
            read(r#"{"user":"bob"}"#),
            Err(LoginFault::NoUser("email".into()))
        );
        assert_eq!(read(r#"{"email":["bob"]}"#), Err(LoginFault::BadUser));
        for bad in [
            "",
            "[]",
            "\u{feff}{\"email\":\"bob\"}",
            "{\"email\":\"bob\"} x",
        ] {
            assert_eq!(read(bad), Err(LoginFault::Unreadable("JSON")), "{bad}");
        }
    }
}
