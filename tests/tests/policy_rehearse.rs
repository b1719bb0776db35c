//! What a candidate would say is seen before anybody hears it: on what was asked of
//! late, and beside the policy in force. Nobody is kept waiting, and nobody is named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use portcullis_tests::browser::Browser;
use portcullis_tests::client::{Answer, Ask};
use portcullis_tests::gate::{Gate, Plan, tenant};
use portcullis_tests::guests;
use portcullis_tests::origin::Origin;
use portcullis_tests::patience::{LONG, found, within};
use portcullis_tests::program::{self, Ended};
use serde_json::{Value, json};

const POLICY: &str = "/api/v1/tenants/acme/policy";
const REHEARSE: &str = "/api/v1/tenants/acme/policy/rehearse";
const SHADOW: &str = "/api/v1/tenants/acme/policy/shadow";

/// Wall time, and so also what other tests take of the processors.
const PATIENT: &str = "[limits]\ndeadline_ms = 1000\n";

/// A gate that nobody has asked anything yet.
async fn quiet() -> (Gate, Origin) {
    let origin = Origin::start().await;
    let config = tenant("acme", origin.address) + "[tenants.policy]\nfolder = \"policy\"\n";
    let manifest = "module = \"builtin:standard\"\n[settings]\ncontact = \"a@b.test\"\n";
    let plan = Plan::new(&config).with("policy/policy.toml", manifest.to_owned() + PATIENT);
    (plan.start(), origin)
}

/// A gate where bob is suspended for good and carol may come back, and what they ask
/// with.
async fn stage() -> (Gate, Origin, [Browser; 2]) {
    let (gate, origin) = quiet().await;
    let admin = gate.admin().of("acme");
    let mut browsers = Vec::new();
    for (user, kind) in [("bob", "permanent"), ("carol", "temporary")] {
        browsers.push(Browser::signed_in(gate.data, "acme.localhost", user).await);
        admin.suspend(user, &json!({"kind": kind})).await;
    }
    let browsers = browsers.try_into().ok().unwrap();
    (gate, origin, browsers)
}

/// Is refused a page, in such a language.
async fn refused(gate: &Gate, browser: &Browser, language: &str) -> String {
    let ask = browser
        .ask(Method::GET, "/me")
        .header("accept", "text/html")
        .header("accept-language", language);
    let answer = ask.send(gate.data).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    answer.text()
}

/// The settings in force, with another title for one kind of suspension.
async fn other_words(gate: &Gate, kind: &str) -> Value {
    let policy = gate.admin().done(Method::GET, POLICY, None).await;
    let mut settings = policy["settings"].clone();
    settings[format!("texts.en.{kind}.title")] = json!("Closed");
    json!({"settings": settings, "limits": {"deadline_ms": 1000}})
}

/// A candidate that misbehaves, with patience for what else the machine does.
fn patient(behaviour: &str) -> Value {
    let mut candidate = hostile(behaviour);
    candidate["limits"] = json!({"deadline_ms": 1000});
    candidate
}

fn hostile(behaviour: &str) -> Value {
    json!({
        "module": STANDARD.encode(guests::hostile()),
        "settings": {"behave": behaviour},
    })
}

async fn rehearse(gate: &Gate, candidate: &Value) -> Value {
    gate.admin()
        .done(Method::POST, REHEARSE, Some(candidate))
        .await
}

async fn begin(gate: &Gate, lasts: &str, candidate: &Value) -> Answer {
    let path = format!("{SHADOW}?for={lasts}");
    gate.admin().ask(Method::POST, &path, Some(candidate)).await
}

/// Looks at the shadow until it has counted so many, however they came out.
async fn counted(gate: &Gate, count: u64) -> Value {
    found("the decisions counted", async || {
        let view = gate.admin().done(Method::GET, SHADOW, None).await;
        let counts = view["shadow"]["counts"].as_object().unwrap().values();
        let sum: u64 = counts.filter_map(Value::as_u64).sum();
        (sum >= count).then_some(view)
    })
    .await
}

fn counts(view: &Value) -> [u64; 4] {
    let counts = &view["shadow"]["counts"];
    ["same", "different", "failed", "skipped"].map(|key| counts[key].as_u64().unwrap())
}

fn totals(view: &Value) -> [u64; 4] {
    let totals = &view["totals"];
    ["decisions", "same", "different", "failed"].map(|key| totals[key].as_u64().unwrap())
}

