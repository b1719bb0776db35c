//! What a suspended user is told: the policy's words, or the gate's own where the
//! policy has none and the tenant allows it.

use std::sync::Arc;

use aws_lc_rs::rand::SecureRandom;
use http::{Response, StatusCode};
use portcullis_core::policy::{self, Fault, RefusalDecision, RefusalInput, Surface};
use portcullis_core::refusal::{Refusal, SuspendedUser};
use portcullis_core::standing::Suspension;
use portcullis_core::user::Access;
use serde_json::json;

use super::body::Answer;
use super::respond::{self, Asked};
use super::{WorkerRef, page};
use crate::config::OnFailure;
use crate::live::refusals::{Key, Prepared};
use crate::live::tenants::Tenant;
use crate::policy::{Generation, Policy, Question};

/// What was answered.
pub(super) struct Told {
    pub response: Response<Answer>,
    pub error_id: String,
    /// The answer in one sentence, where the policy or the gate has one.
    pub words: Option<String>,
    /// The error id is new.
    pub first: bool,
}

pub(super) async fn suspended(worker: &WorkerRef, asked: &Asked, user: &SuspendedUser) -> Told {
    let (prepared, first) = match &asked.tenant {
        Some(tenant) => prepare(worker, asked, tenant, user).await,
        None => (None, true),
    };
    match prepared {
        Some(prepared) => Told {
            response: render(asked, &prepared),
            error_id: prepared.error_id.clone(),
            words: Some(prepared.message.clone()),
            first,
        },
        None => {
            let error_id = respond::new_error_id();
            let refusal = Refusal::CannotKnow("the policy gave no answer");
            Told {
                response: respond::problem(asked, &refusal, &error_id),
                error_id,
                words: None,
                first,
            }
        }
    }
}

/// The answer, and whether it was made just now.
async fn prepare(
    worker: &WorkerRef,
    asked: &Asked,
    tenant: &Tenant,
    user: &SuspendedUser,
) -> (Option<Arc<Prepared>>, bool) {
    let generation = tenant.policies.current();
    let policy = &generation.policy;
    let key = Key {
        user: user.user.clone(),
        revision: user.revision,
        hold: user
            .suspension
            .as_ref()
            .map(|suspension| (suspension.since, suspension.until)),
        access: user.access,
        policy: policy.digest().into(),
        generation: generation.number(),
        occasion: user.occasion,
        surface: asked.surface(),
        locales: asked.locales(),
    };
    if let Some(kept) = worker.live.refusals().find(&key) {
        return (kept, false);
    }
    let (error_id, new) = worker.live.refusals().incident(&key, respond::new_error_id);
    let (prepared, failed) = match &user.suspension {
        // Nobody is left to speak to: the policy is not asked about the deleted.
        None => (Some(builtin(user, error_id)), false),
        Some(suspension) => {
            let input = input(worker, asked, tenant, user, suspension);
            match ask(worker, tenant, &generation, input).await {
                Ok((policy, decision)) => {
                    for action in &decision.actions {
                        tracing::info!(
                            tenant = %tenant.id(), policy = policy.digest(),
                            action = action.name, "the policy asks for an action unknown here"
                        );
                    }
                    (Some(decided(user, &policy, decision, error_id)), false)
                }
                Err(_) => {
                    let fallback = match tenant.config.policy.on_failure {
                        OnFailure::BuiltinAnswer | OnFailure::PreviousPolicy => {
                            Some(builtin(user, error_id))
                        }
                        OnFailure::Unavailable => None,
                    };
                    (fallback, true)
                }
            }
        }
    };
    let prepared = prepared.map(Arc::new);
    worker
        .live
        .refusals()
        .keep(key, prepared.clone(), new, failed);
    (prepared, new)
}

/// Asks the policy in force, and where that fails and the tenant wants it, the one
/// before.
async fn ask(
    worker: &WorkerRef,
    tenant: &Tenant,
    generation: &Generation,
    input: RefusalInput,
) -> Result<(Arc<Policy>, RefusalDecision), Fault> {
    let policy = &generation.policy;
    let answer = worker.policies.refusal(policy, input.clone()).await;
    // What the threads have no time for says nothing of the policy.
    if !matches!(answer, Err(Fault::Busy | Fault::OverBudget)) {
        tenant.policies.report(generation, answer.is_ok());
        let (question, told) = (Question::Refusal(input.clone()), answer.clone());
        tenant
            .decisions
            .note(policy, question, told.map(crate::policy::Answer::Refusal));
    }
    let fault = match answer {
        Ok(decision) => return Ok((Arc::clone(policy), decision)),
        Err(fault) => fault,
    };
    tracing::error!(
        tenant = %tenant.id(), policy = policy.digest(), %fault,
        "the policy gave no answer to a refusal"
    );
    let other = tenant.policies.in_place_of(generation);
    match (tenant.config.policy.on_failure, other) {
        (OnFailure::PreviousPolicy, Some(previous)) => {
            let decision = worker.policies.refusal(&previous, input).await?;
            Ok((previous, decision))
        }
        (
            OnFailure::PreviousPolicy | OnFailure::BuiltinAnswer | OnFailure::Unavailable,
            Some(_) | None,
        ) => Err(fault),
    }
}

