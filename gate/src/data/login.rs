//! Login attempts: read before they are judged.

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use portcullis_core::decide::Attempt;
use portcullis_core::ids::UserKey;
use portcullis_core::limits;
use portcullis_core::login::json::Json;
use portcullis_core::login::{LoginFault, LoginRoute};
use portcullis_core::refusal::Refusal;
use portcullis_core::request::CheckedHead;

use crate::live::Reader;
use crate::live::tenants::Tenant;

/// An attempt whose body has been read.
pub(super) struct Login<'a> {
    pub route: &'a LoginRoute,
    /// The user as the body spells it, which may be an alias.
    pub name: UserKey,
    pub body: Bytes,
}

impl Login<'_> {
    pub(super) fn attempt(&self, live: &Reader) -> Attempt {
        // Resolved once more, as the identities of a request are.
        let user = live.resolve(self.name.clone());
        Attempt {
            standing: live.standing(&user),
            user,
            disclose: self.route.disclose,
        }
    }
}

/// Reads the attempt, if the request is one. The body comes back whole.
pub(super) async fn read<'a>(
    tenant: &'a Tenant,
    head: &CheckedHead,
    parts: &Parts,
    body: &mut Incoming,
) -> Result<Option<Login<'a>>, Refusal> {
    let at_route = |login: &&LoginRoute| login.path.is_route(&head.path);
    let Some(route) = tenant.config.logins.iter().find(at_route) else {
        return Ok(None);
    };
    route.check_query(parts.uri.query().unwrap_or_default())?;
    if !route.takes(&parts.method, &head.path) {
        return if LoginRoute::is_hidden_attempt(&parts.headers, !body.is_end_stream()) {
            Err(LoginFault::HiddenAttempt.into())
        } else {
            Ok(None)
        };
    }
    let framing = route.framing(&parts.headers)?;
    let collected = tokio::time::timeout(limits::LOGIN_BODY_WAIT, collect(body)).await;
    let body = collected.map_err(|_| Refusal::SlowBody)??;
    let name = route.user(&framing, &body, parse_json)?;
    let name = tenant.user_key(&name).ok_or(LoginFault::BadUser)?;
    Ok(Some(Login { route, name, body }))
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

/// JSON by its grammar (RFC 8259): one value, UTF-8, no comments, and no deeper
/// than anyone writes.
pub(super) fn parse_json(text: &[u8]) -> Option<Json> {
    serde_json::from_slice(text).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use portcullis_core::login::fields::UserField;

    use super::*;

    #[test]
    fn a_json_login_with_two_readings_is_refused() {
        let email = [UserField::parse("email").unwrap()];
        let read = |body: &str| parse_json(body.as_bytes()).map(|json| json.user(&email));
        assert_eq!(
            read(r#"{"email":"bob@a.test","password":"x"}"#),
            Some(Ok("bob@a.test".into()))
        );
        assert_eq!(read(r#"{"\u0065mail":"bob"}"#), Some(Ok("bob".into())));
        let twice = Some(Err(LoginFault::ManyUsers("email".into())));
        assert_eq!(read(r#"{"email":"alice","email":"bob"}"#), twice);
        assert_eq!(read(r#"{"email":"alice","\u0065mail":"bob"}"#), twice);
        assert_eq!(read(r#"{"email":7}"#), Some(Ok("7".into())));
        for no_name in ["[]", "7", r#"{"user":"bob"}"#] {
            let fault = LoginFault::NoUser("email".into());
            assert_eq!(read(no_name), Some(Err(fault)), "{no_name}");
        }
        for odd in [
            "7.0",
            "1e3",
            "-0",
            "18446744073709551616",
            "[\"bob\"]",
            "null",
        ] {
            let body = format!("{{\"email\":{odd}}}");
            assert_eq!(read(&body), Some(Err(LoginFault::BadUser)), "{odd}");
        }
        let deep = format!("{{\"email\":\"bob\",\"x\":{}", "[".repeat(10_000));
        for bad in [
            "",
            "\u{feff}{\"email\":\"bob\"}",
            "{\"email\":\"bob\"} x",
            "{\"email\":\"\\ud800\"}",
            "{email:\"bob\"}",
            "{\"email\":\"bob\"}{\"email\":\"alice\"}",
            deep.as_str(),
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
