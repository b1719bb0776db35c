//! `GET /openapi.json`: the API in the words of OpenAPI 3.1, made from the table
//! that routes it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::access::{Call, permitted};
use super::offer::Offer;
use super::parameter::name_schema;
use super::problem;

/// What there is besides the offers, for everybody: path, summary, media type.
const OPEN: [(&str, &str, &str); 4] = [
    ("/healthz", "Whether the listener lives", "text/plain"),
    ("/readyz", "Whether the gate can do its work", "text/plain"),
    (
        "/metrics",
        "Gauges in Prometheus' text format",
        "text/plain",
    ),
    ("/openapi.json", "This description", "application/json"),
];

/// The description, written once.
pub(super) fn document(offers: &[Arc<Offer>]) -> Bytes {
    let mut schemas = Schemas::default();
    let mut paths = Map::new();
    for offer in offers {
        let path = paths.entry(offer.path).or_insert_with(|| json!({}));
        path[offer.method.as_str().to_ascii_lowercase()] = operation(offer, &mut schemas);
    }
    for (path, summary, media) in OPEN {
        paths.insert(
            path.to_owned(),
            json!({ "get": open(path, summary, media) }),
        );
    }
    let problem = schemas.answers.subschema_for::<problem::Body<'static>>();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis, admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "How administrators and programs suspend users, let them back in, and read what happened. docs/admin-api.md says it in words.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.all(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": {
                "Problem": {
                    "description": "What is wrong, in which field, and the mend (RFC 9457)",
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
        },
        "security": [{ "token": [] }],
    });
    document.to_string().into()
}

pub(super) async fn serve(document: Bytes) -> Response {
    let json = HeaderValue::from_static("application/json");
    (StatusCode::OK, [(header::CONTENT_TYPE, json)], document).into_response()
}

/// Bodies are described as they are read, answers as they are written.
struct Schemas {
    bodies: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Default for Schemas {
    fn default() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12()
                .with(|settings| settings.definitions_path = "/components/schemas".into())
        };
        Self {
            bodies: settings().for_deserialize().into_generator(),
            answers: settings().for_serialize().into_generator(),
        }
    }
}

impl Schemas {
    fn all(mut self) -> Map<String, Value> {
        let mut all = self.bodies.take_definitions(true);
        all.append(&mut self.answers.take_definitions(true));
        all
    }
}

fn operation(offer: &Offer, schemas: &mut Schemas) -> Value {
    let roles = permitted(offer.call());
    let mut operation = json!({
        "summary": offer.summary,
        "operationId": operation_id(offer),
        "description": format!("For the roles {}.", roles.join(", ")),
        "parameters": parameters(offer),
        "responses": responses(offer, schemas),
    });
    if let Some(schema) = offer.body {
        let schema = schema(&mut schemas.bodies);
        let mut content = Map::new();
        content.insert("application/json".to_owned(), json!({ "schema": schema }));
        if let Some(media) = offer.also_reads {
            content.insert(media.to_owned(), json!({}));
        }
        operation["requestBody"] = json!({
            "required": offer.body_required,
            "content": content,
        });
    }
    operation
}

/// `post_api_v1_users_id_suspend`.
fn operation_id(offer: &Offer) -> String {
    let mut id = offer.method.as_str().to_ascii_lowercase();
    for word in offer.path.split('/').filter(|word| !word.is_empty()) {
        id.push('_');
        id.push_str(word.trim_matches(['{', '}']));
    }
    id
}

fn parameters(offer: &Offer) -> Vec<Value> {
    let mut all = Vec::new();
    for word in offer.path.split('/') {
        let name = word
            .strip_prefix('{')
            .and_then(|word| word.strip_suffix('}'));
        if let Some(name) = name {
            all.push(json!({
                "name": name,
                "in": "path",
                "required": true,
                "schema": path_schema(name, offer.path),
            }));
        }
    }
    for parameter in offer.parameters {
        all.push(json!({
            "name": parameter.name,
            "in": "query",
            "required": false,
            "description": parameter.about,
            "schema": parameter.schema(),
        }));
    }
    if offer.changes() {
        all.push(header_parameter(
            "Idempotency-Key",
            "A retry with the same key gets the first answer",
            "^[!-~]{1,255}$",
        ));
    }
    if offer.path.contains("/users/{id}") && offer.changes() {
        all.push(header_parameter(
            "If-Match",
            "The revision that the user must still be at, in quotes",
            "^\"[0-9]{1,18}\"$",
        ));
    }
    all
}

fn path_schema(name: &str, path: &str) -> Value {
    match name {
        "id" if path.contains("/users/") => name_schema(),
        "id" if path.contains("/bulk/") => {
            json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" })
        }
        "session" => json!({ "type": "string", "pattern": "^[0-9a-f]{16}$" }),
        _ => json!({ "type": "string", "minLength": 1 }),
    }
}

fn header_parameter(name: &str, about: &str, pattern: &str) -> Value {
    json!({
        "name": name,
        "in": "header",
        "required": false,
        "description": about,
        "schema": { "type": "string", "pattern": pattern },
    })
}

fn responses(offer: &Offer, schemas: &mut Schemas) -> Value {
    let success = offer.answer.map_or_else(
        || json!({ "description": "Done" }),
        |schema| {
            let schema = schema(&mut schemas.answers);
            json!({
                "description": "Done",
                "content": { offer.streams.unwrap_or("application/json"): { "schema": schema } },
            })
        },
    );
    let mut all = Map::new();
    all.insert(offer.status.as_str().to_owned(), success);
    let names = offer.path.contains('{');
    let mut failures = vec![
        (400, "A field, parameter or header is not what it should be"),
        (401, "No token in force"),
        (403, "The token's role may not do this"),
        (404, "Nothing there that this token may know of"),
        (429, "Too many bad tokens came from this address"),
        (500, "The gate's own fault"),
        (503, "The gate can't know, or can't write"),
    ];
    if offer.changes() {
        failures.extend([
            (409, "It contradicts how things stand"),
            (413, "The body is too large"),
            (415, "The body is not announced as JSON"),
            (422, "The Idempotency-Key was used for another request"),
        ]);
    }
    if offer.changes() && names {
        failures.push((412, "The user is not at that revision any more"));
    }
    // A token may be asked for in the name of a user, too.
    let makes_token = offer.call() == Call::CreateToken;
    if offer.path.contains("/users/{id}") || makes_token {
        failures.push((410, "The user is deleted, which is final"));
    }
    for (status, what) in failures {
        let described = json!({ "description": what, "$ref": "#/components/responses/Problem" });
        all.insert(status.to_string(), described);
    }
    Value::Object(all)
}

fn open(path: &str, summary: &str, media: &str) -> Value {
    let mut operation = json!({
        "summary": summary,
        "operationId": format!("get_{}", path.trim_start_matches('/').replace('.', "_")),
        "security": [],
        "responses": { "200": { "description": "Done", "content": { media: {} } } },
    });
    if path == "/readyz" {
        operation["responses"]["503"] = json!({ "$ref": "#/components/responses/Problem" });
    }
    operation
}
