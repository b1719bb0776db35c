//! Policies in Rust, JavaScript and Python, from `portcullis policy new` to cases that
//! hold, by the commands that their READMEs name; and rules that go wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis::policy::{Bundle, HostLimits, PolicyHost, cases};
use portcullis_core::policy::{
    Context, Fault, Occasion, RefusalInput, Surface, Suspension, SuspensionKind,
};
use portcullis_tests::app::set_up;
use portcullis_tests::guests;
use portcullis_tests::program::{binary, run};
use tempfile::TempDir;
use wit_parser::decoding::{DecodedWasm, decode};

/// A folder with a new policy, `night-shift`.
fn new(language: &str) -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let made = run(
        place.path(),
        &["policy", "new", "night-shift", "--lang", language],
        &[],
    );
    assert_eq!((made.code, made.err.as_str()), (0, ""), "{}", made.out);
    let folder = place.path().join("night-shift");
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(readme.contains("\nsh build.sh "), "{readme}");
    (place, folder)
}

fn build(folder: &Path) {
    let done = Command::new("sh")
        .arg("build.sh")
        .current_dir(folder)
        .env("PORTCULLIS", binary())
        // What was compiled of a policy in Rust is kept for the next run.
        .env("CARGO_TARGET_DIR", guests::target().join("policy/new"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}");
}

#[test]
fn a_new_policy_in_rust_passes_its_cases() {
    let (_place, folder) = new("rust");
    // The versions that the workspace has are on this machine.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    fs::copy(lock, folder.join("Cargo.lock")).unwrap();
    build(&folder);
    for (command, said) in [("check", "the policy is good"), ("test", "2 cases hold")] {
        let ended = run(&folder, &["policy", command], &[]);
        assert_eq!(ended.code, 0, "{}", ended.err);
        assert!(ended.out.ends_with(&format!("{said}\n")), "{}", ended.out);
    }
}

#[tokio::test]
async fn a_new_policy_in_javascript_passes_its_cases_and_tells_in_words_what_goes_wrong() {
    let (_place, folder) = new("js");
    let tools = set_up("PORTCULLIS_TEST_COMPONENTIZE_JS", "componentize-js");
    symlink(tools, folder.join("node_modules")).unwrap();
    may_go_wrong(
        &folder,
        "rules.js",
        "faults.js",
        "import { faults } from \"./faults.js\";\n",
        "  refuse({ context, suspension }) {\n",
        "    const fault = faults[context.attributes.fault];\n    if (fault) return fault();\n",
    );
    let table = [
        ("thrown", "exception", "right.nothing is undefined, at"),
        ("thrown", "exception", "faults.js:9:"),
        ("thrown-nothing", "exception", "refuse: undefined"),
        ("declined", "closed", "ask again tomorrow"),
        (
            "missing",
            "exception",
            "refuse.title is missing; give a text",
        ),
        (
            "wrong-type",
            "exception",
            "refuse.status is \"403\"; give a",
        ),
        ("unknown-field", "exception", "refuse.mesage is no field;"),
        (
            "no-answer",
            "exception",
            "refuse is missing; give an object",
        ),
        ("recursion", "exception", "too much recursion"),
        ("clock", "no-clock", "use context.now"),
        ("chance", "no-chance", "use context.seed"),
    ];
    holds(&folder, &table).await;
}

#[tokio::test]
async fn a_new_policy_in_python_passes_its_cases_and_tells_in_words_what_goes_wrong() {
    let (_place, folder) = new("python");
    let tools = set_up("PORTCULLIS_TEST_COMPONENTIZE_PY", "componentize-py");
    symlink(tools, folder.join(".venv")).unwrap();
    may_go_wrong(
        &folder,
        "rules.py",
        "faults.py",
        "from faults import FAULTS\n",
        "    context, suspension = request.context, request.suspension\n",
        "    if \"fault\" in context.attributes:\n        return FAULTS[context.attributes[\"fault\"]]()\n",
    );
    let table = [
        ("thrown", "exception", "has no attribute 'nothing', at"),
        ("thrown", "exception", "faults.py:"),
        ("thrown-nothing", "exception", "refuse: SystemExit"),
        ("declined", "closed", "ask again tomorrow"),
        ("missing", "exception", "missing 1 required positional"),
        (
            "wrong-type",
            "exception",
            "refuse.status is '403'; give int",
        ),
        ("unknown-field", "exception", "unexpected keyword argument"),
        (
            "no-answer",
            "exception",
            "refuse is None; give RefusalDecision",
        ),
        ("recursion", "exception", "RecursionError"),
        ("clock", "no-clock", "use context.now"),
        ("chance", "no-chance", "use context.seed"),
    ];
    holds(&folder, &table).await;
}

/// Makes the rules go wrong where a question wants it, and builds them. One module has
/// both, the rules as they are written down and the faults: an interpreter is compiled
/// for some ten seconds.
fn may_go_wrong(folder: &Path, rules: &str, faults: &str, import: &str, after: &str, more: &str) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/faulty");
    fs::copy(fixtures.join(faults), folder.join(faults)).unwrap();
    let text = fs::read_to_string(folder.join(rules)).unwrap();
    let first = text.find("\nimport ").unwrap() + 1;
    let (head, tail) = text.split_at(first);
    assert_eq!(tail.matches(after).count(), 1, "{text}");
    let tail = tail.replace(after, &format!("{after}{more}"));
    fs::write(folder.join(rules), format!("{head}{import}{tail}")).unwrap();
    build(folder);
}

