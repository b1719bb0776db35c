//! Whoever a request names is judged: by cookie, token or key, in any spelling,
//! and beside any other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Method;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use portcullis_tests::browser::{Browser, takes_back};
use portcullis_tests::client::{Answer, Ask};
use portcullis_tests::demo::Demo;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::patience::LONG;
use serde_json::{Value, json};

const HOST: &str = "acme.localhost";

/// `GET /api/me` with one more header.
async fn me(demo: &Demo, name: &str, value: &str) -> Answer {
    let ask = Ask::get("/api/me").host(HOST).header(name, value);
    ask.send(demo.data).await
}

async fn by_token(demo: &Demo, token: &str) -> Answer {
    me(demo, "authorization", &format!("Bearer {token}")).await
}

async fn ask_token(demo: &Demo, user: &str) -> Answer {
    let login = json!({"username": user, "password": "demo"});
    let ask = Ask::post("/api/token").host(HOST).json(&login);
    ask.send(demo.data).await
}

async fn token(demo: &Demo, user: &str) -> String {
    let answer = ask_token(demo, user).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_is_refused_while_suspended_and_stays_dead_and_a_new_one_works() {
    let demo = Demo::start();
    let admin = demo.admin("acme");
    let (bobs, alices) = (token(&demo, "bob").await, token(&demo, "alice").await);
    assert_eq!(by_token(&demo, &bobs).await.json()["user"], "bob");
    admin.suspend("bob", &json!({})).await;
    assert_eq!(by_token(&demo, &bobs).await.status, 403);
    assert_eq!(by_token(&demo, &alices).await.status, 200);
    let withheld = ask_token(&demo, "bob").await;
    assert_eq!(withheld.status, 403, "{}", withheld.text());
    assert!(!withheld.text().contains("access_token"));
    admin.restore("bob").await;
    let dead = by_token(&demo, &bobs).await;
    assert_eq!(dead.status, 401);
    assert_eq!(
        dead.header("www-authenticate"),
        "Bearer error=\"invalid_token\""
    );
    // Tokens count in whole seconds: one of the next second is newer for sure.
    let started = Instant::now();
    while by_token(&demo, &token(&demo, "bob").await).await.status != 200 {
        assert!(started.elapsed() < LONG, "no new token works");
    }
    assert_eq!(by_token(&demo, &bobs).await.status, 401);
}

#[tokio::test]
async fn a_token_that_is_forged_tampered_or_expired_is_refused() {
    let demo = Demo::start();
    let key = fs::read(demo.folder().join("target/demo/acme-token-key")).unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let sign = |algorithm, key: &[u8], claims: &Value| {
        let header = Header::new(algorithm);
        encode(&header, claims, &EncodingKey::from_secret(key)).unwrap()
    };
    let claims = json!({"sub": "bob", "iat": now - 1, "exp": now + 600});
    let good = sign(Algorithm::HS256, &key, &claims);
    assert_eq!(by_token(&demo, &good).await.status, 200);
    let unsigned = |algorithm: &str| {
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({"alg": algorithm, "typ": "JWT"}));
        format!("{header}.{}.", part(claims.clone()))
    };
    let parts: Vec<&str> = good.split('.').collect();
    let alice =
        BASE64_URL_SAFE_NO_PAD.encode(json!({"sub": "alice", "exp": now + 600}).to_string());
    let other = [7; 32];
    let cases = [
        ("none", unsigned("none")),
        ("nOnE", unsigned("nOnE")),
        ("HS256 without a signature", unsigned("HS256")),
        ("other claims", format!("{}.{alice}.{}", parts[0], parts[2])),
        ("other key", sign(Algorithm::HS256, &other, &claims)),
        ("other algorithm", sign(Algorithm::HS384, &key, &claims)),
        (
            "expired",
            sign(
                Algorithm::HS256,
                &key,
                &json!({"sub": "bob", "exp": now - 120}),
            ),
        ),
        (
            "no expiry",
            sign(Algorithm::HS256, &key, &json!({"sub": "bob"})),
        ),
        (
            "text expiry",
            sign(
                Algorithm::HS256,
                &key,
                &json!({"sub": "bob", "exp": "9999999999"}),
            ),
        ),
        (
            "no user",
            sign(Algorithm::HS256, &key, &json!({"exp": now + 600})),
        ),
        ("no token", "rubbish".to_owned()),
    ];
    for (what, token) in cases {
        let answer = by_token(&demo, &token).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, "Bearer error=\"invalid_token\"", "{what}");
    }
}

#[tokio::test]
async fn an_api_key_stops_with_its_user_and_comes_back_with_the_restore() {
    let demo = Demo::start();
    let admin = demo.admin("acme");
    let key = async || me(&demo, "x-api-key", "demo-key-bob").await.status;
    assert_eq!(key().await, 200);
    let receipt = admin.suspend("bob", &json!({})).await;
    assert_eq!(receipt["api_keys_disabled"], 1);
    assert_eq!(key().await, 403);
    assert_eq!(me(&demo, "x-api-key", "demo-key-alice").await.status, 200);
    admin.restore("bob").await;
    assert_eq!(key().await, 200);
}

#[tokio::test]
async fn an_api_key_that_was_spared_goes_on_working_but_not_beside_a_cookie() {
    let demo = Demo::start();
    let bob = Browser::signed_in(demo.data, HOST, "bob").await;
    let terms = json!({"disable_api_keys": false});
    let receipt = demo.admin("acme").suspend("bob", &terms).await;
    assert_eq!(receipt["api_keys_disabled"], 0);
    assert_eq!(me(&demo, "x-api-key", "demo-key-bob").await.status, 200);
    let both = bob
        .ask(Method::GET, "/api/me")
        .header("x-api-key", "demo-key-bob");
    assert_eq!(both.send(demo.data).await.status, 403);
}

