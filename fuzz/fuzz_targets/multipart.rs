//! A multipart login that is accepted names one user to every parser.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::login::fields::{alike, one_user};
use portcullis_core::login::multipart::{Boundary, fields, parts};
use portcullis_fuzz::multiparts::{anything, library};

const NAME: &str = "u";

fuzz_target!(|data: &[u8]| {
    let boundary = Boundary::parse("; boundary=xyz").expect("a boundary");
    let found = parts(data, &boundary).and_then(|parts| fields(parts, |name| alike(name, NAME)));
    let Ok(found) = found else {
        return;
    };
    let theirs = library(data, "xyz").expect("what the strict take, the lenient take");
    let Ok(user) = one_user(found, &[NAME]) else {
        return;
    };
    let mut seen = 0;
    for (name, value) in &theirs {
        if name.trim().eq_ignore_ascii_case(NAME) {
            assert_eq!(value, user.as_bytes());
            seen += 1;
        }
    }
    assert_eq!(seen, 1, "{theirs:?}");
    for (name, value) in anything(data, "xyz") {
        if name.eq_ignore_ascii_case(NAME) {
            assert_eq!(value, user.replace("\r\n", "\n"));
        }
    }
});
