//! What `portcullis policy new` writes down. In Rust, the files beside this one; in
//! JavaScript and Python, `policies/examples` and the SDK in `policies/sdk`. The
//! contract is written down with them, so that the folder stands by itself.

use super::new::Language;

/// A file's place in the folder, and its text.
type File = (&'static str, &'static str);

/// What stands in the texts for the policy's name: in those beside this file, in
/// crates (`-` as `_`), and in the examples, which are whole policies.
const NAME: &str = "POLICY_NAME";
const CRATE: &str = "POLICY_CRATE";
const EXAMPLE: &str = "example-policy";

/// A file of this repository, written down at the same place or at another.
macro_rules! file {
    ($from:literal, $to:literal) => {
        ($to, include_str!(concat!("../../../../", $from, $to)))
    };
    ($whole:literal as $to:literal) => {
        ($to, include_str!(concat!("../../../../", $whole)))
    };
}

/// The contract, as this gate speaks it.
const CONTRACT: [File; 6] = [
    file!("", "wit/types.wit"),
    file!("", "wit/about.wit"),
    file!("", "wit/refusal.wit"),
    file!("", "wit/reactivation.wit"),
    file!("", "wit/notification.wit"),
    file!("", "wit/policy.wit"),
];

const RUST: [File; 8] = [
    ("README.md", include_str!("scaffold/rust/README.md")),
    ("policy.toml", include_str!("scaffold/policy.toml")),
    (
        "cases/permanent.toml",
        include_str!("scaffold/permanent.toml"),
    ),
    (
        "cases/suspended_mail.toml",
        include_str!("scaffold/suspended_mail.toml"),
    ),
    ("Cargo.toml", include_str!("scaffold/rust/Cargo.toml.txt")),
    ("src/lib.rs", include_str!("scaffold/rust/lib.rs.txt")),
    ("build.sh", include_str!("scaffold/rust/build.sh")),
    (".gitignore", "/target\n/policy.wasm\n"),
];

/// The rules of the examples are the same, and so are their cases.
const EXAMPLES: [File; 10] = [
    file!("policies/examples/", ".gitignore"),
    file!("policies/examples/", "cases/console_is_quiet.toml"),
    file!("policies/examples/", "cases/mail_with_link.toml"),
    file!("policies/examples/", "cases/permanent_in_german.toml"),
    file!("policies/examples/", "cases/reason_in_words.toml"),
    file!("policies/examples/", "cases/reset_in_time.toml"),
    file!("policies/examples/", "cases/reset_not_offered.toml"),
    file!("policies/examples/", "cases/reset_too_late.toml"),
    file!("policies/examples/", "cases/temporary.toml"),
    file!("policies/examples/", "cases/wrong_settings.toml"),
];

const JS: [File; 8] = [
    file!("policies/examples/js/", "README.md"),
    file!("policies/examples/js/", "build.sh"),
    file!("policies/examples/js/", "policy.toml"),
    file!("policies/examples/js/", "package.json"),
    file!("policies/examples/js/", "package-lock.json"),
    file!("policies/examples/js/", "rules.js"),
    file!("policies/sdk/js/portcullis.js" as "sdk/portcullis.js"),
    file!("policies/sdk/js/shapes.js" as "sdk/shapes.js"),
];

const PYTHON: [File; 6] = [
    file!("policies/examples/python/", "README.md"),
    file!("policies/examples/python/", "build.sh"),
    file!("policies/examples/python/", "policy.toml"),
    file!("policies/examples/python/", "requirements.txt"),
    file!("policies/examples/python/", "rules.py"),
    file!("policies/sdk/python/portcullis.py" as "sdk/portcullis.py"),
];

/// Every file of a new policy, with its name filled in.
pub(super) fn files(
    language: Language,
    name: &str,
) -> impl Iterator<Item = (&'static str, String)> {
    let (common, own): (&[File], &[File]) = match language {
        Language::Rust => (&[], &RUST),
        Language::Js => (&EXAMPLES, &JS),
        Language::Python => (&EXAMPLES, &PYTHON),
    };
    let own = common.iter().chain(own).map(move |(place, text)| {
        let text = text
            .replace(CRATE, &name.replace('-', "_"))
            .replace(NAME, name)
            .replace(EXAMPLE, name);
        (*place, text)
    });
    let contract = CONTRACT
        .iter()
        .map(|(place, text)| (*place, (*text).to_owned()));
    contract.chain(own)
}
