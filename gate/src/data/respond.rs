//! The one place where a refusal becomes an answer and a log line.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::rand::SecureRandom;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use portcullis_core::grpc;
use portcullis_core::identify::TokenPlace;
use portcullis_core::ids::UserKey;
use portcullis_core::limits;
use portcullis_core::negotiate;
use portcullis_core::policy::Surface;
use portcullis_core::refusal::{LogLevel, Refusal};
use serde_json::json;

use super::body::Answer;
use super::connection::Client;
use super::identify::{Named, Proof};
use super::{WorkerRef, page, refuse};
use crate::live::sessions::Session;
use crate::live::tenants::Tenant;

/// What an answer needs to know of its request. Taken for every request and read
/// only for refusals, so it holds what is cheap to hold and works it out later.
pub(super) struct Asked {
    pub tenant: Option<Arc<Tenant>>,
    accept: Option<HeaderValue>,
    accept_language: Option<HeaderValue>,
    method: Method,
    uri: Uri,
    peer: IpAddr,
    agent: Option<HeaderValue>,
    wants_upgrade: bool,
    grpc: bool,
    /// The sessions that came with the request, by the index of their cookie.
    sessions: Vec<(usize, Arc<Session>)>,
}

impl Asked {
    pub(super) fn of(request: &Request<Incoming>, client: &Client) -> Self {
        let headers = request.headers();
        Self {
            tenant: None,
            accept: headers.get(header::ACCEPT).cloned(),
            accept_language: headers.get(header::ACCEPT_LANGUAGE).cloned(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            peer: client.address.ip(),
            agent: headers.get(header::USER_AGENT).cloned(),
            wants_upgrade: headers.contains_key(header::UPGRADE),
            grpc: grpc::is_call(headers),
            sessions: Vec::new(),
        }
    }

    /// The path of a request that may have changed something, as it may be shown.
    pub(super) fn changing_path(&self) -> Option<String> {
        (!self.method.is_safe()).then(|| self.shown_path())
    }

    /// The path without what stands behind a `;`, which may be a session's id.
    fn shown_path(&self) -> String {
        let segments = self.uri.path().split('/');
        let bare = segments.map(|segment| segment.split(';').next().unwrap_or_default());
        bare.collect::<Vec<_>>().join("/")
    }

    pub(super) const fn peer(&self) -> IpAddr {
        self.peer
    }

    /// What the client calls itself, as far as it is fit to be kept and shown.
    pub(super) fn agent(&self) -> Option<String> {
        let agent = self.agent.as_ref()?;
        let most = agent.len().min(limits::AGENT_BYTES_MAX);
        let text = String::from_utf8_lossy(&agent.as_bytes()[..most]);
        Some(text.chars().filter(|c| !c.is_control()).collect())
    }

    pub(super) fn surface(&self) -> Surface {
        if negotiate::wants_page(self.accept.as_ref()) {
            Surface::Page
        } else {
            Surface::Api
        }
    }

    pub(super) fn locales(&self) -> Vec<String> {
        negotiate::locales(self.accept_language.as_ref())
    }

    pub(super) fn remember_sessions(&mut self, named: &[Named]) {
        self.sessions
            .extend(named.iter().filter_map(|named| match &named.proof {
                Proof::Session {
                    cookie: Some(cookie),
                    session,
                    ..
                } => Some((*cookie, Arc::clone(session))),
                Proof::Session { cookie: None, .. }
                | Proof::Token { .. }
                | Proof::ApiKey
                | Proof::TrustedHeader
                | Proof::Basic { .. } => None,
            }));
    }
}

/// An id that a user can read out and an operator can find again.
pub(super) fn new_error_id() -> String {
    // Without 0, 1, i, l, o and u: nothing to mishear, and no words.
    const ALPHABET: &[u8; 30] = b"23456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = [0; 14];
    // Not secret: should the system have no randomness, the id is merely not unique.
    let _ = aws_lc_rs::rand::SystemRandom::new().fill(&mut bytes);
    bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}

pub(super) async fn refuse(
    worker: &WorkerRef,
    asked: &Asked,
    refusal: Refusal,
) -> Response<Answer> {
    let as_page = asked.surface() == Surface::Page && !asked.wants_upgrade && !asked.grpc;
    let mut first = true;
    let mut words = None;
    let (mut response, error_id) = if let Refusal::Suspended(user) = &refusal {
        let told = refuse::suspended(worker, asked, user).await;
        first = told.first;
        words = told.words;
        (told.response, told.error_id)
    } else {
        let error_id = new_error_id();
        let response = if refusal == Refusal::SessionEnded && as_page {
            to_login(asked)
        } else {
            problem(asked, &refusal, &error_id)
        };
        (response, error_id)
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if refusal.challenges() {
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if refusal.asks_password() {
        let basic = asked.tenant.as_ref().and_then(|t| t.config.basic.as_ref());
        let challenge = basic.map(|basic| basic.challenge.clone());
        headers.extend(challenge.map(|challenge| (header::WWW_AUTHENTICATE, challenge)));
    }
    if refusal.takes_cookies_back() {
        expire_cookies(asked, headers);
    }
    if refusal.closes() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    log(worker, asked, &refusal, &response, &error_id, first);
    if asked.grpc {
        let words = words.unwrap_or_else(|| refusal.to_string());
        return as_call(&refusal, response, &words);
    }
    response
}

/// The same for a gRPC client, which understands no status of HTTP's.
fn as_call(refusal: &Refusal, response: Response<Answer>, words: &str) -> Response<Answer> {
    let (mut parts, _) = response.into_parts();
    let unknown = parts.status == StatusCode::SERVICE_UNAVAILABLE;
    // Whatever status the policy gave it.
    let status = if refusal.user().is_some() && !unknown {
        grpc::PERMISSION_DENIED
    } else {
        grpc::status_of(parts.status)
    };
    parts.status = StatusCode::OK;
    let media_type = HeaderValue::from_static("application/grpc");
    parts.headers.insert(header::CONTENT_TYPE, media_type);
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(grpc::trailers(status, words));
    Response::from_parts(parts, Answer::own(Bytes::new()))
}

/// One line for each error id: who hammers on is not worth a line each time. The
/// query stays out, since it may hold secrets.
fn log(
    worker: &WorkerRef,
    asked: &Asked,
    refusal: &Refusal,
    response: &Response<Answer>,
    error_id: &str,
    first: bool,
) {
    let level = if first {
        refusal.log_level()
    } else {
        LogLevel::Debug
    };
    // Who hammers on is refused many thousand times a second.
    if level == LogLevel::Debug && !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let tenant = asked
        .tenant
        .as_ref()
        .map_or("-", |tenant| tenant.id().as_str());
    // A deleted user by what is left of the name.
    let user = refusal.user().map(|user| worker.live.whom(user.clone()));
    let user = user.as_ref().map_or("-", UserKey::user);
    macro_rules! line {
        ($level:ident $(, $kept_back:ident)?) => {
            tracing::$level!(
                $($kept_back,)? error_id, tenant, user, method = %asked.method, path = asked.shown_path(),
                peer = %asked.peer, status = response.status().as_u16(),
                code = refusal.code(), fault = ?refusal.fault(), "refused: {refusal}"
            )
        };
    }
    match level {
        LogLevel::Debug => line!(debug),
        LogLevel::Info => line!(info),
        LogLevel::Warn => line!(warn),
        // Whoever can bring one about can bring about a thousand a second.
        LogLevel::Error => match worker.live.repeats().due(format!("{tenant} {refusal}")) {
            Some(kept_back) => line!(error, kept_back),
            None => line!(debug),
        },
    }
}

/// Pages of an ended session are sent to the login; 303, so that a form that was
/// being sent is not sent again.
fn to_login(asked: &Asked) -> Response<Answer> {
    let page = asked
        .tenant
        .as_ref()
        .map(|tenant| tenant.config.login_page.as_str());
    let mut response = Response::new(Answer::own(Bytes::new()));
    *response.status_mut() = StatusCode::SEE_OTHER;
    let page = page.and_then(|page| HeaderValue::from_str(page).ok());
    let page = page.unwrap_or_else(|| HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, page);
    response
}

/// RFC 9457, or a plain page.
pub(super) fn problem(asked: &Asked, refusal: &Refusal, error_id: &str) -> Response<Answer> {
    let status = refusal.status();
    let title = status.canonical_reason().unwrap_or("Error");
    let detail = refusal.to_string();
    let mut response = match asked.surface() {
        Surface::Page => {
            let text = page::problem(title, &detail, error_id);
            body(asked, "text/html; charset=utf-8", text)
        }
        Surface::Api => {
            let problem = json!({
                "type": "about:blank",
                "title": title,
                "status": status.as_u16(),
                "detail": detail,
                "code": refusal.code(),
                "error_id": error_id,
            });
            body(asked, "application/problem+json", problem.to_string())
        }
    };
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

pub(super) fn body(asked: &Asked, media_type: &'static str, text: String) -> Response<Answer> {
    let bytes = if asked.method == Method::HEAD {
        Bytes::new()
    } else {
        text.into()
    };
    let mut response = Response::new(Answer::own(bytes));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Takes the tenant's session and token cookies back: at the root, and in the scope
/// in which each was seen to be set.
fn expire_cookies(asked: &Asked, headers: &mut http::HeaderMap) {
    let Some(tenant) = &asked.tenant else { return };
    let sources = &tenant.config.sources;
    for (index, name) in sources.session_cookies.iter().enumerate() {
        let mut scopes = vec![("/", None)];
        for (_, session) in asked.sessions.iter().filter(|(cookie, _)| *cookie == index) {
            let scope = (
                session.place.path.as_deref().unwrap_or("/"),
                session.place.domain.as_deref(),
            );
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        for (path, domain) in scopes {
            expire_cookie(headers, name, path, domain);
        }
    }
    for place in &sources.tokens {
        if let TokenPlace::Cookie(name) = place {
            expire_cookie(headers, name, "/", None);
        }
    }
}

fn expire_cookie(headers: &mut http::HeaderMap, name: &str, path: &str, domain: Option<&str>) {
    let domain = domain
        .map(|domain| format!("; Domain={domain}"))
        .unwrap_or_default();
    // Browsers take a prefixed name only with the attribute it promises.
    let secure = if name.starts_with("__") {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!(
        "{name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path={path}{domain}; HttpOnly{secure}"
    );
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        headers.append(header::SET_COOKIE, value);
    }
}
