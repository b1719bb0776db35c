//! Logins in every format that apps take: who is trying is read before the app
//! sees anything, what two readers could read differently never gets there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use portcullis_tests::client::{Answer, Ask, Body, Wire2, pieces};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use portcullis_tests::raw::{self, Raw};
use serde_json::json;

const HOST: &str = "acme.localhost";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=----x";

/// An app that takes any format: whoever says "demo" has the right password, and
/// its session cookie is made of the body's length and last byte.
async fn lenient(request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await;
    let body = body.map(http_body_util::Collected::to_bytes);
    let body = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
    if path != "/login" {
        return say(StatusCode::OK, "hello");
    }
    if !body.contains("demo") {
        return say(StatusCode::UNAUTHORIZED, "wrong name or password");
    }
    let name = ["alice", "bob", "carol"]
        .into_iter()
        .find(|name| body.contains(name));
    let mut answer = say(StatusCode::SEE_OTHER, "welcome");
    let line = format!("sid=s{}{}; Path=/", body.len(), name.unwrap_or("-"));
    let cookie = HeaderValue::from_str(&line).unwrap();
    answer.headers_mut().insert("set-cookie", cookie);
    answer
}

fn gate(origin: &Origin) -> Gate {
    let config = tenant("acme", origin.address).replace(
        "path = \"/login\"\n",
        "path = \"/login\"\nbody = [\"form\", \"json\", \"multipart\"]\n\
         user_field = [\"username\", \"/user/email\"]\n",
    );
    Gate::start(&config)
}

fn login(media_type: &str, body: &str) -> Ask {
    Ask::post("/login")
        .host(HOST)
        .header("content-type", media_type)
        .body(body.to_owned())
}

