//! The truth table of the admin API: every call, by every role, on its own tenant
//! and on another, without a token and with a bad one. It is written out here,
//! apart from the gate's own, and covers every path and method that there is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::Method;
use portcullis_tests::client::{Answer, Ask};
use portcullis_tests::gate::{Gate, Plan, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::patience::{LONG, within};
use serde_json::{Value, json};

const ROLES: [&str; 4] = ["global-admin", "tenant-admin", "support", "auditor"];

/// A call, its body, who may make it (a letter a column of [`ROLES`]), and the
/// status that they get. `{id}` is a user, a token where the path says so.
type Row = (&'static str, &'static str, &'static str, u16);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // call                                         body                      GTSA    status
    ("GET /api/v1/users",                           "",                       "GTSA", 200),
    ("GET /api/v1/users/{id}",                      "",                       "GTSA", 200),
    ("PUT /api/v1/users/{id}",                      r#"{"status":"suspended"}"#, "GTS", 200),
    ("PUT /api/v1/users/{id}",                      r#"{"status":"active"}"#, "GTS",  200),
    ("PUT /api/v1/users/{id}",                      r#"{"locale":"fr"}"#,     "GT",   200),
    ("DELETE /api/v1/users/{id}",                   "",                       "GT",   200),
    ("GET /api/v1/users/{id}/export",               "",                       "GTA",  200),
    ("POST /api/v1/users/{id}/suspend",             "{}",                     "GTS",  200),
    ("POST /api/v1/users/{id}/restore",             "{}",                     "GTS",  200),
    ("GET /api/v1/users/{id}/sessions",             "",                       "GTSA", 200),
    ("DELETE /api/v1/users/{id}/sessions",          "",                       "GTS",  200),
    // Allowed, and there is no such session.
    ("DELETE /api/v1/users/{id}/sessions/{session}", "",                      "GTS",  404),
    ("GET /api/v1/audit",                           "",                       "GTSA", 200),
    ("POST /api/v1/bulk",                           r#"{"action":"suspend","users":["x"]}"#, "GTS", 200),
    // Allowed, and there is no such batch.
    ("POST /api/v1/bulk/{id}/undo",                 "{}",                     "GTS",  404),
    // Allowed, and not from a place that there is not yet: a stream would not end.
    ("GET /api/v1/events",                          "",                       "GTSA", 400),
    ("GET /api/v1/tenants/{id}/policy",             "",                       "GTSA", 200),
    ("PUT /api/v1/tenants/{id}/policy",             r#"{"module":"builtin:standard","settings":{"contact":"a@b.test"}}"#, "GT", 200),
    ("POST /api/v1/tenants/{id}/policy/rollback",   "{}",                     "GT",   200),
    ("POST /api/v1/tenants/{id}/policy/rehearse",   r#"{"module":"builtin:standard","settings":{"contact":"a@b.test"}}"#, "GT", 200),
    ("GET /api/v1/tenants/{id}/policy/shadow",      "",                       "GTSA", 200),
    ("POST /api/v1/tenants/{id}/policy/shadow",     r#"{"module":"builtin:standard","settings":{"contact":"a@b.test"}}"#, "GT", 200),
    ("DELETE /api/v1/tenants/{id}/policy/shadow",   "",                       "GT",   200),
    ("GET /api/v1/tokens",                          "",                       "GT",   200),
    ("POST /api/v1/tokens",                         r#"{"role":"auditor","tenant":"TENANT"}"#, "GT", 201),
    ("DELETE /api/v1/tokens/{id}",                  "",                       "GT",   200),
    ("POST /api/v1/tokens/{id}/rotate",             "{}",                     "GT",   200),
    ("GET /api/v2/users",                           "",                       "GTSA", 200),
    ("GET /api/v2/users/{id}",                      "",                       "GTSA", 200),
    ("POST /api/v2/users/{id}/suspend",             "{}",                     "GTS",  200),
    ("POST /api/v2/users/{id}/unsuspend",           "{}",                     "GTS",  200),
];

/// What anyone may read.
const OPEN: [&str; 5] = ["/", "/healthz", "/readyz", "/metrics", "/openapi.json"];

/// Where what needs no token is routed; the rest is in the gate's own description.
const ROUTER: &str = include_str!("../../gate/src/control/admin.rs");

struct Stage {
    gate: Gate,
    /// Makes each user, and the address of each caller, one of its own.
    cells: u32,
}

impl Stage {
    async fn start() -> Self {
        let origin = Origin::start().await;
        let tenants = tenant("acme", origin.address) + &tenant("globex", origin.address);
        let gate = Plan::new(&tenants).start();
        let stage = Self { gate, cells: 0 };
        for tenant in ["acme", "globex"] {
            let body = json!({"locale": "en"});
            let admin = stage.gate.admin().of(tenant);
            admin
                .done(Method::PUT, "/api/v1/users/seen", Some(&body))
                .await;
        }
        stage
    }

    fn admin(&self) -> SocketAddr {
        self.gate.admin
    }

    /// A token's secret and id.
    async fn token(&self, role: &str, tenant: &str, more: &Value) -> (String, String) {
        let mut body = json!({"role": role, "name": format!("{role} of {tenant}")});
        if role != "global-admin" {
            body["tenant"] = json!(tenant);
        }
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        let made = self
            .gate
            .admin()
            .ask(Method::POST, "/api/v1/tokens", Some(&body))
            .await;
        assert_eq!(made.status, 201, "{}", made.text());
        let made = made.json();
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        (text("token"), text("id"))
    }

    /// Makes the call of `row` on `tenant`, from an address that nobody else uses.
    async fn call(&mut self, row: &Row, token: Option<&str>, tenant: &str) -> Answer {
        self.cells += 1;
        let (method, path) = row.0.split_once(' ').unwrap();
        let id = if path.starts_with("/api/v1/tokens/") {
            self.token("auditor", tenant, &json!({})).await.1
        } else if path.starts_with("/api/v1/tenants/") {
            tenant.to_owned()
        } else if method == "GET" {
            "seen".to_owned()
        } else {
            format!("user{}", self.cells)
        };
        let path = path
            .replace("{id}", &id)
            .replace("{session}", "0123456789abcdef")
            .replace("/events", "/events?after=999999999");
        let mut ask = Ask::new(method.parse().unwrap(), &path)
            .host(&self.admin().to_string())
            .header("x-tenant", tenant);
        if let Some(token) = token {
            ask = ask.header("authorization", &format!("Bearer {token}"));
        }
        if !row.1.is_empty() {
            let body = row.1.replace("TENANT", tenant);
            ask = ask.header("content-type", "application/json").body(body);
        }
        let from = Ipv4Addr::from(0x7f01_0000 + self.cells);
        ask.send_from(IpAddr::V4(from), self.admin()).await
    }

    /// A call that must be refused, and leave no trace in the ledger.
    async fn refused(
        &mut self,
        row: &Row,
        token: Option<&str>,
        tenant: &str,
        expected: (u16, &str),
    ) {
        // A token is made for the call itself, and is an entry.
        let made = u64::from(row.0.contains("/tokens/"));
        let before = self.head().await;
        let answer = self.call(row, token, tenant).await;
        let cell = format!("{} by {token:?} on {tenant}: {}", row.0, answer.text());
        assert_eq!((answer.status, &*code(&answer)), expected, "{cell}");
        if answer.status == 401 {
            assert!(
                answer.header("www-authenticate").starts_with("Bearer "),
                "{cell}"
            );
        }
        assert_eq!(self.head().await, before + made, "{cell}");
    }

    async fn head(&self) -> u64 {
        let metrics = Ask::get("/metrics").host(&self.admin().to_string());
        let text = metrics.send(self.admin()).await.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("portcullis_ledger_head "));
        line.unwrap().parse().unwrap()
    }
}

fn code(answer: &Answer) -> String {
    answer.json()["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn may(row: &Row, role: usize) -> bool {
    row.2.contains(char::from(b"GTSA"[role]))
}

#[tokio::test]
async fn each_role_may_do_what_the_table_says_on_its_own_tenant_and_on_no_other() {
    let mut stage = Stage::start().await;
    for (index, role) in ROLES.into_iter().enumerate() {
        let (token, _) = stage.token(role, "acme", &json!({})).await;
        for row in TABLE {
            if !may(row, index) {
                let forbidden = (403, "insufficient_role");
                stage.refused(row, Some(&token), "acme", forbidden).await;
                // Where only the body is too much, another tenant is gone before it is read.
                let by_body = TABLE
                    .iter()
                    .any(|other| other.0 == row.0 && may(other, index));
                let elsewhere = if by_body {
                    (404, "not_found")
                } else {
                    forbidden
                };
                stage.refused(row, Some(&token), "globex", elsewhere).await;
                continue;
            }
            let own = stage.call(row, Some(&token), "acme").await;
            assert_eq!(own.status, row.3, "{} by {role}: {}", row.0, own.text());
            if role == "global-admin" {
                let other = stage.call(row, Some(&token), "globex").await;
                assert_eq!(other.status, row.3, "{} by {role}: {}", row.0, other.text());
            } else {
                stage
                    .refused(row, Some(&token), "globex", (404, "not_found"))
                    .await;
            }
        }
    }
}

#[tokio::test]
async fn without_a_token_in_force_there_is_nothing_but_401() {
    let mut stage = Stage::start().await;
    let mut bad = vec![("portcullis_guess".to_owned(), "invalid_token")];
    for role in ROLES {
        let (revoked, id) = stage.token(role, "acme", &json!({})).await;
        let path = format!("/api/v1/tokens/{id}");
        stage.gate.admin().done(Method::DELETE, &path, None).await;
        let (rotated, id) = stage.token(role, "acme", &json!({})).await;
        let path = format!("/api/v1/tokens/{id}/rotate");
        stage.gate.admin().done(Method::POST, &path, None).await;
        let (expired, id) = stage.token(role, "acme", &json!({"expires": "10ms"})).await;
        within(LONG, "the end of the token", async {
            while in_force(&stage, &id).await {}
        })
        .await;
        let user = format!("of-{role}");
        let (global, owner) = (role == "global-admin", json!({"user": user}));
        let more = if global {
            json!({"user": user, "user_tenant": "acme"})
        } else {
            owner
        };
        let (out, _) = stage.token(role, "acme", &more).await;
        // Not the last of its kind: the token of this test's own, and another.
        stage.token("tenant-admin", "acme", &json!({})).await;
        stage
            .gate
            .admin()
            .of("acme")
            .suspend(&user, &json!({}))
            .await;
        bad.push((out, "token_user_out"));
        bad.extend([revoked, rotated, expired].map(|token| (token, "invalid_token")));
    }
    for row in TABLE {
        stage
            .refused(row, None, "acme", (401, "token_missing"))
            .await;
        for (token, code) in &bad {
            stage.refused(row, Some(token), "acme", (401, code)).await;
        }
    }
}

async fn in_force(stage: &Stage, id: &str) -> bool {
    let path = "/api/v1/tokens?in_force=true&limit=1000";
    let listed = stage.gate.admin().done(Method::GET, path, None).await;
    let mut tokens = listed["tokens"].as_array().unwrap().iter();
    tokens.any(|token| token["id"] == id)
}

#[tokio::test]
async fn a_token_of_another_tenant_is_not_there_even_where_no_tenant_is_named() {
    let stage = Stage::start().await;
    let (boss, _) = stage.token("tenant-admin", "acme", &json!({})).await;
    let (_, foreign) = stage.token("support", "globex", &json!({})).await;
    let (_, global) = stage.token("global-admin", "", &json!({})).await;
    for id in [foreign, global] {
        for (method, deed) in [(Method::DELETE, ""), (Method::POST, "/rotate")] {
            let ask = Ask::new(method, &format!("/api/v1/tokens/{id}{deed}"))
                .host(&stage.admin().to_string())
                .header("authorization", &format!("Bearer {boss}"));
            let answer = ask.send(stage.admin()).await;
            assert_eq!((answer.status, &*code(&answer)), (404, "not_found"));
        }
        assert!(in_force(&stage, &id).await);
    }
}

#[tokio::test]
async fn the_table_has_every_path_and_method_that_there_is() {
    let stage = Stage::start().await;
    let mut table: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in TABLE {
        let (method, path) = row.0.split_once(' ').unwrap();
        table.entry(path).or_default().insert(method);
    }
    let quoted = ROUTER.split(".route(").skip(1);
    let quoted = quoted.map(|rest| rest.split('"').nth(1).expect("a path"));
    assert_eq!(
        BTreeSet::from(OPEN),
        quoted.collect(),
        "what is open to all"
    );
    let ask = Ask::get("/openapi.json").host(&stage.admin().to_string());
    let document = ask.send(stage.admin()).await.json();
    let described = document["paths"].as_object().unwrap().keys();
    let described = described
        .map(String::as_str)
        .filter(|path| !OPEN.contains(path));
    assert_eq!(
        table.keys().copied().collect::<BTreeSet<_>>(),
        described.collect(),
        "the table and the gate have other paths"
    );
    for (path, methods) in table {
        let probe = path.replace("{id}", "x").replace("{session}", "x");
        let ask = Ask::new(Method::PATCH, &probe).host(&stage.admin().to_string());
        let answer = ask.send(stage.admin()).await;
        assert_eq!(answer.status, 405, "{path}");
        let allowed = answer.header("allow").split(',').map(str::trim);
        let allowed: BTreeSet<&str> = allowed.filter(|method| *method != "HEAD").collect();
        assert_eq!(methods, allowed, "{path}");
    }
}

#[tokio::test]
async fn what_anyone_may_read_tells_nothing_of_users() {
    let stage = Stage::start().await;
    for path in OPEN {
        let answer = Ask::get(path)
            .host(&stage.admin().to_string())
            .send(stage.admin())
            .await;
        assert_eq!(answer.status, 200, "{path}");
        // The description speaks of what is last seen.
        assert!(!answer.text().contains("\"seen\""), "{path}");
    }
}