async fn metrics(gate: &Gate) -> String {
    let ask = Ask::get("/metrics").host(&gate.admin.to_string());
    ask.send(gate.admin).await.text()
}

#[tokio::test]
async fn other_settings_differ_where_they_should_and_nothing_is_put_in_force() {
    let (gate, _origin, [bob, carol]) = stage().await;
    for language in ["en", "de"] {
        refused(&gate, &bob, language).await;
        refused(&gate, &carol, language).await;
    }
    assert_eq!(bob.clone().api("/me").await.status, 403);
    let before = gate.admin().done(Method::GET, POLICY, None).await;

    let view = rehearse(&gate, &other_words(&gate, "permanent").await).await;
    assert_eq!(
        (&view["asked"], &view["note"]),
        (&json!("record"), &Value::Null)
    );
    // Bob's page and his program's answer in English; carol's words stay.
    assert_eq!(totals(&view), [5, 3, 2, 0], "{view:#}");
    assert_eq!(view["totals"]["times"], 5);
    for decision in view["decisions"].as_array().unwrap() {
        let fields = decision["fields"].as_array().unwrap();
        let [title] = fields.as_slice() else {
            panic!("{decision:#}")
        };
        assert_eq!(title["field"], "title");
        assert_eq!(title["after"], "Closed");
        assert_ne!(title["before"], "Closed");
        assert_eq!(
            (
                &decision["verdict"],
                &decision["question"],
                &decision["suspension"]
            ),
            (&json!("different"), &json!("refusal"), &json!("permanent"))
        );
        assert_eq!(decision["answered"]["digest"], before["digest"]);
        assert_eq!(decision["answered"]["status"], 403);
    }
    let cost = &view["cost"];
    assert!(cost["current"].as_u64().unwrap() > 1000, "{cost}");
    // Two texts more among the settings, and the same rules.
    assert!(
        (0.8..1.5).contains(&cost["ratio"].as_f64().unwrap()),
        "{cost}"
    );
    let again = rehearse(&gate, &other_words(&gate, "permanent").await).await;
    assert_eq!(again, view, "the same rehearsal comes out otherwise");

    let same = rehearse(&gate, &json!({"settings": before["settings"]})).await;
    assert_eq!(totals(&same), [5, 5, 0, 0]);
    assert_eq!(same["cost"]["ratio"], 1.0);
    assert_eq!(gate.admin().done(Method::GET, POLICY, None).await, before);
    let audit = "/api/v1/audit?tenant=acme&action=policy_changed";
    let audit = gate.admin().done(Method::GET, audit, None).await;
    assert_eq!(audit["entries"], json!([]));
    assert!(!gate.plan().folder().join("state/policies/acme").exists());
    assert!(refused(&gate, &bob, "en").await.contains("suspended"));
}

#[tokio::test]
async fn a_candidate_that_fails_is_shown_as_failed_and_the_gate_goes_on() {
    let (gate, _origin, [bob, carol]) = stage().await;
    refused(&gate, &bob, "en").await;
    refused(&gate, &carol, "en").await;
    for (behaviour, fault) in [("trap-for-users", "trap"), ("loop-for-users", "deadline")] {
        let view = rehearse(&gate, &hostile(behaviour)).await;
        assert_eq!(totals(&view), [2, 0, 0, 2], "{view:#}");
        for decision in view["decisions"].as_array().unwrap() {
            assert_eq!(
                (&decision["verdict"], &decision["fault"]["name"]),
                (&json!("failed"), &json!(fault))
            );
            assert!(decision["cost"]["current"].as_u64().is_some());
            assert_eq!(decision["cost"]["candidate"], Value::Null);
        }
        assert!(refused(&gate, &bob, "en").await.contains("suspended"));
    }
    // What would not be put in force is not tried either.
    for (body, status, field) in [
        (json!({"module": "bm90aGluZw=="}), 422, "module"),
        (
            json!({"module": "builtin:standard"}),
            422,
            "settings.contact",
        ),
        (hostile("trap"), 422, "module"),
        (json!({"shadow": "10m"}), 400, "shadow"),
    ] {
        for path in [REHEARSE, SHADOW] {
            let answer = gate.admin().ask(Method::POST, path, Some(&body)).await;
            assert_eq!(answer.status, status, "{}", answer.text());
            assert_eq!(answer.json()["field"], field, "{}", answer.text());
        }
    }
    assert_eq!(metrics(&gate).await.matches("outcome=\"trap\"").count(), 0);
}

