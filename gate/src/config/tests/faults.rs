//! Bad configurations and the exact lines that they are told by.

use super::*;

pub(super) const P256_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8uOozRNLEyW1d4AxZWbDVjAar4Bd
5WJnT20Z8Sy65EYHX5PYyWbpDgziw2dnUskyAeUENVp7F+qb6MzEW4Fq2Q==
-----END PUBLIC KEY-----
";

pub(super) const RSA_2048_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAuorkgv9wSG5rlwc4S6NQ
eNPCQfiTA4T7v0dYrwnqaEHKqtGyzNaO9EhdxvkhswlNUIKI4zf+dQJR0oxELvbY
YNGhBAHd43nSqHTgMGUvo/emXSa4qS65ZjFbl/PTiiM1lUZ0UxfmmbOgxxgcyvkE
IX1K85+1hWttHj/HzGuo3cypWnNUEs9/N7nLHdQJnkQ/RtU1IivHf9C+n+oFKSvX
5IznG0D25ntx3Iszbd8TIrLCZyn5OFChkSxh1mCp+pTK3xJBIWZQiRp3sJu1RS6z
mtKNxQ+z91UHU3ZgmjByIlVIr9UzngIkzHoj+P8BzVclmUGYSa7YCvpqMaji6+zZ
gwIDAQAB
-----END PUBLIC KEY-----
";

pub(super) const ED25519_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAbKPkN8D8aEOqvgnTpTuVvEe4UXjx9/S1Yw4BN6IKxqw=
-----END PUBLIC KEY-----
";

const RSA_1024_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDzNwlVoPIBbd0DWO/O2S6E6ocB
2UyV+LP3WTH+L1u5IqCaM54UuMxK/H2yBRABqL4s/mNkdSiN3ewUoQyJ0bSMvSbV
a4+OtGa/kuntSeag8Ik1mX7NEEtAx4Soc+x093EllHdk+CXJA9XzxzV28MR5R2op
9ei1J8omoaA0D0ZKewIDAQAB
-----END PUBLIC KEY-----
";

/// The lines for `text`, with the folder cut off.
fn lines(text: &str) -> Vec<String> {
    let folder = folder();
    let root = folder.path();
    std::fs::write(root.join("keys/p256.pem"), P256_PUBLIC).unwrap();
    std::fs::write(root.join("keys/rsa1024.pem"), RSA_1024_PUBLIC).unwrap();
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    std::fs::write(root.join("keys/private.pem"), private).unwrap();
    let error = parse(text, root).expect_err(text);
    let root = format!("{}/", root.display());
    error
        .to_string()
        .lines()
        .map(|line| line.replace(&root, ""))
        .collect()
}

/// A table of keys to add to the tenant of eight lines, and the line it earns
/// (without the name of the file).
pub(super) fn check(table: &[(&str, &str)]) {
    for (added, expected) in table {
        let found = lines(&format!("{TENANT}{added}"));
        assert_eq!(found, [format!("portcullis.toml:{expected}")], "{added}");
    }
}

#[test]
fn faults_of_the_gate_name_line_key_and_mend() {
    check(&[
        ("[dat]\n", "9: dat: unknown key; did you mean data?"),
        (
            "[data]\nlisten_on = \"x\"\n",
            "10: data.listen_on: unknown key; did you mean listen?",
        ),
        (
            "[store]\nx = 1\n",
            "10: store.x: unknown key; remove it, or use one of: folder",
        ),
        (
            "[data]\nlisten = \"localhost\"\n",
            "10: data.listen: \"localhost\" is not an IP address with a port; write one such as \"127.0.0.1:8080\" or \"[::]:8080\"",
        ),
        (
            "[data]\nlisten = 8080\n",
            "10: data.listen: must be text in quotes, not a whole number",
        ),
        (
            "[data]\nworkers = 65\n",
            "10: data.workers: must be a whole number from 1 to 64, not 65",
        ),
        (
            "[data]\nworkers = \"2\"\n",
            "10: data.workers: must be a whole number from 1 to 64, not text",
        ),
        (
            "[data.deadlines]\ndrain = 20\n",
            "10: data.deadlines.drain: must be a duration with its unit in quotes, such as \"15s\", \"500ms\" or \"2m\", not a whole number",
        ),
        (
            "[data.deadlines]\ndrain = \"20\"\n",
            "10: data.deadlines.drain: must be a duration with its unit in quotes, such as \"15s\", \"500ms\" or \"2m\", not \"20\"",
        ),
        (
            "[data.deadlines]\ndrain = \"0s\"\n",
            "10: data.deadlines.drain: must be from 10ms to 7days, not \"0s\"",
        ),
        (
            "[admin]\nlisten = \"127.0.0.1:8080\"\n",
            "10: admin.listen: is the data listener's address too; give the admin listener another port",
        ),
        (
            "[admin]\nquery_token = \"yes\"\n",
            "10: admin.query_token: must be true or false (without quotes), not text",
        ),
        (
            "[log]\nlevel = \"loud\"\n",
            "10: log.level: must be one of \"error\", \"warn\", \"info\", \"debug\", \"trace\", not \"loud\"",
        ),
        (
            "[store]\nfolder = \"\"\n",
            "10: store.folder: must not be empty; write a value or remove the key",
        ),
    ]);
}

