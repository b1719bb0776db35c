//! Who is asking, and the one answer to those whom the app does not know.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{DemoApp, tokens};

/// A signed-in user, by session cookie, token or API key. As a handler's
/// argument it answers 401 to everyone else, before any body is read.
pub(super) struct Visitor(pub(super) &'static str);

impl FromRequestParts<DemoApp> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &DemoApp) -> Result<Self, Response> {
        app.visitor(&parts.headers)
            .ok_or_else(|| refuse("unauthorized"))
    }
}

impl DemoApp {
    /// Who is signed in: the first credential that holds counts.
    pub(super) fn visitor(&self, headers: &HeaderMap) -> Option<Visitor> {
        let state = &self.state;
        let by_name = |name: &str| {
            let person = state.accounts.find(name)?;
            // A token or key names the user, never an address.
            (person.name == name).then_some(person.name)
        };
        state
            .sessions
            .user(headers)
            .or_else(|| by_name(&state.tokens.bearer(headers)?))
            .or_else(|| by_name(tokens::api_key(headers)?))
            .map(Visitor)
    }
}

/// 401 as JSON.
pub(super) fn refuse(error: &str) -> Response {
    (
        StatusCode::UNAUTHORIZED,
        [(WWW_AUTHENTICATE, "Bearer"), (CACHE_CONTROL, "no-store")],
        Json(json!({ "error": error })),
    )
        .into_response()
}

/// 400 or its like as JSON, with words for the developer.
pub(super) fn complain(status: StatusCode, words: &str) -> Response {
    let body = json!({"error": "invalid_request", "error_description": words});
    (status, Json(body)).into_response()
}

/// 503 as JSON, for faults of the machine that will pass.
pub(super) fn apologise(fault: &dyn std::error::Error) -> Response {
    tracing::error!(%fault, "the demo app cannot answer");
    let body = json!({"error": "unavailable", "error_description": fault.to_string()});
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}