fn input(
    worker: &WorkerRef,
    asked: &Asked,
    tenant: &Tenant,
    user: &SuspendedUser,
    suspension: &Suspension,
) -> RefusalInput {
    // No reset can be run yet, and a promise that can't be kept is not made.
    let mut attributes = vec![("reset-offered".into(), "no".into())];
    match user.access {
        Access::None => {}
        Access::ReadOnly => attributes.push(("access".into(), user.access.as_str().into())),
    }
    RefusalInput {
        context: policy::Context {
            tenant: tenant.id().to_string(),
            user_id: user.user.user().to_owned(),
            now: (worker.clock)().seconds(),
            seed: seed(),
            locales: asked.locales(),
            attributes,
        },
        suspension: policy::Suspension {
            kind: suspension.kind,
            reason_key: suspension.reason.as_ref().map(ToString::to_string),
            reason_text: suspension.reason_text.clone(),
            since: suspension.since.seconds(),
            until: suspension
                .until
                .map(portcullis_core::time::Timestamp::seconds),
            source: suspension.source.as_str().to_owned(),
        },
        surface: asked.surface(),
        occasion: user.occasion,
    }
}

/// All the randomness that a policy has. Not secret: should the system have none,
/// its answers are merely alike.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    let _ = aws_lc_rs::rand::SystemRandom::new().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

fn decided(
    user: &SuspendedUser,
    policy: &Policy,
    decision: RefusalDecision,
    error_id: String,
) -> Prepared {
    Prepared {
        error_id,
        key: decision.key.unwrap_or_else(|| user.message_key()),
        access: user.access,
        surface: decision.surface,
        page: decision.page,
        status: decision.status,
        language: decision.language,
        title: decision.title,
        words: decision.words,
        message: decision.message,
        links: decision.links,
        headers: decision.headers,
        decided_by: policy.digest().to_owned(),
    }
}

/// The gate's own words: plain, true, and without a promise.
fn builtin(user: &SuspendedUser, error_id: String) -> Prepared {
    let message = match (&user.suspension, user.access) {
        (Some(_), Access::None) => {
            "Your account has been suspended. Please contact your administrator."
        }
        (Some(_), Access::ReadOnly) => {
            "Your account may only be used to look for now. Please contact your administrator."
        }
        (None, Access::None | Access::ReadOnly) => "This account no longer exists.",
    };
    Prepared {
        error_id,
        key: user.message_key(),
        access: user.access,
        surface: None,
        page: None,
        status: StatusCode::FORBIDDEN,
        language: "en".into(),
        title: "Access refused".into(),
        words: None,
        message: message.into(),
        links: Vec::new(),
        headers: Vec::new(),
        decided_by: "builtin".into(),
    }
}

fn render(asked: &Asked, prepared: &Prepared) -> Response<Answer> {
    let mut response = match prepared.surface.unwrap_or_else(|| asked.surface()) {
        Surface::Page => respond::body(asked, "text/html; charset=utf-8", page::refusal(prepared)),
        Surface::Api => {
            let mut object = json!({
                "error_id": prepared.error_id,
                "error": "access_denied",
                "error_description": prepared.key,
                "error_message_key": prepared.key,
                "error_user_msg": prepared.words.as_ref().unwrap_or(&prepared.key),
            });
            match prepared.access {
                Access::None => {}
                // A program is to know that looking still goes.
                Access::ReadOnly => object["access"] = json!(prepared.access.as_str()),
            }
            respond::body(asked, "application/json", object.to_string())
        }
    };
    *response.status_mut() = prepared.status;
    for (name, value) in &prepared.headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    if let Ok(language) = http::HeaderValue::from_str(&prepared.language) {
        response
            .headers_mut()
            .insert(http::header::CONTENT_LANGUAGE, language);
    }
    response
}
