//! Holds in words: those that are in force, those to come, and those that are gone.

use super::*;

const WAITS: &str = r#"{"name":"w","kind":"permanent","starts_at":"2030-01-02T03:04:05.678Z","ends_at":"2030-01-03T03:04:05.678Z","in_force":false}"#;
const RECEIPT: &str = r#""receipt":{"sessions_revoked":0,"connections_cut":0,"api_keys_disabled":0,"notifications_queued":0,"gates":{"total":1,"in_force":0},"in_force_at":null}"#;

fn told(line: &str, answer: &str) -> String {
    let deed = line.split(' ').nth(1).unwrap();
    let api = Answers::new()
        .on(&format!("/api/v1/users/bob/{deed}"), 200, answer)
        .serve();
    let outcome = run_with(&api, line);
    outcome.result.unwrap();
    outcome.out
}

#[test]
fn a_hold_that_begins_later_keeps_nobody_out_yet_and_is_told_so() {
    let answer = format!(
        r#"{{"user":{{"id":"bob","status":"active","holds":[{WAITS}]}},"changed":true,{RECEIPT}}}"#
    );
    assert_eq!(
        told("user suspend bob", &answer),
        "bob is active; hold w begins 2030-01-02T03:04:05Z, ends 2030-01-03T03:04:05Z.\n"
    );
    let dry = told("user suspend bob --dry-run", &answer);
    assert!(
        dry.starts_with("Dry run, nothing was changed: bob is active; hold w would begin 2030"),
        "{dry}"
    );
}

#[test]
fn a_hold_that_waits_is_neither_led_nor_the_reason_to_be_out() {
    let held = |name: &str| {
        format!(
            r#"{{"name":"{name}","kind":"permanent","starts_at":"s-{name}","ends_at":null,"actor":"ops","in_force":true}}"#
        )
    };
    let user = |holds: &str| {
        format!(
            r#"{{"user":{{"id":"bob","status":"suspended","suspension_status":"permanent","suspension_information":{{"status":"permanent","since":"s-fraud","until":null,"by":"ops"}},"holds":[{holds}]}},"holds_lifted":["admin"]}}"#
        )
    };
    let later = "; hold w begins 2030-01-02T03:04:05Z, ends 2030-01-03T03:04:05Z.";
    let (fraud, legal) = (held("fraud"), held("legal"));
    let three = user(&format!("{fraud},{legal},{WAITS}"));
    assert_eq!(
        told("user suspend bob", &three),
        format!("bob is suspended (permanent){later} Hold fraud leads over legal.\n")
    );
    assert_eq!(
        told("user restore bob", &three),
        format!("Hold admin lifted; bob stays suspended by holds fraud, legal{later}\n")
    );
    let one = user(&format!("{fraud},{WAITS}"));
    assert_eq!(
        told("user suspend bob", &one),
        format!("bob is suspended (permanent){later}\n")
    );
    let active = format!(
        r#"{{"user":{{"id":"bob","status":"active","holds":[{WAITS}]}},"holds_lifted":["admin"]}}"#
    );
    assert_eq!(
        told("user restore bob", &active),
        format!("Hold admin lifted; bob is active{later}\n")
    );
}

#[test]
fn a_hold_in_whose_place_another_came_is_told_as_it_was() {
    let user = r#""user":{"id":"bob","status":"suspended","suspension_status":"permanent"}"#;
    let hold = r#"{"name":"admin","kind":"temporary","access":"none","reason":null,"reason_text":"called in","ticket":"T-1","ends_at":"2030-01-02T03:04:05.678Z"}"#;
    let answer = format!(r#"{{{user},"replaced":{hold}}}"#);
    assert_eq!(
        told("user suspend bob", &answer),
        "bob is suspended (permanent). It replaces hold admin (temporary, called in, T-1, until 2030-01-02T03:04:05Z).\n"
    );
    assert!(told("user suspend bob --dry-run", &answer).contains(" It would replace hold admin ("));
}

#[test]
fn a_restore_says_whether_api_keys_are_given_back() {
    for (user, words) in [
        (
            r#""api_keys":[],"api_keys_disabled":true"#,
            " API keys stay disabled.",
        ),
        (
            r#""api_keys":["sha256:1"],"api_keys_disabled":false"#,
            " The API key works.",
        ),
        (
            r#""api_keys":["sha256:1","sha256:2"],"api_keys_disabled":false"#,
            " The API keys work.",
        ),
        (r#""api_keys":[],"api_keys_disabled":false"#, ""),
    ] {
        let answer = format!(
            r#"{{"user":{{"id":"bob","status":"active","holds":[],{user}}},"holds_lifted":["admin"]}}"#
        );
        assert_eq!(
            told("user restore bob", &answer),
            format!("Hold admin lifted; bob is active.{words}\n")
        );
    }
}
