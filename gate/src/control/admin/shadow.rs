//! `/api/v1/tenants/{id}/policy/shadow`: a candidate beside the policy in force, for a
//! while.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::ask::{Answer, Ask};
use super::parameter::{Parameter, Shape};
use super::policies::{candidate, problem, tenant};
use super::problem::Problem;
use super::question::{FieldView, QuestionView, fields, question, verdict};
use super::times;
use crate::live::tenants::Tenant;
use crate::policy::{Counts, Ended, Example, SHADOW_MS_MAX, Shadow, Tally};

pub(super) const PARAMETERS: &[Parameter] = &[Parameter::new(
    "for",
    Shape::Pattern("^([1-9]|[1-5][0-9])[sm]$|^([1-9]|1[0-9]|2[0-4])h$"),
    "How long it runs: a duration of at most 24h; 10m where it is left out",
)];

const LASTS: &str = "10m";

#[derive(Serialize, JsonSchema)]
pub(super) struct ShadowView {
    tenant: String,
    /// `none` (since the gate started), `running` or `ended`.
    state: &'static str,
    /// The one that runs, or the last that ran.
    shadow: Option<Running>,
}

#[derive(Serialize, JsonSchema)]
struct Running {
    candidate: Candidate,
    /// The generation that it runs beside.
    beside: u64,
    #[schemars(extend("format" = "date-time"))]
    began_at: String,
    #[schemars(extend("format" = "date-time"))]
    ends_at: String,
    ended: Option<EndedView>,
    counts: CountsView,
    /// One of each sort.
    examples: Vec<ExampleView>,
    /// Differences of further sorts.
    not_shown: u64,
}

#[derive(Serialize, JsonSchema)]
struct Candidate {
    name: String,
    version: String,
    digest: String,
}

#[derive(Serialize, JsonSchema)]
struct EndedView {
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// `time`, `stopped`, or `swapped`: another policy came into force.
    why: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct CountsView {
    same: u64,
    different: u64,
    failed: u64,
    skipped: u64,
}

#[derive(Serialize, JsonSchema)]
struct ExampleView {
    #[serde(flatten)]
    about: QuestionView,
    times: u64,
    /// `different` or `failed`.
    verdict: &'static str,
    fields: Vec<FieldView>,
    /// The name of the candidate's fault.
    fault: Option<&'static str>,
}

pub(super) async fn show(ask: Ask) -> Result<Answer<ShadowView>, Problem> {
    Answer::ok(&view(&*tenant(&ask)?))
}

pub(super) async fn begin(ask: Ask, stream: Body) -> Result<Response, Problem> {
    let lasts = lasts(ask.query.find("for").unwrap_or(LASTS))?;
    let (tenant, bundle, cases, place) = candidate(&ask, stream).await?;
    // In a task of its own: a client that hangs up must not leave it half begun.
    let begun = tokio::spawn(async move {
        let _place = place;
        let (policies, by) = (&ask.api.state.policies, &ask.caller);
        let begun = policies.begin_shadow(&tenant, bundle, cases, lasts, by);
        begun.await.map(|()| view(&tenant))
    });
    let begun = begun.await.map_err(|_| super::ask::internal())?;
    let view = begun.map_err(|error| problem(&error))?;
    Ok(Answer::ok(&view)?.written().into_response())
}

pub(super) async fn stop(ask: Ask) -> Result<Answer<ShadowView>, Problem> {
    let tenant = tenant(&ask)?;
    let policies = &ask.api.state.policies;
    policies.end_shadow(&tenant, Ended::Stopped);
    Answer::ok(&view(&tenant))
}

fn lasts(text: &str) -> Result<Duration, Problem> {
    let most = Duration::from_millis(SHADOW_MS_MAX);
    let lasts = humantime::parse_duration(text).ok();
    lasts
        .filter(|lasts| (Duration::from_secs(1)..=most).contains(lasts))
        .ok_or_else(|| {
            Problem::field("for", format!("{text:?} is no duration from 1s to 24h"))
                .mend("write one such as 10m")
        })
}

fn view(tenant: &Tenant) -> ShadowView {
    let shadow: Option<Arc<Shadow>> = tenant.decisions.shadow();
    let shadow = shadow.map(|shadow| running(&shadow));
    ShadowView {
        tenant: tenant.id().to_string(),
        state: match &shadow {
            None => "none",
            Some(shadow) if shadow.ended.is_none() => "running",
            Some(_) => "ended",
        },
        shadow,
    }
}

fn running(shadow: &Shadow) -> Running {
    let Tally {
        counts,
        examples,
        not_shown,
        ended,
    } = shadow.tally();
    let Counts {
        same,
        different,
        failed,
        skipped,
    } = counts;
    let [name, version, digest] = shadow.candidate.clone();
    Running {
        candidate: Candidate {
            name,
            version,
            digest,
        },
        beside: shadow.against,
        began_at: times::text(shadow.begun),
        ends_at: times::text(shadow.ends),
        ended: ended.map(|(why, at)| EndedView {
            at: times::text(at),
            why: match why {
                Ended::Time => "time",
                Ended::Stopped => "stopped",
                Ended::Swapped => "swapped",
            },
        }),
        counts: CountsView {
            same,
            different,
            failed,
            skipped,
        },
        examples: examples.into_iter().map(example).collect(),
        not_shown,
    }
}

fn example(example: Example) -> ExampleView {
    ExampleView {
        about: question(&example.question),
        times: example.seen,
        verdict: verdict(example.verdict),
        fields: fields(example.differences),
        fault: example.fault,
    }
}