fn part(name: &str, value: &str) -> String {
    format!("------x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

/// The same login in each format that the gate reads.
fn spellings(user: &str, password: &str) -> [(&'static str, String); 4] {
    let multipart = part("password", password) + &part("username", user) + "------x--\r\n";
    let nested = json!({"user": {"email": user}, "password": password});
    [
        (FORM, format!("username={user}&password={password}")),
        (MULTIPART, multipart),
        (
            "application/json",
            json!({"username": user, "password": password}).to_string(),
        ),
        ("application/json; charset=utf-8", nested.to_string()),
    ]
}

fn session(answer: &Answer) -> String {
    let cookie = answer.set_cookies().remove(0);
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_suspended_user_is_kept_out_in_each_format_that_the_route_takes() {
    let origin = Origin::answering(lenient).await;
    let gate = gate(&origin);
    let admin = gate.admin();
    for (media_type, body) in spellings("bob", "demo") {
        let answer = login(media_type, &body).send(gate.data).await;
        assert_eq!(answer.status, 303, "{media_type}: {}", answer.text());
        let session = session(&answer);
        let before = origin.bytes();
        admin.suspend("bob", &json!({})).await;
        let met = Ask::get("/").host(HOST).cookie(&session).send(gate.data);
        assert_eq!(met.await.status, 403, "{media_type}: the learnt session");
        assert_eq!(origin.bytes(), before, "{media_type}");
        let again = login(media_type, &body).send(gate.data).await;
        assert_eq!(again.status, 403, "{media_type}");
        assert!(!again.text().contains("welcome"), "{media_type}");
        admin.restore("bob").await;
    }
}

/// Bodies that one app would read as alice's and another as bob's.
fn ambiguous() -> Vec<(u16, &'static str, String)> {
    let end = "------x--\r\n";
    let (alice, bob) = (part("username", "alice"), part("username", "bob"));
    let as_file = "------x\r\nContent-Disposition: form-data; name=\"username\"; filename=\"a\"\r\n\r\nbob\r\n";
    let extended =
        "------x\r\nContent-Disposition: form-data; name*=utf-8''username\r\n\r\nbob\r\n";
    let encoded = part("username", "Ym9i")
        .replace("\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    let json = "application/json";
    vec![
        (400, MULTIPART, format!("{alice}{bob}{end}")),
        (
            400,
            MULTIPART,
            format!("{alice}{}{end}", part("Username", "bob")),
        ),
        (
            400,
            MULTIPART,
            format!("{alice}{}{end}", part("username[]", "bob")),
        ),
        (400, MULTIPART, format!("{as_file}{end}")),
        (400, MULTIPART, format!("{alice}{extended}{end}")),
        (400, MULTIPART, format!("{encoded}{end}")),
        (400, MULTIPART, alice.clone()),
        (400, MULTIPART, format!("{alice}{end}{bob}{end}")),
        (
            400,
            MULTIPART,
            format!("{alice}{}{end}", part("_charset_", "utf-7")),
        ),
        (400, "multipart/form-data", format!("{alice}{end}")),
        (
            400,
            "multipart/form-data; boundary=----x; boundary=y",
            format!("{alice}{end}"),
        ),
        (
            400,
            json,
            r#"{"user":{"email":"alice"},"user":{"email":"bob"}}"#.into(),
        ),
        (
            400,
            json,
            r#"{"user":{"email":"alice","\u0065mail":"bob"}}"#.into(),
        ),
        (
            400,
            json,
            r#"{"username":"alice","user":{"email":"bob"}}"#.into(),
        ),
        (400, json, r#"{"username":["bob"]}"#.into()),
        (415, "application/json; charset=utf-16", "{}".into()),
        (
            415,
            "multipart/mixed; boundary=----x",
            format!("{alice}{end}"),
        ),
        (415, "text/plain", "username=bob".into()),
        (
            415,
            "application/x-www-form-urlencoded; charset=latin1",
            "username=bob".into(),
        ),
    ]
}

#[tokio::test]
async fn a_body_with_two_readings_is_refused_in_words_and_the_app_sees_no_byte_of_it() {
    let origin = Origin::answering(lenient).await;
    let gate = gate(&origin);
    for (status, media_type, body) in ambiguous() {
        let answer = login(media_type, &body)
            .header("accept", "application/json")
            .send(gate.data)
            .await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("login"), "{detail}");
    }
    let compressed = login(FORM, "username=bob").header("content-encoding", "gzip");
    assert_eq!(compressed.send(gate.data).await.status, 415);
    assert_eq!(origin.bytes(), 0);
}

const PADDING: usize = 1024 * 1024;

#[tokio::test]
async fn a_login_behind_a_megabyte_of_padding_is_refused_however_it_is_framed() {
    let origin = Origin::answering(lenient).await;
    let gate = gate(&origin);
    let head = |framing: &str| {
        format!("POST /login HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {FORM}\r\n{framing}\r\n\r\n")
    };
    let field = "&username=bob&password=demo";

    let sized = head(&format!("Content-Length: {}", PADDING + field.len()));
    let answer = raw::exchange(gate.data, sized).await;
    assert_eq!(
        raw::status(&answer),
        413,
        "HTTP/1.1 with a length: {answer}"
    );

    let mut chunked = Raw::open(gate.data).await;
    chunked.send(head("Transfer-Encoding: chunked")).await;
    let begin = "x".repeat(64 * 1024 + 1);
    chunked
        .send(format!("{:x}\r\n{begin}\r\n", begin.len()))
        .await;
    let answer = chunked.read_until("\r\n\r\n").await;
    assert_eq!(raw::status(&answer), 413, "HTTP/1.1 in chunks: {answer}");
    let rest = "x".repeat(PADDING - begin.len()) + field;
    chunked
        .send(format!("{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len()))
        .await;

    let (send, body) = pieces();
    let uploading = tokio::spawn(async move {
        let ask = Ask::post(&format!("http://{HOST}/login")).header("content-type", FORM);
        Wire2::open(gate.data).await.upload(ask, body).await
    });
    // Until it is no longer taken, or all is sent.
    let padding = std::iter::repeat_n("x".repeat(16 * 1024), PADDING / (16 * 1024));
    for piece in padding.chain([field.to_owned()]) {
        if send.send(piece.into()).await.is_err() {
            break;
        }
    }
    drop(send);
    let answer = uploading.await.unwrap().expect("an answer");
    assert_eq!(answer.status(), 413, "HTTP/2 without a length");
    assert_eq!(origin.bytes(), 0, "the app saw something");
}
