//! A policy that fails costs its own tenant the words, and nobody the promise:
//! suspended users stay out, everybody else notices nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use portcullis_tests::browser::Browser;
use portcullis_tests::client::Ask;
use portcullis_tests::gate::{Gate, Plan, tenant};
use portcullis_tests::guests;
use portcullis_tests::origin::Origin;
use serde_json::json;

/// What the hostile policy can be told to do, as far as a refusal goes.
const DEEDS: [&str; 11] = [
    "loop",
    "trap",
    "memory",
    "recurse",
    "error",
    "huge-result",
    "many-links",
    "bad-status",
    "bad-header",
    "split-header",
    "script",
];

/// Two tenants a deed, one for each answer to a failure, and `calm` with the
/// standard policy.
async fn gate() -> (Gate, Origin) {
    let origin = Origin::start().await;
    let mut config = tenant("calm", origin.address);
    for deed in DEEDS {
        for (suffix, on_failure) in [("b", "builtin"), ("u", "unavailable")] {
            config += &tenant(&format!("{deed}-{suffix}"), origin.address);
            config += &format!(
                "[tenants.policy]\nfolder = \"policies/{deed}\"\non_failure = \"{on_failure}\"\n\n"
            );
        }
    }
    let mut plan = Plan::new(&config);
    for deed in DEEDS {
        let manifest = format!("module = \"hostile.wasm\"\n\n[settings]\nbehave = \"{deed}\"\n");
        plan = plan
            .with(&format!("policies/{deed}/policy.toml"), manifest)
            .with(&format!("policies/{deed}/hostile.wasm"), guests::hostile());
    }
    (plan.start(), origin)
}

#[tokio::test]
async fn a_failing_policy_gets_the_builtin_answer_or_503_as_configured_and_never_lets_through() {
    let (gate, origin) = gate().await;
    let mut calm = Browser::signed_in(gate.data, "calm.localhost", "alice").await;
    for deed in DEEDS {
        for suffix in ["b", "u"] {
            let id = format!("{deed}-{suffix}");
            let host = format!("{id}.localhost");
            let mut alice = Browser::signed_in(gate.data, &host, "alice").await;
            let bob = Browser::signed_in(gate.data, &host, "bob").await;
            gate.admin().of(&id).suspend("bob", &json!({})).await;
            origin.take_seen();
            let answer = bob.clone().api("/me").await;
            let page = bob.clone().page("/me").await;
            assert!(origin.take_seen().is_empty(), "{id}");
            if suffix == "b" {
                assert_eq!(
                    (answer.status, page.status),
                    (403, 403),
                    "{id}: {}",
                    answer.text()
                );
                let key = "error.account.permanentlySuspended";
                assert_eq!(answer.json()["error_user_msg"], key, "{id}");
                assert!(page.text().contains("contact your administrator"), "{id}");
            } else {
                assert_eq!(
                    (answer.status, page.status),
                    (503, 503),
                    "{id}: {}",
                    answer.text()
                );
                assert!(!answer.header("retry-after").is_empty(), "{id}");
            }
            for answer in [&answer, &page] {
                assert_eq!(answer.header("cache-control"), "no-store", "{id}");
                assert!(!answer.text().contains("javascript:"), "{id}");
            }
            assert_eq!(alice.api("/me").await.text(), "alice", "{id}");
            assert_eq!(calm.api("/me").await.text(), "alice", "{id}");
        }
    }
}

/// Refusals of one tenant that never end do not make those of another wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_a_looping_tenant_do_not_hold_up_another() {
    let (gate, _origin) = gate().await;
    let bob = Browser::signed_in(gate.data, "loop-b.localhost", "bob").await;
    let calms = Browser::signed_in(gate.data, "calm.localhost", "bob").await;
    for id in ["loop-b", "calm"] {
        gate.admin().of(id).suspend("bob", &json!({})).await;
    }
    // Another language each time is another question to the policy.
    let ask = |browser: &Browser, host: &str, number: usize| {
        let language = format!("{}{}", letter(number / 26), letter(number % 26));
        let ask = Ask::get("/me").host(host).cookie(&browser.cookies());
        ask.header("accept-language", &language).send(gate.data)
    };
    let looping: Vec<_> = (0..100)
        .map(|number| tokio::spawn(ask(&bob, "loop-b.localhost", number)))
        .collect();
    for number in 0..20 {
        let answer = ask(&calms, "calm.localhost", number).await;
        assert_eq!(answer.status, 403);
    }
    for answer in looping {
        assert_eq!(answer.await.unwrap().status, 403);
    }
}

fn letter(number: usize) -> char {
    char::from(b'a' + u8::try_from(number % 26).unwrap())
}
