//! A browser, as far as a gate can tell: a cookie jar, and pages or JSON asked for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http::Method;
use serde_json::Value;

use crate::client::{Answer, Ask};

#[derive(Clone)]
pub struct Browser {
    pub gate: SocketAddr,
    host: String,
    jar: BTreeMap<String, String>,
}

impl Browser {
    /// A fresh one, for one site.
    pub fn new(gate: SocketAddr, host: &str) -> Self {
        Self {
            gate,
            host: host.to_owned(),
            jar: BTreeMap::new(),
        }
    }

    /// The same, signed in by a form with `username` and `password`.
    ///
    /// # Panics
    /// Where the login is not accepted.
    pub async fn signed_in(gate: SocketAddr, host: &str, user: &str) -> Self {
        let mut browser = Self::new(gate, host);
        let answer = browser.sign_in(user, "demo").await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        browser
    }

    pub async fn sign_in(&mut self, user: &str, password: &str) -> Answer {
        self.submit("/login", &[("username", user), ("password", password)])
            .await
    }

    /// A click: asks for a page.
    pub async fn page(&mut self, target: &str) -> Answer {
        let ask = self.ask(Method::GET, target).header("accept", "text/html");
        self.send(ask).await
    }

    /// A script's call: asks for JSON.
    pub async fn api(&mut self, target: &str) -> Answer {
        let ask = self
            .ask(Method::GET, target)
            .header("accept", "application/json");
        self.send(ask).await
    }

    pub async fn submit(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let ask = self
            .ask(Method::POST, target)
            .header("accept", "text/html")
            .form(fields);
        self.send(ask).await
    }

    pub async fn submit_json(&mut self, target: &str, value: &Value) -> Answer {
        let ask = self
            .ask(Method::POST, target)
            .header("accept", "application/json")
            .json(value);
        self.send(ask).await
    }

    /// A request with the host and the jar's cookies, to be written further.
    pub fn ask(&self, method: Method, target: &str) -> Ask {
        let ask = Ask::new(method, target).host(&self.host);
        if self.jar.is_empty() {
            ask
        } else {
            ask.cookie(&self.cookies())
        }
    }

    /// Sends it, and keeps the cookies of the answer.
    pub async fn send(&mut self, ask: Ask) -> Answer {
        let answer = ask.send(self.gate).await;
        for line in answer.set_cookies() {
            self.keep(&line);
        }
        answer
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.jar.get(name).map(String::as_str)
    }

    /// The `Cookie` header.
    pub fn cookies(&self) -> String {
        let pairs = self
            .jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    fn keep(&mut self, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts
            .next()
            .and_then(|pair| pair.split_once('='))
            .expect("a pair");
        let gone = parts.any(|part| part.eq_ignore_ascii_case("max-age=0"));
        // Some apps take a cookie back by a date in the past, which comes with an
        // empty value.
        if gone || value.trim_matches('"').is_empty() {
            self.jar.remove(name);
        } else {
            self.jar.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// Whether one of the lines takes the cookie back.
pub fn takes_back(answer: &Answer, cookie: &str) -> bool {
    answer
        .set_cookies()
        .iter()
        .any(|line| line.starts_with(&format!("{cookie}=;")) && line.contains("Max-Age=0"))
}
