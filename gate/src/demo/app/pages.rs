//! The pages that people see.

use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, REFERRER_POLICY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::visitor::Visitor;
use super::{DemoApp, LoginStyle};
use crate::demo::html::{Value, fill};

const FRAME: &str = include_str!("../assets/frame.html");
const HOME: &str = include_str!("../assets/home.html");
const LOGIN_FORM: &str = include_str!("../assets/login_form.html");
const LOGIN_JSON: &str = include_str!("../assets/login_json.html");
const FORGOT: &str = include_str!("../assets/forgot.html");
const RESET: &str = include_str!("../assets/reset.html");
const STYLE: &str = include_str!("../assets/style.css");

/// A line above a form.
#[derive(Clone, Copy)]
pub(super) enum Notice {
    None,
    Good(&'static str),
    Bad(&'static str),
}

#[derive(Deserialize)]
pub(super) struct Arrival {
    /// What the visitor just did elsewhere.
    done: Option<String>,
}

/// `GET /`: the app for those signed in, the login for the others.
pub(super) async fn home(State(app): State<DemoApp>, headers: HeaderMap) -> Response {
    let Some(Visitor(user)) = app.visitor(&headers) else {
        return login_page(&app, StatusCode::OK, Notice::None);
    };
    let values = [
        ("user", Value::Text(user)),
        ("tenant", Value::Text(&app.state.tenant)),
    ];
    show(StatusCode::OK, "Home", &fill(HOME, &values))
}

/// `GET /login`.
pub(super) async fn login(State(app): State<DemoApp>, Query(arrival): Query<Arrival>) -> Response {
    let notice = match arrival.done.as_deref() {
        Some("reset") => Notice::Good("Your new password is set. Sign in with it."),
        Some(_) | None => Notice::None,
    };
    login_page(&app, StatusCode::OK, notice)
}

/// `GET /public`: for everybody.
pub(super) async fn public(State(app): State<DemoApp>) -> Response {
    let words = format!("Opening hours of {}: nine to five.", app.state.tenant);
    say(StatusCode::OK, "Open to everybody", &words)
}

/// Any path that the app does not have.
pub(super) async fn missing() -> Response {
    say(StatusCode::NOT_FOUND, "Not found", "There is no such page.")
}

/// The login in the app's own style.
pub(super) fn login_page(app: &DemoApp, status: StatusCode, notice: Notice) -> Response {
    let form = match app.state.login {
        LoginStyle::Form => LOGIN_FORM,
        LoginStyle::Json => LOGIN_JSON,
    };
    let values = [
        ("tenant", Value::Text(&app.state.tenant)),
        ("notice", Value::Markup(&render_notice(notice))),
    ];
    show(status, "Sign in", &fill(form, &values))
}

pub(super) fn forgot_page() -> Response {
    show(StatusCode::OK, "Forgot your password?", &fill(FORGOT, &[]))
}

pub(super) fn link_sent_page() -> Response {
    let words =
        "If there is an account by that name, a link to choose a new password is on its way.";
    say(StatusCode::OK, "Look at your messages", words)
}

pub(super) fn reset_page(status: StatusCode, token: &str, notice: Notice) -> Response {
    let values = [
        ("token", Value::Text(token)),
        ("notice", Value::Markup(&render_notice(notice))),
    ];
    show(status, "Choose a new password", &fill(RESET, &values))
}

pub(super) fn dead_link_page() -> Response {
    let words = "This link was used already or is too old. Ask for a new one.";
    say(StatusCode::BAD_REQUEST, "This link does not work", words)
}

fn render_notice(notice: Notice) -> String {
    let (class, words) = match notice {
        Notice::None => ("", ""),
        Notice::Good(words) => ("good", words),
        Notice::Bad(words) => ("bad", words),
    };
    let values = [("class", Value::Text(class)), ("words", Value::Text(words))];
    fill(
        "<p id=\"notice\" class=\"{{class}}\" role=\"status\">{{words}}</p>",
        &values,
    )
}

/// A page of one heading and one sentence.
fn say(status: StatusCode, title: &str, words: &str) -> Response {
    let content = fill(
        "<main><section class=\"card narrow\"><h1>{{title}}</h1><p>{{words}}</p>\
         <p class=\"quiet\"><a href=\"/\">Home</a> · <a href=\"/forgot\">Forgot your password?</a></p>\
         </section></main>",
        &[("title", Value::Text(title)), ("words", Value::Text(words))],
    );
    show(status, title, &content)
}

/// Pages say who is signed in, and some hold a reset token: neither a cache nor
/// the next site's referrer may keep them.
fn show(status: StatusCode, title: &str, content: &str) -> Response {
    let values = [
        ("title", Value::Text(title)),
        ("style", Value::Markup(STYLE)),
        ("content", Value::Markup(content)),
    ];
    let headers = [
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, Html(fill(FRAME, &values))).into_response()
}
