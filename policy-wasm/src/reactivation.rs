//! Whether a suspended user may come back by a reset.

use crate::bindings::exports::portcullis::policy::reactivation::{
    Proof, ReactivationDecision, ReactivationRequest, Step, Terms, Verdict,
};
use crate::bindings::exports::portcullis::policy::types::Channel;
use crate::languages;
use crate::refusal::is_resettable;
use crate::settings::{
    EMAIL_LIFETIME, EMAIL_LIFETIME_DEFAULT, EMAIL_REDIRECT_TO, RESET_STEP_UP, SMS_LIFETIME,
    SMS_LIFETIME_DEFAULT, Settings,
};
use crate::templates::{Facts, fill};
use crate::texts::{NO_RESET, RESET_EXPIRED, STEP_UP, find, pick};

/// Every step is judged anew: a link that was sent while resets were allowed is
/// worth nothing once they are not.
pub fn decide(request: &ReactivationRequest) -> ReactivationDecision {
    let settings = Settings(&request.context.settings);
    let lifetime_seconds = lifetime(settings, &request.channel);
    let wanted = wanted(settings, request);
    let (verdict, text) = if !is_resettable(settings, request.suspension.kind) {
        (Verdict::Refused, Some(NO_RESET))
    } else if is_expired(request, lifetime_seconds) {
        (Verdict::Refused, Some(RESET_EXPIRED))
    } else if !wanted.is_empty() {
        (Verdict::StepUp(wanted), Some(STEP_UP))
    } else {
        let terms = Terms {
            lifetime_seconds,
            redirect_to: redirect_to(settings),
        };
        (Verdict::Allowed(terms), None)
    };
    let language = languages::choose(settings, &request.context.locales, |tag| {
        find(settings, tag, text.unwrap_or(NO_RESET)).is_some()
    });
    let facts = Facts {
        settings,
        language: &language,
        tenant: &request.context.tenant,
        user_id: &request.context.user_id,
        suspension: Some(&request.suspension),
        is_for_user: true,
    };
    let words = text.map(|text| fill(pick(settings, &language, text), &facts));
    ReactivationDecision {
        verdict,
        words,
        language,
        actions: Vec::new(),
    }
}

/// How long a link or a code is good for.
pub fn lifetime(settings: Settings<'_>, channel: &Channel) -> u32 {
    match channel {
        Channel::Email => settings.number(EMAIL_LIFETIME, EMAIL_LIFETIME_DEFAULT),
        Channel::Sms | Channel::Other(_) => settings.number(SMS_LIFETIME, SMS_LIFETIME_DEFAULT),
    }
}

/// Where a completed reset leads.
pub fn redirect_to(settings: Settings<'_>) -> Option<String> {
    settings.text(EMAIL_REDIRECT_TO).map(str::to_owned)
}

/// What the tenant wants besides the link or the code and does not have yet. The
/// link or the code itself must be sent before anything can be shown.
fn wanted(settings: Settings<'_>, request: &ReactivationRequest) -> Vec<Proof> {
    match request.step {
        Step::Issue => Vec::new(),
        Step::Open | Step::Complete => settings
            .list(RESET_STEP_UP, "")
            .filter(|wanted| !request.proofs.iter().any(|shown| name(shown) == *wanted))
            .map(proof)
            .collect(),
    }
}

fn name(proof: &Proof) -> &str {
    match proof {
        Proof::EmailLink => "email-link",
        Proof::SmsCode => "sms-code",
        Proof::Approval => "approval",
        Proof::Other(name) => name,
    }
}

fn proof(name: &str) -> Proof {
    match name {
        "email-link" => Proof::EmailLink,
        "sms-code" => Proof::SmsCode,
        "approval" => Proof::Approval,
        other => Proof::Other(other.to_owned()),
    }
}

/// A link without a known birth is none that can be trusted.
fn is_expired(request: &ReactivationRequest, lifetime_seconds: u32) -> bool {
    match (request.step, request.issued_at) {
        (Step::Issue, _) => false,
        (Step::Open | Step::Complete, None) => true,
        (Step::Open | Step::Complete, Some(issued_at)) => {
            request.context.now >= issued_at.saturating_add(u64::from(lifetime_seconds))
        }
    }
}
