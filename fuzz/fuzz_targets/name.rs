//! A user's name has one spelling, and that spelling is its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::names::{NameRule, canonical, check};

fuzz_target!(|text: &str| {
    for rule in [
        NameRule::FoldCase,
        NameRule::KeepCase,
        NameRule::FoldAccents,
    ] {
        let Ok(name) = canonical(text, rule) else {
            continue;
        };
        assert_eq!(canonical(&name, rule).as_ref(), Ok(&name), "{text:?}");
        assert_eq!(check(&name), Ok(()), "{text:?}");
        let spaced = format!(" {name}\t");
        assert_eq!(canonical(&spaced, rule).as_ref(), Ok(&name), "{spaced:?}");
        if rule != NameRule::KeepCase {
            let loud = name.to_ascii_uppercase();
            assert_eq!(canonical(&loud, rule).as_ref(), Ok(&name), "{loud:?}");
        }
    }
});
