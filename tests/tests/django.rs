//! Real input: an untouched Django project behind the gate. Its users log in at
//! its own admin site; one is suspended and out, the other is never disturbed,
//! and the pages are what they are without the gate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method};
use portcullis_tests::browser::{Browser, takes_back};
use portcullis_tests::client::{Answer, Ask};
use portcullis_tests::django::Django;
use portcullis_tests::gate::Gate;
use serde_json::json;

/// Django serves `*.localhost` as it comes.
const HOST: &str = "shop.localhost";
const LOGIN: &str = "/admin/login/";
/// Names of one length, so that pages that show them can be compared.
const USERS: [&str; 2] = ["anna", "bert"];

fn gate(django: &Django) -> Gate {
    Gate::start(&format!(
        "[[tenants]]\nid = \"shop\"\nhosts = [\"{HOST}\"]\nupstream = \"http://{}\"\n\
         login_page = \"{LOGIN}\"\n\n\
         [[tenants.session_cookies]]\nname = \"sessionid\"\n\n\
         [[tenants.logins]]\npath = \"{LOGIN}\"\nbody = \"form\"\nuser_field = \"username\"\n\
         success_statuses = [302]\n",
        django.address
    ))
}

/// The form's hidden token.
fn csrf_token(page: &Answer) -> String {
    let text = page.text();
    let mark = "name=\"csrfmiddlewaretoken\" value=\"";
    let from = text.find(mark).expect("a token in the form") + mark.len();
    text[from..].split('"').next().unwrap().to_owned()
}

/// Fills in the login form and sends it.
async fn log_in(browser: &mut Browser, user: &str, password: &str) -> Answer {
    let form = browser.page(LOGIN).await;
    assert_eq!(form.status, 200, "{}", form.text());
    let token = csrf_token(&form);
    let fields = [
        ("csrfmiddlewaretoken", token.as_str()),
        ("username", user),
        ("password", password),
        ("next", "/admin/"),
    ];
    browser.submit(LOGIN, &fields).await
}

async fn logged_in(to: SocketAddr, user: &str) -> Browser {
    let mut browser = Browser::new(to, HOST);
    let answer = log_in(&mut browser, user, "demo").await;
    assert_eq!((answer.status, answer.header("location")), (302, "/admin/"));
    browser
}

async fn sees_admin(browser: &mut Browser) {
    let page = browser.page("/admin/").await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("Site administration"));
}

#[tokio::test]
async fn a_suspended_django_user_is_out_until_a_new_login_and_the_other_is_never_disturbed() {
    let django = Django::start(&USERS);
    let gate = gate(&django);
    let mut anna = logged_in(gate.data, "anna").await;
    let mut bert = logged_in(gate.data, "bert").await;
    sees_admin(&mut anna).await;
    sees_admin(&mut bert).await;
    let old = bert.clone();

    let receipt = gate
        .admin()
        .suspend("bert", &json!({"kind": "temporary"}))
        .await;
    assert_eq!(receipt["sessions_revoked"], 1);
    let refused = bert.page("/admin/").await;
    assert_eq!(refused.status, 403);
    assert!(takes_back(&refused, "sessionid"), "{:?}", refused.headers);
    sees_admin(&mut anna).await;
    let mut stranger = Browser::new(gate.data, HOST);
    let withheld = log_in(&mut stranger, "bert", "demo").await;
    assert_eq!(withheld.status, 403);
    assert!(stranger.cookie("sessionid").is_none());
    let mut wrong = Vec::new();
    for user in USERS {
        let mut stranger = Browser::new(gate.data, HOST);
        let answer = log_in(&mut stranger, user, "wrong").await;
        assert_eq!(answer.status, 200, "{user}");
        wrong.push(plain(&answer).1.replace(user, "NAME"));
    }
    assert_eq!(
        wrong[0], wrong[1],
        "a wrong password tells who is suspended"
    );

    gate.admin().restore("bert").await;
    let dead = old.clone().page("/admin/").await;
    assert_eq!((dead.status, dead.header("location")), (303, LOGIN));
    assert!(takes_back(&dead, "sessionid"));
    sees_admin(&mut logged_in(gate.data, "bert").await).await;
    assert_eq!(old.clone().api("/admin/").await.status, 401);
    sees_admin(&mut anna).await;
}

/// Headers and text, without what differs between any two answers of Django: the
/// time, and the token in forms and its cookie.
fn plain(answer: &Answer) -> (HeaderMap, String) {
    let mut headers = answer.headers.clone();
    for changing in ["date", "expires"] {
        headers.remove(changing);
    }
    // How the one connection is framed says nothing of the other.
    for hop in ["connection", "transfer-encoding"] {
        headers.remove(hop);
    }
    if let Some(cookie) = headers.remove("set-cookie") {
        let line = cookie.to_str().unwrap();
        let attributes = line
            .split("; ")
            .skip(1)
            .filter(|part| !part.starts_with("expires="));
        let name = line.split('=').next().unwrap();
        let kept: Vec<&str> = std::iter::once(name).chain(attributes).collect();
        headers.insert("set-cookie", kept.join("; ").parse().unwrap());
    }
    let text = answer.text();
    let token = text
        .contains("csrfmiddlewaretoken")
        .then(|| csrf_token(answer));
    let text = token.map_or(text.clone(), |token| text.replace(&token, "TOKEN"));
    (headers, text)
}

#[tokio::test]
async fn pages_and_files_are_byte_for_byte_the_same_as_without_the_gate() {
    let django = Django::start(&["anna"]);
    let gate = gate(&django);
    let anna = logged_in(gate.data, "anna").await;
    let ask = |method: Method, path: &str, to: SocketAddr| {
        let ask = anna.ask(method, path).header("accept", "text/html");
        ask.send(to)
    };
    let both = async |method: Method, path: &str| {
        let through = ask(method.clone(), path, gate.data).await;
        let direct = ask(method, path, django.address).await;
        assert_eq!(through.status, direct.status, "{path}");
        (through, direct)
    };
    for path in [
        "/admin/",
        "/admin/auth/user/",
        "/admin/auth/user/?q=anna&o=1",
        "/admin/auth/user/add/",
        "/admin/password_change/",
        "/admin/nothing/here/",
        "/",
        "/admin",
    ] {
        let (through, direct) = both(Method::GET, path).await;
        assert_eq!(plain(&through), plain(&direct), "{path}");
        let (through, direct) = both(Method::HEAD, path).await;
        assert_eq!(
            through.headers.get("content-length"),
            direct.headers.get("content-length")
        );
        assert_eq!(through.body, Bytes::new());
    }
    for path in [
        "/static/admin/css/base.css",
        "/static/admin/js/core.js",
        "/static/admin/img/icon-yes.svg",
    ] {
        let (through, direct) = both(Method::GET, path).await;
        assert_eq!(through.status, 200);
        assert_eq!(plain(&through).0, plain(&direct).0, "{path}");
        assert_eq!(through.body, direct.body, "{path}");
    }
    let form = |to: SocketAddr| {
        Ask::get(LOGIN)
            .host(HOST)
            .header("accept", "text/html")
            .send(to)
    };
    let (through, direct) = (form(gate.data).await, form(django.address).await);
    assert_eq!(plain(&through), plain(&direct));
}
