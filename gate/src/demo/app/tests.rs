//! What the demo app promises, seen over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounts;
mod streams;

use axum::http::StatusCode;
use serde_json::json;

use super::{DemoApp, LoginStyle};
use crate::demo::sinks::Mailbox;
use crate::demo::testing::{Ask, Served};

/// One app in service, and the mailbox that it sends to.
struct Demo {
    served: Served,
    mailbox: Mailbox,
}

impl Demo {
    async fn acme() -> Self {
        Self::start("acme", LoginStyle::Form).await
    }

    async fn globex() -> Self {
        Self::start("globex", LoginStyle::Json).await
    }

    async fn start(tenant: &str, login: LoginStyle) -> Self {
        let mailbox = Mailbox::new();
        let secret = format!("the secret of {tenant}");
        let app = DemoApp::new(tenant, login, secret.as_bytes(), mailbox.clone());
        let served = Served::start(app.router()).await;
        Self { served, mailbox }
    }

    /// Signs in to acme, and gives the cookie.
    async fn sign_in(&self, user: &str, password: &str) -> String {
        let body = format!("username={user}&password={password}");
        let answer = self.served.ask(Ask::form("/login", &body)).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        answer.cookie()
    }

    async fn token(&self, user: &str) -> String {
        let body = json!({"username": user, "password": "demo"});
        let answer = self.served.ask(Ask::json("/api/token", &body)).await;
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// The user of `/api/me`, if it answers 200.
    async fn user(&self, ask: Ask) -> Option<String> {
        let answer = self.served.ask(ask).await;
        if answer.status == StatusCode::UNAUTHORIZED {
            return None;
        }
        assert_eq!(answer.status, StatusCode::OK);
        Some(answer.json()["user"].as_str().unwrap().to_owned())
    }
}

fn me() -> Ask {
    Ask::get("/api/me")
}
