//! Keys and answers of identity providers: fetched, changed, withdrawn and missing,
//! while the gate keeps out who is out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::time::Instant;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use portcullis_tests::client::{Answer, Ask, Wire};
use portcullis_tests::gate::{Gate, Plan, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::patience::{LONG, eventually, within};
use portcullis_tests::provider::{AUTHORITY, KeyServer, TokenServer};
use portcullis_tests::signer::{Signer, key_set, now};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

const HOST: &str = "acme.localhost";

fn by_url(url: &str) -> String {
    format!(
        "[[tenants.jwts]]\nfrom = \"bearer\"\nalgorithms = [\"ES256\", \"EdDSA\", \"RS256\"]\n\
         jwks_url = \"{url}\"\njwks_cooldown = \"1s\"\n"
    )
}

fn gate_with(origin: &Origin, entries: &str) -> Gate {
    Gate::start(&format!("{}{entries}", tenant("acme", origin.address)))
}

fn ask_with(token: &str) -> Ask {
    let bearer = format!("Bearer {token}");
    Ask::get("/x").host(HOST).header("authorization", &bearer)
}

async fn with_bearer(gate: &Gate, token: &str) -> Answer {
    ask_with(token).send(gate.data).await
}

/// Asks until the answer is `status`: keys and tokens take a moment to be in force.
async fn until_status(gate: &Gate, status: u16, what: &str, token: impl Fn() -> String) {
    let started = Instant::now();
    loop {
        let answer = with_bearer(gate, &token()).await;
        if answer.status == status {
            return;
        }
        assert!(started.elapsed() < LONG, "{what}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_provider_changes_its_keys_and_nobody_has_to_restart() {
    let (old, new) = (Signer::rsa().named("old"), Signer::ed().named("new"));
    let provider = KeyServer::start(&[&old]).await;
    let origin = Origin::start().await;
    let gate = gate_with(&origin, &by_url(&provider.url()));
    let olds = old.token("bob");
    assert_eq!(with_bearer(&gate, &olds).await.status, 200);
    provider.publish(&[&old, &new]);
    until_status(&gate, 200, "the new key", || new.token("bob")).await;
    assert_eq!(with_bearer(&gate, &olds).await.status, 200);
    // A key that is withdrawn takes its tokens along, seen before or not.
    provider.publish(&[&new]);
    let other = Signer::ed().named("never");
    let asked = provider.asked();
    let started = Instant::now();
    while with_bearer(&gate, &olds).await.status == 200 {
        with_bearer(&gate, &other.token("bob")).await;
        assert!(started.elapsed() < LONG, "the old key is still in force");
    }
    assert!(provider.asked() > asked);
    assert_eq!(with_bearer(&gate, &olds).await.status, 401);
    assert_eq!(with_bearer(&gate, &new.token("bob")).await.status, 200);
}

#[tokio::test]
async fn keys_without_names_change_too() {
    let (old, new) = (Signer::ec(), Signer::ec());
    let provider = KeyServer::start(&[&old]).await;
    let origin = Origin::start().await;
    let gate = gate_with(&origin, &by_url(&provider.url()));
    assert_eq!(with_bearer(&gate, &old.token("bob")).await.status, 200);
    provider.publish(&[&new]);
    until_status(&gate, 200, "the new key", || new.token("bob")).await;
    assert_eq!(with_bearer(&gate, &old.token("bob")).await.status, 401);
}

#[tokio::test]
async fn a_thousand_unknown_keys_cost_one_fetch_a_cooldown() {
    let signer = Signer::ec().named("one");
    let provider = KeyServer::start(&[&signer]).await;
    let origin = Origin::start().await;
    let gate = gate_with(&origin, &by_url(&provider.url()));
    assert_eq!(with_bearer(&gate, &signer.token("bob")).await.status, 200);
    let before = provider.asked();
    let mut signer = Signer::ed();
    let tokens: Vec<String> = (0..1000)
        .map(|count| {
            signer.kid = Some(format!("random-{count}"));
            signer.token("bob")
        })
        .collect();
    let started = Instant::now();
    let data = gate.data;
    let shares = tokens.chunks(100).map(|share| {
        let share = share.to_vec();
        tokio::spawn(async move {
            let mut wire = Wire::open(data).await;
            for token in share {
                assert_eq!(wire.send(ask_with(&token)).await.status, 401);
            }
        })
    });
    for share in shares.collect::<Vec<_>>() {
        share.await.unwrap();
    }
    let cooldowns = usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    let fetches = provider.asked() - before;
    assert!(fetches <= cooldowns, "{fetches} fetches in {cooldowns} s");
}

#[tokio::test]
async fn the_last_good_keys_stay_while_a_provider_is_down_or_answers_rubbish() {
    let signer = Signer::ec().named("one");
    let stranger = Signer::ed().named("unknown");
    let provider = KeyServer::start(&[&signer]).await;
    let origin = Origin::start().await;
    let gate = gate_with(&origin, &by_url(&provider.url()));
    let token = signer.token("bob");
    assert_eq!(with_bearer(&gate, &token).await.status, 200);
    let oct = json!({"keys": [{"kty": "oct", "kid": "one", "k": "c2VjcmV0"}]}).to_string();
    let long = " ".repeat(300 * 1024);
    let rubbish = [
        (500, "{}"),
        (200, "<html>"),
        (200, "{\"keys\":[]}"),
        (200, &oct),
        (200, &long),
        (302, ""),
    ];
    for (status, text) in rubbish {
        provider.say(status, text);
        let asked = provider.asked();
        let started = Instant::now();
        while provider.asked() == asked {
            assert_eq!(with_bearer(&gate, &stranger.token("bob")).await.status, 401);
            assert!(started.elapsed() < LONG, "nobody asked the provider");
        }
        assert_eq!(
            with_bearer(&gate, &token).await.status,
            200,
            "{status} {text}"
        );
    }
    assert!(gate.log().contains("last_good_keys_in_force=true"));
    drop(provider);
    assert_eq!(with_bearer(&gate, &signer.token("bob")).await.status, 200);
}

#[tokio::test]
async fn without_any_keys_the_gate_cannot_know_and_says_so() {
    let signer = Signer::ec().named("one");
    let provider = KeyServer::start(&[&signer]).await;
    provider.say(503, "");
    let origin = Origin::start().await;
    let gate = gate_with(&origin, &by_url(&provider.url()));
    let answer = with_bearer(&gate, &signer.token("bob")).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_ne!(answer.header("retry-after"), "");
    assert!(origin.take_seen().is_empty());
    provider.publish(&[&signer]);
    until_status(&gate, 200, "the first keys", || signer.token("bob")).await;
}

#[tokio::test]
async fn tokens_of_a_providers_keys_die_at_a_suspension_and_cannot_be_forged() {
    let signer = Signer::ec().named("one");
    let provider = KeyServer::start(&[&signer]).await;
    let origin = Origin::start().await;
    let gate = gate_with(&origin, &by_url(&provider.url()));
    let (bobs, alices) = (signer.token("bob"), signer.token("alice"));
    assert_eq!(with_bearer(&gate, &bobs).await.status, 200);
    gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(with_bearer(&gate, &bobs).await.status, 403);
    assert_eq!(with_bearer(&gate, &alices).await.status, 200);
    gate.admin().restore("bob").await;
    assert_eq!(with_bearer(&gate, &bobs).await.status, 401);
    until_status(&gate, 200, "a new token", || signer.token("bob")).await;
    assert_eq!(with_bearer(&gate, &bobs).await.status, 401);

    let same_name = Signer::ec().named("one");
    let other_kind = Signer::ed().named("one");
    let secret = EncodingKey::from_secret(signer.public_pem.as_bytes());
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("one".into());
    let claims = json!({"sub": "bob", "iat": now(), "exp": now() + 600});
    let confused = encode(&header, &claims, &secret).unwrap();
    for forged in [same_name.token("bob"), other_kind.token("bob"), confused] {
        assert_eq!(with_bearer(&gate, &forged).await.status, 401);
    }
}

#[tokio::test]
async fn keys_come_over_tls_from_whom_the_named_authority_vouches_for() {
    let signer = Signer::ec().named("one");
    let url = KeyServer::start_tls(&[&signer]).await;
    let origin = Origin::start().await;
    let tenant = tenant("acme", origin.address);
    let entry = format!("{tenant}{}jwks_ca_file = \"ca.pem\"\n", by_url(&url));
    let gate = Plan::new(&entry).with("ca.pem", AUTHORITY).start();
    assert_eq!(with_bearer(&gate, &signer.token("bob")).await.status, 200);
    // The authorities of the system know nothing of it.
    let gate = gate_with(&origin, &by_url(&url));
    assert_eq!(with_bearer(&gate, &signer.token("bob")).await.status, 503);
}

#[tokio::test]
async fn a_key_set_in_a_file_is_read_again_when_it_changes() {
    let (old, new) = (Signer::ec().named("old"), Signer::ec().named("newer"));
    let origin = Origin::start().await;
    let entry = "[[tenants.jwts]]\nfrom = \"bearer\"\nalgorithms = [\"ES256\"]\njwks_file = \"keys.json\"\n";
    let gate = Plan::new(&format!("{}{entry}", tenant("acme", origin.address)))
        .with("keys.json", key_set(&[&old]).to_string())
        .start();
    assert_eq!(with_bearer(&gate, &old.token("bob")).await.status, 200);
    assert_eq!(with_bearer(&gate, &new.token("bob")).await.status, 401);
    let file = gate.plan().folder().join("keys.json");
    fs::write(&file, key_set(&[&new]).to_string()).unwrap();
    until_status(&gate, 200, "the new file", || new.token("bob")).await;
    assert_eq!(with_bearer(&gate, &old.token("bob")).await.status, 401);
    fs::write(&file, "rubbish").unwrap();
    eventually("the log of the bad file", || {
        gate.log().contains("the last good keys stay in force")
    })
    .await;
    assert_eq!(with_bearer(&gate, &new.token("bob")).await.status, 200);
}

fn by_server(server: &TokenServer, more: &str) -> String {
    format!(
        "[[tenants.introspection]]\nfrom = \"bearer\"\nurl = \"http://{}/introspect\"\n\
         client_id = \"gate\"\nclient_secret_file = \"secret\"\n{more}\n",
        server.address()
    )
}

fn gate_asking(origin: &Origin, entries: &str) -> Gate {
    let tenant = tenant("acme", origin.address);
    let plan = Plan::new(&format!("{tenant}{entries}"));
    plan.with("secret", "s:e%c\n").start()
}

#[tokio::test]
async fn an_opaque_token_dies_at_a_suspension_and_a_newer_one_works() {
    let server = TokenServer::start().await;
    let origin = Origin::start().await;
    let gate = gate_asking(&origin, &by_server(&server, ""));
    server.knows("bobs", &json!({"sub": "Bob", "iat": now()}));
    server.knows("ageless", &json!({"sub": "bob"}));
    server.knows("alices", &json!({"sub": "alice"}));
    for token in ["bobs", "ageless", "alices"] {
        assert_eq!(with_bearer(&gate, token).await.status, 200, "{token}");
    }
    gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(with_bearer(&gate, "bobs").await.status, 403);
    assert_eq!(with_bearer(&gate, "ageless").await.status, 403);
    assert_eq!(with_bearer(&gate, "alices").await.status, 200);
    gate.admin().restore("bob").await;
    assert_eq!(with_bearer(&gate, "bobs").await.status, 401);
    assert_eq!(with_bearer(&gate, "ageless").await.status, 401);
    server.knows("newer", &json!({"sub": "bob", "iat": now() + 1}));
    assert_eq!(with_bearer(&gate, "newer").await.status, 200);
    let unknown = with_bearer(&gate, "unknown").await;
    assert_eq!(unknown.status, 401);
    let challenge = unknown.header("www-authenticate");
    assert_eq!(challenge, "Bearer error=\"invalid_token\"");
}

#[tokio::test]
async fn a_token_is_asked_about_once_whoever_brings_it_and_never_if_it_is_odd() {
    let server = TokenServer::start().await;
    let origin = Origin::start().await;
    let gate = gate_asking(&origin, &by_server(&server, ""));
    server.knows("bobs", &json!({"sub": "bob"}));
    let data = gate.data;
    let asks: Vec<_> = (0..50)
        .map(|_| tokio::spawn(ask_with("bobs").send(data)))
        .collect();
    for ask in asks {
        assert_eq!(ask.await.unwrap().status, 200);
    }
    assert_eq!(server.asked("bobs"), 1);
    server.take_seen();
    assert_eq!(with_bearer(&gate, "odd token").await.status, 401);
    assert!(server.take_seen().is_empty());
}

#[tokio::test]
async fn a_server_that_does_not_answer_leaves_the_gate_unknowing() {
    let server = TokenServer::start().await;
    let origin = Origin::start().await;
    let gate = gate_asking(&origin, &by_server(&server, ""));
    server.knows("bobs", &json!({"sub": "bob"}));
    server.breaks(true);
    let answer = with_bearer(&gate, "bobs").await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(origin.take_seen().is_empty());
    server.breaks(false);
    assert_eq!(with_bearer(&gate, "bobs").await.status, 200);
    // What is known already needs no server.
    server.breaks(true);
    assert_eq!(with_bearer(&gate, "bobs").await.status, 200);
}

/// Asks about made-up tokens until the server has its hands full and nothing more is
/// taken in; the requests that wait.
async fn flood(gate: &Gate, server: &TokenServer) -> Vec<AbortHandle> {
    let mut waiting = Vec::new();
    let (tell, mut told) = mpsc::unbounded_channel();
    for number in 0..1000 {
        let (tell, data) = (tell.clone(), gate.data);
        let ask = async move {
            let answer = ask_with(&format!("made-up-{number}")).try_send(data).await;
            let _ = tell.send(answer.map(|answer| answer.status).ok());
        };
        waiting.push(tokio::spawn(ask).abort_handle());
        if waiting.len() > 300 {
            // As many as are not taken come back at once, since no answer is given.
            assert_eq!(
                within(LONG, "a refusal", told.recv()).await,
                Some(Some(503))
            );
        }
        if waiting.len() > 400 {
            break;
        }
    }
    eventually("a busy server", || server.asked_in_all() >= 8).await;
    waiting
}

#[tokio::test]
async fn made_up_tokens_do_not_starve_those_that_were_good_before() {
    let server = TokenServer::start().await;
    let origin = Origin::start().await;
    // Each request asks anew.
    let gate = gate_asking(
        &origin,
        &by_server(&server, "cache = \"0s\"\nwait = \"30s\""),
    );
    server.knows("bobs", &json!({"sub": "bob"}));
    assert_eq!(with_bearer(&gate, "bobs").await.status, 200);
    server.holds_unknown();
    let waiting = flood(&gate, &server).await;
    for round in 2..10 {
        // Twice within one millisecond is one question.
        let asked_anew = async {
            while server.asked("bobs") < round {
                assert_eq!(with_bearer(&gate, "bobs").await.status, 200);
            }
        };
        within(LONG, "another question", asked_anew).await;
    }
    let log = gate.log();
    let told = log.matches("ERROR refused").count();
    assert_eq!(told, 1, "a hundred refusals, one line: {log}");
    // Who hangs up leaves room to who stays.
    waiting.iter().for_each(AbortHandle::abort);
    server.knows("newer", &json!({"sub": "alice"}));
    server.releases();
    until_status(&gate, 200, "a new token", || "newer".into()).await;
}

#[tokio::test]
async fn an_answer_is_believed_no_longer_than_its_token_lives() {
    let server = TokenServer::start().await;
    let origin = Origin::start().await;
    let gate = gate_asking(&origin, &by_server(&server, "cache = \"1h\""));
    server.knows("short", &json!({"sub": "bob", "exp": now() + 2}));
    assert_eq!(with_bearer(&gate, "short").await.status, 200);
    until_status(&gate, 401, "the end of the token", || "short".into()).await;
}

#[tokio::test]
async fn answers_from_another_issuer_or_for_another_audience_are_not_taken() {
    let server = TokenServer::start().await;
    let origin = Origin::start().await;
    let more = "issuer = \"https://id.test\"\naudience = \"acme\"";
    let gate = gate_asking(&origin, &by_server(&server, more));
    let said = |iss: &str, aud: &str| json!({"sub": "bob", "iss": iss, "aud": [aud, "x"]});
    server.knows("good", &said("https://id.test", "acme"));
    server.knows("other-issuer", &said("https://evil.test", "acme"));
    server.knows("other-audience", &said("https://id.test", "globex"));
    server.knows("bare", &json!({"sub": "bob"}));
    assert_eq!(with_bearer(&gate, "good").await.status, 200);
    for token in ["other-issuer", "other-audience", "bare"] {
        assert_eq!(with_bearer(&gate, token).await.status, 401, "{token}");
    }
}

#[tokio::test]
async fn a_place_is_shared_by_several_who_know_tokens() {
    let (one, two) = (Signer::ec(), Signer::ed());
    let server = TokenServer::start().await;
    let origin = Origin::start().await;
    let entry = |signer: &Signer, file: &str| {
        format!(
            "[[tenants.jwts]]\nfrom = \"bearer\"\nalgorithms = [\"{}\"]\nkey_file = \"{file}\"\n",
            signer.algorithm_name()
        )
    };
    let entries = [
        entry(&one, "one.pem"),
        entry(&two, "two.pem"),
        by_server(&server, ""),
    ];
    let tenant = tenant("acme", origin.address);
    let gate = Plan::new(&format!("{tenant}{}", entries.concat()))
        .with("secret", "s:e%c\n")
        .with("one.pem", &one.public_pem)
        .with("two.pem", &two.public_pem)
        .start();
    server.knows("opaque", &json!({"sub": "bob"}));
    let tokens = [one.token("bob"), two.token("bob"), "opaque".to_owned()];
    for token in &tokens {
        assert_eq!(with_bearer(&gate, token).await.status, 200);
    }
    assert_eq!(server.asked(&tokens[0]) + server.asked(&tokens[1]), 0);
    let forged = Signer::ec().token("bob");
    assert_eq!(with_bearer(&gate, &forged).await.status, 401);
    gate.admin().suspend("bob", &json!({})).await;
    for token in &tokens {
        assert_eq!(with_bearer(&gate, token).await.status, 403);
    }
}