#[test]
fn faults_of_a_tenant_name_line_key_and_mend() {
    check(&[
        (
            "[tenants.policy]\nfolder = \"policies/none\"\n",
            "10: tenants.policy.folder: policies/none is no folder; correct the path (it starts at the folder of this file)",
        ),
        (
            "[tenants.policy]\nwatch = true\n",
            "10: tenants.policy.watch: stands without folder; name one, or leave it out",
        ),
        (
            "[tenants.policy]\nfolder = \"keys\"\n",
            "10: tenants.policy.folder: keys has no policy.toml; correct the path (it starts at the folder of this file)",
        ),
        (
            "[tenants.policy]\nfolder = \"policies/acme\"\nbuiltin = \"acme\"\n",
            "11: tenants.policy.builtin: stands beside folder; keep one of them",
        ),
        (
            "[tenants.policy]\nbuiltin = \"other\"\n",
            "10: tenants.policy.builtin: must be one of \"standard\", \"acme\", \"globex\", not \"other\"",
        ),
        (
            "[tenants.logout]\nmethod = \"POST\"\n",
            "9: tenants.logout.path: is missing; add path = \"/logout\"",
        ),
        (
            "[[tenants.logins]]\npath = \"/LOGIN/\"\n",
            "10: tenants.logins.path: /LOGIN/ has a login already; keep one of them",
        ),
        (
            "[[tenants.logins]]\npath = \"/a/../login\"\n",
            "10: tenants.logins.path: \"/a/../login\" is not a path of the app: the path has a '.' or '..' segment; write one such as \"/login\"",
        ),
        (
            "[[tenants.logins]]\npath = \"/in?x=1\"\n",
            "10: tenants.logins.path: \"/in?x=1\" has a query; routes are told apart by the path alone",
        ),
        (
            "[tenants.logout]\npath = \"//evil.test\"\n",
            "10: tenants.logout.path: \"//evil.test\" is not a path of the app: it begins with '//', which browsers take for another site; write one such as \"/login\"",
        ),
        (
            "[tenants.logout]\npath = \"/.portcullis/x\"\n",
            "10: tenants.logout.path: \"/.portcullis/x\" is not a path of the app: /.portcullis/ is the gate's own; write one such as \"/login\"",
        ),
        (
            "[[tenants.session_cookies]]\nname = \"sid\"\n",
            "10: tenants.session_cookies.name: sid is listed twice; remove one",
        ),
        (
            "[[tenants.session_cookies]]\nname = \"a=b\"\n",
            "10: tenants.session_cookies.name: \"a=b\" is not a cookie name; write the name alone, such as \"sessionid\"",
        ),
        (
            "[[tenants.api_keys]]\nheader = \"X-Portcullis-Key\"\nkeys = [{ hash = \"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\", user = \"bob\" }]\n",
            "10: tenants.api_keys.header: \"X-Portcullis-Key\" is dropped from requests, as all X-Portcullis-* headers are; use another name",
        ),
        (
            "[[tenants.api_keys]]\nheader = \"X-K\"\nkeys = [\n{ hash = \"secret\", user = \"bob\" }]\n",
            "12: tenants.api_keys.keys.hash: must be \"sha256:\" and 64 hexadecimal digits; the digits are the first word of what this prints: printf %s KEY | sha256sum",
        ),
    ]);
}

