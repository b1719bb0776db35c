//! `portcullis bulk …`

use super::*;

const PATH: &str = "/api/v1/bulk";

fn answer(dry_run: bool, refused: u64, complete: bool) -> String {
    let problem = if complete {
        ""
    } else {
        r#","problem":{"detail":"the gate is stopping; repeat the call with the same Idempotency-Key to go on"}"#
    };
    format!(
        r#"{{"progress":{{"batch":"b1","done":0,"total":3}}}}
{{"user":"bob","outcome":"changed","receipt":{{"revision":1}}}}
{{"user":"ann","outcome":"unchanged","flags":["admin"]}}
{{"user":"","asked":"x\u001b","outcome":"refused","code":"invalid-field","detail":"it is empty; write one"}}
{{"summary":{{"batch":"b1","action":"suspend","dry_run":{dry_run},"complete":{complete},"done":3,"total":3,"changed":1,"unchanged":1,"refused":{refused},"flags":{{"self":0,"admin":1,"unknown":2}},"receipt":{{"revision":1,"sessions_revoked":2,"connections_cut":1,"api_keys_disabled":0,"notifications_queued":0,"gates":{{"total":1,"in_force":1}},"in_force_at":null}}{problem}}}}}
"#
    )
}

fn list(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ids.txt");
    std::fs::write(&file, text).unwrap();
    let name = file.display().to_string();
    (folder, name)
}

#[test]
fn the_list_is_sent_as_lines_and_what_stands_out_is_told() {
    let api = Answers::new()
        .on(PATH, 200, &answer(false, 1, true))
        .serve();
    let (_folder, file) = list("\u{feff}bob\r\n\n  ann \n\"x\"\n");
    let line = format!("bulk suspend --from {file} --temporary --ticket HR-7 --batch b1 --yes");
    let outcome = run_with(&api, &line);
    assert_eq!(
        outcome.out,
        "ann: an administrator\n (x\u{FFFD}): refused: it is empty; write one\n\
         1 user was suspended, 1 so already, 1 refused, 1 is an administrator, 2 are unknown to the gate. 2 sessions revoked, 1 live connection cut, in force on 1 of 1 gates. Batch b1: portcullis bulk undo b1 takes it back.\n"
    );
    let (line, code) = outcome.failure();
    assert_eq!(code, 1);
    assert!(
        line.starts_with("bulk suspend: 1 user refused, as told above; "),
        "{line}"
    );
    let asked = &api.asked()[0];
    assert_eq!(asked.call, "POST /api/v1/bulk");
    assert_eq!(
        asked.body,
        "{\"action\":\"suspend\",\"batch\":\"b1\",\"kind\":\"temporary\",\"ticket\":\"HR-7\"}\n\"bob\"\n\"ann\"\n\"\\\"x\\\"\""
    );
}

#[test]
fn it_shows_what_it_would_do_and_asks() {
    let api = Answers::new()
        .on(PATH, 200, &answer(true, 0, true))
        .on(PATH, 200, &answer(true, 0, true))
        .on(PATH, 200, &answer(false, 0, true))
        .serve();
    let line = "bulk suspend --filter status==\"active\"";
    let outcome = type_with(&api, "\n", line);
    assert!(
        outcome
            .err
            .starts_with("Dry run, nothing was changed: 1 user would be suspended, 1 so already, "),
        "{}",
        outcome.err
    );
    assert!(outcome.err.ends_with(" Go on? [y/N] "), "{}", outcome.err);
    let (text, code) = outcome.failure();
    assert_eq!(
        (text.as_str(), code),
        (
            "bulk suspend: not confirmed, nothing was changed; answer y, or add --yes",
            1
        )
    );
    let outcome = type_with(&api, "y\n", line);
    assert!(
        outcome.out.contains("1 user was suspended"),
        "{}",
        outcome.out
    );
    let bodies: Vec<String> = api.asked().into_iter().map(|asked| asked.body).collect();
    let dry = r#"{"action":"suspend","dry_run":true,"filter":"status==\"active\""}"#;
    assert_eq!(bodies, [dry, dry, &dry.replace("\"dry_run\":true,", "")]);
}

#[test]
fn without_a_terminal_it_needs_yes_before_anything_is_read() {
    let api = Answers::new().serve();
    for line in ["suspend --from -", "restore --filter x", "undo b1"] {
        let (text, code) = run_with(&api, &format!("bulk {line}")).failure();
        assert!(
            text.contains("; add --yes, or look first with --dry-run"),
            "{text}"
        );
        assert_eq!(code, 2);
    }
    assert!(api.asked().is_empty());
}

#[test]
fn json_passes_the_lines_through() {
    let lines = answer(true, 1, true);
    let api = Answers::new().on(PATH, 200, &lines).serve();
    let outcome = run_with(&api, "bulk restore --filter x --dry-run --json");
    assert_eq!(outcome.out, lines);
    assert_eq!(outcome.failure().1, 1);
}

#[test]
fn ids_come_from_standard_input_too() {
    let api = Answers::new()
        .on(PATH, 200, &answer(false, 0, true))
        .serve();
    let line = "bulk restore --from - --yes --reason back";
    type_with(&api, "bob\nann", line).result.unwrap();
    assert_eq!(
        api.asked()[0].body,
        "{\"action\":\"restore\",\"reason\":\"back\"}\n\"bob\"\n\"ann\""
    );
}

