//! The demo app: a small web app of the usual sort, with accounts, sessions,
//! tokens, live connections and a password reset. It knows nothing of what may
//! stand in front of it, and asks for no header or cookie but its own.

mod accounts;
mod live;
mod login;
mod pages;
mod reset;
mod sessions;
mod tokens;
mod transfer;
mod visitor;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use self::accounts::Accounts;
use self::reset::ResetLinks;
use self::sessions::Sessions;
use self::tokens::Tokens;
use super::sinks::Mailbox;

/// The largest form or JSON body that is read; uploads are streamed and have no limit.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// How people sign in; apps differ in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginStyle {
    /// An HTML form with `username` and `password`, answered by a redirect.
    Form,
    /// JSON with `email` and `password`, answered by JSON.
    Json,
}

/// One running app. All of its state is in memory and bounded; clones share it.
#[derive(Clone)]
pub struct DemoApp {
    state: Arc<State>,
}

/// What all requests share.
struct State {
    tenant: String,
    login: LoginStyle,
    accounts: Accounts,
    sessions: Sessions,
    tokens: Tokens,
    reset_links: ResetLinks,
    outbox: Mailbox,
}

impl DemoApp {
    /// The app of `tenant` with its three people. `jwt_secret` signs the tokens
    /// (HS256); mail and text messages go to `outbox`.
    pub fn new(tenant: &str, login: LoginStyle, jwt_secret: &[u8], outbox: Mailbox) -> Self {
        Self {
            state: Arc::new(State {
                tenant: tenant.to_owned(),
                login,
                accounts: Accounts::new(tenant),
                sessions: Sessions::new(),
                tokens: Tokens::new(jwt_secret),
                reset_links: ResetLinks::default(),
                outbox,
            }),
        }
    }

    /// The app's routes, to be served with `axum::serve`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(pages::home))
            .route("/public", get(pages::public))
            .route("/login", get(pages::login).post(login::sign_in))
            .route("/logout", post(login::sign_out))
            .route("/forgot", get(reset::ask).post(reset::send_link))
            .route("/reset", get(reset::choose).post(reset::set_password))
            .route("/api/me", get(login::tell_user))
            .route("/api/token", post(login::issue_token))
            .route("/ws", get(live::open_socket))
            .route("/events", get(live::stream_events))
            .route("/download", get(transfer::download))
            .route("/upload", post(transfer::upload))
            .fallback(pages::missing)
            .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
            .with_state(self.clone())
    }
}
