//! gRPC, with Google's own implementation on both sides of the gate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use http::Method;
use portcullis_tests::client::{Ask, Wire2};
use portcullis_tests::gate::Gate;
use portcullis_tests::python::Script;
use serde_json::json;

const HOST: &str = "acme.localhost";
/// What API keys are known by: `printf %s KEY | sha256sum`.
const KEYS: [(&str, &str); 2] = [
    (
        "bob",
        "808a1d81b5de08d72083995df738947d519d230a20c236003268f0f4b65ee475",
    ),
    (
        "alice",
        "d16a80956c32f3f5fb979bea408abac8c3eef6c54ecb234279e337146cf87b47",
    ),
];

async fn service() -> (Script, String) {
    let mut service = Script::start("grpc/service.py", &[]);
    let port = service.hear().await;
    (service, format!("127.0.0.1:{port}"))
}

fn gate(upstream: &str) -> Gate {
    let keys =
        KEYS.map(|(user, hash)| format!("{{ hash = \"sha256:{hash}\", user = \"{user}\" }}"));
    Gate::start(&format!(
        "[[tenants]]\nid = \"acme\"\nhosts = [\"{HOST}\"]\nupstream = \"h2c://{upstream}\"\n\n\
         [[tenants.api_keys]]\nheader = \"x-api-key\"\nkeys = [{}]\n",
        keys.join(", ")
    ))
}

fn caller(gate: &Gate, key: &str) -> Script {
    Script::start("grpc/client.py", &[&gate.data.to_string(), HOST, key])
}

async fn ends_with(caller: &mut Script, start: &str) {
    let line = caller.hear().await;
    assert!(line.starts_with(start), "{line}");
}

#[tokio::test]
async fn every_kind_of_call_passes_with_its_trailers() {
    let (_service, address) = service().await;
    let gate = gate(&address);
    let mut bob = caller(&gate, "key-of-bob");
    bob.tell("Unary hello").await;
    assert_eq!(bob.hear().await, "message echo hello");
    assert_eq!(bob.hear().await, "end OK [] x-told=at the end");
    bob.tell("Gather one two three").await;
    assert_eq!(bob.hear().await, "message one|two|three");
    ends_with(&mut bob, "end OK").await;
    bob.tell("Chat").await;
    for words in ["one", "two"] {
        bob.tell(&format!("say {words}")).await;
        assert_eq!(bob.hear().await, format!("message echo {words}"));
    }
    bob.tell("done").await;
    ends_with(&mut bob, "end OK").await;
    bob.tell("Count bob").await;
    for number in 0..3 {
        assert_eq!(bob.hear().await, format!("message bob {number}"));
    }
}

#[tokio::test]
async fn a_call_the_service_does_not_know_is_its_own_to_refuse() {
    let (_service, address) = service().await;
    let gate = gate(&address);
    let mut wire = Wire2::open(gate.data).await;
    let ask = Ask::new(Method::POST, &format!("http://{HOST}/test.Echo/Nothing"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let answer = wire.send(ask).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, "12"));
}

#[tokio::test]
async fn a_suspended_users_calls_are_cut_on_both_sides_and_nobody_elses() {
    let (mut service, address) = service().await;
    let gate = gate(&address);
    let mut bob = caller(&gate, "key-of-bob");
    bob.tell("Count bob").await;
    for number in 0..3 {
        assert_eq!(bob.hear().await, format!("message bob {number}"));
    }
    let mut bobs_chat = caller(&gate, "key-of-bob");
    bobs_chat.tell("Chat").await;
    bobs_chat.tell("say bob").await;
    bobs_chat.hear().await;
    let mut alice = caller(&gate, "key-of-alice");
    alice.tell("Chat").await;
    alice.tell("say alice").await;
    assert_eq!(alice.hear().await, "message echo alice");

    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 2, "{receipt}");
    ends_with(&mut bob, "end PERMISSION_DENIED").await;
    ends_with(&mut bobs_chat, "end PERMISSION_DENIED").await;
    let mut broken = [service.hear().await, service.hear().await];
    broken.sort();
    assert_eq!(broken, ["chat bob over", "count bob broken off"]);

    alice.tell("say more").await;
    assert_eq!(alice.hear().await, "message echo more");
    bob.tell("Unary again").await;
    ends_with(&mut bob, "end PERMISSION_DENIED [Your account").await;
    alice.tell("done").await;
    ends_with(&mut alice, "end OK").await;
}

#[tokio::test]
async fn a_call_that_the_service_is_thinking_about_is_refused_at_once() {
    let (mut service, address) = service().await;
    let gate = gate(&address);
    let mut bob = caller(&gate, "key-of-bob");
    bob.tell("Slow x").await;
    assert_eq!(service.hear().await, "slow begun");
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    ends_with(&mut bob, "end PERMISSION_DENIED [Your account").await;
    assert_eq!(service.hear().await, "slow broken off");
}

#[tokio::test]
async fn what_is_no_suspension_has_its_own_status() {
    let (_service, address) = service().await;
    let gate = gate(&address);
    let admin = gate.admin();
    admin.suspend("bob", &json!({})).await;
    let path = "/api/v1/users/bob/restore";
    let terms = json!({"restore_api_keys": false});
    admin.done(Method::POST, path, Some(&terms)).await;
    let mut bob = caller(&gate, "key-of-bob");
    bob.tell("Unary x").await;
    ends_with(&mut bob, "end UNAUTHENTICATED [the API key is disabled]").await;

    let nobody_listens = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody_listens.local_addr().unwrap().to_string();
    drop(nobody_listens);
    let gate = self::gate(&address);
    let mut alice = caller(&gate, "key-of-alice");
    alice.tell("Unary x").await;
    ends_with(&mut alice, "end UNAVAILABLE").await;
}
