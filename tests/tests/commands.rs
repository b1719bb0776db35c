//! The commands against a real gate: what they change is changed, what they refuse
//! is not, and the exit code says which.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use portcullis_tests::browser::Browser;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::program::{self, Ended};
use serde_json::Value;

const HOST: &str = "acme.localhost";

/// Runs the words of `line`, as whoever has the global token.
fn run(gate: &Gate, line: &str) -> Ended {
    let url = format!("http://{}", gate.admin);
    let variables = [
        ("PORTCULLIS_ADMIN_URL", url.as_str()),
        ("PORTCULLIS_TOKEN", gate.token.as_str()),
    ];
    let words: Vec<&str> = line.split(' ').collect();
    program::run(gate.plan().folder(), &words, &variables)
}

fn done(gate: &Gate, line: &str) -> String {
    let ended = run(gate, line);
    assert_eq!(ended.code, 0, "{line}: {}{}", ended.out, ended.err);
    ended.out
}

#[tokio::test]
async fn attributes_are_set_cleared_and_found() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let set = done(
        &gate,
        "user set bob --email bob@acme.test --phone +4930123456 --locale de",
    );
    assert_eq!(set, "bob: email, locale, phone set.\n");
    let again = done(&gate, "user set bob --email bob@acme.test");
    assert_eq!(again, "bob: email as before: nothing was changed.\n");
    done(&gate, "user set bob@acme.test --clear phone");
    let user: Value = serde_json::from_str(&done(&gate, "user show bob --json")).unwrap();
    assert_eq!(
        (&user["email"], &user["phone"]),
        (&"bob@acme.test".into(), &Value::Null)
    );
    let ended = run(&gate, "user set ann --email bob@acme.test");
    assert_eq!(ended.code, 1);
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    assert!(done(&gate, "user list --query bob@").starts_with("USER  STATUS  EMAIL"));
}

#[tokio::test]
async fn sessions_are_ended_and_the_user_stays_active() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let mut bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let listed = done(&gate, "user sessions bob --json");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let id = listed["sessions"][0]["id"].as_str().unwrap();
    let tried = done(&gate, &format!("user sessions bob --revoke {id} --dry-run"));
    assert!(
        tried.starts_with("Dry run, nothing was changed: "),
        "{tried}"
    );
    assert_eq!(bob.api("/me").await.status, 200);
    let said = done(&gate, &format!("user sessions bob --revoke {id}"));
    assert!(
        said.starts_with("bob is active. 1 session revoked, "),
        "{said}"
    );
    assert_eq!(bob.api("/me").await.status, 401);
    let mut anew = Browser::signed_in(gate.data, HOST, "bob").await;
    done(&gate, "user sessions bob --revoke-all --yes");
    assert_eq!(anew.api("/me").await.status, 401);
}

#[tokio::test]
async fn a_bulk_call_that_refuses_one_does_the_rest_and_says_so() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let mut bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let long = "x".repeat(300);
    fs::write(
        gate.plan().folder().join("ids"),
        format!("bob\n{long}\nann\n"),
    )
    .unwrap();
    let asked = run(&gate, "bulk suspend --from ids");
    assert_eq!((asked.code, asked.out.as_str()), (2, ""), "{}", asked.err);
    assert_eq!(bob.api("/me").await.status, 200);
    let ended = run(&gate, "bulk suspend --from ids --batch b1 --yes");
    assert_eq!(ended.code, 1, "{}{}", ended.out, ended.err);
    let first = ended.out.lines().next().unwrap();
    assert!(
        first.starts_with("xxx") && first.contains(": refused: "),
        "{first}"
    );
    assert!(
        ended.out.contains("\n2 users were suspended, 1 refused, "),
        "{}",
        ended.out
    );
    assert_eq!(bob.api("/me").await.status, 403);
    let back = done(&gate, "bulk undo b1 --yes --json");
    let last: Value = serde_json::from_str(back.lines().last().unwrap()).unwrap();
    assert_eq!(last["summary"]["changed"], 2);
    Browser::signed_in(gate.data, HOST, "bob").await;
}

#[tokio::test]
async fn nothing_final_happens_without_a_word() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let mut bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let ended = run(&gate, "user delete bob");
    assert_eq!((ended.code, ended.out.as_str()), (2, ""));
    assert!(ended.err.contains("add --yes"), "{}", ended.err);
    assert_eq!(bob.api("/me").await.status, 200);
    let tried = done(&gate, "user suspend bob --dry-run");
    assert!(
        tried.starts_with("Dry run, nothing was changed: "),
        "{tried}"
    );
    assert_eq!(bob.api("/me").await.status, 200);
}
