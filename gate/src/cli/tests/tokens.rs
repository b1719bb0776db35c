//! `portcullis token …`

use super::*;

const CREATED: &str = r#"{"id":"t7","token":"pc_abc","role":"support","tenant":"acme","expires_at":"2030-01-02T03:04:05Z"}"#;

#[test]
fn a_token_stands_alone_on_standard_output() {
    let api = Answers::new().on("/api/v1/tokens", 201, CREATED).serve();
    let outcome = run_with(
        &api,
        "token create --role support --tenant acme --expires 90d",
    );
    outcome.result.unwrap();
    assert_eq!(outcome.out, "pc_abc\n");
    assert!(
        outcome
            .err
            .starts_with("Token t7 (support) is good until 2030-01-02T03:04:05Z. ")
    );
    assert!(!outcome.err.contains("pc_abc"), "{}", outcome.err);
    let asked = &api.asked()[0];
    assert_eq!(asked.call, "POST /api/v1/tokens");
    assert_eq!(
        asked.body,
        r#"{"expires":"90d","role":"support","tenant":"acme"}"#
    );
}

#[test]
fn a_token_as_json_is_the_answer_as_it_came() {
    let api = Answers::new().on("/api/v1/tokens", 201, CREATED).serve();
    let outcome = run_with(&api, "token create --role support --tenant acme --json");
    let printed: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(
        printed,
        serde_json::from_str::<serde_json::Value>(CREATED).unwrap()
    );
    assert_eq!(outcome.err, "");
}

#[test]
fn a_role_and_its_scope_must_agree() {
    let refuse = |line: &str| {
        let (text, code) = run(line, &[]).failure();
        assert_eq!(code, 2);
        text
    };
    assert!(refuse("token create --role global-admin --tenant acme").starts_with("--tenant: "));
    for role in ["tenant-admin", "support", "auditor"] {
        let text = refuse(&format!("token create --role {role}"));
        assert!(text.starts_with("--tenant is missing: "), "{text}");
    }
}

#[test]
fn roles_and_lifetimes_that_do_not_exist_are_refused_with_the_choice() {
    let refuse = |line: &str| {
        let words = std::iter::once("portcullis").chain(line.split(' '));
        let error = Cli::try_parse_from(words).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    let text = refuse("token create --role root");
    assert!(
        text.contains("use one of global-admin, tenant-admin, support, auditor"),
        "{text}"
    );
    assert!(refuse("token create --role support --expires soon").contains("write one such as 90d"));
    assert!(refuse("token create --role support --expires 1s").contains("at least a minute"));
}

#[test]
fn on_the_store_a_token_is_made_only_for_a_tenant_that_exists() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.toml");
    let tenant = "[[tenants]]\nid = \"acme\"\nhosts = [\"a.test\"]\nupstream = \"http://127.0.0.1:1\"\n[[tenants.logins]]\npath = \"/login\"\nsuccess_sets_cookie = false\n";
    std::fs::write(&file, tenant).unwrap();
    let line = format!(
        "token create --role support --tenant other --config {}",
        file.display()
    );
    let (text, code) = run(&line, &[]).failure();
    assert_eq!(
        text,
        format!(
            "--tenant: other is not in {}; use one of acme",
            file.display()
        )
    );
    assert_eq!(code, 2);
}

#[test]
fn whose_a_token_is_and_what_for_goes_with_it() {
    let api = Answers::new().on("/api/v1/tokens", 201, CREATED).serve();
    run_with(
        &api,
        "token create --role support --tenant acme --user ann --name desk",
    );
    run_with(
        &api,
        "token create --role global-admin --user ann --user-tenant acme",
    );
    let bodies: Vec<String> = api.asked().into_iter().map(|asked| asked.body).collect();
    assert_eq!(
        bodies,
        [
            r#"{"name":"desk","role":"support","tenant":"acme","user":"ann"}"#,
            r#"{"role":"global-admin","user":"ann","user_tenant":"acme"}"#,
        ]
    );
}

