//! One call from its head to its answer: who asks, whether they may, what they
//! say, and what came of it.

use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::limits;
use serde::Serialize;

use super::access::{Call, permits};
use super::credential::{self, QueryToken};
use super::offer::Offer;
use super::places::Places;
use super::problem::Problem;
use super::query::Query;
use super::retry::Answers;
use super::throttle::{Failure, Peer, Throttle};
use super::{AdminState, body};
use crate::control::command::{Caller, Terms};
use crate::control::ledger::{IdempotencyKey, ReadError};
use crate::control::store::SqliteStore;
use crate::control::tokens::Denied;
use crate::secret::Secret;

/// What all calls share.
pub(super) struct Api {
    pub(super) state: AdminState,
    pub(super) bulks: Arc<Places>,
    /// For bulk calls whose body is on its way.
    pub(super) bulk_bodies: Arc<Places>,
    /// For policies that are sent, tried and put in force.
    pub(super) candidates: Arc<Places>,
    /// For streams of events.
    pub(super) streams: Arc<Places>,
    answers: Answers,
    throttle: Throttle,
}

impl Api {
    pub(super) fn new(state: AdminState) -> Arc<Self> {
        Arc::new(Self {
            state,
            bulks: Places::new(limits::BULKS_MAX),
            bulk_bodies: Places::new(limits::BULK_BODIES_MAX),
            candidates: Places::new(limits::CANDIDATES_MAX),
            streams: Places::new(limits::EVENT_STREAMS_MAX),
            answers: Answers::default(),
            throttle: Throttle::default(),
        })
    }

    /// Asks the store, off the threads that serve requests.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&SqliteStore) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = Arc::clone(self.state.commander.store());
        let found = tokio::task::spawn_blocking(move || look(&store)).await;
        Ok(found.map_err(|_| ReadError::Closed)??)
    }
}

/// A call that may be made.
pub(super) struct Ask {
    pub(super) api: Arc<Api>,
    pub(super) caller: Caller,
    /// The `{id}` of the path, decoded once.
    pub(super) id: String,
    /// The `{session}` of the path.
    pub(super) session: String,
    path: String,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The token that the call was made with.
    pub(super) secret: Secret,
    retry: Option<Retry>,
}

/// What makes a call recognisable as the retry of another.
struct Retry {
    /// Keeps the keys of different tokens apart.
    scope: String,
    key: String,
    request: Vec<u8>,
}

/// An answer of success, whose body is a `T`: the API's description says so.
pub(super) struct Answer<T> {
    status: StatusCode,
    json: Bytes,
    etag: Option<Revision>,
    body: PhantomData<fn() -> T>,
}

impl<T: Serialize> Answer<T> {
    pub(super) fn ok(body: &T) -> Result<Self, Problem> {
        Self::new(StatusCode::OK, body)
    }

    pub(super) fn new(status: StatusCode, body: &T) -> Result<Self, Problem> {
        let json = serde_json::to_vec(body).map_err(|_| internal())?;
        Ok(Self {
            status,
            json: json.into(),
            etag: None,
            body: PhantomData,
        })
    }

    /// What `If-Match` takes.
    pub(super) fn at(mut self, revision: Revision) -> Self {
        self.etag = Some(revision);
        self
    }

    pub(super) fn written(self) -> Written {
        Written {
            status: self.status,
            json: self.json,
            etag: self.etag,
        }
    }
}

/// An [`Answer`] as it is sent and remembered.
#[derive(Clone, Debug)]
pub(super) struct Written {
    status: StatusCode,
    json: Bytes,
    etag: Option<Revision>,
}

impl Written {
    /// What keeping it costs, about.
    pub(super) fn bytes(&self) -> usize {
        self.json.len()
    }
}

impl IntoResponse for Written {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.json).into_response();
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some(revision) = self.etag
            && let Ok(etag) = HeaderValue::from_str(&format!("\"{revision}\""))
        {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }
}

impl Ask {
    /// For what the path's own row in the table of roles does not cover.
    pub(super) fn demand(&self, call: Call) -> Result<(), Problem> {
        demand(&self.caller, call)
    }

    /// How the change that the call asks for is to be taken.
    pub(super) fn terms(&self, dry_run: bool) -> Result<Terms, Problem> {
        self.terms_of("", dry_run)
    }

    /// How a second change of the same call is to be taken.
    pub(super) fn further_terms(&self) -> Result<Terms, Problem> {
        Ok(Terms {
            // The first has moved it.
            at_revision: None,
            ..self.terms_of("/2", false)?
        })
    }

    fn terms_of(&self, step: &str, dry_run: bool) -> Result<Terms, Problem> {
        let idempotency = self.retry.as_ref().map(|retry| {
            let scope = format!("{}{step}", retry.scope);
            IdempotencyKey::new(&scope, &retry.key, &retry.request)
        });
        Ok(Terms {
            at_revision: at_revision(&self.headers)?,
            idempotency: idempotency
                .transpose()
                .map_err(|error| bad_key(&error.to_string()))?,
            dry_run,
        })
    }
}

