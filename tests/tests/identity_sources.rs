//! Every way that a request can name its user: it works, it is refused at once
//! while the user is suspended, beside anyone else's and in any spelling, and what
//! has an age stays dead.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{Method, StatusCode};
use portcullis_tests::browser::Browser;
use portcullis_tests::client::{Answer, Ask};
use portcullis_tests::gate::{Gate, Plan, tenant};
use portcullis_tests::origin::{Origin, say};
use portcullis_tests::patience::LONG;
use portcullis_tests::signer::Signer;
use serde_json::json;

const HOST: &str = "acme.localhost";
/// The hashes of `alices-key` and `bobs-key`.
const ALICES_KEY: &str = "78cb25670068db732b666acc160a6fc90b66ba60ec2e2a2b6119771c89d81957";
const BOBS_KEY: &str = "d4dec180a993cd5fa065cac46b9bbfd1528c39080afa14d683a5bc657c453892";

/// One way to name a user: it writes itself onto a request.
type Way = fn(Ask, &Signer, &str) -> Ask;

const TOKEN_WAYS: [(&str, Way); 4] = [
    ("bearer", |ask, signer, user| {
        ask.header("authorization", &format!("Bearer {}", signer.token(user)))
    }),
    ("own scheme", |ask, signer, user| {
        ask.header("authorization", &format!("JWT {}", signer.token(user)))
    }),
    ("own header", |ask, signer, user| {
        ask.header("x-token", &signer.token(user))
    }),
    ("query", |_, signer, user| {
        let target = format!("/x?a=1&access_token={}", signer.token(user));
        Ask::get(&target).host(HOST)
    }),
];

const OTHER_WAYS: [(&str, Way); 3] = [
    ("API key", |ask, _, user| {
        ask.header("x-api-key", &format!("{user}s-key"))
    }),
    ("trusted header", |ask, _, user| {
        ask.header("x-auth-user", user)
    }),
    ("Basic", |ask, _, user| {
        ask.header("authorization", &basic(user, "demo"))
    }),
];

fn basic(user: &str, password: &str) -> String {
    let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {pair}")
}

/// A gate that takes them all, and `more`.
fn gate_of_all(origin: &Origin, signer: &Signer, more: &str) -> Gate {
    let jwt = |place: &str| {
        format!("[[tenants.jwts]]\n{place}\nalgorithms = [\"EdDSA\"]\nkey_file = \"key.pem\"\n\n")
    };
    let entries = [
        jwt("from = \"bearer\""),
        jwt("from = \"header\"\nheader = \"Authorization\"\nscheme = \"JWT\""),
        jwt("from = \"header\"\nheader = \"X-Token\""),
        jwt("from = \"query\"\nparameter = \"access_token\""),
        format!(
            "[[tenants.api_keys]]\nheader = \"X-API-Key\"\nkeys = [\n\
             {{ hash = \"sha256:{ALICES_KEY}\", user = \"alice\" }},\n\
             {{ hash = \"sha256:{BOBS_KEY}\", user = \"bob\" }},\n]\n\n"
        ),
        "[[tenants.trusted_headers]]\nheader = \"X-Auth-User\"\nfrom = [\"127.0.0.0/8\", \"::1\"]\n\n".to_owned(),
        "[tenants.basic]\n\n".to_owned(),
        more.to_owned(),
    ];
    let named = tenant("acme", origin.address);
    let plan = Plan::new(&format!("{named}{}", entries.concat()));
    plan.with("key.pem", &signer.public_pem).start()
}

fn ask() -> Ask {
    Ask::get("/x").host(HOST)
}

async fn status(gate: &Gate, ask: Ask) -> u16 {
    ask.send(gate.data).await.status
}