const FIRST: &str = r#"{"tokens":[{"id":"t1","role":"global-admin","tenant":null,"user":null,"user_tenant":null,"name":"ops\u001b[2J","created_at":"2030-01-01T00:00:00Z","expires_at":null,"revoked_at":null,"last_used_at":"2030-01-02T00:00:00Z","in_force":true}],"next_cursor":"t1"}"#;
const LAST: &str = r#"{"tokens":[{"id":"t2","role":"support","tenant":"acme","user":"ann","user_tenant":"acme","name":"","created_at":"2030-01-01T00:00:00Z","expires_at":null,"revoked_at":"2030-01-03T00:00:00Z","last_used_at":null,"in_force":false}],"next_cursor":null}"#;

fn pages() -> AdminApi {
    Answers::new()
        .on(
            "/api/v1/tokens?role=support&in_force=true&limit=1000",
            200,
            FIRST,
        )
        .on(
            "/api/v1/tokens?role=support&in_force=true&limit=1000&cursor=t1",
            200,
            LAST,
        )
        .serve()
}

#[test]
fn a_list_goes_through_all_pages_and_is_a_table_for_people() {
    let api = pages();
    let outcome = run_with(&api, "token list --role support --in-force");
    outcome.result.unwrap();
    let lines: Vec<&str> = outcome.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", outcome.out);
    assert!(lines[0].starts_with("TOKEN  ROLE"), "{}", lines[0]);
    assert!(lines[1].contains("(all)") && lines[1].contains("in force"));
    assert!(
        !outcome.out.contains('\u{1b}'),
        "nothing that a terminal obeys"
    );
    assert!(lines[2].contains("ann") && lines[2].contains("revoked"));
}

#[test]
fn a_list_as_json_is_one_list() {
    let outcome = run_with(&pages(), "token list --role support --in-force --json");
    let printed: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(printed["tokens"][0]["id"], "t1");
    assert_eq!(printed["tokens"][1]["id"], "t2");
}

