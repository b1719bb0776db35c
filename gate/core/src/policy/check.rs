//! The proof that a guest's answer is fit to be sent.
//!
//! Nothing is mended or cut to size: an answer that breaks a rule is thrown
//! away whole, so that what was tested is what is sent.

mod message;

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::template::{breaks_line, is_name};
use super::{
    Action, AnswerLimits, Description, Fault, Link, ReactivationDecision, RefusalAnswer,
    RefusalDecision, ResetTerms, Templates, Verdict,
};

pub use message::check_messages;

/// Statuses that a refusal may not take, because each makes a client do
/// something else than show the refusal: 401 (ask for credentials; it needs a
/// `WWW-Authenticate`, RFC 9110 §15.5.2), 407 (the proxy's), 408 and 421 (send
/// the request again), 426 (upgrade), 431 (drop headers).
const STATUSES_REFUSED: [u16; 6] = [401, 407, 408, 421, 426, 431];

/// Response headers that a policy may set. All others are the gate's.
const HEADERS_ALLOWED: [HeaderName; 3] =
    [header::CONTENT_LANGUAGE, header::LINK, header::RETRY_AFTER];

/// Checks a refusal, and finds the page that it chose.
///
/// # Errors
/// [`Fault::BadOutput`], naming the field and the rule.
pub fn check_refusal(
    answer: RefusalAnswer,
    templates: &Templates,
    limits: &AnswerLimits,
) -> Result<RefusalDecision, Fault> {
    let status = check_status(answer.status)?;
    check_language("language", &answer.language, limits)?;
    if let Some(key) = &answer.key {
        check_key(key, limits)?;
    }
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
    check_actions(&answer.actions, limits)?;
    let page = match &answer.template {
        None => None,
        Some(name) => {
            let page = templates.find(name, &answer.language)?.page.clone();
            let none = || bad(format!("template {} has no page", quote(name)));
            Some(page.ok_or_else(none)?)
        }
    };
    Ok(RefusalDecision {
        status,
        language: answer.language,
        key: answer.key,
        title: answer.title,
        words: answer.words,
        message: answer.message,
        surface: answer.surface,
        page,
        links: answer.links,
        headers,
        actions: answer.actions,
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
    match &decision.verdict {
        Verdict::Allowed(terms) => check_terms(terms, limits)?,
        Verdict::Refused => {}
        Verdict::StepUp(proofs) if proofs.is_empty() => {
            return Err(bad("verdict wants a step up and names no proof".to_owned()));
        }
        Verdict::StepUp(proofs) => {
            check_count("proofs", proofs.len(), limits.proofs_max)?;
            for proof in proofs {
                check_name("proofs", proof.as_str(), limits)?;
            }
        }
    }
    if let Some(words) = &decision.words {
        check_text("words", words, limits)?;
    }
    check_actions(&decision.actions, limits)?;
    Ok(decision)
}

/// Checks what a policy says of itself, and that there is every template that it
/// may choose.
///
/// # Errors
/// [`Fault::BadOutput`], naming the field and the rule.
pub fn check_description(
    description: Description,
    templates: &Templates,
    limits: &AnswerLimits,
) -> Result<Description, Fault> {
    check_name("name", &description.name, limits)?;
    check_line("version", &description.version, limits)?;
    check_line("summary", &description.summary, limits)?;
    let lists = [
        ("languages", description.languages.len()),
        ("settings", description.settings.len()),
        ("templates", description.templates.len()),
        ("attributes", description.attributes.len()),
    ];
    for (field, count) in lists {
        check_count(field, count, limits.described_max)?;
    }
    for language in &description.languages {
        check_language("languages", language, limits)?;
    }
    for setting in &description.settings {
        check_line("settings.key", &setting.key, limits)?;
        check_line("settings.summary", &setting.summary, limits)?;
        check_line(
            "settings.default",
            setting.default.as_deref().unwrap_or_default(),
            limits,
        )?;
    }
    for (name, value) in &description.attributes {
        check_name("attributes", name, limits)?;
        check_line("attributes", value, limits)?;
    }
    for name in &description.templates {
        if !templates.0.contains_key(name) {
            return Err(bad(format!(
                "template {} is named and there is none; add templates/{name}.toml",
                quote(name)
            )));
        }
    }
    Ok(description)
}

fn check_terms(terms: &ResetTerms, limits: &AnswerLimits) -> Result<(), Fault> {
    check_lifetime(terms.lifetime_seconds, limits)?;
    match &terms.redirect_to {
        Some(target) => check_redirect(target, limits),
        None => Ok(()),
    }
}

fn check_actions(actions: &[Action], limits: &AnswerLimits) -> Result<(), Fault> {
    check_count("actions", actions.len(), limits.actions_max)?;
    for action in actions {
        check_name("actions", &action.name, limits)?;
        check_count("arguments", action.arguments.len(), limits.arguments_max)?;
        for (name, value) in &action.arguments {
            check_name("arguments", name, limits)?;
            check_text("arguments", value, limits)?;
        }
    }
    Ok(())
}

/// Programs and logs read keys: nothing that needs quoting anywhere.
fn check_key(key: &str, limits: &AnswerLimits) -> Result<(), Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=limits.key_bytes_max).contains(&key.len()) && key.bytes().all(plain) {
        Ok(())
    } else {
        Err(bad(format!(
            "key {} is not of 1 to {} letters, digits, `.`, `_` and `-`",
            quote(key),
            limits.key_bytes_max
        )))
    }
}

/// The name of an action, a proof, an attribute: lower case, joined by hyphens or
/// underscores.
fn check_name(field: &str, name: &str, limits: &AnswerLimits) -> Result<(), Fault> {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
    };
    if (1..=limits.name_bytes_max).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(bad(format!(
            "{field} {} is not a name in lower case",
            quote(name)
        )))
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
    if text.chars().any(breaks_line) {
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

/// Quotes what a guest wrote for an operator's log: escaped and cut short.
fn quote(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    format!("{short:?}")
}

fn bad(what: String) -> Fault {
    Fault::BadOutput { what }
}

#[cfg(test)]
mod tests;
