//! Promises of the configuration: what is written is what is checked, what is
//! wrong is told at once and in full, and the reference is complete.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faults;
mod holds;
mod identities;
mod reference;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use portcullis_core::identify::TokenPlace;
use portcullis_core::ids::UserId;
use portcullis_core::login::json::Json;
use portcullis_core::login::success::BodyRule;
use portcullis_core::login::{BodyFormat, Disclose};
use portcullis_core::names::NameRule;

use http::HeaderName;

use super::*;

/// The least that makes a tenant.
const TENANT: &str = "\
[[tenants]]
id = \"acme\"
hosts = [\"acme.test\"]
upstream = \"http://127.0.0.1:9000\"
[[tenants.session_cookies]]
name = \"sid\"
[[tenants.logins]]
path = \"/login\"
";

/// Read as PEM alone: nobody looks inside.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"one","use":"sig",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// A folder for what a file refers to.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir_all(root.join("policies/acme")).unwrap();
    std::fs::create_dir_all(root.join("keys")).unwrap();
    std::fs::write(root.join("policies/acme/policy.toml"), "").unwrap();
    std::fs::write(root.join("keys/acme.secret"), "s".repeat(32) + "\n").unwrap();
    std::fs::write(root.join("keys/weak.secret"), "short\n").unwrap();
    std::fs::write(root.join("keys/introspection.secret"), "told-by-nobody\n").unwrap();
    std::fs::write(root.join("keys/ca.pem"), CERTIFICATE).unwrap();
    std::fs::write(root.join("keys/jwks.json"), JWKS).unwrap();
    folder
}

fn environment(name: &str) -> Option<OsString> {
    matches!(
        name,
        "ACME_JWT_KEY" | "ACME_INTROSPECTION" | "SHOP_JWT_SECRET"
    )
    .then(|| "k".repeat(64).into())
}

fn parse(text: &str, root: &Path) -> Result<Config, ConfigError> {
    Config::parse(text, &root.join("portcullis.toml"), &environment)
}

#[test]
fn a_file_with_one_tenant_gets_the_documented_defaults() {
    let folder = folder();
    let config = parse(TENANT, folder.path()).unwrap();
    assert_eq!(config.data.listen.to_string(), "127.0.0.1:8080");
    assert!((1..=64).contains(&config.data.workers));
    assert_eq!(config.data.deadlines.drain, Duration::from_secs(20));
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:8081");
    assert!(!config.admin.query_token);
    assert_eq!(config.store_folder, folder.path().join("state"));
    assert_eq!(config.log.format, LogFormat::Text);
    let tenant = &config.tenants[0];
    assert_eq!(tenant.names, NameRule::FoldCase);
    assert_eq!(tenant.login_page, "/login");
    assert_eq!(
        tenant.policy.source,
        PolicySource::Builtin(BuiltinPolicy::Standard)
    );
    assert_eq!(tenant.policy.on_failure, OnFailure::BuiltinAnswer);
    let login = &tenant.logins[0];
    assert_eq!(
        (login.formats.as_slice(), login.disclose),
        (&[BodyFormat::Form][..], Disclose::AfterPassword)
    );
    assert_eq!(
        (login.user_fields[0].as_str(), login.success_sets_cookie),
        ("username", true)
    );
    assert_eq!(tenant.logout, None);
}