#[test]
fn a_list_that_is_none_is_told_before_any_call() {
    let api = Answers::new().serve();
    let (_folder, empty) = list("\n\n");
    let (line, code) = run_with(&api, &format!("bulk suspend --yes --from {empty}")).failure();
    assert!(
        line.ends_with(" names nobody; write one user id a line"),
        "{line}"
    );
    assert_eq!(code, 2);
    let (line, code) = run_with(&api, "bulk suspend --yes --from /nonexistent/x").failure();
    assert!(
        line.starts_with("--from: /nonexistent/x cannot be read: "),
        "{line}"
    );
    assert_eq!(code, 2);
    let words = ["portcullis", "bulk", "suspend", "--yes"];
    let error = Cli::try_parse_from(words).unwrap_err().to_string();
    assert!(error.contains("--from <FILE>|--filter <FILTER>"), "{error}");
}

#[test]
fn what_breaks_off_tells_how_far_it_came_and_how_to_go_on() {
    let whole = answer(false, 0, true);
    let cut = whole.split_inclusive('\n').take(2).collect::<String>();
    let stopped = answer(false, 0, false);
    for (lines, why, users) in [
        (cut, "the answer ended without a summary", "1 user"),
        (stopped, "the gate is stopping; ", "3 users"),
    ] {
        let api = Answers::new().on(PATH, 200, &lines).serve();
        let (line, code) = run_with(&api, "bulk suspend --filter x --yes").failure();
        assert!(line.starts_with(why), "{line}");
        let end = format!(
            "it ended after {users}: repeat the command with --batch b1, and what is done already is left as it is"
        );
        assert!(line.ends_with(&end), "{line}");
        assert_eq!(code, 1);
    }
}

#[test]
fn a_batch_is_taken_back() {
    let path = "/api/v1/bulk/b1/undo?tenant=acme";
    let told = answer(false, 0, true).replace(
        r#""outcome":"unchanged","flags":["admin"]"#,
        r#""outcome":"unchanged","holds_changed_since":["admin"],"holds_over":["leave"]"#,
    );
    let api = Answers::new().on(path, 200, &told).serve();
    let outcome = run_with(&api, "bulk undo b1 --tenant acme --ticket HR-8 --yes");
    assert!(
        outcome.out.starts_with(
            "ann: admin: left alone, changed since; leave: not placed again, its end has passed\n"
        ),
        "{}",
        outcome.out
    );
    assert!(
        outcome.out.contains("1 user was put back as they were"),
        "{}",
        outcome.out
    );
    assert_eq!(api.asked()[0].body, r#"{"ticket":"HR-8"}"#);
}

/// What is told where these were the counts of the summary.
fn summed(line: &str, path: &str, counts: &str) -> String {
    let counts = counts.replace("CUT", r#""gates":{"total":1,"in_force":0}"#);
    let answer = format!(
        r#"{{"progress":{{"batch":"b1","done":0,"total":3}}}}
{{"user":"carol","outcome":"changed","holds_left":["legal"],"holds_kept":[{{"name":"legal","lifted_by":["global-admin","tenant-admin"]}}]}}
{{"summary":{{"batch":"b1","complete":true,"done":3,"refused":0,{counts}}}}}
"#
    );
    let api = Answers::new().on(path, 200, &answer).serve();
    run_with(&api, line).out
}

#[test]
fn who_is_not_suspended_yet_is_not_said_to_be() {
    let line = "bulk suspend --filter x --yes";
    let told = summed(
        line,
        PATH,
        r#""changed":1,"unchanged":0,"waiting":1,"receipt":{CUT}"#,
    );
    assert!(
        told.ends_with("\n1 user has a hold that begins later. Batch b1: portcullis bulk undo b1 takes it back.\n"),
        "{told}"
    );
    let told = summed(
        line,
        PATH,
        r#""changed":3,"unchanged":0,"waiting":2,"flags":{"replaced":2}"#,
    );
    assert!(
        told.contains(
            "\n1 user was suspended, 2 users have a hold that begins later, 2 have a hold replaced."
        ),
        "{told}"
    );
}

#[test]
fn a_restore_of_many_says_who_stays_out_and_who_may_lift_that() {
    let line = "bulk restore --filter x --yes --tenant acme";
    let told = summed(
        line,
        "/api/v1/bulk?tenant=acme",
        r#""changed":1,"unchanged":1,"stay_out":1"#,
    );
    assert_eq!(
        told,
        "carol: legal is lifted by global-admin or tenant-admin; legal: left in place\n\
         1 user was restored, 1 so already, 1 user stays out by holds that are left. Batch b1: portcullis bulk undo b1 --tenant acme takes it back.\n"
    );
}

#[test]
fn an_undo_tells_whom_it_left_alone_apart_from_who_is_so_already() {
    let counts = r#""changed":0,"unchanged":2,"left_alone":1,"receipt":{CUT}"#;
    let told = summed("bulk undo b1 --yes", "/api/v1/bulk/b1/undo", counts);
    assert!(
        told.ends_with(
            "\nNo users were put back as they were, 1 so already, 1 left alone, changed since.\n"
        ),
        "{told}"
    );
}
