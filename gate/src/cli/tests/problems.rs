//! Failures: one line for people, a problem object for scripts.

use serde_json::{Value, json};

use super::*;

fn printed(outcome: &Outcome) -> Value {
    assert_eq!(outcome.out.lines().count(), 1, "{}", outcome.out);
    serde_json::from_str(&outcome.out).unwrap()
}

#[test]
fn what_the_gate_answers_is_handed_on_as_it_came() {
    let problem = r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"it lies in the past; write a later one","code":"invalid_field",  "field":"ends_at","mend":"write a later one"}"#;
    let suspend = "/api/v1/users/bob/suspend";
    let api = Answers::new()
        .on(suspend, 400, problem)
        .on("/api/v1/events", 400, problem)
        .on("/api/v1/bulk", 400, problem)
        .on("/api/v1/tokens", 400, problem)
        .serve();
    for line in [
        "user suspend bob --json",
        "audit follow --json",
        "bulk suspend --filter x --yes --json",
        "token create --role global-admin --json",
    ] {
        let outcome = run_with(&api, line);
        assert_eq!(outcome.out, format!("{problem}\n"), "{line}");
        let (line, code) = outcome.failure();
        assert!(
            line.ends_with(": --ends-at: it lies in the past; write a later one"),
            "{line}"
        );
        assert_eq!(code, 1);
    }
    assert_eq!(run_with(&api, "user suspend bob").out, "");
}

#[test]
fn what_is_no_problem_of_the_gate_is_made_one() {
    let api = Answers::new()
        .on("/api/v1/users/bob", 502, "<html>")
        .serve();
    let outcome = run_with(&api, "user show bob --json");
    let detail =
        "show bob: the admin API answered 502 Bad Gateway; look at the gate's log, then try again";
    assert_eq!(
        printed(&outcome),
        json!({"type": "about:blank", "title": "Bad Gateway", "status": 502, "detail": detail, "code": "failed"})
    );
}

#[test]
fn what_never_reached_the_gate_is_a_problem_without_a_status() {
    let gone = { Answers::new().serve().url() };
    let variables = [
        ("PORTCULLIS_ADMIN_URL", gone.as_str()),
        ("PORTCULLIS_TOKEN", "t"),
    ];
    let outcome = run("user show bob --json", &variables);
    let problem = printed(&outcome);
    assert_eq!(problem["code"], "unreachable");
    assert_eq!(problem["title"], "Gate unreachable");
    assert_eq!(
        problem["mend"],
        "start the gate, or correct PORTCULLIS_ADMIN_URL"
    );
    assert_eq!(problem["detail"], outcome.failure().0);
    assert_eq!(outcome.failure().1, 1);
    assert!(problem.get("status").is_none());

    let table = [
        ("user show bob --json", "PORTCULLIS_ADMIN_URL"),
        ("user show bob --json --tennant acme", "--tennant"),
        ("token create --json", "--role"),
        (
            "token create --role global-admin --tenant a --json",
            "--tenant",
        ),
    ];
    for (line, field) in table {
        let outcome = run(line, &[]);
        let problem = printed(&outcome);
        assert_eq!(
            (&problem["code"], &problem["field"]),
            (&json!("usage"), &json!(field))
        );
        assert!(problem["mend"].is_string(), "{problem}");
        assert_eq!(outcome.failure().1, 2);
    }
}

#[test]
fn a_bulk_call_that_was_answered_ends_with_its_summary_or_its_problem() {
    let summary = |rest: &str| {
        format!(
            r#"{{"progress":{{"batch":"b1","done":0,"total":1}}}}
{{"summary":{{"batch":"b1","done":1,"changed":0,{rest}}}}}
"#
        )
    };
    let refused = summary(r#""complete":true,"refused":1"#);
    let stopped = summary(
        r#""complete":false,"problem":{"detail":"the gate is stopping","code":"unavailable"}"#,
    );
    let line = "bulk suspend --filter x --yes --json";
    let api = Answers::new().on("/api/v1/bulk", 200, &refused).serve();
    let outcome = run_with(&api, line);
    assert_eq!(
        (outcome.out.as_str(), outcome.failure().1),
        (refused.as_str(), 1)
    );
    let api = Answers::new().on("/api/v1/bulk", 200, &stopped).serve();
    let outcome = run_with(&api, line);
    let last: Value = serde_json::from_str(outcome.out.lines().last().unwrap()).unwrap();
    assert_eq!(last["code"], "unavailable");
    assert_eq!(outcome.failure().1, 1);
}

#[test]
fn wrong_usage_is_one_line_that_says_what_and_where_to_look() {
    let table = [
        (
            "user show bob --tennant acme",
            "unexpected argument '--tennant' found; a similar argument exists: '--tenant'; see portcullis user show --help",
        ),
        (
            "token create",
            "the following required arguments were not provided: --role <ROLE>; see portcullis token create --help",
        ),
        (
            "user show",
            "the following required arguments were not provided: <ID>; see portcullis user show --help",
        ),
        (
            "policy new shop --lang cobol",
            "invalid value 'cobol' for '--lang <LANG>' [possible values: rust, js, python]; see portcullis policy new --help",
        ),
        (
            "token create --role king",
            "invalid value 'king' for '--role <ROLE>': no such role; use one of global-admin, tenant-admin, support, auditor; see portcullis token create --help",
        ),
        (
            "user sho bob",
            "unrecognized subcommand 'sho'; a similar subcommand exists: 'show'; see portcullis user --help",
        ),
        (
            "bulk suspend --from a --filter b",
            "the argument '--from <FILE>' cannot be used with '--filter <FILTER>'; see portcullis bulk suspend --help",
        ),
    ];
    for (line, said) in table {
        let outcome = run(line, &[]);
        assert_eq!(outcome.failure(), (said.to_owned(), 2));
        assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("", ""));
    }
    let half = run("user", &[]).failure();
    assert!(
        half.0.contains("\nUsage: portcullis user <COMMAND>") && half.1 == 2,
        "{}",
        half.0
    );
    for line in ["--version", "--help", "user suspend --help", "help audit"] {
        let outcome = run(line, &[]);
        outcome.result.unwrap();
        assert!(outcome.out.contains("ortcullis"), "{line}");
    }
}

