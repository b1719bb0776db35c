//! Routes: which formats they take, and what an accepted login is.
#![allow(clippy::unwrap_used)]
use super::*;

fn route(formats: &[BodyFormat], fields: &[&str]) -> LoginRoute {
    let fields = fields.iter().map(|text| UserField::parse(text).unwrap());
    LoginRoute {
        path: CheckedPath::parse("/login").unwrap(),
        formats: formats.to_vec(),
        user_fields: fields.collect(),
        disclose: Disclose::AfterPassword,
        success_statuses: vec![],
        success_sets_cookie: true,
        success_body: None,
        session_token: None,
    }
}

const ALL: [BodyFormat; 3] = [BodyFormat::Form, BodyFormat::Json, BodyFormat::Multipart];

fn headers(list: &[(header::HeaderName, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(name, header::HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn the_content_type_says_which_of_the_declared_formats_a_body_has() {
    let framing = |formats: &[BodyFormat], media_type| {
        let route = route(formats, &["username"]);
        route.framing(&headers(&[(header::CONTENT_TYPE, media_type)]))
    };
    let form = "application/x-www-form-urlencoded";
    assert_eq!(framing(&ALL, form), Ok(Framing::Form));
    let json = "Application/JSON; charset=UTF-8";
    assert_eq!(framing(&ALL, json), Ok(Framing::Json));
    let multipart = framing(&ALL, "multipart/form-data; boundary=x");
    assert!(matches!(multipart, Ok(Framing::Multipart(_))));
    let only_form = [BodyFormat::Form];
    for other in [json, "multipart/form-data; boundary=x", "text/plain", ""] {
        let fault = framing(&only_form, other);
        assert_eq!(fault, Err(LoginFault::MediaType(form.into())), "{other}");
    }
    let fault = framing(&ALL, "text/plain").unwrap_err().to_string();
    let listed =
        "application/x-www-form-urlencoded or application/json or multipart/form-data, in UTF-8";
    assert!(fault.ends_with(listed), "{fault}");
}

#[test]
fn a_content_type_with_two_readings_or_another_charset_is_refused() {
    let json = "application/json";
    let framing = |list: &[_]| route(&[BodyFormat::Json], &["username"]).framing(&headers(list));
    for bad in [
        &[][..],
        &[(header::CONTENT_TYPE, json), (header::CONTENT_TYPE, json)],
        &[(header::CONTENT_TYPE, "application/json; charset=utf-16")],
        &[(header::CONTENT_TYPE, "application/json; charset*=utf-16")],
        &[(header::CONTENT_TYPE, "application/json, text/plain")],
    ] {
        let fault = framing(bad);
        assert!(matches!(fault, Err(LoginFault::MediaType(_))), "{bad:?}");
    }
    let gzip = [
        (header::CONTENT_TYPE, json),
        (header::CONTENT_ENCODING, "gzip"),
    ];
    assert_eq!(framing(&gzip), Err(LoginFault::Encoded));
}

#[test]
fn a_user_in_the_query_is_refused_in_every_spelling() {
    let route = route(&ALL, &["username", "user[email]", "/user/email"]);
    for fine in ["", "next=/", "next=%2F&x=username", "email=x"] {
        assert_eq!(route.check_query(fine), Ok(()), "{fine}");
    }
    for bad in [
        "username=bob",
        "USERNAME=bob",
        "a=b&user%5Bemail%5D=bob",
        "user.email=bob",
        "a;username=bob",
        "%zz",
    ] {
        assert!(route.check_query(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_pointer_names_no_field_of_a_form() {
    let route = route(&ALL, &["user[email]", "/user/email"]);
    let user = |framing, body: &str| route.user(&framing, body.as_bytes(), |_| None);
    assert_eq!(user(Framing::Form, "user%5Bemail%5D=bob"), Ok("bob".into()));
    assert!(user(Framing::Form, "/user/email=bob").is_err());
    assert_eq!(
        user(Framing::Json, "{"),
        Err(LoginFault::Unreadable("JSON"))
    );
}

#[test]
fn success_is_a_status_and_a_session_and_what_the_body_says() {
    let form = route(&[BodyFormat::Form], &["username"]);
    let accepted = |status, sets, body| form.accepted(status, sets, body, &GivenToken::Unasked);
    assert!(accepted(StatusCode::FOUND, true, BodyVerdict::Accepted));
    assert!(accepted(StatusCode::FOUND, true, BodyVerdict::Unclear));
    assert!(!accepted(StatusCode::FOUND, true, BodyVerdict::Refused));
    let shown_again = accepted(StatusCode::OK, false, BodyVerdict::Accepted);
    assert!(!shown_again, "the form shown again");
    let status = StatusCode::UNAUTHORIZED;
    assert!(!accepted(status, true, BodyVerdict::Accepted));
}

#[test]
fn every_method_with_a_body_is_an_attempt() {
    let login = route(&[BodyFormat::Form], &["username"]);
    let path = CheckedPath::parse("//Login/").unwrap();
    assert!(login.takes(&Method::POST, &path));
    assert!(login.takes(&Method::PUT, &path));
    assert!(!login.takes(&Method::GET, &path));
}

#[test]
fn the_token_of_a_new_session_is_found_or_missed_and_never_guessed() {
    let mut login = route(&[BodyFormat::Json], &["username"]);
    assert_eq!(login.given_token(None), GivenToken::Unasked);
    login.session_token = Some(vec!["data".into(), "token".into()]);
    let text = |text: &str| Json::Text(text.into());
    let data = |entries: Vec<(&str, Json)>| {
        let entries = entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        Some(Json::Object(vec![(
            "data".into(),
            Json::Object(entries.collect()),
        )]))
    };
    let given = |body| login.given_token(body);
    assert_eq!(
        given(data(vec![("token", text("abc"))])),
        GivenToken::Found("abc".into())
    );
    for without in [
        data(vec![]),
        data(vec![("token", Json::Null)]),
        data(vec![("token", text(""))]),
    ] {
        assert_eq!(given(without), GivenToken::Absent);
    }
    let twice = data(vec![("token", text("a")), ("token", text("b"))]);
    assert_eq!(given(twice), GivenToken::Unclear);
    assert_eq!(given(None), GivenToken::Unclear);
}
