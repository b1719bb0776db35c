//! Whether a suspended user may come back by a reset.

use crate::bindings::exports::portcullis::policy::reactivation::{
    ReactivationDecision, ReactivationRequest, Step,
};
use crate::bindings::exports::portcullis::policy::types::Channel;
use crate::languages;
use crate::refusal::is_resettable;
use crate::settings::{
    EMAIL_LIFETIME, EMAIL_LIFETIME_DEFAULT, EMAIL_REDIRECT_TO, SMS_LIFETIME, SMS_LIFETIME_DEFAULT,
    Settings,
};
use crate::templates::{Facts, fill};
use crate::texts::{NO_RESET, RESET_EXPIRED, find, pick};

/// Every step is judged anew: a link that was sent while resets were allowed is
/// worth nothing once they are not.
pub fn decide(request: &ReactivationRequest) -> ReactivationDecision {
    let settings = Settings(&request.settings);
    let lifetime_seconds = lifetime(settings, request.channel);
    let refused = if !is_resettable(settings, request.suspension.kind) {
        Some(NO_RESET)
    } else if is_expired(request, lifetime_seconds) {
        Some(RESET_EXPIRED)
    } else {
        None
    };
    let wanted = refused.unwrap_or(NO_RESET);
    let language = languages::choose(settings, &request.locales, |tag| {
        find(settings, tag, wanted).is_some()
    });
    let facts = Facts {
        settings,
        language: &language,
        tenant: &request.tenant,
        user_id: &request.user_id,
        suspension: Some(&request.suspension),
    };
    let why_not = refused.map(|text| fill(pick(settings, &language, text), &facts));
    ReactivationDecision {
        allowed: refused.is_none(),
        lifetime_seconds,
        redirect_to: redirect_to(settings).filter(|_| refused.is_none()),
        why_not,
        language,
    }
}

/// How long a link or a code is good for.
pub fn lifetime(settings: Settings<'_>, channel: Channel) -> u32 {
    match channel {
        Channel::Email => settings.number(EMAIL_LIFETIME, EMAIL_LIFETIME_DEFAULT),
        Channel::Sms => settings.number(SMS_LIFETIME, SMS_LIFETIME_DEFAULT),
    }
}

/// Where a completed reset leads.
pub fn redirect_to(settings: Settings<'_>) -> Option<String> {
    settings.text(EMAIL_REDIRECT_TO).map(str::to_owned)
}

/// A link without a known birth is none that can be trusted.
fn is_expired(request: &ReactivationRequest, lifetime_seconds: u32) -> bool {
    match (request.step, request.issued_at) {
        (Step::Issue, _) => false,
        (Step::Open | Step::Complete, None) => true,
        (Step::Open | Step::Complete, Some(issued_at)) => {
            request.now >= issued_at.saturating_add(u64::from(lifetime_seconds))
        }
    }
}
