//! The admin API as the commands call it: one request, one JSON answer, or an
//! answer that comes bit by bit.

mod stream;

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::problem;
use super::{Failure, Surroundings};
use crate::secret::Secret;

pub(super) use stream::{Call, Trouble};

/// Longer than the API takes for anything, a receipt's wait for cut connections included.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) const URL_VARIABLE: &str = "PORTCULLIS_ADMIN_URL";
pub(super) const TOKEN_VARIABLE: &str = "PORTCULLIS_TOKEN";

/// Where the admin API is, and the token to call it with.
pub(super) struct AdminApi {
    base: Uri,
    token: Secret,
}

/// An answer of success.
pub(super) struct Answer {
    /// As it was received.
    pub(super) text: String,
    pub(super) json: Value,
}

impl AdminApi {
    /// From the environment, if it names one.
    pub(super) fn find(surroundings: &Surroundings<'_>) -> Result<Option<Self>, Failure> {
        let variable = |name| (surroundings.variable)(name).filter(|value| !value.is_empty());
        let (Some(url), Some(token)) = (variable(URL_VARIABLE), variable(TOKEN_VARIABLE)) else {
            return Ok(None);
        };
        let base = parse_base(&url.to_string_lossy())?;
        Ok(Some(Self {
            base,
            token: Secret::new(token.into_encoded_bytes().trim_ascii()),
        }))
    }

    /// From the environment, which must name one.
    pub(super) fn require(surroundings: &Surroundings<'_>) -> Result<Self, Failure> {
        if let Some(api) = Self::find(surroundings)? {
            return Ok(api);
        }
        let is_missing = |name| (surroundings.variable)(name).is_none_or(|value| value.is_empty());
        Err(Failure::usage(if is_missing(URL_VARIABLE) {
            format!(
                "{URL_VARIABLE} is not set; set it to the admin listener, such as http://127.0.0.1:8081"
            )
        } else {
            format!(
                "{TOKEN_VARIABLE} is not set; set it to an admin token (portcullis token create makes one)"
            )
        }))
    }

    /// Sends one request and waits for its answer. `what` names the deed in errors.
    pub(super) fn call(
        &self,
        what: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let runtime = runtime()?;
        let mut request = self.request(
            method,
            path,
            body.map(Value::to_string).unwrap_or_default().into(),
        )?;
        if body.is_some() {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
        }
        let exchange = async {
            let answer = tokio::time::timeout(ANSWER_WAIT, self.exchange(request)).await;
            answer.unwrap_or_else(|_| Err(self.no_answer(ANSWER_WAIT)))
        };
        let (status, text) = runtime.block_on(exchange)?;
        if !status.is_success() {
            return Err(problem::refused(what, status, &text));
        }
        match serde_json::from_str(&text) {
            Ok(json) => Ok(Answer { text, json }),
            Err(_) => Err(Failure::failed(format!(
                "{what}: the answer of {} is not JSON; is {URL_VARIABLE} the admin listener?",
                self.base
            ))),
        }
    }

    fn no_answer(&self, wait: Duration) -> Failure {
        Failure::Unknown(format!(
            "the admin API at {} did not answer within {} s; look at the gate's log, and at what came of it, before trying again",
            self.base,
            wait.as_secs()
        ))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut bearer = HeaderValue::from_bytes(&[b"Bearer ", self.token.expose_bytes()].concat())
            .map_err(|_| {
                Failure::usage(format!(
                    "{TOKEN_VARIABLE} does not hold a token; it is one word of printable characters"
                ))
            })?;
        bearer.set_sensitive(true);
        let base = self.base.to_string();
        let uri = format!("{}{path}", base.trim_end_matches('/'));
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json");
        request.body(Full::from(body)).map_err(Failure::usage)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        client.request(request).await.map_err(|error| {
            let why = innermost(&error);
            let base = &self.base;
            if error.is_connect() {
                return Failure::Unreachable(format!(
                    "cannot reach the admin API at {base}: {why}; start the gate, or correct {URL_VARIABLE}"
                ));
            }
            Failure::Unknown(format!(
                "the admin API at {base} gave no answer: {why}; look at what came of it before trying again"
            ))
        })
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, String), Failure> {
        let response = self.send(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        let body = body.map_err(|error| {
            Failure::Unknown(format!(
                "the answer of {} broke off: {error}; look at what came of it before trying again",
                self.base
            ))
        })?;
        Ok((
            status,
            String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        ))
    }
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}; try again")))
}

fn parse_base(url: &str) -> Result<Uri, Failure> {
    let bad = |what: &str| {
        Failure::usage(format!(
            "{URL_VARIABLE}: {url:?} {what}; write one such as http://127.0.0.1:8081"
        ))
    };
    let uri: Uri = url.parse().map_err(|_| bad("is not a URL"))?;
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => {}
        Some(scheme) if *scheme == Scheme::HTTPS => {
            return Err(Failure::usage(format!(
                "{URL_VARIABLE}: the commands do not speak TLS yet; use http:// on the gate's own machine, or through a tunnel (ssh -L 8081:127.0.0.1:8081 HOST)"
            )));
        }
        Some(_) | None => return Err(bad("does not begin with http://")),
    }
    if uri.query().is_some()
        || uri
            .path_and_query()
            .is_some_and(|path| *path != PathAndQuery::from_static("/"))
    {
        return Err(bad("has a path; the commands add their own"));
    }
    Ok(uri)
}

/// The cause that says something ("Connection refused"), not the layers around it.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
