//! A JSON login that is accepted names one user, whichever of two equal keys an
//! app takes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::login::fields::UserField;
use portcullis_core::login::json::Json;
use portcullis_fuzz::documents::{FirstWins, caseless};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let ours = serde_json::from_slice::<Json>(data);
    let theirs = serde_json::from_slice::<Value>(data);
    assert_eq!(ours.is_ok(), theirs.is_ok());
    let (Ok(ours), Ok(theirs)) = (ours, theirs) else {
        return;
    };
    let first: FirstWins = serde_json::from_slice(data).expect("it was read twice already");
    for (pointer, steps) in [("/user/email", &["user", "email"][..]), ("/a", &["a"])] {
        let field = UserField::parse(pointer).expect("a pointer");
        let Ok(user) = ours.user(&[field]) else {
            continue;
        };
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(theirs.pointer(pointer).map(text), Some(user.clone()));
        if let Some(found) = caseless(&theirs, steps) {
            assert_eq!(text(found), user);
        }
        if let Some(name) = first.at(steps).and_then(FirstWins::name) {
            assert_eq!(name, user);
        }
    }
});