#[test]
fn what_is_written_is_what_is_checked() {
    let folder = folder();
    let config = parse(reference::example(), folder.path()).unwrap();
    assert_eq!((config.data.workers, config.data.listen.port()), (2, 8080));
    assert_eq!(
        config.data.deadlines.response_body_idle,
        Duration::from_secs(600)
    );
    let acme = &config.tenants[0];
    assert_eq!(acme.upstream.authority().as_str(), "127.0.0.1:9000");
    assert_eq!(
        acme.policy.source,
        PolicySource::Folder(folder.path().join("policies/acme"))
    );
    let under = |scheme: &str| TokenPlace::Header {
        name: http::header::AUTHORIZATION,
        scheme: Some(scheme.into()),
    };
    let places = [
        TokenPlace::Bearer,
        TokenPlace::Cookie("access_token".into()),
        TokenPlace::Query("access_token".into()),
        under("JWT"),
        under("Token"),
        TokenPlace::Header {
            name: HeaderName::from_static("x-session"),
            scheme: Some("Token".into()),
        },
        TokenPlace::Query("session".into()),
    ];
    assert_eq!(acme.sources.tokens, places);
    // Introspection shares the place of the first tokens.
    let places: Vec<usize> = acme.introspections.iter().map(|one| one.place).collect();
    assert_eq!(places, [0, 4]);
    assert!(acme.trusted_headers[0].lists("10.1.2.3".parse().unwrap()));
    assert!(acme.trusted_headers[0].lists("::ffff:10.1.2.3".parse().unwrap()));
    assert!(!acme.trusted_headers[0].lists("11.1.2.3".parse().unwrap()));
    let challenge = &acme.basic.as_ref().unwrap().challenge;
    assert_eq!(challenge, "Basic realm=\"Acme\", charset=\"UTF-8\"");
    assert_eq!(acme.jwts[1].algorithms, [Algorithm::HS512]);
    // The line break at the end of the file is no part of the secret.
    let KeySource::Fixed(key) = &acme.jwts[0].keys else {
        panic!("{:?}", acme.jwts[0].keys);
    };
    assert_eq!(key.try_get_as_bytes().unwrap(), "s".repeat(32).as_bytes());
    assert_eq!(acme.sources.api_key_headers[0], acme.api_keys[0].header);
    assert_eq!(acme.logins[0].success_statuses.len(), 2);
    let api = &acme.logins[1];
    assert_eq!(api.formats, [BodyFormat::Json, BodyFormat::Multipart]);
    assert_eq!(api.user_fields[1].steps(), ["user", "email"]);
    let success = BodyRule::Pointer {
        steps: vec!["success".to_owned()],
        equals: Some(Json::Flag(true)),
    };
    assert_eq!(api.success_body, Some(success));
    assert_eq!(config.tenants[1].login_page, "/");
}

#[test]
fn the_users_of_api_keys_follow_the_name_rule_of_the_tenant() {
    let folder = folder();
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let keys = format!(
        "[[tenants.api_keys]]\nheader = \"X-API-Key\"\nkeys = [{{ hash = \"sha256:{hash}\", user = \"BOB\" }}]\n"
    );
    let config = parse(&format!("{TENANT}{keys}"), folder.path()).unwrap();
    let bob = UserId::canonical("bob", NameRule::FoldCase).unwrap();
    let users = &config.tenants[0].api_keys[0].users;
    assert_eq!(users.get(&api_key_hash(b"test")), Some(&bob));
}

#[test]
fn a_printed_configuration_shows_no_key() {
    let folder = folder();
    let config = parse(reference::example(), folder.path()).unwrap();
    let printed = format!("{config:?}");
    let secret = "s".repeat(32);
    let bytes = format!("{:?}", secret.as_bytes());
    assert!(!printed.contains(&secret) && !printed.contains(&bytes));
    assert!(!printed.contains("49391ca3"));
}

#[test]
fn public_keys_are_read_for_the_algorithms_that_they_suit() {
    let folder = folder();
    let table = [
        ("ES256", faults::P256_PUBLIC, Algorithm::ES256),
        ("RS256", faults::RSA_2048_PUBLIC, Algorithm::RS256),
        ("PS512", faults::RSA_2048_PUBLIC, Algorithm::PS512),
        ("EdDSA", faults::ED25519_PUBLIC, Algorithm::EdDSA),
    ];
    for (name, key, algorithm) in table {
        std::fs::write(folder.path().join("keys/public.pem"), key).unwrap();
        let entry = format!(
            "[[tenants.jwts]]\nfrom = \"bearer\"\nalgorithms = [\"{name}\"]\nkey_file = \"keys/public.pem\"\n"
        );
        let config = parse(&format!("{TENANT}{entry}"), folder.path()).unwrap();
        assert_eq!(config.tenants[0].jwts[0].algorithms, [algorithm]);
    }
}