#[tokio::test]
async fn tokens_work_die_and_come_anew_wherever_they_stand() {
    let signer = Signer::ed();
    let origin = Origin::start().await;
    let gate = gate_of_all(&origin, &signer, "");
    for (what, way) in TOKEN_WAYS {
        let bobs = way(ask(), &signer, "bob");
        let alices = way(ask(), &signer, "alice");
        assert_eq!(status(&gate, bobs.clone()).await, 200, "{what}");
        gate.admin().suspend("bob", &json!({})).await;
        assert_eq!(status(&gate, bobs.clone()).await, 403, "{what}");
        assert_eq!(status(&gate, alices).await, 200, "{what}");
        gate.admin().restore("bob").await;
        assert_eq!(status(&gate, bobs.clone()).await, 401, "{what}");
        let started = Instant::now();
        while status(&gate, way(ask(), &signer, "bob")).await != 200 {
            assert!(started.elapsed() < LONG, "{what}: no new token works");
        }
        assert_eq!(status(&gate, bobs).await, 401, "{what}");
        let forged = way(ask(), &Signer::ed(), "bob");
        assert_eq!(status(&gate, forged).await, 401, "{what}");
    }
}

#[tokio::test]
async fn keys_and_names_without_a_session_stop_with_the_user_and_come_back() {
    let signer = Signer::ed();
    let origin = Origin::start().await;
    let gate = gate_of_all(&origin, &signer, "");
    for (what, way) in OTHER_WAYS {
        let bobs = way(ask(), &signer, "bob");
        assert_eq!(status(&gate, bobs.clone()).await, 200, "{what}");
        gate.admin().suspend("bob", &json!({})).await;
        origin.take_seen();
        assert_eq!(status(&gate, bobs.clone()).await, 403, "{what}");
        assert!(origin.take_seen().is_empty(), "{what}");
        assert_eq!(status(&gate, way(ask(), &signer, "alice")).await, 200);
        gate.admin().restore("bob").await;
        assert_eq!(status(&gate, bobs).await, 200, "{what}");
    }
}

/// Every pair of sources that fits on one request, in both directions.
#[tokio::test]
async fn alices_credential_does_not_hide_bobs_beside_it() {
    let signer = Signer::ed();
    let origin = Origin::start().await;
    let gate = gate_of_all(&origin, &signer, "");
    let alice = Browser::signed_in(gate.data, HOST, "alice").await;
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    // The app accepts them once, so that the gate may speak of them.
    for (_, way) in OTHER_WAYS {
        assert_eq!(status(&gate, way(ask(), &signer, "bob")).await, 200);
    }
    let ways = || TOKEN_WAYS.into_iter().chain(OTHER_WAYS);
    let pairs = ways().flat_map(|one| ways().map(move |two| (one, two)));
    gate.admin().suspend("bob", &json!({})).await;
    origin.take_seen();
    let in_authorization = ["bearer", "own scheme", "Basic"];
    for ((his, of_bob), (hers, of_alice)) in pairs {
        let one_header = in_authorization.contains(&his) && in_authorization.contains(&hers);
        // The query is written first, since it begins the request anew.
        if his == hers || one_header || hers == "query" {
            continue;
        }
        let both = of_alice(of_bob(ask(), &signer, "bob"), &signer, "alice");
        assert_eq!(status(&gate, both).await, 403, "{hers} beside {his}");
        let beside_cookie = of_bob(ask(), &signer, "bob").cookie(&alice.cookies());
        assert_eq!(status(&gate, beside_cookie).await, 403, "{his}");
        let cookie_beside = of_alice(ask(), &signer, "alice").cookie(&bob.cookies());
        assert_eq!(status(&gate, cookie_beside).await, 403, "{hers}");
    }
    assert!(origin.take_seen().is_empty());
    let told = |log: &str| log.matches("a request names two users").count();
    assert_eq!(told(&gate.log()), 1, "once a minute for each pair");
}

#[tokio::test]
async fn tokens_in_the_query_are_found_in_every_spelling_and_all_of_them_judged() {
    let signer = Signer::ed();
    let origin = Origin::start().await;
    let gate = gate_of_all(&origin, &signer, "");
    let (alice, bob) = (signer.token("alice"), signer.token("bob"));
    gate.admin().suspend("bob", &json!({})).await;
    for query in [
        format!("access_token={alice}&access_token={bob}"),
        format!("access_token={bob}&access_token={alice}"),
        format!("a=1;access_token={bob}"),
        format!("%61ccess%5Ftoken={bob}"),
        format!("Access_Token={bob}"),
        format!("access.token={bob}"),
        format!("access_token[]={bob}"),
    ] {
        let answer = Ask::get(&format!("/x?{query}")).host(HOST).send(gate.data);
        assert_eq!(answer.await.status, 403, "{query}");
    }
    let log = gate.log();
    assert!(!log.contains(&bob), "a token is in the log");
}

