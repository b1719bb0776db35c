//! `POST /api/v1/tenants/{id}/policy/rehearse`: what would be other under a candidate.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use portcullis_core::policy::Fault;
use portcullis_core::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::ask::{Answer, Ask};
use super::policies::{candidate, problem};
use super::problem::Problem;
use super::question::{FieldView, QuestionView, fields, question, verdict};
use super::times;
use crate::control::policies::{Asked, Rehearsal};
use crate::live::tenants::Tenant;
use crate::policy::{Costs, DECISIONS_TOLD_MAX, Decision, Policy, Trial, Verdict};

#[derive(Serialize, JsonSchema)]
pub(super) struct RehearsalView {
    tenant: String,
    /// The policy in force, which was asked as well.
    current: Said,
    candidate: Said,
    /// What was asked: `record`, or `cases` where nothing is on record, or `nothing`.
    asked: &'static str,
    /// In words, where not the record was asked, or not all of it.
    note: Option<String>,
    totals: Totals,
    /// Of the decisions that both made.
    cost: CostView,
    /// The decisions that differ or fail, the newest first.
    decisions: Vec<DecisionView>,
    /// Further ones that differ or fail.
    not_shown: usize,
}

#[derive(Serialize, JsonSchema)]
struct Said {
    name: String,
    version: String,
    /// SHA-256 of the module.
    digest: String,
    /// Of the policy in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
}

#[derive(Default, Serialize, JsonSchema)]
struct Totals {
    /// Different questions.
    decisions: usize,
    same: usize,
    different: usize,
    /// The candidate has no answer.
    failed: usize,
    /// There was no time for them.
    left_out: usize,
    /// How often the questions were asked in all.
    times: u64,
}

/// Units of work of the guest, the same on every machine.
#[derive(Default, Serialize, JsonSchema)]
struct CostView {
    current: Option<u64>,
    candidate: Option<u64>,
    /// The candidate's over the current's.
    ratio: Option<f64>,
}

#[derive(Serialize, JsonSchema)]
struct DecisionView {
    #[serde(flatten)]
    about: QuestionView,
    /// The name of the case, where cases were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<String>,
    #[serde(flatten)]
    seen: Option<Seen>,
    /// `different` or `failed`.
    verdict: &'static str,
    fields: Vec<FieldView>,
    fault: Option<FaultView>,
    cost: CostView,
}

/// How the question came to be on record.
#[derive(Serialize, JsonSchema)]
struct Seen {
    times: u64,
    #[schemars(extend("format" = "date-time"))]
    first_at: String,
    #[schemars(extend("format" = "date-time"))]
    last_at: String,
    /// What came of it last, when it was asked.
    answered: AnsweredView,
}

#[derive(Serialize, JsonSchema)]
struct AnsweredView {
    generation: u64,
    digest: String,
    /// `decided`, or what went wrong.
    outcome: &'static str,
    status: Option<u16>,
}

#[derive(Serialize, JsonSchema)]
struct FaultView {
    name: &'static str,
    detail: String,
}

pub(super) async fn rehearse(ask: Ask, stream: Body) -> Result<Response, Problem> {
    let (tenant, bundle, cases, _place) = candidate(&ask, stream).await?;
    let done = ask
        .api
        .state
        .policies
        .rehearse(&tenant, bundle, cases)
        .await;
    let view = view(&tenant, done.map_err(|error| problem(&error))?);
    Ok(Answer::ok(&view)?.written().into_response())
}

fn view(tenant: &Tenant, rehearsal: Rehearsal) -> RehearsalView {
    let Rehearsal {
        current,
        candidate,
        asked,
        trials,
    } = rehearsal;
    let mut totals = Totals {
        decisions: asked.len(),
        left_out: asked.len() - trials.len(),
        ..Totals::default()
    };
    let mut costs = (0_u64, 0_u64);
    let (what, note) = told(&asked, &totals);
    let mut decisions = Vec::new();
    let mut not_shown = 0;
    for (asked, trial) in asked.into_iter().zip(trials) {
        if let Asked::Decision(decision) = &asked {
            totals.times += decision.seen;
        }
        if let (Some(current), Some(candidate)) = (trial.cost.current, trial.cost.candidate) {
            costs = (costs.0 + current, costs.1 + candidate);
        }
        match trial.verdict {
            Verdict::Same => {
                totals.same += 1;
                continue;
            }
            Verdict::Different => totals.different += 1,
            Verdict::Failed => totals.failed += 1,
        }
        if decisions.len() < DECISIONS_TOLD_MAX {
            decisions.push(decision(asked, trial));
        } else {
            not_shown += 1;
        }
    }
    RehearsalView {
        tenant: tenant.id().to_string(),
        current: said(&current, Some(current.generation())),
        candidate: said(&candidate, None),
        asked: what,
        note,
        totals,
        cost: cost(Costs {
            current: (costs.0 > 0).then_some(costs.0),
            candidate: (costs.1 > 0).then_some(costs.1),
        }),
        decisions,
        not_shown,
    }
}

fn told(asked: &[Asked], totals: &Totals) -> (&'static str, Option<String>) {
    match asked.first() {
        None => (
            "nothing",
            Some(
                "nothing is on record: the policy was not asked since the gate started; send \
                 cases, which are asked in its place, or come back when users were refused"
                    .to_owned(),
            ),
        ),
        Some(Asked::Case(..)) => (
            "cases",
            Some("nothing is on record, so the questions of the cases were asked".to_owned()),
        ),
        Some(Asked::Decision(_)) => {
            let left_out = totals.left_out;
            let note = format!("there was no time for {left_out} of the decisions");
            ("record", (left_out > 0).then_some(note))
        }
    }
}

fn said(policy: &Policy, generation: Option<u64>) -> Said {
    let said = policy.description();
    Said {
        name: said.name.clone(),
        version: said.version.clone(),
        digest: policy.digest().to_owned(),
        generation,
    }
}

fn decision(asked: Asked, trial: Trial) -> DecisionView {
    let about = question(asked.question());
    let (case, seen) = match asked {
        Asked::Decision(decision) => (None, Some(seen(&decision))),
        Asked::Case(name, _) => (Some(name), None),
    };
    DecisionView {
        about,
        case,
        seen,
        verdict: verdict(trial.verdict),
        fields: fields(trial.differences),
        fault: trial.fault.map(|fault: Fault| FaultView {
            name: fault.name(),
            detail: fault.to_string(),
        }),
        cost: cost(trial.cost),
    }
}

fn seen(decision: &Decision) -> Seen {
    let text = |seconds| times::text(Timestamp::from_seconds(seconds));
    Seen {
        times: decision.seen,
        first_at: text(decision.first_seen),
        last_at: text(decision.last_seen),
        answered: AnsweredView {
            generation: decision.answered.generation,
            digest: decision.answered.digest.to_string(),
            outcome: decision.answered.outcome,
            status: decision.answered.status,
        },
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio of two costs is read to the thousandth"
)]
fn cost(costs: Costs) -> CostView {
    let ratio = match (costs.current, costs.candidate) {
        (Some(current), Some(candidate)) if current > 0 => {
            Some((candidate as f64 / current as f64 * 1000.0).round() / 1000.0)
        }
        (Some(_) | None, Some(_) | None) => None,
    };
    CostView {
        current: costs.current,
        candidate: costs.candidate,
        ratio,
    }
}