/// What `policy check` and `policy test` ask for, and a policy error with these words
/// for each fault: neither a trap nor an answer.
async fn holds(folder: &Path, faults: &[(&str, &str, &str)]) {
    let bundle = Bundle::read(folder).unwrap();
    assert_eq!(imports(&bundle.module), [""; 0]);
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    let policy = host.load(&bundle).unwrap();
    assert_eq!(policy.description().name, "night-shift");
    let cases = cases::read(folder).unwrap();
    assert_eq!(cases.len(), 9);
    let mut wrong = Vec::new();
    for case in cases {
        if let Err(error) = case.check(&host, &bundle, &policy).await {
            wrong.push(error.to_string());
        }
    }
    for (fault, code, words) in faults {
        let answer = host.refusal(&policy, question(fault)).await;
        let told = matches!(&answer, Err(Fault::Declined { code: given, message })
            if given == code && message.contains(words));
        if !told {
            wrong.push(format!("{fault}: {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    host.refusal(&policy, question("none")).await.unwrap();
}

/// What a component asks for, as the binary itself says.
fn imports(wasm: &[u8]) -> Vec<String> {
    let DecodedWasm::Component(resolve, world) = decode(wasm).unwrap() else {
        panic!("this is no component")
    };
    let imports = resolve.worlds[world].imports.keys();
    imports.map(|key| resolve.name_world_key(key)).collect()
}

fn question(fault: &str) -> RefusalInput {
    RefusalInput {
        context: Context {
            tenant: "acme".to_owned(),
            user_id: "bob".to_owned(),
            attributes: vec![("fault".to_owned(), fault.to_owned())],
            ..Context::default()
        },
        suspension: Suspension {
            kind: SuspensionKind::Permanent,
            reason_key: None,
            reason_text: None,
            since: 0,
            until: None,
            source: "api".to_owned(),
        },
        surface: Surface::Page,
        occasion: Occasion::Request,
    }
}

#[test]
fn a_new_policy_names_its_tools_to_the_digit_and_no_registry() {
    let (_js, js) = new("js");
    let (_python, python) = new("python");
    let read = |folder: &Path, file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let lock = read(&js, "package-lock.json");
    assert!(!lock.contains("://registry") && !lock.contains("\"resolved\""));
    assert!(read(&js, "package.json").contains("componentize-js\": \"0."));
    let requirements = read(&python, "requirements.txt");
    assert!(requirements.lines().all(|line| line.contains("==")));
}
