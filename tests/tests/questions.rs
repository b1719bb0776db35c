//! A support person's questions, each answered by one command and by one call:
//! docs/questions.md, made by asking a real gate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use http::Method;
use portcullis_tests::browser::Browser;
use portcullis_tests::client::{Answer, Ask, Wire2};
use portcullis_tests::crowd::{Held, Kind, Stage};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::patience::{LONG, within};
use portcullis_tests::program;
use portcullis_tests::transcript::Transcript;
use serde_json::{Value, json};

const HOST: &str = "acme.localhost";
const OPENING: &str = "
# Ten questions, and a few more

What a support person is asked, each answered by one command and by one call. The answers are real: a test asks a gate and compares them with this page (`PORTCULLIS_BLESS=1` writes it anew). Times and ids are masked, so that they look alike.

The commands need `PORTCULLIS_ADMIN_URL` and `PORTCULLIS_TOKEN` ([commands.md](commands.md)), the calls `Authorization: Bearer TOKEN` ([admin-api.md](admin-api.md)). There is one tenant here; where there are several, add `--tenant`, or `?tenant=`.";

/// A desk: somebody with a token, and what is written down of the answers.
struct Desk {
    gate: Gate,
    token: String,
    sheet: Transcript,
}

impl Desk {
    /// The command, as the owner of the token would type it.
    fn command(&mut self, arguments: &[&str]) -> String {
        self.command_ending(arguments, 0)
    }

    fn command_ending(&mut self, arguments: &[&str], code: i32) -> String {
        let url = format!("http://{}", self.gate.admin);
        let variables = [
            ("PORTCULLIS_ADMIN_URL", url.as_str()),
            ("PORTCULLIS_TOKEN", self.token.as_str()),
        ];
        let done = program::run(self.gate.plan().folder(), arguments, &variables);
        assert_eq!(done.code, code, "{arguments:?}: {}{}", done.out, done.err);
        let printed = format!("{}{}", done.out, done.err);
        self.sheet.command(arguments, &printed);
        printed
    }

    async fn ask(&self, method: Method, target: &str, body: Option<&Value>) -> Answer {
        let mut ask = Ask::new(method, target)
            .header("host", &self.gate.admin.to_string())
            .header("authorization", &format!("Bearer {}", self.token));
        if let Some(body) = body {
            ask = ask.json(body);
        }
        ask.send(self.gate.admin).await
    }

    async fn call(&mut self, method: Method, target: &str, body: Option<&Value>) -> Answer {
        let answer = self.ask(method.clone(), target, body).await;
        assert_eq!(answer.status, 200, "{method} {target}: {}", answer.text());
        self.sheet.call(method.as_str(), target, body, &answer);
        answer
    }

    async fn get(&mut self, target: &str) -> Answer {
        self.call(Method::GET, target, None).await
    }
}