#[test]
fn a_revocation_says_whether_it_changed_anything() {
    let answer = |changed: bool| format!(r#"{{"id":"t7","revoked":true,"changed":{changed}}}"#);
    for (changed, words) in [
        (true, "Token t7 is revoked: it opens nothing any more.\n"),
        (false, "Token t7 was revoked before: nothing was changed.\n"),
    ] {
        let api = Answers::new()
            .on("/api/v1/tokens/t7", 200, &answer(changed))
            .serve();
        assert_eq!(run_with(&api, "token revoke t7 --yes").out, words);
        assert_eq!(api.asked()[0].call, "DELETE /api/v1/tokens/t7");
    }
}

#[test]
fn a_rotation_prints_the_new_secret_alone_and_says_how_long_the_old_one_works() {
    let made = CREATED.replace("}", r#","old_works_until":"2030-01-01T00:10:00Z"}"#);
    let api = Answers::new()
        .on("/api/v1/tokens/t7/rotate", 200, &made)
        .serve();
    let outcome = run_with(&api, "token rotate t7 --grace 10m");
    assert_eq!(outcome.out, "pc_abc\n");
    assert!(
        outcome
            .err
            .contains(" The one before works until 2030-01-01T00:10:00Z. ")
    );
    assert_eq!(api.asked()[0].body, r#"{"grace":"10m"}"#);
    let words = ["portcullis", "token", "rotate", "t7", "--grace", "25h"];
    let error = Cli::try_parse_from(words).unwrap_err();
    assert!(error.to_string().contains("a day at most"));
}

#[test]
fn on_a_stopped_store_tokens_are_made_listed_rotated_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.toml");
    let tenant = |id: &str| {
        format!(
            "[[tenants]]\nid = \"{id}\"\nhosts = [\"{id}.test\"]\nupstream = \"http://127.0.0.1:1\"\n[[tenants.logins]]\npath = \"/login\"\nsuccess_sets_cookie = false\n"
        )
    };
    std::fs::write(&file, tenant("acme") + &tenant("globex")).unwrap();
    let token = |line: &str| run(&format!("token {line} --config {}", file.display()), &[]);
    let json = |line: &str| -> serde_json::Value {
        let outcome = token(&format!("{line} --json"));
        serde_json::from_str(&outcome.out).expect(&outcome.err)
    };
    let made = json("create --role support --tenant acme --user ANN --name desk");
    assert_eq!(
        (&made["user"], &made["user_tenant"]),
        (&"ann".into(), &"acme".into())
    );
    let (text, code) = token("create --role global-admin --user ann").failure();
    assert!(text.starts_with("--user-tenant is missing: "), "{text}");
    assert_eq!(code, 2);
    json("create --role global-admin --user ann --user-tenant globex");
    let listed = json("list --user ann --role support");
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 1);
    assert_eq!(listed["tokens"][0]["id"], made["id"]);
    assert!(listed["tokens"][0].get("token").is_none());
    let id = made["id"].as_str().unwrap();
    let rotated = json(&format!("rotate {id} --grace 1h"));
    assert_ne!(rotated["token"], made["token"]);
    assert!(rotated["old_works_until"].is_string());
    assert_eq!(json(&format!("revoke {id} --yes"))["changed"], true);
    assert_eq!(json(&format!("revoke {id} --yes"))["changed"], false);
    let (text, code) = token(&format!("rotate {id}")).failure();
    assert_eq!(
        (text.as_str(), code),
        ("the token is expired or revoked; make a new one", 1)
    );
    let (text, code) = token("revoke tok_x -y").failure();
    assert_eq!((text.as_str(), code), ("there is no token 'tok_x'", 1));
    assert!(token("list --in-force").out.contains("global-admin"));
}

#[test]
fn a_revocation_asks_for_the_id() {
    let answer = r#"{"id":"t7","revoked":true,"changed":true}"#;
    let api = Answers::new().on("/api/v1/tokens/t7", 200, answer).serve();
    let (line, code) = run_with(&api, "token revoke t7").failure();
    assert_eq!(
        (line.as_str(), code),
        (
            "revoke t7: this asks before it acts, and nobody can be asked here; add --yes",
            2
        )
    );
    let outcome = type_with(&api, "y\n", "token revoke t7");
    assert!(
        outcome.err.ends_with("Type t7 to go on: "),
        "{}",
        outcome.err
    );
    assert_eq!(outcome.failure().1, 1);
    assert!(api.asked().is_empty());
    type_with(&api, "t7\n", "token revoke t7").result.unwrap();
    assert_eq!(api.asked().len(), 1);
}

#[test]
fn a_rotation_asks_where_the_token_is_the_one_in_use() {
    let list = r#"{"tokens":[{"id":"t1"},{"id":"t7","own":true}],"next_cursor":null}"#;
    let api = Answers::new()
        .on("/api/v1/tokens?in_force=true&limit=1000", 200, list)
        .on("/api/v1/tokens/t1/rotate", 200, CREATED)
        .on("/api/v1/tokens/t7/rotate", 200, CREATED)
        .serve();
    run_with(&api, "token rotate t1").result.unwrap();
    let (line, code) = run_with(&api, "token rotate t7").failure();
    assert!(line.ends_with("; add --yes"), "{line}");
    assert_eq!(code, 2);
    for line in ["token rotate t7 --yes", "token rotate t7 --grace 10m"] {
        run_with(&api, line).result.unwrap();
    }
    let outcome = type_with(&api, "y\n", "token rotate t7");
    assert!(
        outcome
            .err
            .contains("t7 is the token that this command uses: ")
    );
    outcome.result.unwrap();
}

#[test]
fn a_tenants_own_token_need_not_name_the_tenant() {
    let api = Answers::new().on("/api/v1/tokens", 201, CREATED).serve();
    run_with(&api, "token create --role support")
        .result
        .unwrap();
    assert_eq!(api.asked()[0].body, r#"{"role":"support"}"#);
}

#[test]
fn a_token_that_is_not_there_is_told_in_words_of_the_command() {
    let problem = r#"{"detail":"there is no token \"t9\" that this one acts on; look at GET /api/v1/tokens","code":"not_found"}"#;
    let api = Answers::new().on("/api/v1/tokens/t9", 404, problem).serve();
    let (line, _) = run_with(&api, "token revoke t9 --yes").failure();
    assert!(
        line.ends_with("; portcullis token list shows them"),
        "{line}"
    );
}