#[tokio::test]
async fn every_identity_on_a_request_is_judged() {
    let demo = Demo::start();
    let alice = Browser::signed_in(demo.data, HOST, "alice").await;
    let bob = Browser::signed_in(demo.data, HOST, "bob").await;
    let alices_token = format!("Bearer {}", token(&demo, "alice").await);
    let (hers, his) = (alice.cookies(), bob.cookies());
    demo.admin("acme").suspend("bob", &json!({})).await;
    let me = || Ask::get("/api/me").host(HOST);
    let asks = [
        (
            "token and cookie",
            me().cookie(&his).header("authorization", &alices_token),
        ),
        ("his cookie first", me().cookie(&format!("{his}; {hers}"))),
        ("his cookie last", me().cookie(&format!("{hers}; {his}"))),
        ("two lines", me().cookie(&hers).cookie(&his)),
        (
            "key and cookie",
            me().cookie(&hers).header("x-api-key", "demo-key-bob"),
        ),
    ];
    for (what, ask) in asks {
        let answer = ask.send(demo.data).await;
        assert_eq!(answer.status, 403, "{what}: {}", answer.text());
    }
    let value = bob.cookie("demo_session").unwrap();
    let encoded: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let spellings = [
        format!("demo_session={encoded}"),
        format!("demo_session=\"{value}\""),
        format!("a=b;demo_session={value}"),
        format!("  demo_session = {value} ; x"),
    ];
    for spelling in spellings {
        let answer = me().cookie(&spelling).send(demo.data).await;
        assert_eq!(answer.status, 403, "{spelling}: {}", answer.text());
    }
    let answer = me().cookie(&hers).header("authorization", &alices_token);
    assert_eq!(answer.send(demo.data).await.status, 200);
}

#[tokio::test]
async fn a_cookie_that_the_app_renews_stays_its_users() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let mut bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let first = bob.cookies();
    assert_eq!(bob.api("/rotate").await.status, 200);
    let second = bob.cookies();
    assert_ne!(first, second);
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["sessions_revoked"], 2, "{receipt}");
    for cookie in [&first, &second] {
        let ask = Ask::get("/me").host(HOST).cookie(cookie);
        assert_eq!(ask.send(gate.data).await.status, 403);
    }
    gate.admin().restore("bob").await;
    for cookie in [&first, &second] {
        let answer = Ask::get("/me")
            .host(HOST)
            .cookie(cookie)
            .send(gate.data)
            .await;
        assert_eq!(answer.status, 401);
        assert!(takes_back(&answer, "sid"));
    }
}

#[tokio::test]
async fn the_sessions_of_others_are_none_of_the_gates_business() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let mut anyone = Browser::new(gate.data, HOST);
    assert_eq!(anyone.api("/anything").await.status, 200);
    let stranger = Ask::get("/x").host(HOST).cookie("sid=never-seen");
    assert_eq!(stranger.send(gate.data).await.status, 200);
    assert_eq!(origin.take_seen()[1].header("cookie"), "sid=never-seen");
}

/// Nobody gets a cookie out of the gate's sight by carrying somebody else's key.
#[tokio::test]
async fn a_cookie_that_is_renewed_beside_anothers_key_stays_its_users() {
    // The hash of `alices-key`.
    const HASH: &str = "78cb25670068db732b666acc160a6fc90b66ba60ec2e2a2b6119771c89d81957";
    let origin = Origin::start().await;
    let keys = format!(
        "[[tenants.api_keys]]\nheader = \"X-API-Key\"\nkeys = [{{ hash = \"sha256:{HASH}\", user = \"alice\" }}]\n"
    );
    let gate = Gate::start(&format!("{}{keys}", tenant("acme", origin.address)));
    let mut bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let rotate = bob
        .ask(Method::GET, "/rotate")
        .header("x-api-key", "alices-key");
    assert_eq!(bob.send(rotate).await.status, 200);
    assert_eq!(bob.api("/me").await.text(), "bob");
    gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(bob.clone().api("/me").await.status, 403);
}

/// Where two sessions come and one is renewed, the gate cannot know whose it is:
/// it is refused as soon as one of the two is out.
#[tokio::test]
async fn a_cookie_that_is_renewed_beside_anothers_session_belongs_to_both() {
    for out in ["alice", "bob"] {
        let origin = Origin::start().await;
        let gate = Gate::start(&tenant("acme", origin.address));
        let bob = Browser::signed_in(gate.data, HOST, "bob").await;
        let alice = Browser::signed_in(gate.data, HOST, "alice").await;
        let both = format!("{}; {}", bob.cookies(), alice.cookies());
        let rotate = Ask::get("/rotate").host(HOST).cookie(&both);
        let answer = rotate.send(gate.data).await;
        let set = answer.set_cookies().remove(0);
        let renewed = set.split(';').next().unwrap().to_owned();
        let me = Ask::get("/me").host(HOST).cookie(&renewed);
        assert_eq!(me.clone().send(gate.data).await.status, 200);
        gate.admin().suspend(out, &json!({})).await;
        assert_eq!(me.send(gate.data).await.status, 403, "{out}");
    }
}

#[tokio::test]
async fn a_dead_cookie_keeps_nobody_from_logging_in_anew() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let mut bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let old = bob.cookies();
    gate.admin().suspend("bob", &json!({})).await;
    gate.admin().restore("bob").await;
    origin.take_seen();
    assert_eq!(bob.sign_in("bob", "demo").await.status, 303);
    assert_eq!(
        origin.take_one().header("cookie"),
        "",
        "the dead cookie went along"
    );
    assert_ne!(bob.cookies(), old);
    assert_eq!(bob.api("/me").await.text(), "bob");
}
