//! Bad sources of identity and the exact lines that they are told by.

use super::faults::check;

#[test]
fn places_of_tokens_are_whole_and_hold_nothing_else() {
    let jwt = |place: &str| {
        format!(
            "[[tenants.jwts]]\nalgorithms = [\"HS256\"]\nkey_file = \"keys/acme.secret\"\n{place}\n"
        )
    };
    let table = [
        (
            jwt("from = \"header\""),
            "9: tenants.jwts.header: is missing, as from is \"header\"; add header = \"X-Auth-Token\"",
        ),
        (
            jwt("from = \"header\"\nheader = \"Authorization\""),
            "9: tenants.jwts.scheme: is missing, as from is \"header\"; add scheme = \"JWT\", or write from = \"bearer\"",
        ),
        (
            jwt("from = \"header\"\nheader = \"X-T\"\nscheme = \"Bearer\""),
            "14: tenants.jwts.scheme: is what from = \"bearer\" means; write that",
        ),
        (
            jwt("from = \"header\"\nheader = \"Cookie\""),
            "13: tenants.jwts.header: \"cookie\" is dropped or written anew on the way to the app, as headers of proxies and of the protocol are; use another name",
        ),
        (
            jwt("from = \"query\""),
            "9: tenants.jwts.parameter: is missing, as from is \"query\"; add parameter = \"access_token\"",
        ),
        (
            jwt("from = \"query\"\nparameter = \"t\"\nscheme = \"JWT\""),
            "14: tenants.jwts.scheme: has no meaning where from is \"query\"; remove it, or write from = \"header\"",
        ),
    ];
    let table: Vec<_> = table.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    check(&table);
}

#[test]
fn key_sets_are_public_keys_from_somewhere_that_can_be_believed() {
    let jwt = |rest: &str| {
        format!("[[tenants.jwts]]\nfrom = \"bearer\"\nalgorithms = [\"ES256\"]\n{rest}\n")
    };
    let secret = "[[tenants.jwts]]\nfrom = \"bearer\"\nalgorithms = [\"HS256\"]\njwks_file = \"keys/jwks.json\"\n";
    let table = [
        (
            jwt("jwks_url = \"http://id.example.com/keys\""),
            "12: tenants.jwts.jwks_url: \"http://id.example.com/keys\" is not on this machine, and over http:// anyone on the way could answer; write one such as \"https://id.example.com/keys\"",
        ),
        (
            jwt("jwks_url = \"https://u:p@id.example.com/keys\""),
            "12: tenants.jwts.jwks_url: has a user name or a password in it; remove what stands before the '@'",
        ),
        (
            jwt("jwks_url = \"https://id.example.com\"\njwks_file = \"keys/jwks.json\""),
            "13: tenants.jwts.jwks_file: stands beside jwks_url; keep one of them",
        ),
        (
            jwt("key_file = \"keys/p256.pem\"\njwks_file = \"keys/jwks.json\""),
            "12: tenants.jwts.key_file: stands beside a JWK set; keep one of them",
        ),
        (
            jwt("jwks_file = \"keys/jwks.json\"\njwks_cooldown = \"10s\""),
            "13: tenants.jwts.jwks_cooldown: has no meaning without jwks_url; remove it, or add jwks_url",
        ),
        (
            jwt("jwks_url = \"https://id.example.com\"\njwks_ca_file = \"keys/p256.pem\""),
            "13: tenants.jwts.jwks_ca_file: keys/p256.pem holds no certificate in PEM form; it begins with -----BEGIN CERTIFICATE-----",
        ),
        (
            jwt("jwks_file = \"keys/acme.secret\""),
            "12: tenants.jwts.jwks_file: keys/acme.secret is no JWK set: it must be JSON, {\"keys\": [ … ]}",
        ),
        (
            secret.to_owned(),
            "11: tenants.jwts.algorithms: has HS*, which share a secret, and a JWK set holds public keys; name the provider's algorithms, or give the secret by key_file",
        ),
    ];
    let table: Vec<_> = table.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    check(&table);
}

#[test]
fn token_servers_are_whole() {
    let server = "[[tenants.introspection]]\nfrom = \"bearer\"\nclient_id = \"gate\"\n";
    let table = [
        (
            format!("{server}client_secret_env = \"ACME_INTROSPECTION\"\n"),
            "9: tenants.introspection.url: is missing; add url = \"https://id.example.com/introspect\"",
        ),
        (
            format!("{server}url = \"https://id.example.com/i\"\n"),
            "9: tenants.introspection.client_secret_file: is missing; add client_secret_file = \"PATH\" or client_secret_env = \"VARIABLE\"",
        ),
        (
            format!(
                "{server}url = \"https://id.example.com/i\"\nclient_secret_env = \"ACME_INTROSPECTION\"\ncache = \"2h\"\n"
            ),
            "14: tenants.introspection.cache: must be at most 1h",
        ),
    ];
    let table: Vec<_> = table.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    check(&table);
}

#[test]
fn a_header_that_nobody_or_everybody_could_set_is_refused() {
    check(&[
        (
            "[[tenants.trusted_headers]]\nheader = \"X-Auth-User\"\nfrom = []\n",
            "11: tenants.trusted_headers.from: is missing or empty, so the header would be believed from nobody; add from = [\"10.0.0.5\"], the addresses of the proxies that set it",
        ),
        (
            "[[tenants.trusted_headers]]\nheader = \"X-Auth-User\"\nfrom = [\"10.0.0.1/8\"]\n",
            "11: tenants.trusted_headers.from: \"10.0.0.1/8\" has bits behind its prefix; write \"10.0.0.0/8\"",
        ),
        (
            "[[tenants.trusted_headers]]\nheader = \"X-Auth-User\"\nfrom = [\"proxy.test\"]\n",
            "11: tenants.trusted_headers.from: \"proxy.test\" is no IP address or network; write one such as \"10.0.0.5\" or \"10.0.0.0/8\"",
        ),
        (
            "[[tenants.trusted_headers]]\nheader = \"X-Forwarded-For\"\nfrom = [\"::1\"]\n",
            "10: tenants.trusted_headers.header: \"x-forwarded-for\" is a header of the protocol or of the gate; use another name",
        ),
        (
            "[tenants.basic]\nrealm = \"a\\\"b\"\n",
            "10: tenants.basic.realm: \"a\\\"b\" must be printable ASCII without quotes and backslashes",
        ),
    ]);
}