#[test]
fn keys_that_could_verify_nothing_are_refused() {
    let jwt = |rest: &str| format!("[[tenants.jwts]]\nfrom = \"bearer\"\n{rest}\n");
    let table = [
        (
            "algorithms = [\"HS256\"]\nkey_file = \"keys/weak.secret\"",
            "12: tenants.jwts.key_file: holds a weak secret of 5 bytes; use at least 32 random bytes (openssl rand -hex 32)",
        ),
        (
            "algorithms = [\"HS512\"]\nkey_file = \"keys/acme.secret\"",
            "12: tenants.jwts.key_file: holds a weak secret of 32 bytes; use at least 64 random bytes (openssl rand -hex 64)",
        ),
        (
            "algorithms = [\"HS256\"]\nkey_env = \"NOT_SET\"",
            "12: tenants.jwts.key_env: the variable NOT_SET is not set; set it, or use key_file",
        ),
        (
            "algorithms = [\"HS256\"]",
            "9: tenants.jwts.key_file: is missing; add key_file = \"PATH\", key_env = \"VARIABLE\", jwks_url = \"URL\" or jwks_file = \"PATH\"",
        ),
        (
            "algorithms = [\"HS256\"]\nkey_file = \"keys/acme.secret\"\nkey_env = \"ACME_JWT_KEY\"",
            "13: tenants.jwts.key_env: stands beside key_file; keep one of them",
        ),
        (
            "algorithms = [\"HS256\", \"RS256\"]\nkey_file = \"keys/acme.secret\"",
            "11: tenants.jwts.algorithms: mixes families (HS*, RS* and PS*, ES*, EdDSA), but one key is of one family; write a [[tenants.jwts]] for each",
        ),
        (
            "algorithms = [\"HS256\"]\nkey_file = \"keys/p256.pem\"",
            "12: tenants.jwts.key_file: holds a PEM key, but HS* algorithms share a secret; name the algorithm of the key, such as \"RS256\"",
        ),
        (
            "algorithms = [\"RS256\"]\nkey_file = \"keys/p256.pem\"",
            "12: tenants.jwts.key_file: does not hold an RSA public key, which the algorithms ask for; give the key that the app's tokens are signed for",
        ),
        (
            "algorithms = [\"RS256\"]\nkey_file = \"keys/rsa1024.pem\"",
            "12: tenants.jwts.key_file: holds a key that RS256 cannot use; it takes RSA of 2048 bits or more",
        ),
        (
            "algorithms = [\"ES384\"]\nkey_file = \"keys/p256.pem\"",
            "12: tenants.jwts.key_file: holds a key that ES384 cannot use; it takes a key on P-384",
        ),
        (
            "algorithms = [\"EdDSA\"]\nkey_file = \"keys/private.pem\"",
            "12: tenants.jwts.key_file: holds a private key, which the gate must not have; give it the public half (openssl pkey -pubout)",
        ),
        (
            "algorithms = [\"none\"]\nkey_file = \"keys/acme.secret\"",
            "11: tenants.jwts.algorithms: must be one of \"HS256\", \"HS384\", \"HS512\", \"RS256\", \"RS384\", \"RS512\", \"PS256\", \"PS384\", \"PS512\", \"ES256\", \"ES384\", \"EdDSA\", not \"none\"",
        ),
        (
            "cookie = \"t\"\nalgorithms = [\"HS256\"]\nkey_file = \"keys/acme.secret\"",
            "11: tenants.jwts.cookie: has no meaning where from is \"bearer\"; remove it, or write from = \"cookie\"",
        ),
    ];
    let table: Vec<_> = table
        .iter()
        .map(|(added, expected)| (jwt(added), *expected))
        .collect();
    let table: Vec<_> = table
        .iter()
        .map(|(added, expected)| (added.as_str(), *expected))
        .collect();
    check(&table);
}

#[test]
fn a_key_file_that_is_not_there_is_named() {
    let entry =
        "[[tenants.jwts]]\nfrom = \"bearer\"\nalgorithms = [\"HS256\"]\nkey_file = \"keys/none\"\n";
    let expected = "portcullis.toml:12: tenants.jwts.key_file: cannot read keys/none: No such file or directory (os error 2); create the file or correct the path";
    assert_eq!(lines(&format!("{TENANT}{entry}")), [expected]);
}

