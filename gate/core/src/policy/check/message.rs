//! Whether what is to be sent may be, and the texts that it is made of.

use super::{bad, check_actions, check_count, check_language, check_line, check_redirect};
use super::{check_lifetime, check_text, is_name, quote};
use crate::policy::notification::{CODE, LINK};
use crate::policy::{
    AnswerLimits, Audience, Body, Channel, Fault, Message, NotificationDecision, ResetOffer,
    Template, Templates, Wording,
};
use std::sync::Arc;

/// Checks what is to be sent to `audience`, finds its templates, and fills them in
/// once for trial: what passes here can be sent.
///
/// # Errors
/// [`Fault::BadOutput`], naming the field and the rule.
pub fn check_messages(
    decision: NotificationDecision<Wording>,
    audience: Audience,
    templates: &Templates,
    limits: &AnswerLimits,
) -> Result<NotificationDecision, Fault> {
    check_count("messages", decision.messages.len(), limits.messages_max)?;
    check_actions(&decision.actions, limits)?;
    let messages = decision
        .messages
        .into_iter()
        .map(|message| check_message(message, audience, templates, limits))
        .collect::<Result<_, Fault>>()?;
    Ok(NotificationDecision {
        messages,
        actions: decision.actions,
    })
}

fn check_message(
    message: Message<Wording>,
    audience: Audience,
    templates: &Templates,
    limits: &AnswerLimits,
) -> Result<Message, Fault> {
    check_language("language", &message.language, limits)?;
    if let Channel::Other(name) = &message.channel {
        return Err(bad(format!(
            "channel {} is neither email nor sms, which are all that this gate has",
            quote(name)
        )));
    }
    // `from` and `to` become mail headers: one line, no injection.
    if let Some(from) = &message.from {
        check_line("from", from, limits)?;
    }
    check_recipients(&message, audience, limits)?;
    match (&message.reset, audience) {
        (None, Audience::User | Audience::Stakeholder) => {}
        (Some(reset), Audience::User) => check_reset(reset, limits)?,
        (Some(_), Audience::Stakeholder) => {
            return Err(bad("reset is offered to a stakeholder".to_owned()));
        }
    }
    check_variables(&message, limits)?;
    let wording = find_body(&message, templates, limits)?;
    let message = Message {
        wording,
        channel: message.channel,
        to: message.to,
        from: message.from,
        language: message.language,
        variables: message.variables,
        reset: message.reset,
    };
    check_rendered(&message, limits)?;
    Ok(message)
}

/// The texts for the channel: those of the named template, or the guest's own.
fn find_body(
    message: &Message<Wording>,
    templates: &Templates,
    limits: &AnswerLimits,
) -> Result<Body, Fault> {
    match (&message.wording, &message.channel) {
        (Wording::Named(name), Channel::Email) => {
            let texts = templates.find(name, &message.language)?;
            let missing = |part| bad(format!("template {} has no {part}", quote(name)));
            Ok(Body {
                subject: Some(texts.subject.clone().ok_or_else(|| missing("subject"))?),
                text: texts.text.clone().ok_or_else(|| missing("text"))?,
                html: texts.html.clone(),
            })
        }
        (Wording::Named(name), Channel::Sms | Channel::Other(_)) => {
            let texts = templates.find(name, &message.language)?;
            let missing = || bad(format!("template {} has no sms", quote(name)));
            Ok(Body {
                subject: None,
                text: texts.sms.clone().ok_or_else(missing)?,
                html: None,
            })
        }
        (Wording::Inline { subject, text }, channel) => {
            check_text("text", text, limits)?;
            match (channel, subject) {
                (Channel::Email, None) => {
                    return Err(bad("subject is missing for an email".to_owned()));
                }
                (Channel::Email, Some(subject)) => check_line("subject", subject, limits)?,
                (Channel::Sms | Channel::Other(_), None) => {}
                (Channel::Sms | Channel::Other(_), Some(_)) => {
                    return Err(bad("subject is set for an sms".to_owned()));
                }
            }
            let parsed = |text: &String| Arc::new(Template::parse(text));
            Ok(Body {
                subject: subject.as_ref().map(parsed),
                text: parsed(text),
                html: None,
            })
        }
    }
}

/// Fills it in without the secret. A reset whose secret stands nowhere would be
/// one that nobody can take.
fn check_rendered(message: &Message, limits: &AnswerLimits) -> Result<(), Fault> {
    let rendered = message.render(None, limits)?;
    if rendered.text.trim().is_empty() {
        return Err(bad("text is empty".to_owned()));
    }
    if rendered
        .subject
        .is_some_and(|subject| subject.trim().is_empty())
    {
        return Err(bad("subject is empty".to_owned()));
    }
    let secret = match message.channel {
        Channel::Email => LINK,
        Channel::Sms | Channel::Other(_) => CODE,
    };
    let Body { text, html, .. } = &message.wording;
    let holds = |template: &Template| template.names().any(|name| name == secret);
    let everywhere = holds(text) && html.as_deref().is_none_or(holds);
    if message.reset.is_some() && !everywhere {
        return Err(bad(format!(
            "a reset is offered and the text does not hold {{{secret}}}"
        )));
    }
    Ok(())
}

fn check_variables(message: &Message<Wording>, limits: &AnswerLimits) -> Result<(), Fault> {
    check_count("variables", message.variables.len(), limits.variables_max)?;
    for (name, value) in &message.variables {
        if !is_name(name) || name.len() > limits.name_bytes_max {
            return Err(bad(format!(
                "variables {} is not a name such as user_name",
                quote(name)
            )));
        }
        if name == LINK || name == CODE {
            return Err(bad(format!("variables {name} is the gate's to fill")));
        }
        check_text("variables", value, limits)?;
    }
    Ok(())
}

fn check_recipients(
    message: &Message<Wording>,
    audience: Audience,
    limits: &AnswerLimits,
) -> Result<(), Fault> {
    check_count("to", message.to.len(), limits.recipients_max)?;
    match (audience, message.to.is_empty()) {
        // Else a policy could send one user's reset link to somebody else.
        (Audience::User, false) => return Err(bad("to is set for the user".to_owned())),
        (Audience::Stakeholder, true) => {
            return Err(bad("to is empty for a stakeholder".to_owned()));
        }
        (Audience::User, true) | (Audience::Stakeholder, false) => {}
    }
    message.to.iter().try_for_each(|address| {
        check_line("to", address, limits)?;
        if address.trim().is_empty() || address.contains([',', ';', '<', '>']) {
            return Err(bad(format!(
                "to {} is not one bare address",
                quote(address)
            )));
        }
        Ok(())
    })
}

fn check_reset(reset: &ResetOffer, limits: &AnswerLimits) -> Result<(), Fault> {
    check_lifetime(reset.lifetime_seconds, limits)?;
    match &reset.redirect_to {
        Some(target) => check_redirect(target, limits),
        None => Ok(()),
    }
}
