//! The rules on trial: each is shown what it is there to refuse, and something
//! like it that is in order. A rule that cannot refuse is no rule.

use crate::rules::{File, closed, habits, listed, purity, unnamed, walls};
use crate::table::{CLOSED, LINES_MAX, ROOMS};

fn file(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn a_wing_that_names_the_other_is_refused_however_it_spells_it() {
    for text in [
        "use crate::control::Command;",
        "use crate::{live, control::{Command}};",
        "pub use ::portcullis::control as door;",
        "fn f() { crate::control::suspend(); }",
        "fn f(c: &Vec<crate::control::Command>) {}",
        "use super::super::control;",
        "mod inner { use super::super::super::control; }",
        "macro_rules! m { () => { $crate::control::suspend() } }",
        "#[cfg(test)] mod tests { use crate::control::Command; }",
        "fn f() { for _ in 0..crate::control::MAX {} }",
        "fn f<'a>() -> impl Sized + use<'a> { crate::control::suspend() }",
    ] {
        let wrong = walls(&file("gate/src/data/forward.rs", text));
        assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
        assert!(
            wrong[0].contains("`data` knows nothing of `control`"),
            "{wrong:?}"
        );
    }
    assert_eq!(
        walls(&file("gate/src/control.rs", "use crate::data::listener;")).len(),
        1
    );
    assert_eq!(
        walls(&file(
            "gate/src/live/cache.rs",
            "use crate::data::listener;"
        ))
        .len(),
        1
    );
}

#[test]
fn the_whole_crate_is_not_named_and_neither_is_what_lies_about_at_its_root() {
    for text in [
        "use crate::*;",
        "use super::*;",
        "use crate as house;",
        "use crate::Stray;",
    ] {
        assert_eq!(walls(&file("gate/src/data.rs", text)).len(), 1, "{text}");
    }
}

#[test]
fn what_only_looks_like_a_crossing_is_left_alone() {
    let text = r##"
        //! See crate::control::Command.
        /* crate::control /* nested */ crate::control */
        use crate::live::Reader;
        use super::respond;
        use portcullis_core::decide::Permitted;
        const A: &str = "crate::control::x \" crate::control::y";
        const B: &str = r#"use crate::control::" x;"#;
        const C: (char, char, u8) = ('"', '\'', b'"');
        fn f<'control>(x: &'control str, control: T) { control.run(); local::control::x(); }
        pub(in crate::data) struct S;
    "##;
    assert_eq!(
        walls(&file("gate/src/data/forward.rs", text)),
        Vec::<String>::new()
    );
}

#[test]
fn a_room_that_is_not_in_the_table_is_refused() {
    let wrong = walls(&file("gate/src/cellar/wine.rs", "//! Wine.\n"));
    assert!(wrong[0].contains("not in the table"), "{wrong:?}");
    assert_eq!(
        walls(&file("gate/src/data/cellar.rs", "//! Wine.\n")),
        Vec::<String>::new()
    );
}

#[test]
fn a_crate_that_a_room_never_names_is_refused_outside_of_tests() {
    let bad = |path, text| walls(&file(path, text)).len();
    assert_eq!(
        bad("gate/src/data/forward.rs", "use rusqlite::Connection;"),
        1
    );
    assert_eq!(
        bad(
            "gate/src/data/forward.rs",
            "fn f() -> ::rusqlite::Result<()> {}"
        ),
        1
    );
    assert_eq!(bad("gate/src/data/forward.rs", "extern crate rusqlite;"), 1);
    assert_eq!(bad("gate/src/data/forward.rs", "use serde_json::Value;"), 0);
    assert_eq!(
        bad(
            "gate/src/policy/run.rs",
            "use tokio::{sync::oneshot, time};"
        ),
        1
    );
    assert_eq!(
        bad("gate/src/policy/run.rs", "use tokio::sync::oneshot;"),
        0
    );
    assert_eq!(
        bad(
            "gate/src/policy/run.rs",
            "#[cfg(test)] mod tests { use tokio::time; }"
        ),
        0
    );
    assert_eq!(
        bad(
            "gate/src/policy/run.rs",
            "#[cfg(not(test))] mod real { use tokio::time; }"
        ),
        1
    );
    assert_eq!(bad("gate/src/policy/tests.rs", "use tokio::time;"), 0);
    assert_eq!(
        bad("gate/src/demo/app.rs", "use portcullis_core::Status;"),
        1
    );
    assert_eq!(
        bad("gate/src/main.rs", "use portcullis::data::listener;"),
        1
    );
    assert_eq!(
        bad("gate/src/lib.rs", "pub mod data; pub use data::listener;"),
        1
    );
}

