//! The mailbox page for people and the JSON list for scripts.

use std::borrow::Cow;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, REFERRER_POLICY};
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Json, Router};

use super::{Channel, Mailbox, Message};
use crate::demo::html::{Value, escape, fill};

const PAGE: &str = include_str!("../assets/mailbox.html");
const MESSAGE: &str = include_str!("../assets/mailbox_message.html");
const STYLE: &str = include_str!("../assets/style.css");

/// The page shows this many, newest first; the JSON list has them all.
const MAX_MESSAGES_ON_PAGE: usize = 100;

/// `GET /` the page, `GET /api/messages` the list (newest last), `DELETE
/// /api/messages` to forget them.
pub fn router(mailbox: Mailbox) -> Router {
    Router::new()
        .route("/", get(show_page))
        .route("/api/messages", get(list_messages).delete(clear_messages))
        .with_state(mailbox)
}

async fn list_messages(State(mailbox): State<Mailbox>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(mailbox.messages()))
}

async fn clear_messages(State(mailbox): State<Mailbox>) -> StatusCode {
    mailbox.clear();
    StatusCode::NO_CONTENT
}

async fn show_page(State(mailbox): State<Mailbox>) -> impl IntoResponse {
    let messages = mailbox.messages();
    let shown: String = messages
        .iter()
        .rev()
        .take(MAX_MESSAGES_ON_PAGE)
        .map(render_message)
        .collect();
    let count = match messages.len() {
        0 => Cow::Borrowed("Nothing has been sent yet."),
        1 => Cow::Borrowed("1 message"),
        many if many > MAX_MESSAGES_ON_PAGE => Cow::Owned(format!(
            "{many} messages, the newest {MAX_MESSAGES_ON_PAGE} shown"
        )),
        many => Cow::Owned(format!("{many} messages, newest first")),
    };
    let page = fill(
        PAGE,
        &[
            ("style", Value::Markup(STYLE)),
            ("count", Value::Text(&count)),
            ("messages", Value::Markup(&shown)),
        ],
    );
    (page_headers(), Html(page))
}

/// Messages carry reset links: they must not leak by cache or by referrer.
/// Images and scripts inside a mail's HTML are not fetched: only our own inline
/// script runs, and a mail is shown in a sandboxed frame besides.
fn page_headers() -> [(HeaderName, &'static str); 3] {
    [
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (
            axum::http::header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
             connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'",
        ),
    ]
}

fn render_message(message: &Message) -> String {
    let (kind, subject) = match message.channel {
        Channel::Email => (
            "email",
            message.subject.as_deref().unwrap_or("(no subject)"),
        ),
        Channel::Sms => ("sms", "Text message"),
    };
    let html = message.html.as_deref().map_or_else(String::new, |html| {
        // Attribute-escaped and without any permission but opening its links in
        // a new tab: the mail's markup never meets this page.
        format!(
            "<details><summary>as HTML</summary><iframe \
             sandbox=\"allow-popups allow-popups-to-escape-sandbox\" \
             srcdoc=\"&lt;base target=_blank&gt;{}\" title=\"The mail as HTML\"></iframe></details>",
            escape(html)
        )
    });
    fill(
        MESSAGE,
        &[
            ("kind", Value::Text(kind)),
            ("subject", Value::Text(subject)),
            ("to", Value::Text(&message.to)),
            ("from", Value::Text(&message.from)),
            (
                "sent_at",
                Value::Text(&humantime::format_rfc3339_seconds(message.sent_at).to_string()),
            ),
            ("text", Value::Markup(&link_addresses(&message.text))),
            ("html", Value::Markup(&html)),
        ],
    )
}

/// Escapes the text and makes its web addresses links. Only `http:` and
/// `https:` ones: a message must not smuggle in a `javascript:` link.
fn link_addresses(text: &str) -> String {
    text.split_inclusive(char::is_whitespace)
        .map(|piece| {
            let word = piece.trim_end();
            if word.starts_with("http://") || word.starts_with("https://") {
                let (safe, space) = (escape(word), &piece[word.len()..]);
                format!("<a href=\"{safe}\" target=\"_blank\" rel=\"noopener\">{safe}</a>{space}")
            } else {
                escape(piece)
            }
        })
        .collect()
}