#[test]
fn each_conflict_has_a_mend_of_its_own() {
    let api = Answers::new()
        .on(
            "/api/v1/tenants/acme/policy/rollback",
            409,
            r#"{"detail":"there is no policy before the one in force","code":"no_earlier_policy"}"#,
        )
        .on(
            "/api/v1/users/bob/suspend",
            409,
            r#"{"detail":"nobody suspends itself","code":"oneself"}"#,
        )
        .on(
            "/api/v1/users/bob",
            409,
            r#"{"detail":"it changed meanwhile","code":"conflict"}"#,
        )
        .serve();
    for (line, said) in [
        (
            "policy rollback --tenant acme",
            "policy rollback: there is no policy before the one in force; put the policy that you want in force (portcullis policy push), or leave it as it is",
        ),
        (
            "user suspend bob",
            "suspend bob: nobody suspends itself; have another administrator do it",
        ),
        (
            "user set bob --locale de",
            "set bob: it changed meanwhile; look again (portcullis user show, or portcullis token list), and decide again",
        ),
    ] {
        assert_eq!(run_with(&api, line).failure(), (said.to_owned(), 1));
    }
}

#[test]
fn what_cannot_be_set_is_told_by_its_option_with_the_mend() {
    let hash = r#"{"detail":"an API key's hash is \"sha256:\" and 64 hexadecimal digits","code":"invalid_field","field":"api_keys"}"#;
    let api = Answers::new().on("/api/v1/users/bob", 400, hash).serve();
    let (line, _) = run_with(&api, "user set bob --api-key-hash sha256:12").failure();
    assert!(
        line.starts_with("set bob: --api-key-hash: an API key's hash is "),
        "{line}"
    );
    let email = r#"{"detail":"it is empty","code":"invalid_field","field":"employee_id"}"#;
    let api = Answers::new().on("/api/v1/users/bob", 400, email).serve();
    let url = api.url();
    let variables = [
        ("PORTCULLIS_ADMIN_URL", url.as_str()),
        ("PORTCULLIS_TOKEN", "t"),
    ];
    let words = ["portcullis", "user", "set", "bob", "--employee-id", ""];
    let outcome = run_words(Terminal::default(), "", words.into_iter(), &variables);
    assert_eq!(
        outcome.failure().0,
        "set bob: --employee-id: it is empty; write another, or forget it by --clear employee-id"
    );
}

#[test]
fn a_policy_that_is_not_there_is_told_with_the_mend() {
    let api = Answers::new().serve();
    let (line, code) = run_with(&api, "policy push --tenant acme /nonexistent").failure();
    assert!(line.starts_with("/nonexistent/policy.toml: "), "{line}");
    assert!(
        line.ends_with("; name a folder with a policy.toml (portcullis policy new makes one)"),
        "{line}"
    );
    assert_eq!(code, 2);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("policy.toml"),
        "module = \"policy.wasm\"\n",
    )
    .unwrap();
    let (line, _) = run(&format!("policy check {}", folder.path().display()), &[]).failure();
    assert!(
        line.ends_with("; build it, or correct `module` in policy.toml"),
        "{line}"
    );
}

#[test]
fn an_export_speaks_of_the_file_that_was_asked_for() {
    let api = Answers::new()
        .on("/api/v1/users/bob/export", 200, r#"{"user":{}}"#)
        .serve();
    let (line, code) = run_with(&api, "user export bob -o /nonexistent/x.json").failure();
    assert!(
        line.starts_with("/nonexistent/x.json: cannot be written: ")
            && line.ends_with("; name another file by --output"),
        "{line}"
    );
    assert_eq!(code, 1);
    let outcome = run_with(&api, "user export bob --output -");
    outcome.result.unwrap();
    assert_eq!(outcome.out, r#"{"user":{}}"#);
}

#[test]
fn a_sum_of_nothing_is_a_sentence_too() {
    let answer = r#"{"progress":{"batch":"b1","done":0,"total":1}}
{"summary":{"batch":"b1","complete":true,"done":1,"changed":0,"unchanged":1}}
"#;
    let api = Answers::new().on("/api/v1/bulk", 200, answer).serve();
    let outcome = run_with(&api, "bulk restore --filter x --yes");
    assert_eq!(outcome.out, "No users were restored, 1 so already.\n");
}