#[test]
fn core_is_refused_the_world() {
    let bad = |text| purity(&file("gate/core/src/decide.rs", text)).len();
    assert_eq!(bad("use std::{collections::BTreeMap, fs};"), 1);
    assert_eq!(
        bad("fn f() { std::env::var(\"X\"); tokio::spawn(g()); }"),
        2
    );
    assert_eq!(bad("use std::time::{Duration, Instant};"), 1);
    assert_eq!(bad("use std::net::{IpAddr, TcpStream};"), 1);
    assert_eq!(
        bad("use std::{net::IpAddr, time::Duration}; use http::HeaderMap;"),
        0
    );
    assert_eq!(bad("#[test] fn t() { std::fs::read(\"x\"); }"), 0);
}

#[test]
fn a_habit_that_is_broken_is_named_with_its_line() {
    let bad = |path: &str, text: &str, what: &str| {
        let wrong = habits(&file(path, text));
        assert!(
            wrong.len() == 1 && wrong[0].contains(what),
            "{text}: {wrong:?}"
        );
    };
    bad("a/b.rs", "fn main() {}", "a/b.rs:1: begins without");
    bad("a/b.rs", "// A note.\n//! Late.\n", "begins without");
    bad("gate/src/utils.rs", "//! X.\n", "says nothing");
    bad("gate/src/data/mod.rs", "//! X.\n", "says nothing");
    bad("gate/src/common/x.rs", "//! X.\n", "says nothing");
    bad(
        "a/b.rs",
        "//! X.\n#[test]\n#[ignore = \"slow\"]\nfn t() {}\n",
        "a/b.rs:3: a test that is ignored",
    );
    bad(
        "a/b.rs",
        "//! X.\nfn f() { todo!() }\n",
        "a/b.rs:2: `todo!`",
    );
    bad(
        "a/b.rs",
        "//! X.\n#[cfg(test)] fn f() { unimplemented!() }\n",
        "stub",
    );
    bad(
        "a/b.rs",
        "//! X.\nfn f() { unreachable!() }\n",
        "panics when we are wrong",
    );
    bad(
        "a/b.rs",
        "//! X.\nfn f() { unsafe { g() } }\n",
        "unsafe code",
    );
    bad(
        "gate/src/policy/compiler.rs",
        "//! X.\n#![allow(unsafe_code)]\n",
        "lint on unsafe code",
    );
    bad("gate/core/src/lib.rs", "//! X.\n", "say `#![forbid");
    bad("a/b.rs", "//! X.\nfn get_user() {}\n", "get_user");
    bad(
        "a/b.rs",
        &format!("//! X.\n{}", "\n".repeat(LINES_MAX)),
        "two files",
    );
}

#[test]
fn what_keeps_the_habits_passes() {
    let text = "//! Says why; todo!() and unsafe { } in words are only words.\n\
                #![forbid(unsafe_code)]\n\
                #[unsafe(no_mangle)]\nfn f() { let t = \"unsafe { todo!() }\"; map.get_mut(&t); }\n\
                #[cfg(test)]\nmod tests { #[test]\nfn t() { unreachable!() } }\n";
    assert_eq!(
        habits(&file("gate/src/data/forward.rs", text)),
        Vec::<String>::new()
    );
}

#[test]
fn a_dependency_that_nobody_allowed_or_names_is_refused() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# tokio = 1\nhttp.workspace = true\n\
                    tokio = { workspace = true }\n[target.'cfg(unix)'.dependencies]\nrustix = \"1\"\n\
                    [dev-dependencies]\nproptest.workspace = true\n[lints]\nworkspace = true\n";
    assert_eq!(
        listed(manifest, "dependencies]"),
        ["http", "tokio", "rustix", "proptest"]
    );
    let wrong = closed(&CLOSED[0], manifest);
    assert!(
        wrong.len() == 2 && wrong[0].contains("`tokio`") && wrong[1].contains("`rustix`"),
        "{wrong:?}"
    );

    let sources = [
        file(
            "x/src/lib.rs",
            "//! X.\nuse http::Uri; use tokio::net; // rustix\n",
        ),
        file("y/src/lib.rs", "use rustix::fs;"),
    ];
    let wrong = unnamed(&file("x/Cargo.toml", manifest), &sources);
    assert!(
        wrong.len() == 2 && wrong[0].contains("`rustix`") && wrong[1].contains("`proptest`"),
        "{wrong:?}"
    );
}

#[test]
fn the_table_names_only_rooms_that_it_has() {
    for room in ROOMS {
        for known in room.knows {
            assert!(
                ROOMS.iter().any(|room| room.name == *known),
                "`{}` knows `{known}`, which has no row",
                room.name
            );
        }
        assert!(!room.why.is_empty(), "`{}` has no reason", room.name);
    }
}
