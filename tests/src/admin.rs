//! The admin API, as a script would call it.

use std::net::SocketAddr;

use http::Method;
use serde_json::Value;

use crate::client::{Answer, Ask};

/// One caller of the admin API.
#[derive(Clone)]
pub struct Admin {
    address: SocketAddr,
    token: String,
    tenant: Option<String>,
}

impl Admin {
    pub fn new(address: SocketAddr, token: &str) -> Self {
        Self {
            address,
            token: token.to_owned(),
            tenant: None,
        }
    }

    /// The same caller, naming a tenant in each call.
    #[must_use]
    pub fn of(&self, tenant: &str) -> Self {
        Self {
            tenant: Some(tenant.to_owned()),
            ..self.clone()
        }
    }

    /// A call whose answer is not looked at.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut ask = Ask::new(method, path)
            .header("host", &self.address.to_string())
            .header("authorization", &format!("Bearer {}", self.token));
        if let Some(tenant) = &self.tenant {
            ask = ask.header("x-tenant", tenant);
        }
        if let Some(body) = body {
            ask = ask.json(body);
        }
        ask.send(self.address).await
    }

    /// A call that must succeed.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn done(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let answer = self.ask(method.clone(), path, body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        answer.json()
    }

    /// Suspends, and returns the receipt.
    pub async fn suspend(&self, user: &str, terms: &Value) -> Value {
        let path = format!("/api/v1/users/{user}/suspend");
        self.done(Method::POST, &path, Some(terms)).await["receipt"].clone()
    }

    /// Lifts every hold.
    pub async fn restore(&self, user: &str) -> Value {
        let path = format!("/api/v1/users/{user}/restore");
        self.done(Method::POST, &path, Some(&serde_json::json!({})))
            .await
    }
}
