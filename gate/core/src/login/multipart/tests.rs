//! What browsers and libraries write is read; what two parsers read in two ways
//! is refused.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::login::fields::{alike, one_user};

/// `\n` stands for a line's end.
fn read(body: &str) -> Result<String, LoginFault> {
    read_raw(&body.replace('\n', "\r\n"))
}

fn read_raw(body: &str) -> Result<String, LoginFault> {
    let boundary = Boundary::parse("; boundary=xyz")?;
    let parts = parts(body.as_bytes(), &boundary)?;
    one_user(
        fields(parts, |name| alike(name, "username"))?,
        &["username"],
    )
}

const BOB: &str = "--xyz\nContent-Disposition: form-data; name=\"username\"\n\nbob\n";
const END: &str = "--xyz--\n";

#[test]
fn what_browsers_and_libraries_write_is_read() {
    let password = "--xyz\nContent-Disposition: form-data; name=\"password\"\n\nx\n";
    let file = "--xyz\nContent-Disposition: form-data; name=\"photo\"; filename=\"a b.png\"\n\
         Content-Type: image/png\n\n\u{1}\u{2}--xy\n\n";
    let dotnet = "--xyz\nContent-Type: text/plain; charset=utf-8\n\
         Content-Disposition: form-data; name=username\n\nbob\n";
    let okhttp = "--xyz\nContent-Disposition: form-data; name=\"username\"\n\
         Content-Length: 3\n\nbob\n";
    for body in [
        format!("{BOB}{password}{END}"),
        format!("{password}{file}{BOB}--xyz--"),
        format!("{dotnet}{END}"),
        format!("{okhttp}{END}"),
        BOB.to_lowercase() + END,
    ] {
        assert_eq!(read(&body), Ok("bob".into()), "{body}");
    }
    assert_eq!(
        read(&format!("{password}{END}")),
        Err(LoginFault::NoUser("username".into()))
    );
    assert!(matches!(read(END), Err(LoginFault::NoUser(_))));
}

#[test]
fn a_field_that_stands_twice_in_any_spelling_is_refused() {
    for name in [
        "username",
        "Username",
        " username",
        "username[]",
        "username\0",
    ] {
        let other = format!("--xyz\nContent-Disposition: form-data; name=\"{name}\"\n\nalice\n");
        for body in [format!("{BOB}{other}{END}"), format!("{other}{BOB}{END}")] {
            assert!(read(&body).is_err(), "{name}");
        }
    }
}

#[test]
fn a_part_with_two_readings_is_refused() {
    for head in [
        "Content-Disposition: form-data; name=\"username\"; name=\"x\"",
        "Content-Disposition: form-data; name=\"x\"; name*=utf-8''username",
        "Content-Disposition: form-data; name*=utf-8''username",
        "Content-Disposition: form-data; name=\"user\\name\"",
        "Content-Disposition: form-data; name=\"username\\\"\"",
        "Content-Disposition: form-data; name=\"user%6eame\"",
        "Content-Disposition: form-data; name='username'",
        "Content-Disposition: form-data; name=user name",
        "Content-Disposition: form-data; name=\"username\" ; x=y",
        "Content-Disposition: form-data; name = \"username\"",
        "Content-Disposition: form-data; filename=\"a\"; name=\"username\"",
        "Content-Disposition: form-data; name=\"username\"; filename=\"a\"",
        "Content-Disposition: form-data; name=\"username\"; filename=\"\"",
        "Content-Disposition: form-data; name=\"\"",
        "Content-Disposition: form-data",
        "Content-Disposition: form-data; Name=\"username\"",
        "Content-Disposition: Form-Data; name=\"username\"",
        "Content-Disposition: attachment; name=\"username\"",
        "Content-Disposition : form-data; name=\"username\"",
        "Content-Disposition: form-data;\n name=\"username\"",
        "Content-Disposition: form-data; name=\"x\"\nContent-Disposition: form-data; name=\"username\"",
        "Content-Disposition: form-data; name=\"username\"\nContent-Transfer-Encoding: base64",
        "Content-Disposition: form-data; name=\"username\"\nContent-Type: text/plain; charset=utf-16",
        "Content-Disposition: form-data; name=\"username\"\nContent-Type: application/json",
        "Content-Disposition: form-data; name=\"x\"\nContent-Type: multipart/mixed; boundary=q",
        "Content-Disposition: form-data; name=\"username\"\nContent-Length: 2",
        "Content-Disposition: form-data; name=\"username\"\nX-Other: 1",
        "Content-Disposition: form-data; name=\"username\"\nno colon",
        "Content-Type: text/plain",
    ] {
        let body = format!("--xyz\n{head}\n\nbob\n{END}");
        assert_eq!(read(&body), Err(UNREADABLE), "{head}");
    }
    let charset =
        format!("--xyz\nContent-Disposition: form-data; name=\"_charset_\"\n\nutf-7\n{BOB}{END}");
    assert_eq!(read(&charset), Err(UNREADABLE));
}

