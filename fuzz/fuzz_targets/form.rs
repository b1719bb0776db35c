//! A form that is accepted is read by everybody alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::login::fields::one_user;
use portcullis_core::login::form;

fuzz_target!(|data: &[u8]| {
    let Ok(pairs) = form::pairs(data) else {
        return;
    };
    let theirs: Vec<(String, String)> = form_urlencoded::parse(data).into_owned().collect();
    assert_eq!(pairs, theirs);
    let Ok(user) = one_user(pairs, &["username"]) else {
        return;
    };
    // By the first, the last or any spelling of the field, it is the same user.
    let plain = |name: &str| name.trim().trim_end_matches("[]").to_ascii_lowercase();
    for (name, value) in theirs {
        if plain(&name) == "username" {
            assert_eq!(value, user, "{name:?}");
        }
    }
});