#[tokio::test]
async fn a_header_that_names_the_user_is_believed_from_listed_peers_alone() {
    let origin = Origin::start().await;
    let entry = |from: &str| {
        format!(
            "{}[[tenants.trusted_headers]]\nheader = \"X-Auth-User\"\nfrom = [\"{from}\"]\n",
            tenant("acme", origin.address)
        )
    };
    let listed = Gate::start(&entry("127.0.0.1"));
    let named = || ask().header("x-auth-user", "bob");
    assert_eq!(status(&listed, named()).await, 200);
    assert_eq!(origin.take_one().header("x-auth-user"), "bob");
    let twice = named().header("x-auth-user", "bob");
    assert_eq!(status(&listed, twice).await, 400);
    let aliased = named()
        .header("x_auth_user", "alice")
        .header("x.auth.user", "alice");
    assert_eq!(status(&listed, aliased).await, 200);
    let seen = origin.take_one();
    assert_eq!(seen.header("x-auth-user"), "bob");
    assert!(!seen.headers.contains_key("x_auth_user"));
    assert!(!seen.headers.contains_key("x.auth.user"));

    let unlisted = Gate::start(&entry("10.0.0.0/8"));
    unlisted.admin().suspend("bob", &json!({})).await;
    let spelt = named().header("x_auth_user", "bob");
    assert_eq!(status(&unlisted, spelt).await, 200);
    let seen = origin.take_one();
    assert!(!seen.headers.contains_key("x-auth-user"));
    assert!(!seen.headers.contains_key("x_auth_user"));
    assert_eq!(status(&unlisted, named()).await, 200);
    let told = unlisted.log().matches("a peer that is not listed").count();
    assert_eq!(told, 1, "once a minute");
}

/// An app that wants Basic, with the password `demo` for everyone.
async fn basic_app() -> Origin {
    Origin::answering(|request| {
        let given = request.headers().get("authorization").cloned();
        async move {
            let good = |user| given.as_ref().is_some_and(|v| *v == basic(user, "demo"));
            if good("bob") || good("alice") || good("BOB") {
                say(StatusCode::OK, "hello")
            } else {
                say(StatusCode::UNAUTHORIZED, "wrong name or password")
            }
        }
    })
    .await
}

fn basic_gate(origin: &Origin, more: &str) -> Gate {
    let entry = format!("[tenants.basic]\n{more}\n");
    Gate::start(&format!("{}{entry}", tenant("acme", origin.address)))
}

async fn with_basic(gate: &Gate, user: &str, password: &str) -> Answer {
    let value = basic(user, password);
    ask().header("authorization", &value).send(gate.data).await
}

#[tokio::test]
async fn a_suspended_user_of_basic_is_told_by_the_password_that_the_app_accepted() {
    let origin = basic_app().await;
    let gate = basic_gate(&origin, "");
    assert_eq!(with_basic(&gate, "bob", "demo").await.status, 200);
    assert_eq!(with_basic(&gate, "bob", "guess").await.status, 401);
    gate.admin()
        .suspend("bob", &json!({"reason": "suspiciousUser"}))
        .await;
    origin.take_seen();
    let told = with_basic(&gate, "bob", "demo").await;
    assert_eq!(told.status, 403, "{}", told.text());
    // Never accepted, or in another spelling: what a wrong password gets.
    for (user, password) in [("bob", "guess"), ("BOB", "demo"), ("bob", "")] {
        let answer = with_basic(&gate, user, password).await;
        assert_eq!(answer.status, 401, "{user}:{password}");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, "Basic realm=\"acme\", charset=\"UTF-8\"");
        assert!(!answer.text().to_lowercase().contains("suspend"));
    }
    assert!(
        origin.take_seen().is_empty(),
        "the app saw a suspended user"
    );
    assert_eq!(with_basic(&gate, "alice", "demo").await.status, 200);
    // Basic has no session: what worked before works again.
    gate.admin().restore("bob").await;
    assert_eq!(with_basic(&gate, "bob", "demo").await.status, 200);
}

