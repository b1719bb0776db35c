//! A gate whose clock is ours, with people whom no run has used yet.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use http::Method;
use serde_json::Value;

use super::answer::Difference;
use super::call::Call;
use super::caller::{self, Caller};
use super::clock::Clock;
use super::command::PEOPLE;
use super::hold::Second;
use crate::client::{Answer, Ask, Wire};
use crate::gate::{Gate, Plan, tenant};
use crate::origin::Origin;

/// 2030-01-01T00:00:00Z, when every run begins.
pub const BEGINNING: Second = 1_893_456_000;
/// Runs that one gate serves.
const RUNS: usize = 125;
const HOST: &str = "acme.localhost";

pub struct World {
    gate: Gate,
    /// The secrets of the callers' tokens, in their order.
    tokens: [String; 3],
    clock: Clock,
    origin: Origin,
    runs: usize,
    /// A run was left in the middle of a crash.
    down: bool,
}

impl World {
    pub async fn new() -> Self {
        let origin = Origin::start().await;
        let plan = Plan::whole(&configuration(&origin));
        let clock = Clock::new(plan.folder(), BEGINNING);
        let tokens = Caller::ALL.map(|caller| token(&plan, caller));
        let gate = plan.with_variables(clock.variables()).start();
        Self {
            gate,
            tokens,
            clock,
            origin,
            runs: 0,
            down: false,
        }
    }

    /// Whether it has people left for another run.
    pub fn is_fresh(&self) -> bool {
        self.runs < RUNS && !self.down
    }

    /// Names of people of whom the gate knows nothing but the API keys, and what
    /// they begin with.
    pub fn people(&mut self) -> (Vec<String>, String) {
        let run = self.runs;
        self.runs += 1;
        self.clock.set(BEGINNING);
        let names = (0..PEOPLE).map(|person| name(run, person));
        (names.collect(), format!("u{run}-"))
    }

    pub fn set_clock(&self, now: Second) {
        self.clock.set(now);
    }

    pub fn restart(&mut self) {
        self.down = true;
        self.gate.restart();
        self.down = false;
    }

    pub fn crash(&mut self) {
        self.down = true;
        self.gate.kill_9();
        self.gate.start_again();
        self.down = false;
    }

    /// A connection to the admin API, which a crash may break.
    pub async fn wire(&self) -> Wire {
        Wire::open(self.gate.admin).await
    }

    pub fn ask(&self, call: &Call) -> Ask {
        let token = &self.tokens[call.by as usize];
        let mut ask = Ask::new(call.method.clone(), &call.path)
            .header("host", &self.gate.admin.to_string())
            .header("authorization", &format!("Bearer {token}"));
        if let Some(key) = &call.idempotency_key {
            ask = ask.header("idempotency-key", key);
        }
        if let Some(revision) = call.if_match {
            ask = ask.header("if-match", &format!("\"{revision}\""));
        }
        match &call.body {
            Some(body) => ask.json(body),
            None => ask,
        }
    }

    /// # Errors
    /// Where no answer came.
    pub async fn call(&self, call: &Call) -> Result<Answer, Difference> {
        let answer = self.ask(call).try_send(self.gate.admin).await;
        answer.map_err(|error| format!("no answer to {call:?}: {error}"))
    }

    /// # Errors
    /// Where no answer came.
    pub async fn read(&self, path: String) -> Result<Answer, Difference> {
        self.call(&Call {
            by: Caller::Root,
            method: Method::GET,
            path,
            body: None,
            idempotency_key: None,
            if_match: None,
        })
        .await
    }

    /// A read that must succeed.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn found(&self, path: String) -> Result<Value, Difference> {
        let answer = self.read(path.clone()).await?;
        if answer.status == 200 {
            Ok(answer.json())
        } else {
            Err(format!("GET {path}: {} {}", answer.status, answer.text()))
        }
    }

    /// A request to the app, with a header that says from whom.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn visit(
        &self,
        method: Method,
        (header, value): (&str, &str),
    ) -> Result<u16, Difference> {
        let ask = Ask::new(method, "/page")
            .host(HOST)
            .header("accept", "application/json")
            .header(header, value);
        let answer = ask.try_send(self.gate.data).await;
        let answer = answer.map_err(|error| format!("no answer to a visitor: {error}"))?;
        Ok(answer.status)
    }

    /// # Errors
    /// Where no answer came.
    pub async fn log_in(&self, name: &str) -> Result<Answer, Difference> {
        // It remembers what reached it; nobody asks here.
        self.origin.take_seen();
        let form = [("username", name), ("password", "demo")];
        let ask = Ask::post("/login")
            .host(HOST)
            .header("accept", "application/json")
            .form(&form);
        let answer = ask.try_send(self.gate.data).await;
        answer.map_err(|error| format!("no answer to a login: {error}"))
    }
}

fn token(plan: &Plan, caller: Caller) -> String {
    let tenant: &[&str] = match caller {
        Caller::Root => &[],
        Caller::Boss | Caller::Support => &["--tenant", "acme"],
    };
    let more = [&["--name", caller.name()], tenant].concat();
    plan.token(caller.role(), &more)
}

fn name(run: usize, person: usize) -> String {
    format!("u{run}-{person}")
}

/// The API key of a person.
pub fn api_key(name: &str) -> String {
    format!("key-of-{name}")
}

fn configuration(origin: &Origin) -> String {
    let mut text = "[data]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\n\
         [store]\nfolder = \"state\"\n\n\
         [log]\nlevel = \"warn\"\n\n"
        .to_owned();
    text += &tenant("acme", origin.address);
    text += &caller::configuration();
    text += "[[tenants.api_keys]]\nheader = \"X-API-Key\"\nkeys = [\n";
    let people = (0..RUNS).flat_map(|run| (0..PEOPLE).map(move |person| name(run, person)));
    for name in people {
        let hash = digest(&SHA256, api_key(&name).as_bytes());
        text += "  { hash = \"sha256:";
        for byte in hash.as_ref() {
            write!(text, "{byte:02x}").expect("a text can be written to");
        }
        writeln!(text, "\", user = \"{name}\" }},").expect("a text can be written to");
    }
    text + "]\n"
}
