//! Signing in and out, tokens for scripts, and "who am I".

use std::time::SystemTime;

use axum::extract::rejection::{FormRejection, JsonRejection};
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use serde::Deserialize;
use serde_json::json;

use super::tokens::TOKEN_LIFETIME;
use super::visitor::{Visitor, apologise, complain, refuse};
use super::{DemoApp, LoginStyle, pages};

#[derive(Deserialize)]
struct FormLogin {
    username: String,
    password: String,
}

/// The name by which someone signs in may stand in either field of JSON.
#[derive(Deserialize)]
pub(super) struct JsonLogin {
    #[serde(alias = "username")]
    email: String,
    password: String,
}

/// `POST /login`, in the app's own style; the other style is a 415.
pub(super) async fn sign_in(State(app): State<DemoApp>, request: Request) -> Response {
    match app.state.login {
        LoginStyle::Form => match Form::<FormLogin>::from_request(request, &()).await {
            Ok(Form(login)) => app.sign_in_by_form(&login),
            Err(rejection) => complain_of_form(&rejection),
        },
        LoginStyle::Json => match Json::<JsonLogin>::from_request(request, &()).await {
            Ok(Json(login)) => app.sign_in_by_json(&login),
            Err(rejection) => complain_of_json(&rejection),
        },
    }
}

impl DemoApp {
    fn sign_in_by_form(&self, login: &FormLogin) -> Response {
        let accounts = &self.state.accounts;
        let Some(user) = accounts.authenticate(&login.username, &login.password) else {
            let words = "Wrong username or password.";
            return pages::login_page(self, StatusCode::UNAUTHORIZED, pages::Notice::Bad(words));
        };
        match self.state.sessions.open(user) {
            Ok(cookie) => {
                let headers = [(SET_COOKIE, cookie), (LOCATION, "/".to_owned())];
                (StatusCode::SEE_OTHER, headers).into_response()
            }
            Err(fault) => apologise(&fault),
        }
    }

    fn sign_in_by_json(&self, login: &JsonLogin) -> Response {
        let accounts = &self.state.accounts;
        let Some(user) = accounts.authenticate(&login.email, &login.password) else {
            return refuse("invalid_credentials");
        };
        match self.state.sessions.open(user) {
            Ok(cookie) => {
                let headers = [(SET_COOKIE, cookie), (CACHE_CONTROL, "no-store".to_owned())];
                (headers, Json(json!({ "user": user }))).into_response()
            }
            Err(fault) => apologise(&fault),
        }
    }
}

/// `POST /logout`: ends the session here, not in the browser alone.
pub(super) async fn sign_out(State(app): State<DemoApp>, headers: HeaderMap) -> Response {
    let cookie = app.state.sessions.end(&headers);
    let headers = [(SET_COOKIE, cookie), (LOCATION, "/".to_owned())];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// `POST /api/token`: a token for name and password, the same in both styles.
pub(super) async fn issue_token(
    State(app): State<DemoApp>,
    login: Result<Json<JsonLogin>, JsonRejection>,
) -> Response {
    let login = match login {
        Ok(Json(login)) => login,
        Err(rejection) => return complain_of_json(&rejection),
    };
    let accounts = &app.state.accounts;
    let Some(user) = accounts.authenticate(&login.email, &login.password) else {
        return refuse("invalid_credentials");
    };
    match app.state.tokens.issue(user, SystemTime::now()) {
        Ok(token) => {
            let body = json!({
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": TOKEN_LIFETIME.as_secs(),
            });
            ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
        }
        Err(fault) => apologise(&fault),
    }
}

/// `GET /api/me`.
pub(super) async fn tell_user(Visitor(user): Visitor) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(json!({ "user": user })))
}

fn complain_of_json(rejection: &JsonRejection) -> Response {
    complain(rejection.status(), &rejection.body_text())
}

fn complain_of_form(rejection: &FormRejection) -> Response {
    complain(rejection.status(), &rejection.body_text())
}
