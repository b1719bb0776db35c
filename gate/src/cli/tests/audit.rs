//! `portcullis audit …`

use super::*;

const PLACED: &str = r#"{"seq":7,"at":"2030-01-02T03:04:05.678Z","tenant":"acme","user":"bob","actor":"ops","source":"api","action":"hold_placed","approver":"ann","ticket":"SEC-42","comment":"a\u001b[2Jb","batch":null,"detail":{"hold":{"name":"admin","kind":"temporary","reason":"suspiciousUserNoGood","access":"read-only","placed_at":"2030-01-02T03:04:05.678Z","starts_at":"2030-01-02T03:04:05.678Z","ends_at":"2030-01-03T03:04:05.678Z"}}}"#;
const REFUSED: &str = r#"{"seq":8,"at":"2030-01-02T03:05:05.000Z","tenant":"acme","user":"bob","actor":"gate","source":"gate","action":"refused","approver":null,"ticket":null,"comment":null,"batch":null,"detail":{"error_id":"e-1","code":"error.account.temporarilySuspended.suspiciousUserNoGood","policy":"builtin"}}"#;

#[test]
fn entries_are_a_table_and_every_filter_is_sent() {
    let path = "/api/v1/audit?tenant=acme&user=bob&actor=ops&action=hold_placed&ticket=SEC-42&batch=b1&since=2030-01-01T00%3A00%3A00Z&until=2030-02-01T00%3A00%3A00Z&limit=2&cursor=9";
    let page = format!(r#"{{"entries":[{REFUSED},{PLACED}],"next_cursor":"7"}}"#);
    let api = Answers::new().on(path, 200, &page).serve();
    let line = "audit list --tenant acme --user bob --actor ops --action hold_placed --ticket SEC-42 --batch b1 --since 2030-01-01T00:00:00Z --until 2030-02-01T00:00:00Z --limit 2 --cursor 9";
    let outcome = run_with(&api, line);
    let expected = "\
ENTRY  AT                    TENANT  USER  ACTOR  ACTION       WHAT                                                                                  APPROVER  TICKET  COMMENT
8      2030-01-02T03:05:05Z  acme    bob   gate   refused      error.account.temporarilySuspended.suspiciousUserNoGood, e-1
7      2030-01-02T03:04:05Z  acme    bob   ops    hold_placed  admin, temporary, suspiciousUserNoGood, read-only, until 2030-01-03T03:04:05Z         ann       SEC-42  a\u{FFFD}[2Jb
There are more: add --cursor 7
";
    let squeezed = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| {
            line.split("  ")
                .filter(|cell| !cell.is_empty())
                .map(str::trim)
                .collect::<Vec<_>>()
                .join("|")
        });
        lines.collect()
    };
    assert_eq!(squeezed(&outcome.out), squeezed(expected));
    let json = run_with(&api, &format!("{line} --json"));
    assert_eq!(json.out.trim_end(), page);
}

#[test]
fn the_stream_goes_on_where_it_was_cut_and_ends_where_the_gate_says_no() {
    let first =
        format!("retry: 1\n\nid: 7\nevent: hold_placed\ndata: {PLACED}\n\n: still here\n\n");
    let second = format!("retry: 1\n\nid: 8\nevent: refused\ndata: {REFUSED}\n\n");
    let path = "/api/v1/events?tenant=acme";
    let api = Answers::new()
        .on(path, 200, &first)
        .on(
            path,
            503,
            r#"{"detail":"64 streams are open, the limit; close one of them"}"#,
        )
        .on(path, 200, &second)
        .on(path, 401, "{}")
        .serve();
    let outcome = run_with(&api, "audit follow --tenant acme --after 3");
    assert_eq!(
        outcome.out,
        "2030-01-02T03:04:05Z  7  acme/bob  hold_placed  admin, temporary, suspiciousUserNoGood, read-only, until 2030-01-03T03:04:05Z  by ops  approved by ann  ticket SEC-42  “a\u{FFFD}[2Jb”\n\
         2030-01-02T03:05:05Z  8  acme/bob  refused  error.account.temporarilySuspended.suspiciousUserNoGood, e-1  by gate\n"
    );
    let asked = api.asked();
    let places: Vec<Option<&str>> = asked.iter().map(|asked| asked.after.as_deref()).collect();
    assert_eq!(places, [Some("3"), Some("7"), Some("7"), Some("8")]);
    assert_eq!(
        outcome.err,
        "the stream ended; coming back in 1ms\n\
         follow the audit: 64 streams are open, the limit; close one of them; coming back in 2ms\n\
         the stream ended; coming back in 1ms\n"
    );
    let (line, code) = outcome.failure();
    assert!(line.contains("set PORTCULLIS_TOKEN"), "{line}");
    assert_eq!(code, 1);
}

#[test]
fn what_was_never_there_is_not_waited_for() {
    let gone = { Answers::new().serve().url() };
    let variables = [
        ("PORTCULLIS_ADMIN_URL", gone.as_str()),
        ("PORTCULLIS_TOKEN", "t"),
    ];
    let (line, code) = run("audit follow", &variables).failure();
    assert!(line.starts_with("cannot reach the admin API at "), "{line}");
    assert_eq!(code, 1);
}

#[test]
fn events_as_json_are_a_line_each() {
    let stream = format!("retry: 1\n\nid: 7\nevent: hold_placed\ndata: {PLACED}\n\n");
    let path = "/api/v1/events";
    let api = Answers::new()
        .on(path, 200, &stream)
        .on(path, 403, "{}")
        .serve();
    let outcome = run_with(&api, "audit follow --json");
    let mut lines = outcome.out.lines();
    assert_eq!(lines.next(), Some(PLACED));
    // Where the gate says no, that is a line too.
    assert!(lines.next().unwrap().contains("\"status\":403"));
    assert_eq!(lines.next(), None);
}