#[test]
fn a_tenant_whose_users_cannot_be_told_apart_is_refused() {
    let bare = "[[tenants]]\nid = \"acme\"\nhosts = [\"a.test\"]\nupstream = \"http://a:1\"\n";
    let expected = "portcullis.toml:1: tenants: has no way to tell users apart, so none could be kept out; add [[tenants.session_cookies]] with [[tenants.logins]], [[tenants.jwts]], [[tenants.introspection]], [[tenants.session_tokens]], [[tenants.api_keys]], [[tenants.trusted_headers]] or [tenants.basic]";
    assert_eq!(lines(bare), [expected]);
    let unlearnt = format!("{bare}[[tenants.session_cookies]]\nname = \"sid\"\n");
    let expected = "portcullis.toml:5: tenants.session_cookies: whose session it is can be learnt only from a login, or from the app's own word; add [[tenants.logins]] or taught_by";
    assert_eq!(lines(&unlearnt), [expected]);
    let cookieless = format!("{bare}[[tenants.logins]]\npath = \"/login\"\n");
    let expected = "portcullis.toml:5: tenants.logins.success_sets_cookie: is on, but no session cookie is known; add [[tenants.session_cookies]], or write success_sets_cookie = false";
    assert_eq!(lines(&cookieless), [expected]);
}

#[test]
fn a_rule_for_sessions_that_there_are_none_of_is_refused() {
    let keys = "[[tenants]]\nid = \"acme\"\nhosts = [\"a.test\"]\nupstream = \"http://a:1\"\nunknown_sessions = \"login\"\n[[tenants.trusted_headers]]\nheader = \"X-User\"\nfrom = [\"10.0.0.5\"]\n";
    let expected = "portcullis.toml:5: tenants.unknown_sessions: is about session cookies and tokens of logins, and the tenant has neither; add [[tenants.session_cookies]] or [[tenants.session_tokens]], or remove it";
    assert_eq!(lines(keys), [expected]);
}

#[test]
fn a_login_whose_every_answer_is_a_yes_is_doubted() {
    let doubts = |more: &str| {
        let folder = folder();
        let config = parse(&format!("{TENANT}{more}\n"), folder.path()).unwrap();
        let root = format!("{}/", folder.path().display());
        let doubts = config.doubts.iter();
        doubts
            .map(|doubt| doubt.to_string().replace(&root, ""))
            .collect::<Vec<_>>()
    };
    let expected = "portcullis.toml:9: tenants.logins.success_sets_cookie: is off, and nothing else says what an accepted login looks like: every answer below 400 counts as one, a form that is shown again as well; add success_statuses or success_body";
    assert_eq!(doubts("success_sets_cookie = false"), [expected]);
    for told in [
        "",
        "success_sets_cookie = false\nsuccess_statuses = [303]",
        "success_sets_cookie = false\nsuccess_body = { absent = \"Wrong\" }",
    ] {
        assert!(doubts(told).is_empty(), "{told}");
    }
}

#[test]
fn upstreams_are_plain_http_and_a_host_alone() {
    let with = |upstream: &str| lines(&TENANT.replace("http://127.0.0.1:9000", upstream));
    let line = |text: &str| [format!("portcullis.toml:4: tenants.upstream: {text}")];
    let mend = "; write one such as \"http://127.0.0.1:9000\"";
    assert_eq!(
        with("https://a.test"),
        line("TLS to upstreams is not built yet; use http:// over a network that you trust")
    );
    assert_eq!(
        with("a.test"),
        line(&format!(
            "\"a.test\" does not begin with http:// or h2c://{mend}"
        ))
    );
    assert_eq!(
        with("http://a.test/x"),
        line(&format!(
            "\"http://a.test/x\" has a path; requests keep the path that the client sent{mend}"
        ))
    );
    assert_eq!(
        with("http://u@a.test"),
        line(
            "has a user name in it, and the gate does not sign in to upstreams; remove what stands before the '@'"
        )
    );
    assert_eq!(
        with("http://a.test:0"),
        line(&format!(
            "\"http://a.test:0\" has no usable host and port{mend}"
        ))
    );
}