#[tokio::test]
async fn where_the_tenant_discloses_always_basic_is_told_at_once() {
    let origin = basic_app().await;
    let gate = basic_gate(&origin, "disclose = \"always\"\nrealm = \"The app\"");
    gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(with_basic(&gate, "bob", "guess").await.status, 403);
    let odd = ask().header("authorization", "Basic Ym9i");
    let answer = odd.send(gate.data).await;
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate");
    assert_eq!(challenge, "Basic realm=\"The app\", charset=\"UTF-8\"");
    assert!(origin.take_seen().is_empty());
}

#[tokio::test]
async fn basic_that_readers_could_take_for_different_users_goes_nowhere() {
    let origin = basic_app().await;
    let gate = basic_gate(&origin, "");
    let bob = BASE64_STANDARD.encode("bob:demo");
    for odd in [
        "Basic".to_owned(),
        format!("Basic {}", bob.trim_end_matches('=')),
        format!("Basic {} {}", &bob[..4], &bob[4..]),
        format!("Basic\t{bob}"),
        "Basic Ym9i".to_owned(),
        basic("", "demo"),
        basic("b\u{200B}ob", "demo"),
    ] {
        assert_eq!(
            status(&gate, ask().header("authorization", &odd)).await,
            401,
            "{odd}"
        );
    }
    let twice = ask()
        .header("authorization", &basic("alice", "demo"))
        .header("authorization", &basic("bob", "demo"));
    assert_eq!(status(&gate, twice).await, 400);
    assert!(origin.take_seen().is_empty());
}

/// One canonicaliser: whatever names the user, wherever, means the same one.
#[tokio::test]
async fn a_name_means_the_same_user_wherever_it_stands() {
    let signer = Signer::ed();
    let origin = Origin::start().await;
    let by_json = "[[tenants.logins]]\npath = \"/in\"\nbody = \"json\"\n";
    let spelt =
        tenant("acme", origin.address).replace("hosts =", "names = \"fold-accents\"\nhosts =");
    let entries = format!(
        "{spelt}{by_json}[tenants.basic]\ndisclose = \"always\"\n\
         [[tenants.jwts]]\nfrom = \"bearer\"\nalgorithms = [\"EdDSA\"]\nkey_file = \"key.pem\"\n\
         [[tenants.trusted_headers]]\nheader = \"X-Auth-User\"\nfrom = [\"127.0.0.1\"]\n\
         [[tenants.api_keys]]\nheader = \"X-API-Key\"\nkeys = [{{ hash = \"sha256:{BOBS_KEY}\", user = \"Bób\" }}]\n"
    );
    let gate = Plan::new(&entries)
        .with("key.pem", &signer.public_pem)
        .start();
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    // The admin path is canonicalised too: this is bob. So is the alias.
    let admin = gate.admin();
    let body = json!({"email": "Bób.Ó@Example.test"});
    admin
        .done(Method::PUT, "/api/v1/users/B%C3%93B", Some(&body))
        .await;
    admin.suspend("bO%CC%81b", &json!({})).await;
    let signed = |name: &str| format!("Bearer {}", signer.token(name));
    let names = ["bob", "BÓB", "b\u{302}ób", " ｂｏｂ ", "bob.o@example.TEST"];
    for name in names {
        let by_token = ask().header("authorization", &signed(name));
        assert_eq!(status(&gate, by_token).await, 403, "token {name}");
        let by_basic = ask().header("authorization", &basic(name, "x"));
        assert_eq!(status(&gate, by_basic).await, 403, "Basic {name}");
        let by_login = Ask::post("/login")
            .host(HOST)
            .form(&[("username", name), ("password", "demo")]);
        assert_eq!(status(&gate, by_login).await, 403, "login {name}");
        let by_json = Ask::post("/in").host(HOST).json(&json!({"username": name}));
        let answer = by_json.send(gate.data).await;
        assert_ne!(answer.status, 303, "login {name}");
    }
    for name in ["bob", "BOB", "bob.o@example.TEST"] {
        let by_header = ask().header("x-auth-user", name);
        assert_eq!(status(&gate, by_header).await, 403, "header {name}");
    }
    let by_key = ask().header("x-api-key", "bobs-key");
    assert_eq!(status(&gate, by_key).await, 403);
    assert_eq!(status(&gate, ask().cookie(&bob.cookies())).await, 403);
    assert_eq!(status(&gate, ask().header("x-auth-user", "bo")).await, 200);
}