#[test]
fn a_delimiter_that_only_some_would_see_is_refused() {
    let inside = |text: &str| {
        let head = "--xyz\nContent-Disposition: form-data; name=\"x\"\n\n";
        format!("{head}{text}\n{BOB}{END}")
    };
    let bob = BOB.replace('\n', "\r\n");
    let end = END.replace('\n', "\r\n");
    for body in [
        format!("preamble\r\n{bob}{end}"),
        format!("\r\n{bob}{end}"),
        format!("{bob}{end}epilogue"),
        format!("{bob}{end}\r\n"),
        format!("{bob}{end}{bob}{end}"),
        bob.clone(),
        format!("{bob}--xyz\r\n"),
        format!("{bob}--xyz-\r\n"),
        format!("{bob}--xyz --\r\n"),
        bob.replacen("--xyz\r\n", "--xyz \r\n", 1) + &end,
        (bob.clone() + &end).replace("\r\n", "\n"),
        inside("a\u{a}--xyz\u{a}b")
            .replace('\n', "\r\n")
            .replace("a\r\n--xyz\r\nb", "a\n--xyz\nb"),
        inside("a --xyz b").replace('\n', "\r\n"),
        inside("--\"xyz\"").replace('\n', "\r\n"),
        inside("--xyzz").replace('\n', "\r\n"),
        String::new(),
        "--xyz".into(),
    ] {
        assert_eq!(read_raw(&body), Err(UNREADABLE), "{body}");
    }
    let many = BOB
        .replace("username", "x")
        .repeat(limits::LOGIN_PARTS_MAX + 1);
    assert_eq!(read(&format!("{many}{END}")), Err(UNREADABLE));
}

#[test]
fn a_boundary_is_one_parameter_of_plain_characters() {
    let read = |parameters: &str| Boundary::parse(parameters).map(|boundary| boundary.0);
    let webkit = "----WebKitFormBoundary7MA4YWxkTrZu0gW";
    assert_eq!(read(&format!("; boundary={webkit}")), Ok(webkit.into()));
    assert_eq!(read(";Boundary=\"a.b-c\""), Ok("a.b-c".into()));
    let long = format!("; boundary={}", "x".repeat(71));
    for odd in [
        "",
        ";",
        "; boundary",
        "; boundary=",
        "; boundary=\"\"",
        "; boundary=\"x",
        "; boundary=x\"",
        "; boundary=\"x\\y\"",
        "; boundary=\"x y\"",
        "; boundary=x y",
        "; boundary= x",
        "; boundary=x,y",
        "; boundary=x; boundary=y",
        "; charset=utf-8; boundary=x",
        "; boundary=x;",
        ";; boundary=x",
        "; boundary*=x",
        "; boundary*0=x",
        "; xboundary=x",
        "; boundary=x=y",
        long.as_str(),
    ] {
        assert_eq!(read(odd), Err(UNREADABLE), "{odd}");
    }
}