/// Answers one call, whatever comes of it.
pub(super) async fn answer<F, Fut>(
    State(api): State<Arc<Api>>,
    request: Request,
    offer: Arc<Offer>,
    handler: F,
) -> Response
where
    F: Fn(Ask) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Written, Problem>> + Send + 'static,
{
    let (method, call) = (request.method().clone(), offer.call());
    let work = admit_and_do(api, request, &offer, handler);
    let outcome = tokio::time::timeout(limits::ADMIN_REQUEST_WAIT, work).await;
    let outcome = outcome.unwrap_or_else(|_| {
        let what = "the call was not done in time, and may yet be";
        Err(Problem::unavailable("outcome_unknown", what)
            .mend("repeat it with the same Idempotency-Key, or look at the user"))
    });
    match outcome {
        Ok(response) => {
            tracing::debug!(%method, ?call, status = response.status().as_u16(), "admin call");
            response
        }
        // Told once, when it began.
        Err(problem) if problem.status() == StatusCode::TOO_MANY_REQUESTS => {
            problem.into_response()
        }
        Err(problem) => {
            tracing::info!(%method, ?call, status = problem.status().as_u16(), "admin call refused");
            problem.into_response()
        }
    }
}

/// Answers a call that takes as long as it takes, and tells as it goes: its handler
/// reads the body, and answers with a stream.
pub(super) async fn answer_long<F, Fut>(
    State(api): State<Arc<Api>>,
    request: Request,
    offer: Arc<Offer>,
    handler: F,
) -> Response
where
    F: Fn(Ask, Body) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    let (method, call) = (request.method().clone(), offer.call());
    let (parts, body) = request.into_parts();
    let outcome = match admit(&api, parts, &offer).await {
        Ok(ask) => handler(ask, body).await,
        Err(problem) => Err(problem),
    };
    match outcome {
        Ok(response) => {
            tracing::debug!(%method, ?call, "admin call is being answered");
            response
        }
        Err(problem) => {
            tracing::info!(%method, ?call, status = problem.status().as_u16(), "admin call refused");
            problem.into_response()
        }
    }
}

/// Who calls and what about, if they may; the body is still to come.
async fn admit(api: &Arc<Api>, mut parts: Parts, offer: &Offer) -> Result<Ask, Problem> {
    let call = offer.call();
    let mut query = Query::parse(parts.uri.query())?;
    let query_token = query_token(api, call, parts.uri.path());
    let secret = credential::take(&parts.headers, &mut query, query_token)?;
    let caller = authenticate(api, &parts, &secret)?;
    demand(&caller, call)?;
    query.refuse_unknown(&offer.parameter_names())?;
    let (id, session) = path_names(&mut parts).await?;
    Ok(Ask {
        api: Arc::clone(api),
        caller,
        id,
        session,
        path: parts.uri.path().to_owned(),
        query,
        headers: parts.headers,
        body: Bytes::new(),
        secret: Secret::new(secret),
        retry: None,
    })
}

async fn admit_and_do<F, Fut>(
    api: Arc<Api>,
    request: Request,
    offer: &Offer,
    handler: F,
) -> Result<Response, Problem>
where
    F: Fn(Ask) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Written, Problem>> + Send + 'static,
{
    let (parts, stream) = request.into_parts();
    let (method, call) = (parts.method.clone(), offer.call());
    let mut ask = admit(&api, parts, offer).await?;
    // Nothing that reads has a use for a body.
    ask.body = match method {
        Method::GET | Method::HEAD => Bytes::new(),
        _ => body::read(&ask.headers, stream).await?,
    };
    ask.retry = retry(&ask, &method)?;
    // In a task of its own: a client that hangs up must not leave a change half
    // told, and the retry with its key finds the answer.
    let work = tokio::spawn(async move {
        let key = ask.retry.as_ref().map(|retry| {
            let key = IdempotencyKey::new(&retry.scope, &retry.key, &retry.request);
            key.map_err(|error| bad_key(&error.to_string()))
        });
        let Some(key) = key.transpose()? else {
            return Ok(handler(ask).await?.into_response());
        };
        let now = api.state.commander.now();
        // A deletion's own answer tells of nobody.
        let about = (call != Call::DeleteUser).then(|| ask.about()).flatten();
        api.answers.once(key, about, now, || handler(ask)).await
    });
    work.await.map_err(|_| internal())?
}

