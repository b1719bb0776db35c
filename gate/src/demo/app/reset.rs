//! "Forgot password": a link by mail, or by text message to those without an
//! address, and the page behind the link.

mod links;

use std::time::Instant;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::header::{HOST, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

pub(super) use self::links::ResetLinks;
use super::accounts::Account;
use super::visitor::{apologise, complain};
use super::{DemoApp, pages};
use crate::demo::html::escape;
use crate::demo::sinks::Message;

#[derive(Deserialize)]
pub(super) struct Forgotten {
    #[serde(alias = "email")]
    username: String,
}

#[derive(Deserialize)]
pub(super) struct Token {
    #[serde(default)]
    token: String,
}

#[derive(Deserialize)]
pub(super) struct NewPassword {
    token: String,
    password: String,
}

/// `GET /forgot`.
pub(super) async fn ask() -> Response {
    pages::forgot_page()
}

/// `POST /forgot`: the same answer whoever is named, so that nobody learns
/// here who has an account.
pub(super) async fn send_link(
    State(app): State<DemoApp>,
    headers: HeaderMap,
    form: Result<Form<Forgotten>, FormRejection>,
) -> Response {
    let name = match form {
        Ok(Form(form)) => form.username,
        Err(rejection) => return complain(rejection.status(), &rejection.body_text()),
    };
    if let Some(person) = app.state.accounts.find(name.trim()) {
        match app.state.reset_links.issue(person.name, Instant::now()) {
            Ok(token) => app.send(&person, &app.link_to_reset(&headers, &token)),
            Err(fault) => return apologise(&fault),
        }
    }
    pages::link_sent_page()
}

/// `GET /reset?token=…`. Looking does not use the link up: mail scanners look.
pub(super) async fn choose(State(app): State<DemoApp>, Query(form): Query<Token>) -> Response {
    match app.state.reset_links.user(&form.token, Instant::now()) {
        Some(_) => pages::reset_page(StatusCode::OK, &form.token, pages::Notice::None),
        None => pages::dead_link_page(),
    }
}

/// `POST /reset`: sets the password and sends the person to the login. Sessions
/// that are open stay open, as in many an older app.
pub(super) async fn set_password(
    State(app): State<DemoApp>,
    form: Result<Form<NewPassword>, FormRejection>,
) -> Response {
    let form = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return complain(rejection.status(), &rejection.body_text()),
    };
    if form.password.is_empty() {
        let notice = pages::Notice::Bad("Choose a password that is not empty.");
        return pages::reset_page(StatusCode::BAD_REQUEST, &form.token, notice);
    }
    match app.state.reset_links.redeem(&form.token, Instant::now()) {
        Some(user) => {
            app.state.accounts.set_password(user, &form.password);
            (StatusCode::SEE_OTHER, [(LOCATION, "/login?done=reset")]).into_response()
        }
        None => pages::dead_link_page(),
    }
}

impl DemoApp {
    /// A link that works from the mailbox where the request came by the app's
    /// own name, else the path alone: whatever else a client claims in `Host`
    /// must not end up in somebody's mail.
    fn link_to_reset(&self, headers: &HeaderMap, token: &str) -> String {
        let path = format!("/reset?token={token}");
        let own_name = format!("{}.localhost", self.state.tenant);
        let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
            return path;
        };
        let (name, port) = host.split_once(':').unwrap_or((host, ""));
        if name != own_name || !port.bytes().all(|digit| digit.is_ascii_digit()) {
            return path;
        }
        let by_tls = headers
            .get("x-forwarded-proto")
            .is_some_and(|scheme| scheme == "https");
        let scheme = if by_tls { "https" } else { "http" };
        format!("{scheme}://{host}{path}")
    }

    /// By mail; by text message to those who have a phone alone.
    fn send(&self, person: &Account, link: &str) {
        let (tenant, outbox) = (&self.state.tenant, &self.state.outbox);
        if let Some(email) = &person.email {
            let text = format!(
                "Hello {name},\n\nsomebody asked for a new password for your account. \
                 To choose one, open\n\n{link}\n\nwithin an hour. If it was not you, \
                 ignore this mail.\n",
                name = person.name,
            );
            let html = format!(
                "<p>Hello {name},</p><p>somebody asked for a new password for your account. \
                 To choose one, <a href=\"{link}\">open this link</a> within an hour. \
                 If it was not you, ignore this mail.</p>",
                name = escape(person.name),
                link = escape(link),
            );
            let from = format!("no-reply@{tenant}.test");
            let subject = "Choose a new password";
            outbox.push(Message::email(email, &from, subject, text, Some(html)));
        } else if let Some(phone) = person.phone {
            let text = format!("{tenant}: choose a new password within an hour: {link}");
            outbox.push(Message::sms(phone, tenant, text));
        }
    }
}
