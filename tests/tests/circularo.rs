//! Circularo's documented script runs against the gate with only its constants
//! changed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::process::Command;

use http::Method;
use portcullis_tests::browser::Browser;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;

const SCRIPT: &str = include_str!("../fixtures/circularo.mjs");
const HOST: &str = "acme.localhost";

/// Runs the script under node; what it printed, on both outputs.
fn run_script(gate: &Gate, token: &str, user: &str) -> (String, String) {
    let script = SCRIPT
        .replace(
            "https://sandbox.circularo.com",
            &format!("http://{}", gate.admin),
        )
        .replace("YOUR_ADMIN_TOKEN", token)
        .replace("user@example.com", user);
    let file = gate.plan().folder().join("circularo.mjs");
    fs::write(&file, script).unwrap();
    let ran = Command::new("node").arg(&file).output();
    let ran = ran.expect("node is missing: `make test` sets it up, or install nodejs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&ran.stdout), text(&ran.stderr))
}

#[tokio::test]
async fn the_documented_script_runs_under_node_and_its_user_is_out() {
    const USER: &str = "derek.trotter";
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let mut derek = Browser::signed_in(gate.data, HOST, USER).await;
    let (out, err) = run_script(&gate, "not-a-token", USER);
    assert!(err.contains("Account suspension failed: 401"), "{out}{err}");
    assert_eq!(derek.api("/me").await.status, 200);

    let (out, err) = run_script(&gate, &gate.token, USER);
    assert!(
        out.contains("User account suspended successfully:"),
        "{out}{err}"
    );
    assert_eq!(out.matches("status: 'SUCCESS'").count(), 2, "{out}");
    assert!(out.contains("User account deleted permanently:"), "{out}");
    assert_eq!(err, "");
    let refused = derek.clone().api("/me").await;
    assert_eq!(refused.status, 403);
    let again = gate
        .admin()
        .ask(Method::GET, "/api/v1/users/derek.trotter", None)
        .await;
    assert_eq!(again.status, 410);
    assert!(!gate.log().contains(&gate.token), "the token is in the log");
}