/// A gate whose users are signed in, and a desk of the token `ops`.
async fn open() -> (Desk, Stage) {
    let stage = Stage::start().await;
    let gate = Gate::start(&tenant("acme", stage.origin.address));
    let mut sheet = Transcript::new(OPENING);
    sheet.hide(&gate.admin.to_string(), "127.0.0.1:8081");
    let fields = json!({"role": "support", "tenant": "acme", "name": "ops"});
    let made = gate
        .admin()
        .ask(Method::POST, "/api/v1/tokens", Some(&fields))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let token = made.json()["token"].as_str().unwrap().to_owned();
    (Desk { gate, token, sheet }, stage)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_question_is_answered_by_one_command_and_one_call() {
    let (mut desk, stage) = open().await;
    let bob = suspend(&mut desk, &stage).await;
    who_and_why(&mut desk).await;
    what_was_seen(&mut desk, bob).await;
    what_else(&mut desk).await;
    still_logged_in(&mut desk).await;
    who_did_what(&mut desk).await;
    bulk(&mut desk).await;
    back_in(&mut desk).await;
    tokens(&mut desk).await;
    desk.sheet.check("questions.md");
}

async fn suspend(desk: &mut Desk, stage: &Stage) -> Browser {
    let data = desk.gate.data;
    let mut shared = Wire2::open(data).await;
    // Open until they are cut.
    let mut held = Vec::new();
    let bob = Browser::signed_in(data, HOST, "bob").await;
    for (id, user) in ["bob", "dave"].into_iter().enumerate() {
        let browser = Browser::signed_in(data, HOST, user).await;
        held.push(Held::open(stage, &browser, user, Kind::Events, id, &mut shared).await);
    }
    desk.sheet.head("1. What did the suspension cut?");
    desk.sheet.say("The receipt of the call itself says so, and is true when it is sent: the sessions are dead and the connections closed.");
    let command = [
        "user",
        "suspend",
        "bob",
        "--temporary",
        "--reason",
        "suspiciousUserNoGood",
        "--ends-at",
        "24h",
        "--approver",
        "ann",
        "--ticket",
        "SEC-42",
        "--comment",
        "reported by the bank",
    ];
    desk.command(&command);
    let terms = json!({"kind": "temporary", "reason": "suspiciousUserNoGood", "ends_at": "24h", "approver": "ann", "ticket": "SEC-42"});
    let path = "/api/v1/users/dave/suspend";
    desk.call(Method::POST, path, Some(&terms)).await;
    for one in &held {
        one.end().await;
    }
    bob
}

async fn who_and_why(desk: &mut Desk) {
    desk.sheet
        .head("2. Who suspended bob, when, why, and until when?");
    desk.command(&["user", "show", "bob"]);
    desk.get("/api/v1/users/bob").await;
}

async fn what_was_seen(desk: &mut Desk, mut bob: Browser) {
    let refused = bob.api("/me").await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let error = refused.json()["error_id"].as_str().unwrap().to_owned();
    desk.sheet.hide(&error, "f7gs2h4k6m8p3r");
    let target = "/api/v1/audit?user=bob&action=refused";
    // A refusal waits for no disk: it is on record a moment later.
    within(LONG, "the refusal on record", async {
        while desk.ask(Method::GET, target, None).await.json()["entries"] == json!([]) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    desk.sheet.head("3. What did bob see?");
    desk.sheet.say("`code` is the key of the message, which the policy puts into words in bob's language; `error_id` stands on bob's screen and in the gate's log.");
    desk.command(&["audit", "list", "--user", "bob", "--action", "refused"]);
    desk.get(target).await;
}

async fn what_else(desk: &mut Desk) {
    desk.sheet.head("4. Who else was suspended by this ticket?");
    desk.command(&[
        "audit",
        "list",
        "--ticket",
        "SEC-42",
        "--action",
        "hold_placed",
    ]);
    desk.get("/api/v1/audit?ticket=SEC-42&action=hold_placed")
        .await;
    desk.sheet.head("5. Who is out for this reason now?");
    let filter = "suspension_reason==\"suspiciousUserNoGood\"";
    desk.command(&["user", "list", "--filter", filter]);
    desk.get("/api/v1/users?filter=suspension_reason%3D%3D%22suspiciousUserNoGood%22")
        .await;
}

async fn still_logged_in(desk: &mut Desk) {
    Browser::signed_in(desk.gate.data, HOST, "alice").await;
    desk.sheet
        .head("6. Is alice logged in somewhere, and where?");
    desk.sheet.say("A session that is not alive opens nothing any more, also after a restore. For a suspended user the list says which sessions the suspension killed.");
    desk.command(&["user", "sessions", "alice"]);
    desk.get("/api/v1/users/alice/sessions").await;
}

async fn who_did_what(desk: &mut Desk) {
    desk.sheet
        .head("7. What did this administrator do in the last week?");
    desk.command(&["audit", "list", "--actor", "ops", "--since", "7d"]);
    let week = std::time::SystemTime::now() - std::time::Duration::from_secs(7 * 86_400);
    let since = humantime::format_rfc3339_seconds(week);
    desk.get(&format!("/api/v1/audit?actor=ops&since={since}"))
        .await;
}

async fn bulk(desk: &mut Desk) {
    let ids = desk.gate.plan().folder().join("leavers.txt");
    std::fs::write(ids, "alice\nbob\nzoe\n").unwrap();
    desk.sheet.head("8. What would this bulk call touch?");
    desk.sheet.say("`leavers.txt` has a user's id a line.");
    let command = [
        "bulk",
        "suspend",
        "--from",
        "leavers.txt",
        "--ticket",
        "HR-7",
        "--batch",
        "leavers-july",
    ];
    desk.command(&[&command[..], &["--dry-run"]].concat());
    let body = json!({"action": "suspend", "users": ["alice", "bob", "zoe"], "ticket": "HR-7", "batch": "leavers-july", "dry_run": true});
    desk.call(Method::POST, "/api/v1/bulk", Some(&body)).await;
    desk.sheet
        .head("9. What did this bulk call do, and how is it taken back?");
    let mut real = body.clone();
    real["dry_run"] = json!(false);
    let done = desk.ask(Method::POST, "/api/v1/bulk", Some(&real)).await;
    assert_eq!(done.status, 200, "{}", done.text());
    desk.command(&["audit", "list", "--batch", "leavers-july"]);
    desk.get("/api/v1/audit?batch=leavers-july").await;
    desk.sheet.say("Taken back:");
    desk.command(&["bulk", "undo", "leavers-july", "--ticket", "HR-8", "--yes"]);
}

async fn back_in(desk: &mut Desk) {
    desk.sheet.head("10. Who let dave back in, and why?");
    let terms = json!({"reason": "false alarm", "ticket": "SEC-43"});
    let done = desk
        .ask(Method::POST, "/api/v1/users/dave/restore", Some(&terms))
        .await;
    assert_eq!(done.status, 200, "{}", done.text());
    desk.command(&[
        "audit",
        "list",
        "--user",
        "dave",
        "--action",
        "holds_lifted",
    ]);
    desk.get("/api/v1/audit?user=dave&action=holds_lifted")
        .await;
}

async fn tokens(desk: &mut Desk) {
    // Support is shown no tokens.
    desk.token = desk.gate.token.clone();
    desk.sheet
        .head("11. Which admin tokens can act on this tenant?");
    desk.sheet.say("Whose tokens act on one tenant says `TENANT`; those of `(all)` act on every one. A tenant-admin is shown those of its tenant, a global-admin all.");
    desk.command(&["token", "list", "--in-force"]);
    desk.get("/api/v1/tokens?in_force=true").await;
}
