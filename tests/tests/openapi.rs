//! `/openapi.json` describes the admin API as it is: Schemathesis, which reads
//! nothing else, tries a live gate by it and has no finding.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use http::Method;
use portcullis_tests::app;
use portcullis_tests::client::Ask;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use serde_json::Value;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/schemathesis.toml");
/// Enough to meet each field's edges; the whole run stays under a minute.
const EXAMPLES_AN_OPERATION: &str = "10";

async fn document(gate: &Gate) -> Value {
    let ask = Ask::new(Method::GET, "/openapi.json").header("host", &gate.admin.to_string());
    let answer = ask.send(gate.admin).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_tries_every_call_by_its_description_and_finds_nothing() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let mut run = tokio::process::Command::from(app::python(Path::new(gate.plan().folder())));
    let run = run
        .args(["-m", "schemathesis.cli", "--config-file", CONFIG, "run"])
        .arg(format!("http://{}/openapi.json", gate.admin))
        .args(["--max-examples", EXAMPLES_AN_OPERATION])
        .arg("--header")
        .arg(format!("Authorization: Bearer {}", gate.token))
        .kill_on_drop(true)
        .output();
    let ran = run.await.expect("Schemathesis runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    let erred = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}{erred}");
    let mut operations = operations(&document(&gate).await);
    // Where it read all this, it does not look again; what has no end is not tried.
    let left_out = ["get /openapi.json", "get /api/v1/events"];
    operations.retain(|operation| !left_out.contains(&operation.as_str()));
    let tested = format!("Tested: {}", operations.len());
    assert!(said.contains(&tested), "not all of {operations:?}: {said}");
    // Had it taken the token's force away, the rest would have been 401s.
    gate.admin().done(Method::GET, "/api/v1/users", None).await;
    assert!(!gate.log().contains("ERROR"), "{}", gate.log());
}

fn operations(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().unwrap();
    let methods = |(path, methods): (&String, &Value)| -> Vec<String> {
        let methods = methods.as_object().unwrap().keys();
        methods.map(|method| format!("{method} {path}")).collect()
    };
    paths.iter().flat_map(methods).collect()
}

/// The written reference and the description list the same calls.
#[tokio::test]
async fn every_call_of_the_reference_is_described() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let document = document(&gate).await;
    let reference = include_str!("../../docs/admin-api.md");
    for operation in operations(&document) {
        let (_, path) = operation.split_once(' ').unwrap();
        let last = path.split('/').rfind(|one| !one.starts_with('{')).unwrap();
        assert!(
            reference.contains(last),
            "{operation} is not in the reference"
        );
    }
}