/// Who is calling. Where too many calls with a bad token came from the same
/// address, that is all that is said, and the log is told once.
fn authenticate(api: &Api, parts: &Parts, secret: &str) -> Result<Caller, Problem> {
    let now = api.state.commander.now();
    let problem = match api.state.tokens.authenticate(secret, now) {
        Ok(caller) => return Ok(caller),
        Err(Denied::CannotKnow) => {
            let what = "how the user of this token stands can't be told now";
            return Err(Problem::unavailable("unavailable", what));
        }
        Err(Denied::Unknown) => credential::invalid_token(),
        Err(Denied::UserOut) => credential::user_out(),
    };
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let peer = parts.extensions.get::<Peer>();
    let address = peer.map_or(unknown, |peer| peer.0);
    match api.throttle.fail(address, now) {
        Failure::Told => Err(problem),
        Failure::TooMany { retry_after, first } => {
            if first {
                tracing::warn!(%address, "too many admin calls with a bad token: answering 429 to those");
            }
            Err(credential::too_many_failures(retry_after))
        }
    }
}

fn demand(caller: &Caller, call: Call) -> Result<(), Problem> {
    if permits(caller.role, call) {
        Ok(())
    } else {
        Err(credential::wrong_role(caller.role.as_str(), call))
    }
}

fn query_token(api: &Api, call: Call, path: &str) -> QueryToken {
    let circularo = matches!(call, Call::ShowUser | Call::PutUser | Call::DeleteUser);
    if !api.state.query_token {
        QueryToken::Off
    } else if circularo && path.starts_with("/api/v1/") {
        QueryToken::Taken
    } else {
        QueryToken::NotHere
    }
}

async fn path_names(parts: &mut Parts) -> Result<(String, String), Problem> {
    let params: Result<RawPathParams, RawPathParamsRejection> =
        RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| {
        Problem::field("id", "the path holds bytes that are no text")
            .mend("percent-encode the id as UTF-8")
    })?;
    let called = |wanted: &str| {
        let found = params.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    Ok((called("id"), called("session")))
}

fn retry(ask: &Ask, method: &Method) -> Result<Option<Retry>, Problem> {
    if matches!(*method, Method::GET | Method::HEAD) {
        // Once is still how it is to be said.
        return ask.retry_key().map(|_| None);
    }
    let Some(key) = ask.retry_key()? else {
        return Ok(None);
    };
    Ok(Some(Retry {
        scope: ask.retry_scope(),
        key,
        request: ask.fingerprint(method, &ask.body),
    }))
}

impl Ask {
    /// The user whom the path names, where it names one.
    fn about(&self) -> Option<UserKey> {
        let names_user = self.path.contains("/users/");
        names_user.then(|| self.user_key().ok()).flatten()
    }

    /// What was told of a user, who is deleted now, is not told again.
    pub(super) fn forget_answers(&self, user: &UserKey) {
        self.api.answers.forget_user(user);
    }

    /// The `Idempotency-Key`.
    pub(super) fn retry_key(&self) -> Result<Option<String>, Problem> {
        let mut keys = self.headers.get_all("idempotency-key").iter();
        let Some(key) = keys.next() else {
            return Ok(None);
        };
        if keys.next().is_some() {
            return Err(bad_key("there is more than one"));
        }
        let key = key.to_str().map_err(|_| bad_key("it is no text"))?;
        Ok(Some(key.to_owned()))
    }

    /// Keeps the keys of different tokens apart, whatever secret a token has by now.
    pub(super) fn retry_scope(&self) -> String {
        self.caller.token.clone().unwrap_or_default()
    }

    /// What must be the same for two requests to be one and its retry.
    pub(super) fn fingerprint(&self, method: &Method, body: &[u8]) -> Vec<u8> {
        let header = |name| {
            let value = self.headers.get(name);
            value.map_or(&[][..], HeaderValue::as_bytes)
        };
        let mut request = Vec::new();
        for part in [
            method.as_str().as_bytes(),
            self.path.as_bytes(),
            self.query.fingerprint().as_bytes(),
            header("x-tenant"),
            header("if-match"),
            body,
        ] {
            request.extend_from_slice(&part.len().to_be_bytes());
            request.extend_from_slice(part);
        }
        request
    }
}

fn at_revision(headers: &HeaderMap) -> Result<Option<Revision>, Problem> {
    let mut all = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = all.next() else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| {
        let digits = text.trim().strip_prefix('"')?.strip_suffix('"')?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| plain)
    });
    match number.filter(|_| all.next().is_none()) {
        Some(number) => Ok(Some(Revision(number))),
        None => Err(
            Problem::field("If-Match", "it is not one revision in quotes")
                .mend("send the user's `revision` as If-Match: \"7\""),
        ),
    }
}

pub(super) fn bad_key(what: &str) -> Problem {
    Problem::field("Idempotency-Key", what)
        .mend("send one text of your own choice, a new one for a new request")
}

pub(super) fn internal() -> Problem {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Problem::new(status, "internal", "the gate could not work out an answer")
        .mend("look at the gate's log")
}
