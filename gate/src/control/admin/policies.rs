//! `/api/v1/tenants/{id}/policy`: which policy is in force, another in its place, and
//! the way back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_core::policy::Settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ask::{Answer, Ask};
use super::body;
use super::places::Place;
use super::problem::Problem;
use super::scope::no_tenant;
use crate::control::policies::{PolicyError, parse_cases};
use crate::live::tenants::Tenant;
use crate::policy::cases::Case;
use crate::policy::compiler::CompilerError;
use crate::policy::{Bundle, LimitsAsked, LoadError, Policy, builtin, read_settings};

/// The policy in force.
#[derive(Serialize, JsonSchema)]
pub(super) struct PolicyView {
    tenant: String,
    /// Counts the policies of the tenant; 0 is the one of the configuration.
    generation: u64,
    /// SHA-256 of the module.
    digest: String,
    name: String,
    version: String,
    summary: String,
    settings: BTreeMap<String, String>,
    /// Those that a rollback leads to, the nearest first.
    before: Vec<Before>,
}

#[derive(Serialize, JsonSchema)]
struct Before {
    generation: u64,
    digest: String,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFields {
    /// The component in Base64, or `builtin:standard`. Absent: the module in force.
    module: Option<String>,
    /// As in `policy.toml`.
    #[serde(default)]
    settings: BTreeMap<String, Value>,
    /// By name, as files of `templates/` are written.
    #[serde(default)]
    templates: BTreeMap<String, String>,
    /// By name, as files of `cases/` are written: each must hold.
    #[serde(default)]
    cases: BTreeMap<String, String>,
    #[serde(default)]
    limits: LimitFields,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitFields {
    deadline_ms: Option<u64>,
    memory_bytes_max: Option<usize>,
    result_bytes_max: Option<usize>,
}

/// Nothing yet.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackFields {}

pub(super) async fn show(ask: Ask) -> Result<Answer<PolicyView>, Problem> {
    Answer::ok(&view(&*tenant(&ask)?))
}

pub(super) async fn put(ask: Ask, stream: Body) -> Result<Response, Problem> {
    let (tenant, bundle, cases, place) = candidate(&ask, stream).await?;
    // In a task of its own: a client that hangs up must not leave it half done.
    let api = Arc::clone(&ask.api);
    let put = tokio::spawn(async move {
        let _place = place;
        let policies = &api.state.policies;
        let put = policies.put(&tenant, bundle, cases, &ask.caller).await;
        put.map(|_| view(&tenant))
    });
    let put = put.await.map_err(|_| super::ask::internal())?;
    let view = put.map_err(|error| problem(&error))?;
    Ok(Answer::ok(&view)?.written().into_response())
}

pub(super) async fn roll_back(ask: Ask, _: RollbackFields) -> Result<Answer<PolicyView>, Problem> {
    let tenant = tenant(&ask)?;
    let policies = &ask.api.state.policies;
    let step = policies.roll_back(&tenant, &ask.caller).await;
    step.map_err(|error| problem(&error))?;
    Answer::ok(&view(&tenant))
}

/// The tenant, and what is to be tried or put in force there; and one of the few places
/// for such calls, to be kept until the work is done: candidates are large, may take
/// their time to come, and wait for each other. No tenant has all of the places.
pub(super) async fn candidate(
    ask: &Ask,
    stream: Body,
) -> Result<(Arc<Tenant>, Bundle, Vec<Case>, Place), Problem> {
    let tenant = tenant(ask)?;
    let place = ask.api.candidates.take(&ask.caller).ok_or_else(|| {
        let what = "as many policies are being tried as may be at a time";
        Problem::unavailable("busy", what).mend("come back in a moment")
    })?;
    let (_, bytes) = body::read_bulk(&ask.headers, stream).await?;
    let fields: PolicyFields = body::parse(&bytes)?;
    let cases = parse_cases(fields.cases.iter())
        .map_err(|error| Problem::field("cases", error.to_string()))?;
    let bundle = bundle(&tenant, fields)?;
    Ok((tenant, bundle, cases, place))
}

/// The tenant of the path, which must be the token's own, if it has one.
pub(super) fn tenant(ask: &Ask) -> Result<Arc<Tenant>, Problem> {
    let own = ask.caller.tenant.as_ref();
    if own.is_some_and(|own| own.as_str() != ask.id) {
        return Err(no_tenant(&ask.id));
    }
    let tenants = ask.api.state.live.tenants();
    tenants
        .of_id(&ask.id)
        .cloned()
        .ok_or_else(|| no_tenant(&ask.id))
}

fn bundle(tenant: &Tenant, fields: PolicyFields) -> Result<Bundle, Problem> {
    let module: Arc<[u8]> = match fields.module.as_deref() {
        None => Arc::clone(tenant.policies.current().policy.module()),
        Some(text) => match text.strip_prefix("builtin:") {
            Some(name) => builtin::module(name)
                .map_err(|error| Problem::field("module", error.to_string()))?
                .into(),
            None => STANDARD
                .decode(text)
                .map_err(|error| {
                    Problem::field("module", format!("it is not Base64: {error}"))
                        .mend("send the component's bytes in Base64, or builtin:standard")
                })?
                .into(),
        },
    };
    let settings = settings(fields.settings)?;
    Ok(Bundle {
        module,
        settings,
        templates: fields.templates,
        limits: LimitsAsked {
            deadline_ms: fields.limits.deadline_ms,
            memory_bytes_max: fields.limits.memory_bytes_max,
            result_bytes_max: fields.limits.result_bytes_max,
        },
        place: PathBuf::from("policy"),
    })
}

/// Nested as in `policy.toml`, or flat with dotted keys, as they are shown.
fn settings(given: BTreeMap<String, Value>) -> Result<Settings, Problem> {
    let mut all = Settings::default();
    for (key, value) in given {
        let wrong = |key: &str, what: &str| Problem::field(format!("settings.{key}"), what);
        let table = toml::Table::try_from(BTreeMap::from([("it", value)]))
            .map_err(|error| wrong(&key, &error.to_string()))?;
        let flat = read_settings(&table)
            .map_err(|(below, what)| wrong(&below.replacen("it", &key, 1), what))?;
        let named = |(below, text): (String, String)| (below.replacen("it", &key, 1), text);
        all.0.extend(flat.0.into_iter().map(named));
    }
    Ok(all)
}

fn view(tenant: &Tenant) -> PolicyView {
    let kept = tenant.policies.kept();
    let policy = Arc::clone(&tenant.policies.current().policy);
    let said = policy.description();
    let before = |policy: &Arc<Policy>| Before {
        generation: policy.generation(),
        digest: policy.digest().to_owned(),
    };
    PolicyView {
        tenant: tenant.id().to_string(),
        generation: policy.generation(),
        digest: policy.digest().to_owned(),
        name: said.name.clone(),
        version: said.version.clone(),
        summary: said.summary.clone(),
        settings: policy.settings().0.clone(),
        before: kept.iter().rev().skip(1).map(before).collect(),
    }
}

pub(super) fn problem(error: &PolicyError) -> Problem {
    let refused = |what: String| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Problem::new(status, "policy_refused", what).mend(
            "mend the policy (`portcullis policy check` and `policy test` say the same); \
             the one before it is in force",
        )
    };
    match error {
        PolicyError::Load(LoadError::Settings(problems)) => {
            let problem = refused(error.to_string());
            match problems.first() {
                Some(first) => problem.of(format!("settings.{}", first.key)),
                None => problem,
            }
        }
        // Nothing of the policy's own: the gate can't have anything compiled.
        PolicyError::Load(LoadError::Compile {
            error: CompilerError::Start(_),
            ..
        }) => {
            tracing::error!(%error, "a policy could not be compiled");
            super::ask::internal()
        }
        PolicyError::Load(_) => refused(error.to_string()).of("module"),
        PolicyError::Case(_) => refused(error.to_string()).of("cases"),
        PolicyError::NoneBefore => {
            let status = StatusCode::CONFLICT;
            Problem::new(status, "no_earlier_policy", error.to_string())
        }
        PolicyError::ShadowRuns => {
            let status = StatusCode::CONFLICT;
            Problem::new(status, "shadow_runs", error.to_string())
                .mend("stop it first: DELETE …/policy/shadow")
        }
        PolicyError::Busy => Problem::unavailable("busy", error.to_string())
            .mend("come back when one of them is done"),
        PolicyError::Shelf(_) => {
            tracing::error!(%error, "a policy could not be written down");
            let what = "the policy could not be written down, and the one before it is in force";
            Problem::unavailable("unavailable", what)
                .mend("look at the gate's log and its disk, and try again")
        }
        PolicyError::Ledger(error) => error.clone().into(),
        PolicyError::BrokenOff => {
            tracing::error!(%error, "a policy could not be put in force");
            super::ask::internal()
        }
    }
}
