//! The calls that the API offers. Each is described where it is routed, by the
//! types that its handler takes and gives, so that `/openapi.json` can't say
//! another thing than the code does.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::access::Call;
use super::ask::{self, Answer, Api, Ask};
use super::body;
use super::parameter::Parameter;
use super::problem::Problem;

/// Writes a type's schema with a generator.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One call.
pub(super) struct Offer {
    call: Call,
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) body: Option<SchemaOf>,
    /// Not even the empty object will do.
    pub(super) body_required: bool,
    pub(super) answer: Option<SchemaOf>,
    pub(super) status: StatusCode,
    /// How else than as JSON the body may be laid out.
    pub(super) also_reads: Option<&'static str>,
    /// In what an answer comes that is told as the call goes.
    pub(super) streams: Option<&'static str>,
}

impl Offer {
    fn new(method: Method, path: &'static str, call: Call, summary: &'static str) -> Self {
        Self {
            call,
            method,
            path,
            summary,
            parameters: &[],
            body: None,
            body_required: false,
            answer: None,
            status: StatusCode::OK,
            also_reads: None,
            streams: None,
        }
    }

    pub(super) fn get(path: &'static str, call: Call, summary: &'static str) -> Self {
        Self::new(Method::GET, path, call, summary)
    }

    pub(super) fn post(path: &'static str, call: Call, summary: &'static str) -> Self {
        Self::new(Method::POST, path, call, summary)
    }

    pub(super) fn put(path: &'static str, call: Call, summary: &'static str) -> Self {
        Self::new(Method::PUT, path, call, summary)
    }

    pub(super) fn delete(path: &'static str, call: Call, summary: &'static str) -> Self {
        Self::new(Method::DELETE, path, call, summary)
    }

    /// The query parameters that it takes; any other is refused by name.
    pub(super) fn takes(mut self, parameters: &'static [Parameter]) -> Self {
        self.parameters = parameters;
        self
    }

    /// There is nothing to do without fields, though none is required by itself.
    pub(super) fn needs_fields(mut self) -> Self {
        self.body_required = true;
        self
    }

    /// The status of its success, where that is not 200.
    pub(super) fn answers_with(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn also_reads(mut self, media: &'static str) -> Self {
        self.also_reads = Some(media);
        self
    }

    pub(super) fn streams(mut self, media: &'static str) -> Self {
        self.streams = Some(media);
        self
    }

    pub(super) fn call(&self) -> Call {
        self.call
    }

    pub(super) fn parameter_names(&self) -> Vec<&'static str> {
        self.parameters.iter().map(|one| one.name).collect()
    }

    /// Whether it may change something, and so may be told `Idempotency-Key`.
    pub(super) fn changes(&self) -> bool {
        self.method != Method::GET
    }
}

/// All calls, routed and described.
#[derive(Default)]
pub(super) struct Offers {
    pub(super) router: Router<Arc<Api>>,
    pub(super) all: Vec<Arc<Offer>>,
}

impl Offers {
    /// A call without a body of its own.
    pub(super) fn add<T, F, Fut>(&mut self, mut offer: Offer, handler: F)
    where
        T: Serialize + JsonSchema + 'static,
        F: Fn(Ask) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Answer<T>, Problem>> + Send + 'static,
    {
        offer.answer = Some(|schemas| schemas.subschema_for::<T>());
        self.route(offer, handler);
    }

    /// A call with fields in its body.
    pub(super) fn add_with_body<B, T, F, Fut>(&mut self, mut offer: Offer, handler: F)
    where
        B: DeserializeOwned + JsonSchema + Send + 'static,
        T: Serialize + JsonSchema + 'static,
        F: Fn(Ask, B) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Answer<T>, Problem>> + Send + 'static,
    {
        offer.body = Some(|schemas| schemas.subschema_for::<B>());
        offer.body_required |= serde_json::from_str::<B>("{}").is_err();
        offer.answer = Some(|schemas| schemas.subschema_for::<T>());
        self.route(offer, move |ask: Ask| {
            let fields = body::parse::<B>(&ask.body);
            let handler = handler.clone();
            async move { handler(ask, fields?).await }
        });
    }

    /// A call that reads its body itself, and answers as it goes, in parts that are
    /// each a `T`.
    pub(super) fn add_long<B, T, F, Fut>(&mut self, mut offer: Offer, handler: F)
    where
        B: DeserializeOwned + JsonSchema + 'static,
        T: JsonSchema + 'static,
        F: Fn(Ask, Body) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        offer.body = Some(|schemas| schemas.subschema_for::<B>());
        offer.body_required |= serde_json::from_str::<B>("{}").is_err();
        self.add_stream::<T, F, Fut>(offer, handler);
    }

    /// The same, without a body.
    pub(super) fn add_stream<T, F, Fut>(&mut self, mut offer: Offer, handler: F)
    where
        T: JsonSchema + 'static,
        F: Fn(Ask, Body) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        offer.answer = Some(|schemas| schemas.subschema_for::<T>());
        let offer = self.list(offer);
        let (method, path) = (offer.method.clone(), offer.path);
        let answer = move |state, request| {
            let (offer, handler) = (Arc::clone(&offer), handler.clone());
            async move { ask::answer_long(state, request, offer, handler).await }
        };
        self.at(method, path, answer);
    }

    fn list(&mut self, offer: Offer) -> Arc<Offer> {
        let offer = Arc::new(offer);
        self.all.push(Arc::clone(&offer));
        offer
    }

    fn at<H, T>(&mut self, method: Method, path: &'static str, answer: H)
    where
        H: Handler<T, Arc<Api>>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method).unwrap_or(MethodFilter::GET);
        self.router = std::mem::take(&mut self.router).route(path, on(filter, answer));
    }

    fn route<T, F, Fut>(&mut self, offer: Offer, handler: F)
    where
        T: Serialize + 'static,
        F: Fn(Ask) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Answer<T>, Problem>> + Send + 'static,
    {
        let offer = self.list(offer);
        let (method, path) = (offer.method.clone(), offer.path);
        let answer = move |state, request| {
            let (offer, handler) = (Arc::clone(&offer), handler.clone());
            let write = move |ask: Ask| {
                let answer = handler(ask);
                async move { Ok(answer.await?.written()) }
            };
            async move { ask::answer(state, request, offer, write).await }
        };
        self.at(method, path, answer);
    }
}