#[test]
fn ids_and_hosts_belong_to_one_tenant() {
    let found = lines(&format!("{TENANT}{TENANT}"));
    assert_eq!(
        found,
        [
            "portcullis.toml:10: tenants.id: there is another tenant acme; give each its own id",
            "portcullis.toml:11: tenants.hosts: acme.test is listed twice; a host belongs to one tenant",
        ]
    );
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    let text = "[data]\nlisten = 1\nworker = 2\n[[tenants]]\nid = \"Acme\"\nhosts = [\"a.test:80\", \"b c\"]\n[[tenants]]\nname = \"x\"\n";
    let keys: Vec<_> = lines(text)
        .iter()
        .map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let expected = [
        "portcullis.toml:2 data.listen",
        "portcullis.toml:3 data.worker",
        "portcullis.toml:4 tenants.upstream",
        "portcullis.toml:4 tenants",
        "portcullis.toml:5 tenants.id",
        "portcullis.toml:6 tenants.hosts",
        "portcullis.toml:6 tenants.hosts",
        "portcullis.toml:7 tenants.id",
        "portcullis.toml:7 tenants.hosts",
        "portcullis.toml:7 tenants.upstream",
        "portcullis.toml:7 tenants",
        "portcullis.toml:8 tenants.name",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn what_is_not_toml_is_told_by_its_line() {
    let found = lines("[data]\nlisten = \n[[tenants]]\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("portcullis.toml:2: not valid TOML: "),
        "{found:?}"
    );
    assert_eq!(
        lines(""),
        ["portcullis.toml:1: tenants: there is no tenant; add a [[tenants]] table"]
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("nowhere/portcullis.toml")).unwrap_err();
    let expected = "nowhere/portcullis.toml: there is no such file; create it or name another with --config FILE";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn faults_of_logins_name_line_key_and_mend() {
    let table = [
        (
            "body = \"xml\"",
            "11: tenants.logins.body: must be one of \"form\", \"json\", \"multipart\", not \"xml\"",
        ),
        (
            "body = []",
            "11: tenants.logins.body: is an empty list; write one value or remove the key",
        ),
        (
            "body = [\"form\", \"form\"]",
            "11: tenants.logins.body: has a value twice; write it once",
        ),
        (
            "user_field = [\"a\", 7]",
            "11: tenants.logins.user_field: must be text in quotes, not a whole number",
        ),
        (
            "user_field = \"/a/~2\"",
            "11: tenants.logins.user_field: has a '~' that is neither ~0 nor ~1 (RFC 6901); write ~0 for '~' and ~1 for '/'",
        ),
        (
            "user_field = \"/user/email\"",
            "11: tenants.logins.user_field: has JSON pointers alone, which application/x-www-form-urlencoded bodies don't have; add the field's name there, such as \"user[email]\"",
        ),
        (
            "success_body = \"ok\"",
            "11: tenants.logins.success_body: must be a table, not text",
        ),
        (
            "success_body = {}",
            "11: tenants.logins.success_body: must have exactly one of pointer, contains and absent; write one such as { absent = \"Invalid password\" }",
        ),
        (
            "success_body = { contains = \"a\", absent = \"b\" }",
            "11: tenants.logins.success_body: must have exactly one of pointer, contains and absent; write one such as { absent = \"Invalid password\" }",
        ),
        (
            "success_body = { equals = true }",
            "11: tenants.logins.success_body.equals: needs a pointer to what it compares; add pointer = \"/success\"",
        ),
        (
            "success_body = { pointer = \"success\" }",
            "11: tenants.logins.success_body.pointer: is not a JSON pointer (RFC 6901); write one such as \"/success\"",
        ),
        (
            "success_body = { pointer = \"/s\", equals = 1.5 }",
            "11: tenants.logins.success_body.equals: must be text, a whole number, true or false, not a decimal number",
        ),
        (
            "success_body = { contain = \"x\" }",
            "11: tenants.logins.success_body.contain: unknown key; did you mean contains?",
        ),
    ];
    for (line, expected) in table {
        let text = format!("{TENANT}[[tenants.logins]]\npath = \"/in\"\n{line}\n");
        let found = lines(&text);
        let expected = format!("portcullis.toml:{expected}");
        assert!(found.contains(&expected), "{line}: {found:?}");
    }
}
