//! What is no policy is not put in force, and the refusal says what it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::sync::Arc;

use portcullis::policy::{HostLimits, LoadError, PolicyHost, builtin};
use portcullis_core::policy::{Fault, Settings};
use portcullis_tests::guests;
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

fn refuse(wasm: &[u8]) -> LoadError {
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    host.load_module(wasm, Settings::default()).unwrap_err()
}

/// The table of what the standard policy may import is empty.
#[test]
fn the_standard_policy_imports_nothing() {
    let wasm = builtin::module("standard").unwrap();
    let engine = Engine::new(&Config::new()).unwrap();
    let component = Component::new(&engine, wasm).unwrap();
    let component_type = component.component_type();
    let imports: Vec<&str> = component_type
        .imports(&engine)
        .map(|(name, _)| name)
        .collect();
    assert!(imports.is_empty(), "{imports:?}");
    let exports: Vec<&str> = component_type
        .exports(&engine)
        .map(|(name, _)| name)
        .collect();
    assert!(
        exports.contains(&"portcullis:policy/refusal@1.0.0"),
        "{exports:?}"
    );
}

/// The same, seen from the core modules inside: nothing is lowered into them.
#[test]
fn no_shipped_guest_asks_for_the_system() {
    for wasm in [
        builtin::module("standard").unwrap().to_vec(),
        guests::hostile(),
    ] {
        let text = String::from_utf8_lossy(&wasm);
        assert!(!text.contains("wasi"), "a trace of WASI");
    }
}

#[test]
fn garbage_is_told_apart_from_a_core_module_and_from_compiled_code() {
    assert!(matches!(refuse(b""), LoadError::NotWasm));
    assert!(matches!(refuse(b"<!doctype html>"), LoadError::NotWasm));
    assert!(matches!(refuse(b"\0asm\x01\0\0\0"), LoadError::CoreModule));
    let engine = Engine::new(&Config::new()).unwrap();
    let compiled = engine.precompile_component(&guests::hostile()).unwrap();
    assert!(matches!(refuse(&compiled), LoadError::Precompiled));
}

#[test]
fn a_damaged_component_is_refused_wherever_it_is_cut() {
    let whole = guests::hostile();
    for share in [1, 2, 3, 5, 7] {
        let cut = &whole[..whole.len() * share / 8];
        let error = refuse(cut);
        assert!(matches!(error, LoadError::Damaged(_)), "{error}");
    }
}

#[test]
fn a_module_of_unreasonable_size_is_not_even_looked_at() {
    let limits = HostLimits {
        module_bytes_max: 1000,
        ..HostLimits::default()
    };
    let host = PolicyHost::new(limits).unwrap();
    let error = host
        .load_module(&guests::hostile(), Settings::default())
        .unwrap_err();
    assert!(
        matches!(error, LoadError::TooLarge { max: 1000, .. }),
        "{error}"
    );
}

#[test]
fn a_policy_that_stops_before_it_is_called_is_refused() {
    let refused = refuse(&guests::trapping_at_start());
    assert!(
        matches!(&refused, LoadError::Undescribed(Fault::Trap(cause)) | LoadError::Trial(Fault::Trap(cause)) if cause.contains("unreachable")),
        "{refused}"
    );
}

#[test]
fn an_import_is_refused_by_its_name() {
    let error = refuse(&guests::importing_function("read-clock"));
    assert!(
        matches!(&error, LoadError::Imports(names) if names == &["read-clock"]),
        "{error}"
    );
    let error = refuse(&guests::importing_interface("wasi:cli/environment@0.2.0"));
    assert!(
        error.to_string().contains("wasi:cli/environment@0.2.0"),
        "{error}"
    );
}

