//! The proof that a guest's answer is fit to be sent.
//!
//! Nothing is mended or cut to size: an answer that breaks a rule is thrown
//! away whole, so that what was tested is what is sent.

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{
    AnswerLimits, Audience, Channel, Fault, Link, Message, ReactivationDecision, RefusalAnswer,
    RefusalDecision, ResetOffer,
};

/// Statuses that a refusal may not take, because each makes a client do
/// something else than show the refusal: 401 (ask for credentials; it needs a
/// `WWW-Authenticate`, RFC 9110 §15.5.2), 407 (the proxy's), 408 and 421 (send
/// the request again), 426 (upgrade), 431 (drop headers).
const STATUSES_REFUSED: [u16; 6] = [401, 407, 408, 421, 426, 431];

/// Response headers that a policy may set. All others are the gate's.
const HEADERS_ALLOWED: [HeaderName; 3] =
    [header::CONTENT_LANGUAGE, header::LINK, header::RETRY_AFTER];

/// Checks a refusal.
///
/// # Errors
/// [`Fault::BadOutput`], naming the field and the rule.
pub fn check_refusal(
    answer: RefusalAnswer,
    limits: &AnswerLimits,
) -> Result<RefusalDecision, Fault> {
    let status = check_status(answer.status)?;
    check_language("language", &answer.language, limits)?;
    check_line("title", &answer.title, limits)?;
    if answer.title.trim().is_empty() {
        return Err(bad("title is empty".to_owned()));
    }
    if let Some(words) = &answer.words {
        check_text("words", words, limits)?;
    }
    check_text("message", &answer.message, limits)?;
    check_count("links", answer.links.len(), limits.links_max)?;
    for link in &answer.links {
        check_link(link, limits)?;
    }
    check_count("headers", answer.headers.len(), limits.headers_max)?;
    let headers = answer
        .headers
        .iter()
        .map(|(name, value)| check_header(name, value, limits))
        .collect::<Result<Vec<_>, Fault>>()?;
    Ok(RefusalDecision {
        status,
        language: answer.language,
        title: answer.title,
        words: answer.words,
        message: answer.message,
        links: answer.links,
        headers,
    })
}

/// Checks one step of a reset.
///
/// # Errors
/// [`Fault::BadOutput`], naming the field and the rule.
pub fn check_reactivation(
    decision: ReactivationDecision,
    limits: &AnswerLimits,
) -> Result<ReactivationDecision, Fault> {
    check_language("language", &decision.language, limits)?;
    if decision.allowed {
        check_lifetime(decision.lifetime_seconds, limits)?;
    }
    if let Some(target) = &decision.redirect_to {
        check_redirect(target, limits)?;
    }
    if let Some(words) = &decision.why_not {
        check_text("why_not", words, limits)?;
    }
    Ok(decision)
}

/// Checks what is to be sent to `audience`.
///
/// # Errors
/// [`Fault::BadOutput`], naming the field and the rule.
pub fn check_messages(
    messages: Vec<Message>,
    audience: Audience,
    limits: &AnswerLimits,
) -> Result<Vec<Message>, Fault> {
    check_count("messages", messages.len(), limits.messages_max)?;
    for message in &messages {
        check_message(message, audience, limits)?;
    }
    Ok(messages)
}

fn check_message(
    message: &Message,
    audience: Audience,
    limits: &AnswerLimits,
) -> Result<(), Fault> {
    check_language("language", &message.language, limits)?;
    check_text("text", &message.text, limits)?;
    if message.text.trim().is_empty() {
        return Err(bad("text is empty".to_owned()));
    }
    // `from`, `to` and `subject` become mail headers: one line, no injection.
    for (field, value) in [("from", &message.from), ("subject", &message.subject)] {
        if let Some(value) = value {
            check_line(field, value, limits)?;
        }
    }
    match (message.channel, &message.subject) {
        (Channel::Email, None) => return Err(bad("subject is missing for an email".to_owned())),
        (Channel::Sms, Some(_)) => return Err(bad("subject is set for an sms".to_owned())),
        (Channel::Email, Some(_)) | (Channel::Sms, None) => {}
    }
    check_recipients(message, audience, limits)?;
    match (&message.reset, audience) {
        (None, Audience::User | Audience::Stakeholder) => Ok(()),
        (Some(reset), Audience::User) => check_reset(reset, limits),
        (Some(_), Audience::Stakeholder) => {
            Err(bad("reset is offered to a stakeholder".to_owned()))
        }
    }
}

