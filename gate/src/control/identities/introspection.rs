//! Takes questions about tokens to the server that gave them out (RFC 7662).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use form_urlencoded::byte_serialize;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;
use portcullis_core::ids::TenantId;
use portcullis_core::limits;
use portcullis_core::time::Timestamp;
use serde_json::{Map, Value};

use super::call::{CallFault, Caller};
use crate::config::IntrospectionConfig;
use crate::live::introspection::{Answer, Introspection, Lane, Question};
use crate::live::tokens::{Claims, numeric_date, user_of};

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Call(#[from] CallFault),
    #[error("its answer is none by RFC 7662: {0}")]
    Answer(&'static str),
}

struct Server {
    tenant: TenantId,
    caller: Result<Caller, CallFault>,
    /// One line when it begins to fail and one when it is well again.
    failing: AtomicBool,
}

pub(super) fn start(tenant: &TenantId, introspection: &Introspection) {
    let server = Arc::new(Server {
        tenant: tenant.clone(),
        caller: Caller::new(&introspection.config.endpoint),
        failing: AtomicBool::new(false),
    });
    for lane in [Lane::Known, Lane::New] {
        for _ in 0..limits::INTROSPECTIONS_ASKED_MAX {
            let (server, desk) = (Arc::clone(&server), introspection.desk());
            tokio::spawn(async move {
                // One that is under way goes on though its asker hangs up: the answer
                // is remembered, and to break off would cost the server a connection.
                while let Some(question) = desk.next(lane).await {
                    server.take(question).await;
                }
            });
        }
    }
}

impl Server {
    async fn take(&self, question: Question) {
        let url = question.config().endpoint.uri().clone();
        match self.ask(&question).await {
            Ok(answer) => {
                question.answer(answer);
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(tenant = %self.tenant, %url, "a token server answers again");
                }
            }
            Err(fault) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        tenant = %self.tenant, %url, %fault,
                        "a token server gives no answer; its tokens are answered 503 until it does"
                    );
                }
            }
        }
    }

    async fn ask(&self, question: &Question) -> Result<Answer, String> {
        let caller = self.caller.as_ref().map_err(ToString::to_string)?;
        let config = question.config();
        let asking = async {
            let request = request(config, question.token.expose_bytes())?;
            let body = caller
                .call(request, limits::INTROSPECTION_BYTES_MAX)
                .await?;
            read(&body, config, now())
        };
        asking.await.map_err(|fault: Fault| fault.to_string())
    }
}

/// RFC 7662 §2.1, the client by RFC 6749 §2.3.1: each half is form-encoded before
/// they are joined.
fn request(config: &IntrospectionConfig, token: &[u8]) -> Result<Request<Full<Bytes>>, Fault> {
    let encode = |bytes: &[u8]| byte_serialize(bytes).collect::<String>();
    let pair = format!(
        "{}:{}",
        encode(config.client_id.as_bytes()),
        encode(config.client_secret.expose_bytes())
    );
    let client = format!("Basic {}", BASE64_STANDARD.encode(pair));
    let mut client = HeaderValue::try_from(client)
        .map_err(|_| Fault::Answer("the client's name is no text for a header"))?;
    client.set_sensitive(true);
    let body = format!("token={}&token_type_hint=access_token", encode(token));
    let mut request = Request::new(Full::from(body));
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(AUTHORIZATION, client);
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(CONTENT_TYPE, form);
    Ok(request)
}

/// RFC 7662 §2.2.
fn read(body: &[u8], config: &IntrospectionConfig, now: Timestamp) -> Result<Answer, Fault> {
    let members: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| Fault::Answer("no JSON object"))?;
    match members.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Ok(Answer::Inactive),
        Some(_) | None => return Err(Fault::Answer("'active' is neither true nor false")),
    }
    let time = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => numeric_date(value)
            .map(Some)
            .ok_or(Fault::Answer("a time is none")),
    };
    let (issued_at, expires_at, not_before) = (time("iat")?, time("exp")?, time("nbf")?);
    let is_over = expires_at.is_some_and(|at| at <= now);
    let is_early = not_before.is_some_and(|at| at > now);
    let is_ours = says(&members, "iss", config.issuer.as_deref())
        && says(&members, "aud", config.audience.as_deref());
    if is_over || is_early || !is_ours {
        return Ok(Answer::Inactive);
    }
    let user = user_of(&members, &config.user_claim);
    let user = user.ok_or(Fault::Answer("an active token names no user"))?;
    let claims = Claims::new(user, issued_at, expires_at);
    Ok(Answer::Active(Arc::new(claims)))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(u128::MAX, |since| since.as_millis());
    Timestamp(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Whether the member is what it must be, or holds it; anything will do where
/// nothing is asked.
fn says(members: &Map<String, Value>, name: &str, wanted: Option<&str>) -> bool {
    let Some(wanted) = wanted else {
        return true;
    };
    match members.get(name) {
        Some(Value::String(text)) => text == wanted,
        Some(Value::Array(list)) => list.iter().any(|one| one == wanted),
        Some(_) | None => false,
    }
}