#[test]
fn another_world_is_refused_with_what_differs_and_the_range() {
    let table = [
        (guests::empty(), "interface about is missing"),
        (
            guests::patched("policy/refusal", "policy/denials"),
            "interface refusal is missing",
        ),
        (
            guests::patched("reason-text", "reason-note"),
            "types: record suspension lacks reason-text, has reason-note",
        ),
        (
            guests::patched("contact", "concern"),
            "refusal: enum link-kind lacks contact, has concern",
        ),
        (
            guests::patched("step-up", "step-on"),
            "reactivation: variant verdict lacks step-up, has step-on",
        ),
        (
            guests::patched("compose", "concoct"),
            "notification: function compose is missing",
        ),
    ];
    for (wasm, expected) in table {
        let error = refuse(&wasm);
        assert!(matches!(&error, LoadError::World(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("portcullis:policy@1.0.0 to 1.0"), "{text}");
    }
}

#[test]
fn a_version_is_taken_by_its_major_and_minor_number() {
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    for fits in ["@1.0.0", "@1.0.7"] {
        let wasm = guests::patched("@1.0.0", fits);
        host.load_module(&wasm, Settings::default()).unwrap();
    }
    for (other, version) in [
        ("@2.0.0", "2.0.0"),
        ("@0.1.0", "0.1.0"),
        ("@1.1.0", "1.1.0"),
    ] {
        let error = refuse(&guests::patched("@1.0.0", other));
        assert!(
            matches!(&error, LoadError::Version { found, .. } if found == version),
            "{error}"
        );
        let range = "this gate speaks portcullis:policy@1.0.0 to 1.0";
        assert!(error.to_string().contains(range), "{error}");
    }
}

#[test]
fn every_wrong_setting_is_named_at_once() {
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    let settings = Settings::from_iter([("status", "200"), ("colour", "red")]);
    let error = host
        .load_module(builtin::module("standard").unwrap(), settings)
        .unwrap_err();
    let LoadError::Settings(problems) = &error else {
        panic!("{error}")
    };
    let keys: Vec<&str> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(keys, ["colour", "status", "contact"]);
    assert!(
        error
            .to_string()
            .starts_with("settings: colour: is not a setting"),
        "{error}"
    );
}

#[test]
fn a_module_is_compiled_once_however_many_use_it() {
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    let first = host.load_builtin("acme").unwrap();
    let started = std::time::Instant::now();
    let others: Vec<_> = (0..20)
        .map(|_| host.load_builtin("globex").unwrap())
        .collect();
    assert!(
        others
            .iter()
            .all(|policy| policy.digest() == first.digest())
    );
    assert_eq!(first.digest().len(), 64);
    // A compilation takes tens of milliseconds, a trial far less than one.
    assert!(
        started.elapsed() < std::time::Duration::from_millis(200),
        "{:?}",
        started.elapsed()
    );
    assert_ne!(first.settings(), others[0].settings());
}

#[test]
fn a_folder_says_where_it_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("policy.toml");
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    let table = [
        (
            "module = \"builtin:standard\"\nsetings = {}\n",
            "policy.toml:2:1: unknown field",
        ),
        ("module = builtin\n", "policy.toml:1:10: "),
        ("module = \"\"\n", "policy.toml: module: is empty"),
        (
            "module = \"builtin:special\"\n",
            "builtin:special is not a policy that the gate",
        ),
        ("module = \"missing.wasm\"\n", "missing.wasm: No such file"),
        (
            "module = \"policy.toml\"\n",
            "module: this is not WebAssembly",
        ),
        (
            "module = \"x\"\nsettings.a = 1.5\n",
            "policy.toml: a: is a fraction",
        ),
        (
            "module = \"x\"\nsettings.a = [1]\n",
            "policy.toml: a: is a list of something else",
        ),
        (
            "module = \"x\"\nsettings.a.\"b.c\" = 1\n",
            "policy.toml: a.b.c: a key may not",
        ),
        (
            "module = \"builtin:standard\"\nsettings.contact = \"a@b.test\"\n\
             limits.deadline_ms = 100000\n",
            "limits: deadline_ms is 100000",
        ),
    ];
    for (text, expected) in table {
        fs::write(&manifest, text).unwrap();
        let error = host.load_folder(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains(expected),
            "{error:?} does not hold {expected:?}"
        );
    }
    fs::remove_file(&manifest).unwrap();
    let error = host.load_folder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("policy.toml: No such file"), "{error}");
}

#[test]
fn a_module_in_the_folder_is_found_and_a_failed_load_leaves_the_old_policy() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.toml"), "module = \"own.wasm\"\n").unwrap();
    fs::write(folder.path().join("own.wasm"), guests::hostile()).unwrap();
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    let policy = host.load_folder(folder.path()).unwrap();
    fs::write(folder.path().join("own.wasm"), b"broken").unwrap();
    host.load_folder(folder.path()).unwrap_err();
    assert_eq!(Arc::strong_count(&policy), 1);
    let again = host
        .load_module(&guests::hostile(), Settings::default())
        .unwrap();
    assert_eq!(policy.digest(), again.digest());
}
