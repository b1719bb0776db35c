//! Signing in by every way that there is, signing out, and the password reset.

use axum::http::header::{HOST, HeaderName};
use axum::http::{Method, StatusCode};
use serde_json::json;

use super::{Demo, me};
use crate::demo::sinks::Channel;
use crate::demo::testing::Ask;

#[tokio::test]
async fn a_form_login_redirects_home_with_a_session_cookie() {
    let demo = Demo::acme().await;
    let answer = demo
        .served
        .ask(Ask::form("/login", "username=bob&password=demo"))
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.location(), "/");
    let line = answer.set_cookie();
    assert!(line.starts_with("demo_session="), "{line}");
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(line.contains(attribute), "{attribute} is not in {line}");
    }

    let home = demo
        .served
        .ask(Ask::get("/").cookie(&answer.cookie()))
        .await;
    assert!(home.text().contains("<strong id=\"user\">bob</strong>"));
    assert_eq!(home.headers["cache-control"], "no-store");
    assert_eq!(
        demo.user(me().cookie(&answer.cookie())).await.unwrap(),
        "bob"
    );
}

#[tokio::test]
async fn a_wrong_password_shows_the_login_again_and_sets_no_cookie() {
    let demo = Demo::acme().await;
    for body in [
        "username=bob&password=wrong",
        "username=nobody&password=demo",
        "username=Bob&password=demo",
    ] {
        let answer = demo.served.ask(Ask::form("/login", body)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.text().contains("Wrong username or password"));
        assert!(answer.text().contains("name=\"password\""));
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn a_json_login_answers_json_and_takes_the_email_or_the_name() {
    let demo = Demo::globex().await;
    for (email, user) in [
        ("bob@globex.test", "bob"),
        ("alice", "alice"),
        ("carol", "carol"),
    ] {
        let body = json!({"email": email, "password": "demo"});
        let answer = demo.served.ask(Ask::json("/login", &body)).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json(), json!({ "user": user }));
        assert_eq!(
            demo.user(me().cookie(&answer.cookie())).await.unwrap(),
            user
        );
    }
    for email in ["bob@acme.test", "carol@globex.test", "bob "] {
        let body = json!({"email": email, "password": "demo"});
        let answer = demo.served.ask(Ask::json("/login", &body)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.json(), json!({"error": "invalid_credentials"}));
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn a_login_that_cannot_be_read_is_a_client_error() {
    let (acme, globex) = (Demo::acme().await, Demo::globex().await);
    let other_style = [
        acme.served
            .ask(Ask::json(
                "/login",
                &json!({"email": "bob", "password": "demo"}),
            ))
            .await,
        globex
            .served
            .ask(Ask::form("/login", "username=bob&password=demo"))
            .await,
    ];
    for answer in other_style {
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(answer.json()["error"], "invalid_request");
    }
    let broken = Ask::post("/login", "application/json", "{\"email\":");
    let answer = globex.served.ask(broken).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let huge = Ask::post("/login", "application/json", vec![b' '; 64 * 1024]);
    let answer = globex.served.ask(huge).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_stranger_sees_the_login_and_the_public_page_only() {
    let demo = Demo::acme().await;
    for path in ["/", "/login"] {
        let page = demo.served.ask(Ask::get(path)).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text().contains("action=\"/login\""));
    }
    let public = demo.served.ask(Ask::get("/public")).await;
    assert_eq!(public.status, StatusCode::OK);
    for path in ["/api/me", "/ws", "/events", "/download?mb=1"] {
        let answer = demo.served.ask(Ask::get(path)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let upload = Ask::post("/upload", "text/plain", "words");
    assert_eq!(
        demo.served.ask(upload).await.status,
        StatusCode::UNAUTHORIZED
    );
    let missing = demo.served.ask(Ask::get("/nowhere")).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_token_names_its_user_and_cannot_be_altered_or_carried_elsewhere() {
    let (acme, globex) = (Demo::acme().await, Demo::globex().await);
    let body = json!({"email": "bob@acme.test", "password": "demo"});
    let answer = acme.served.ask(Ask::json("/api/token", &body)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["token_type"], "Bearer");
    assert_eq!(answer.json()["expires_in"], 3600);
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();

    assert_eq!(acme.user(me().bearer(&token)).await.unwrap(), "bob");
    assert_eq!(globex.user(me().bearer(&token)).await, None);
    let (signed, _signature) = token.rsplit_once('.').unwrap();
    assert_eq!(
        acme.user(me().bearer(&format!("{signed}.AAAA"))).await,
        None
    );

    let wrong = json!({"username": "bob", "password": "wrong"});
    let answer = acme.served.ask(Ask::json("/api/token", &wrong)).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json(), json!({"error": "invalid_credentials"}));
}

#[test]
fn a_token_ends_after_its_hour() {
    use std::time::{Duration, SystemTime};

    let tokens = super::super::tokens::Tokens::new(b"secret");
    let carried = |age: Duration| {
        let token = tokens.issue("bob", SystemTime::now() - age).unwrap();
        let mut headers = axum::http::HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        tokens.bearer(&headers)
    };
    assert_eq!(carried(Duration::from_secs(3_500)).as_deref(), Some("bob"));
    assert_eq!(carried(Duration::from_secs(3_700)), None);
}

#[tokio::test]
async fn an_api_key_names_its_user() {
    let demo = Demo::acme().await;
    let keyed = |key: &str| me().header(HeaderName::from_static("x-api-key"), key);
    assert_eq!(demo.user(keyed("demo-key-carol")).await.unwrap(), "carol");
    for key in ["demo-key-mallory", "demo-key-bob@acme.test", "bob", ""] {
        assert_eq!(demo.user(keyed(key)).await, None, "{key}");
    }
}

#[tokio::test]
async fn a_stale_cookie_does_not_hide_the_live_session() {
    let demo = Demo::acme().await;
    let cookie = demo.sign_in("bob", "demo").await;
    let both = format!("other=1; demo_session=stale; {cookie}");
    assert_eq!(demo.user(me().cookie(&both)).await.unwrap(), "bob");
    assert_eq!(demo.user(me().cookie("demo_session=stale")).await, None);
}

#[tokio::test]
async fn logging_out_ends_the_session_on_the_server() {
    let demo = Demo::acme().await;
    let cookie = demo.sign_in("bob", "demo").await;
    let elsewhere = demo.sign_in("bob", "demo").await;
    assert_ne!(cookie, elsewhere);

    let logout = Ask::new(Method::POST, "/logout").cookie(&cookie);
    let answer = demo.served.ask(logout).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.location(), "/");
    assert!(answer.set_cookie().contains("Max-Age=0"));
    assert_eq!(demo.user(me().cookie(&cookie)).await, None);
    assert_eq!(demo.user(me().cookie(&elsewhere)).await.unwrap(), "bob");
}

#[tokio::test]
async fn a_forgotten_password_is_reset_by_the_mailed_link_once() {
    let demo = Demo::acme().await;
    let asked = Ask::form("/forgot", "username=bob").header(HOST, "acme.localhost:8080");
    assert_eq!(demo.served.ask(asked).await.status, StatusCode::OK);

    let mail = demo.mailbox.messages().pop().unwrap();
    assert_eq!(
        (mail.channel, mail.to.as_str()),
        (Channel::Email, "bob@acme.test")
    );
    let (_, token) = mail.text.split_once("/reset?token=").unwrap();
    let token = token.split_whitespace().next().unwrap();
    let link = format!("/reset?token={token}");
    assert!(
        mail.text
            .contains(&format!("http://acme.localhost:8080{link}"))
    );

    // Looking, and an empty password, leave the link good.
    let page = demo.served.ask(Ask::get(&link)).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains(&format!("value=\"{token}\"")));
    let empty = Ask::form("/reset", &format!("token={token}&password="));
    assert_eq!(demo.served.ask(empty).await.status, StatusCode::BAD_REQUEST);

    let chosen = format!("token={token}&password=better");
    let answer = demo.served.ask(Ask::form("/reset", &chosen)).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.location(), "/login?done=reset");
    let login = demo.served.ask(Ask::get(answer.location())).await;
    assert!(login.text().contains("Your new password is set"));

    let again = demo.served.ask(Ask::form("/reset", &chosen)).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    let old = Ask::form("/login", "username=bob&password=demo");
    assert_eq!(demo.served.ask(old).await.status, StatusCode::UNAUTHORIZED);
    demo.sign_in("bob", "better").await;
}

#[tokio::test]
async fn someone_without_an_address_gets_the_link_by_text_message() {
    let demo = Demo::globex().await;
    demo.served.ask(Ask::form("/forgot", "email=carol")).await;
    let message = demo.mailbox.messages().pop().unwrap();
    assert_eq!(message.channel, Channel::Sms);
    assert_eq!(message.to, "+15550100");
    assert!(message.text.contains("/reset?token="));
}

#[tokio::test]
async fn asking_for_a_link_tells_nobody_who_has_an_account() {
    let demo = Demo::acme().await;
    let known = demo.served.ask(Ask::form("/forgot", "username=bob")).await;
    let unknown = demo.served.ask(Ask::form("/forgot", "username=eve")).await;
    assert_eq!(known.status, unknown.status);
    assert_eq!(known.body, unknown.body);
    assert_eq!(demo.mailbox.messages().len(), 1);
}

#[tokio::test]
async fn a_strangers_host_header_never_gets_into_a_mail() {
    let demo = Demo::acme().await;
    for host in [
        "evil.test",
        "acme.localhost.evil.test",
        "acme.localhost:1@evil.test",
    ] {
        let asked = Ask::form("/forgot", "username=bob").header(HOST, host);
        demo.served.ask(asked).await;
        let mail = demo.mailbox.messages().pop().unwrap();
        assert!(!mail.text.contains("evil"), "{}", mail.text);
        assert!(mail.text.contains("\n/reset?token="));
    }
}