fn check_recipients(
    message: &Message,
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

fn check_status(status: u16) -> Result<StatusCode, Fault> {
    let fits = (400..=499).contains(&status) && !STATUSES_REFUSED.contains(&status);
    match StatusCode::from_u16(status) {
        Ok(code) if fits => Ok(code),
        Ok(_) | Err(_) => Err(bad(format!(
            "status {status} is not one a refusal may have"
        ))),
    }
}

fn check_link(link: &Link, limits: &AnswerLimits) -> Result<(), Fault> {
    check_line("links.label", &link.label, limits)?;
    if link.label.trim().is_empty() {
        return Err(bad("links.label is empty".to_owned()));
    }
    check_href(
        "links.href",
        &link.href,
        &["https:", "http:", "mailto:", "tel:"],
        limits,
    )
}

fn check_redirect(target: &str, limits: &AnswerLimits) -> Result<(), Fault> {
    check_href("redirect_to", target, &["https:", "http:"], limits)
}

fn check_href(
    field: &str,
    href: &str,
    schemes: &[&str],
    limits: &AnswerLimits,
) -> Result<(), Fault> {
    if href.len() > limits.href_bytes_max {
        return Err(bad(format!(
            "{field} is longer than {} bytes",
            limits.href_bytes_max
        )));
    }
    // Browsers drop tabs and line breaks inside URLs and read `\` as `/`, so
    // those would let one thing be checked and another be followed.
    if href
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        return Err(bad(format!(
            "{field} {} holds a space, `\\` or control",
            quote(href)
        )));
    }
    let lower = href.to_ascii_lowercase();
    let local = href.starts_with('/') && !href.starts_with("//");
    let external = schemes.iter().any(|scheme| {
        lower
            .strip_prefix(scheme)
            .is_some_and(|rest| match *scheme {
                // `https:x` without slashes is resolved against the page.
                "https:" | "http:" => rest
                    .strip_prefix("//")
                    .is_some_and(|host| !host.is_empty() && !host.starts_with('/')),
                _ => !rest.is_empty(),
            })
    });
    if local || external {
        Ok(())
    } else {
        Err(bad(format!(
            "{field} {} is neither a path nor one of {schemes:?}",
            quote(href)
        )))
    }
}

fn check_header(
    name: &str,
    value: &str,
    limits: &AnswerLimits,
) -> Result<(HeaderName, HeaderValue), Fault> {
    let allowed = HeaderName::from_bytes(name.as_bytes())
        .ok()
        .filter(|name| HEADERS_ALLOWED.contains(name))
        .ok_or_else(|| {
            bad(format!(
                "header {} is not one a policy may set",
                quote(name)
            ))
        })?;
    if value.len() > limits.header_value_bytes_max {
        return Err(bad(format!("header {allowed} is too long")));
    }
    // Stricter than `HeaderValue`, which lets bytes above 127 through.
    if !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Err(bad(format!(
            "header {allowed} holds more than printable ASCII"
        )));
    }
    let value = HeaderValue::from_str(value)
        .map_err(|_| bad(format!("header {allowed} has a value that is none")))?;
    Ok((allowed, value))
}

fn check_language(field: &str, tag: &str, limits: &AnswerLimits) -> Result<(), Fault> {
    let subtags_fit = tag.split('-').all(|subtag| {
        (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if subtags_fit && tag.len() <= limits.language_bytes_max {
        Ok(())
    } else {
        Err(bad(format!("{field} {} is not a language tag", quote(tag))))
    }
}

fn check_lifetime(seconds: u32, limits: &AnswerLimits) -> Result<(), Fault> {
    let (min, max) = (limits.reset_seconds_min, limits.reset_seconds_max);
    if (min..=max).contains(&seconds) {
        Ok(())
    } else {
        Err(bad(format!(
            "lifetime_seconds {seconds} is not from {min} to {max}"
        )))
    }
}

fn check_line(field: &str, text: &str, limits: &AnswerLimits) -> Result<(), Fault> {
    if text.len() > limits.line_bytes_max {
        return Err(bad(format!(
            "{field} is longer than {} bytes",
            limits.line_bytes_max
        )));
    }
    if text.chars().any(|c| c.is_control() || is_line_separator(c)) {
        return Err(bad(format!("{field} holds a control character")));
    }
    Ok(())
}

fn check_text(field: &str, text: &str, limits: &AnswerLimits) -> Result<(), Fault> {
    if text.len() > limits.text_bytes_max {
        return Err(bad(format!(
            "{field} is longer than {} bytes",
            limits.text_bytes_max
        )));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(bad(format!("{field} holds a control character")));
    }
    Ok(())
}

fn check_count(field: &str, count: usize, max: usize) -> Result<(), Fault> {
    if count > max {
        return Err(bad(format!(
            "{field} has {count} entries, {max} is the most"
        )));
    }
    Ok(())
}

/// U+2028 and U+2029 are not control characters, yet break lines.
fn is_line_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Quotes what a guest wrote for an operator's log: escaped and cut short.
fn quote(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    format!("{short:?}")
}

fn bad(what: String) -> Fault {
    Fault::BadOutput { what }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
