//! Tables at a terminal of eighty columns.

use console::measure_text_width;
use serde_json::json;

use super::*;

/// What `line` prints at a terminal of eighty columns, no line of it longer.
fn at_eighty(api: &AdminApi, line: &str) -> String {
    let url = api.url();
    let variables = [
        ("PORTCULLIS_ADMIN_URL", url.as_str()),
        ("PORTCULLIS_TOKEN", "t0ken"),
    ];
    let terminal = Terminal {
        width: Some(80),
        ..Terminal::default()
    };
    let outcome = run_at(terminal, "", line, &variables);
    outcome.result.unwrap();
    for line in outcome.out.lines() {
        assert!(measure_text_width(line) <= 80, "{line}");
    }
    assert!(!outcome.out.contains('…'), "{}", outcome.out);
    outcome.out
}

const AT: &str = "2030-01-02T03:04:05.678Z";
const END: &str = "2030-01-03T03:04:05.678Z";

#[test]
fn the_audit_says_who_when_what_and_until() {
    let placed = json!({"seq": 7, "at": AT, "tenant": "acme", "user": "bob", "actor": "ops", "action": "hold_placed", "approver": "ann", "ticket": "SEC-42", "comment": "reported by the bank", "detail": {"hold": {"name": "admin", "kind": "temporary", "reason": "suspiciousUserNoGood", "placed_at": AT, "starts_at": AT, "ends_at": END}}});
    let refused = json!({"seq": 8, "at": AT, "tenant": "acme", "user": "bob", "actor": "gate", "action": "refused", "detail": {"error_id": "e-1", "code": "error.account.temporarilySuspended.suspiciousUserNoGood"}});
    let page = json!({"entries": [refused, placed]}).to_string();
    let api = Answers::new().on("/api/v1/audit", 200, &page).serve();
    let expected = "\
ENTRY  AT                 USER  ACTOR  ACTION       WHAT
8      2030-01-02 03:04Z  bob   gate   refused      error.account.
                                                    temporarilySuspended.
                                                    suspiciousUserNoGood, e-1
7      2030-01-02 03:04Z  bob   ops    hold_placed  admin, temporary,
                                                    suspiciousUserNoGood, until
                                                    2030-01-03T03:04:05Z
Left out, for want of width: TENANT, APPROVER, TICKET, COMMENT; see --json
";
    assert_eq!(at_eighty(&api, "audit list"), expected);
}

#[test]
fn entries_of_several_tenants_say_whose_they_are() {
    let entry = |tenant: &str| json!({"seq": 7, "at": AT, "tenant": tenant, "user": "bob", "actor": "a-very-long-name-of-an-administrator", "action": "session_revoked", "detail": {"session": "1f2e3d4c5b6a7988"}});
    let page = json!({"entries": [entry("acme"), entry("globex")]}).to_string();
    let api = Answers::new().on("/api/v1/audit", 200, &page).serve();
    let block = |tenant: &str| {
        format!(
            "entry:     7
at:        2030-01-02T03:04:05Z
tenant:    {tenant}
user:      bob
actor:     a-very-long-name-of-an-administrator
action:    session_revoked
what:      1f2e3d4c5b6a7988
"
        )
    };
    assert_eq!(
        at_eighty(&api, "audit list"),
        format!("{}\n{}", block("acme"), block("globex"))
    );
}

#[test]
fn the_holds_of_a_user_are_told_whole() {
    let hold = json!({"name": "admin", "kind": "temporary", "access": "none", "reason": "suspiciousUserNoGood", "reason_text": "called in, and said that the phone was stolen on the way home", "actor": "ops", "approver": "ann", "ticket": "SEC-42", "placed_at": AT, "starts_at": AT, "ends_at": END, "source": "api"});
    let user = json!({"id": "bob", "status": "suspended", "holds": [hold]}).to_string();
    let api = Answers::new()
        .on("/api/v1/users/bob", 200, &user)
        .on("/api/v1/users/bob/sessions", 200, "{}")
        .serve();
    let expected = "\
hold:      admin
kind:      temporary
access:    none
reason:    suspiciousUserNoGood
text:      called in, and said that the phone was stolen on the way home
actor:     ops
approver:  ann
ticket:    SEC-42
placed:    2030-01-02T03:04:05Z
from:      2030-01-02T03:04:05Z
until:     2030-01-03T03:04:05Z
source:    api
";
    let printed = at_eighty(&api, "user show bob");
    assert!(printed.ends_with(&format!("\n\n{expected}")), "{printed}");
}

#[test]
fn the_users_say_who_why_by_whom_and_until() {
    let user = json!({"id": "bob", "status": "suspended", "suspension_status": "temporary", "suspension_information": {"reason": "suspiciousUserNoGood", "by": "ops", "until": END}, "email": "bob@acme.test", "updated_at": AT});
    let page = json!({ "users": [user] }).to_string();
    let api = Answers::new().on("/api/v1/users", 200, &page).serve();
    let expected = "\
USER  STATUS     SUSPENSION  REASON                BY   UNTIL
bob   suspended  temporary   suspiciousUserNoGood  ops  2030-01-03 03:04Z
Left out, for want of width: EMAIL, UPDATED; see --json
";
    assert_eq!(at_eighty(&api, "user list"), expected);
}

#[test]
fn the_sessions_say_when_and_from_where() {
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let session = json!({"id": "1f2e3d4c5b6a7988", "alive": true, "cookie": "sid", "login": "bob", "first_seen": AT, "last_seen": AT, "address": "127.0.0.1", "agent": agent});
    let page = json!({"sessions": [session], "total": 1}).to_string();
    let path = "/api/v1/users/bob/sessions";
    let api = Answers::new().on(path, 200, &page).serve();
    let printed = at_eighty(&api, "user sessions bob");
    assert!(
        printed.starts_with("SESSION           ALIVE  LOGIN  LAST SEEN          ADDRESS    AGENT\n1f2e3d4c5b6a7988  yes    bob    2030-01-02 03:04Z  127.0.0.1  Mozilla/5."),
        "{printed}"
    );
}

#[test]
fn the_tokens_say_whose_they_are_and_until_when() {
    let token = json!({"id": "tok_AbCdEfGhIjKl", "role": "support", "tenant": "acme", "user": "ann", "name": "desk of ann", "in_force": true, "created_at": AT, "expires_at": END, "last_used_at": AT});
    let page = json!({ "tokens": [token] }).to_string();
    let path = "/api/v1/tokens?limit=1000";
    let api = Answers::new().on(path, 200, &page).serve();
    let expected = "\
TOKEN             ROLE     TENANT  USER  NAME        STATE     EXPIRES
tok_AbCdEfGhIjKl  support  acme    ann   desk of     in force  2030-01-03 03:04Z
                                         ann
Left out, for want of width: CREATED, LAST USED; see --json
";
    assert_eq!(at_eighty(&api, "token list"), expected);
}