#[tokio::test]
async fn nothing_of_a_user_and_no_secret_comes_out_of_a_rehearsal() {
    const SECRETS: [&str; 9] = [
        "walter-7",
        "w7@acme.test",
        "hunter2",
        "tok3n",
        "c00kie",
        "qu3ry",
        "l4ng",
        "p4th",
        "he wrote to us",
    ];
    let (gate, _origin) = quiet().await;
    let admin = gate.admin().of("acme");
    let attributes = json!({"email": "w7@acme.test", "phone": "+4366012345678"});
    admin
        .done(Method::PUT, "/api/v1/users/walter-7", Some(&attributes))
        .await;
    let walter = Browser::signed_in(gate.data, "acme.localhost", "walter-7").await;
    let terms = json!({"reason": "he wrote to us", "ticket": "tok3n-1", "comment": "hunter2"});
    admin.suspend("walter-7", &terms).await;
    let cookies = walter.cookies();
    // In each place where a client can put something.
    let ask = Ask::new(Method::POST, "/p4th?q=qu3ry")
        .host("acme.localhost")
        .cookie(&format!("{cookies}; other=c00kie"))
        .header("accept", "text/html, text/c00kie")
        .header("accept-language", "de-x-l4ng, l4ng, en")
        .header("user-agent", "tok3n")
        .header("referer", "http://acme.localhost/p4th?qu3ry")
        .form(&[("username", "walter-7"), ("password", "hunter2")]);
    let answer = ask.send(gate.data).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    // One that tells all that it is told, in the rehearsal and beside the other.
    assert_eq!(begin(&gate, "1h", &patient("tell-all")).await.status, 200);
    refused(&gate, &walter, "en").await;
    let shadow = counted(&gate, 1).await;
    assert_eq!(counts(&shadow), [0, 1, 0, 0]);
    let view = rehearse(&gate, &patient("tell-all")).await;
    // But for what is left out, it was one question.
    assert_eq!(totals(&view), [1, 0, 1, 0], "{view:#}");
    assert_eq!(view["totals"]["times"], 2);
    let told = format!("{view}{shadow}");
    assert!(told.contains("someone"), "{told}");
    for secret in SECRETS {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
    assert!(
        cookies
            .split(['=', ';'])
            .all(|part| part.len() < 16 || !told.contains(part))
    );

    admin
        .done(Method::DELETE, "/api/v1/users/walter-7", None)
        .await;
    let view = rehearse(&gate, &patient("tell-all")).await;
    let shadow = gate.admin().done(Method::GET, SHADOW, None).await;
    assert_eq!(view["totals"]["decisions"], 1);
    let told = format!("{view}{shadow}");
    for secret in SECRETS {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
}

#[tokio::test]
async fn who_hammers_on_pushes_nobody_elses_decisions_out() {
    let (gate, _origin, [bob, carol]) = stage().await;
    refused(&gate, &carol, "en").await;
    let letters = || 'a'..='z';
    let tags = letters().flat_map(|a| letters().map(move |b| format!("q{a}{b}")));
    for tag in tags.take(300) {
        refused(&gate, &bob, &tag).await;
    }
    let view = rehearse(&gate, &other_words(&gate, "temporary").await).await;
    let [decisions, _, different, failed] = totals(&view);
    assert_eq!(
        (decisions, different, failed),
        (256, 1, 0),
        "{:#}",
        view["totals"]
    );
    assert_eq!(view["decisions"][0]["suspension"], "temporary");
}

#[tokio::test]
async fn where_nothing_is_on_record_that_is_said_and_cases_are_asked() {
    let (gate, _origin, _) = stage().await;
    let mut candidate = other_words(&gate, "permanent").await;
    let view = rehearse(&gate, &candidate).await;
    assert_eq!((&view["asked"], totals(&view)), (&json!("nothing"), [0; 4]));
    assert!(
        view["note"].as_str().unwrap().contains("send cases"),
        "{view}"
    );
    candidate["cases"] = json!({
        "closed.toml": "refusal.suspension = { kind = \"permanent\", since = 0 }\nexpect.title = \"Closed\"\n",
    });
    let view = rehearse(&gate, &candidate).await;
    assert_eq!(
        (&view["asked"], totals(&view)),
        (&json!("cases"), [1, 0, 1, 0])
    );
    assert_eq!(view["decisions"][0]["case"], "closed");
}

#[tokio::test]
async fn a_shadow_counts_what_would_differ_and_ends_by_word_by_time_and_by_swap() {
    let (gate, _origin, [bob, carol]) = stage().await;
    let admin = gate.admin();
    let none = admin.done(Method::GET, SHADOW, None).await;
    assert_eq!(
        (&none["state"], &none["shadow"]),
        (&json!("none"), &Value::Null)
    );
    let candidate = other_words(&gate, "permanent").await;
    let begun = begin(&gate, "1h", &candidate).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    assert_eq!(begun.json()["state"], "running");
    let second = begin(&gate, "1h", &candidate).await;
    assert_eq!(
        (second.status, &second.json()["code"]),
        (409, &json!("shadow_runs"))
    );

    assert!(!refused(&gate, &bob, "en").await.contains("Closed"));
    refused(&gate, &bob, "en-gb").await;
    refused(&gate, &carol, "en").await;
    let view = counted(&gate, 3).await;
    assert_eq!(counts(&view), [1, 2, 0, 0], "{view:#}");
    let examples = view["shadow"]["examples"].as_array().unwrap();
    assert_eq!(examples.len(), 1, "{view:#}");
    assert_eq!(
        (&examples[0]["times"], &examples[0]["suspension"]),
        (&json!(2), &json!("permanent"))
    );
    let told = examples[0]["fields"].to_string();
    assert!(told.contains("\"after\":\"Closed\""), "{told}");
    let text = metrics(&gate).await;
    for line in [
        "outcome=\"same\"} 1",
        "outcome=\"different\"} 2",
        "outcome=\"failed\"} 0",
    ] {
        let line = format!("portcullis_policy_shadow_total{{tenant=\"acme\",{line}");
        assert!(text.contains(&line), "{text}");
    }

    let ended = admin.done(Method::DELETE, SHADOW, None).await;
    assert_eq!(
        (&ended["state"], &ended["shadow"]["ended"]["why"]),
        (&json!("ended"), &json!("stopped"))
    );
    refused(&gate, &bob, "fr").await;
    assert_eq!(
        admin.done(Method::DELETE, SHADOW, None).await,
        ended,
        "it counts on"
    );
    assert!(gate.log().contains("a shadow begins") && gate.log().contains("a shadow has ended"));

    assert_eq!(begin(&gate, "1s", &candidate).await.status, 200);
    let view = ended_by_itself(&gate).await;
    assert_eq!(view["shadow"]["ended"]["why"], "time");
    for bad in ["0s", "25h", "soon"] {
        let answer = begin(&gate, bad, &candidate).await;
        assert_eq!(
            (answer.status, &answer.json()["field"]),
            (400, &json!("for"))
        );
    }

    assert_eq!(begin(&gate, "1h", &candidate).await.status, 200);
    admin.done(Method::PUT, POLICY, Some(&candidate)).await;
    let view = admin.done(Method::GET, SHADOW, None).await;
    assert_eq!(view["shadow"]["ended"]["why"], "swapped");
    assert!(refused(&gate, &bob, "en").await.contains("Closed"));
}

async fn ended_by_itself(gate: &Gate) -> Value {
    found("the end of the shadow", async || {
        let view = gate.admin().done(Method::GET, SHADOW, None).await;
        (view["state"] == "ended").then_some(view)
    })
    .await
}

#[tokio::test]
async fn a_shadow_meets_each_user_as_it_would_and_names_nobody() {
    let (gate, _origin, [bob, carol]) = stage().await;
    assert_eq!(
        begin(&gate, "1h", &patient("trap-for-bob")).await.status,
        200
    );
    refused(&gate, &bob, "en").await;
    refused(&gate, &carol, "en").await;
    let view = counted(&gate, 2).await;
    assert_eq!(counts(&view), [0, 1, 1, 0], "{view:#}");
    let examples = view["shadow"]["examples"].as_array().unwrap();
    let failed = examples
        .iter()
        .find(|one| one["verdict"] == "failed")
        .unwrap();
    assert_eq!(failed["fault"], "trap");
    assert!(!view.to_string().contains("bob"), "{view:#}");
    // Its failures are its own: the policy in force stays.
    let policy = gate.admin().done(Method::GET, POLICY, None).await;
    assert_eq!(policy["generation"], 0);
}

#[tokio::test]
async fn a_shadow_that_loops_keeps_nobody_waiting() {
    let (mut gate, _origin, [bob, _]) = stage().await;
    // A second for each: who waited for one of them would show it.
    let looping = patient("loop-for-users");
    assert_eq!(begin(&gate, "1h", &looping).await.status, 200);
    let tags = ('a'..='z').map(|letter| format!("x{letter}"));
    let asking = async {
        for tag in tags {
            assert!(
                refused(&gate, &bob, &tag)
                    .await
                    .contains("Your account is suspended")
            );
        }
    };
    within(Duration::from_secs(10), "26 refusals", asking).await;
    let view = counted(&gate, 26).await;
    let [same, different, failed, skipped] = counts(&view);
    assert_eq!((same, different), (0, 0), "{view:#}");
    assert!(failed >= 1 && skipped >= 1, "{view:#}");
    let text = metrics(&gate).await;
    let mut calls = text
        .lines()
        .filter(|line| line.starts_with("portcullis_policy_calls_total"));
    assert!(
        calls.all(|line| line.contains("outcome=\"decided\"")),
        "{text}"
    );
    // It holds up no restart either, and does not outlive one.
    within(LONG, "the restart", async { gate.restart() }).await;
    let view = gate.admin().done(Method::GET, SHADOW, None).await;
    assert_eq!(view["state"], "none");
}

/// Runs `portcullis policy WORDS` for acme.
fn run(gate: &Gate, words: &[&str]) -> Ended {
    let url = format!("http://{}", gate.admin);
    let variables = [
        ("PORTCULLIS_ADMIN_URL", url.as_str()),
        ("PORTCULLIS_TOKEN", gate.token.as_str()),
    ];
    let words = [&["policy"], words, &["--tenant", "acme"]].concat();
    program::run(gate.plan().folder(), &words, &variables)
}

fn strict() -> String {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("policies");
    policies.join("strict").to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_folder_is_rehearsed_from_the_command_line() {
    let (gate, _origin, [bob, _]) = stage().await;
    let folder = strict();
    let cases = run(&gate, &["rehearse", &folder]);
    assert_eq!(cases.code, 0, "{}", cases.err);
    let said = "nothing is on record, so the questions of the cases were asked";
    assert!(cases.out.contains(said), "{}", cases.out);

    refused(&gate, &bob, "en").await;
    let told = run(&gate, &["rehearse", &folder]);
    assert_eq!(told.code, 0, "{}", told.err);
    let first = "DIFFERENT  refusal, request, permanent, page, en; asked 1 times, last ";
    assert!(told.out.starts_with(first), "{}", told.out);
    let title = "\n  - title: Your account is suspended\n  + title: This account is closed\n";
    assert!(told.out.contains(title), "{}", told.out);
    let totals = "1 decisions, asked 1 times: 0 same, 1 different, 0 failed, 0 left out\ncost ";
    assert!(told.out.contains(totals), "{}", told.out);

    let json = run(
        &gate,
        &["rehearse", &folder, "--json", "--fail-on-difference"],
    );
    assert_eq!(json.code, 1);
    assert!(
        json.err.contains("1 of 1 decisions differ or fail"),
        "{}",
        json.err
    );
    let view: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(self::totals(&view), [1, 0, 1, 0]);
}

#[tokio::test]
async fn a_shadow_is_begun_looked_at_and_stopped_from_the_command_line() {
    let (gate, _origin, [bob, _]) = stage().await;
    let none = run(&gate, &["shadow"]);
    assert_eq!(none.out, "acme: no shadow ran since the gate started\n");
    let begun = run(&gate, &["rehearse", &strict(), "--shadow", "10m"]);
    let said = "acme: standard 0.1.0 beside generation 0 runs until ";
    assert!(begun.out.starts_with(said), "{}{}", begun.out, begun.err);
    refused(&gate, &bob, "fr").await;
    counted(&gate, 1).await;
    let shown = run(&gate, &["shadow"]);
    let said = "0 same, 1 different, 0 failed, 0 skipped";
    assert!(shown.out.contains(said), "{}{}", shown.out, shown.err);
    let stopped = run(&gate, &["shadow", "--stop"]);
    let said = "(stopped): 0 same, 1 different";
    assert!(stopped.out.contains(said), "{}{}", stopped.out, stopped.err);
}
