//! Another policy without a restart: nobody notices but those whom it concerns, and
//! one that does not work is not put in force, or not for long.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use portcullis::policy::{Bundle, Generations, HostLimits, PolicyHost};
use portcullis_core::policy::{
    Context, Occasion, RefusalInput, Settings, Surface, Suspension, SuspensionKind,
};
use portcullis_tests::browser::Browser;
use portcullis_tests::client::{Answer, Ask};
use portcullis_tests::gate::{Gate, Plan, tenant};
use portcullis_tests::guests;
use portcullis_tests::origin::Origin;
use portcullis_tests::patience::{LONG, eventually, within};
use serde_json::{Value, json};

const POLICY: &str = "/api/v1/tenants/acme/policy";
const ROLLBACK: &str = "/api/v1/tenants/acme/policy/rollback";

/// A gate with a suspended bob, and what he asks with.
async fn stage(more: &str) -> (Gate, Origin, Browser) {
    let origin = Origin::start().await;
    let gate = Plan::new(&(tenant("acme", origin.address) + more)).start();
    let bob = Browser::signed_in(gate.data, "acme.localhost", "bob").await;
    gate.admin().of("acme").suspend("bob", &json!({})).await;
    (gate, origin, bob)
}

fn titled(title: &str) -> Value {
    json!({
        "module": "builtin:standard",
        "settings": {"contact": "a@b.test", "texts": {"en": {"permanent": {
            "title": title, "message": "No entry.",
        }}}},
    })
}

fn hostile(behaviour: &str) -> Value {
    json!({
        "module": STANDARD.encode(guests::hostile()),
        "settings": {"behave": behaviour},
    })
}

async fn put(gate: &Gate, body: &Value) -> Answer {
    gate.admin().ask(Method::PUT, POLICY, Some(body)).await
}

/// What a browser that prefers such a language is shown. Another language is another
/// question to the policy.
async fn page(gate: &Gate, bob: &Browser, language: &str) -> String {
    let ask = Ask::get("/me")
        .host("acme.localhost")
        .cookie(&bob.cookies())
        .header("accept", "text/html")
        .header("accept-language", language);
    let answer = ask.send(gate.data).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    answer.text()
}

/// The steps that the audit knows of, newest first.
async fn steps(gate: &Gate) -> Vec<String> {
    let path = "/api/v1/audit?tenant=acme&action=policy_changed";
    let audit = gate.admin().done(Method::GET, path, None).await;
    let entries = audit["entries"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["detail"]["step"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_next_refusal_is_the_new_policys_and_a_rollback_brings_the_old_one_back() {
    let (mut gate, _origin, bob) = stage("").await;
    let admin = gate.admin();
    let before = admin.done(Method::GET, POLICY, None).await;
    assert_eq!(before["generation"], 0);
    assert!(
        page(&gate, &bob, "en")
            .await
            .contains("Your account is suspended")
    );

    let now = put(&gate, &titled("Closed")).await;
    assert_eq!(now.status, 200, "{}", now.text());
    assert_eq!(now.json()["generation"], 1);
    assert!(page(&gate, &bob, "en").await.contains("<h1>Closed</h1>"));

    gate.restart();
    let kept = gate.admin().done(Method::GET, POLICY, None).await;
    assert_eq!(kept, now.json(), "it does not outlive a restart");
    assert!(page(&gate, &bob, "en").await.contains("<h1>Closed</h1>"));

    let back = gate
        .admin()
        .done(Method::POST, ROLLBACK, Some(&json!({})))
        .await;
    assert_eq!(back, before);
    assert!(
        page(&gate, &bob, "en")
            .await
            .contains("Your account is suspended")
    );
    let none = gate
        .admin()
        .ask(Method::POST, ROLLBACK, Some(&json!({})))
        .await;
    assert_eq!(
        (none.status, &none.json()["code"]),
        (409, &json!("no_earlier_policy"))
    );
    assert_eq!(steps(&gate).await, ["rolled_back", "put"]);

    let refused = "/api/v1/audit?tenant=acme&action=refused";
    let audit = gate.admin().done(Method::GET, refused, None).await;
    assert_eq!(audit["entries"][0]["detail"]["policy"], before["digest"]);
}

/// Who lost the answer sends it again, and must not push out what a rollback leads to.
#[tokio::test]
async fn a_policy_that_is_sent_again_is_in_force_once() {
    let (gate, _origin, bob) = stage("").await;
    let first = put(&gate, &titled("Closed")).await.json();
    for _ in 0..5 {
        assert_eq!(put(&gate, &titled("Closed")).await.json(), first);
    }
    assert_eq!(steps(&gate).await, ["put"]);
    let back = gate
        .admin()
        .done(Method::POST, ROLLBACK, Some(&json!({})))
        .await;
    assert_eq!(back["generation"], 0);
    assert!(
        page(&gate, &bob, "en")
            .await
            .contains("Your account is suspended")
    );
}

#[tokio::test]
async fn what_does_not_pass_is_refused_by_name_and_changes_nothing() {
    let (gate, _origin, bob) = stage("").await;
    let case = "refusal.suspension = { kind = \"permanent\", since = 0 }\nexpect.status = 404\n";
    let mut with_case = titled("Closed");
    with_case["cases"] = json!({"first.toml": case});
    let table = [
        (
            json!({"module": "bm90aGluZw=="}),
            422,
            "module",
            "this is not WebAssembly",
        ),
        (
            json!({"module": "builtin:standard"}),
            422,
            "settings.contact",
            "is missing",
        ),
        (json!({"module": "!"}), 400, "module", "not Base64"),
        (
            json!({"settings": {"a": 1.5}}),
            400,
            "settings.a",
            "fraction",
        ),
        (json!({"colour": "red"}), 400, "colour", "unknown field"),
        (hostile("loop"), 422, "module", "no answer to a refusal"),
        (hostile("bad-header"), 422, "module", "set-cookie"),
        (
            hostile("redirect"),
            422,
            "module",
            "no answer to a reactivation",
        ),
        (
            with_case,
            422,
            "cases",
            "expect.status is 404, the policy answers 403",
        ),
    ];
    for (body, status, field, said) in table {
        let answer = put(&gate, &body).await;
        let problem = answer.json();
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(problem["field"], field, "{}", answer.text());
        assert!(answer.text().contains(said), "{}", answer.text());
    }
    assert_eq!(
        gate.admin().done(Method::GET, POLICY, None).await["generation"],
        0
    );
    assert!(
        page(&gate, &bob, "en")
            .await
            .contains("Your account is suspended")
    );
    assert!(steps(&gate).await.is_empty());
}

fn manifest(title: &str) -> String {
    format!(
        "module = \"builtin:standard\"\n\n[settings]\ncontact = \"a@b.test\"\n\n\
         [settings.texts.en.permanent]\ntitle = \"{title}\"\nmessage = \"No entry.\"\n"
    )
}

/// Waits until the page has such a title.
async fn shows(gate: &Gate, bob: &Browser, title: &str) {
    within(LONG, title, async {
        while !page(gate, bob, "en").await.contains(title) {}
    })
    .await;
}

#[tokio::test]
async fn what_changes_in_a_watched_folder_is_put_in_force_if_it_passes() {
    let origin = Origin::start().await;
    let watched = "[tenants.policy]\nfolder = \"policy\"\nwatch = true\n";
    let config = tenant("acme", origin.address) + watched;
    let plan = Plan::new(&config).with("policy/policy.toml", manifest("First"));
    let mut gate = plan.start();
    let bob = Browser::signed_in(gate.data, "acme.localhost", "bob").await;
    gate.admin().of("acme").suspend("bob", &json!({})).await;
    shows(&gate, &bob, "First").await;
    let write = |gate: &Gate, text: &str| {
        std::fs::write(gate.plan().folder().join("policy/policy.toml"), text).unwrap();
    };
    let seen = |gate: &Gate| {
        gate.plan()
            .folder()
            .join("state/policies/acme/seen")
            .exists()
    };
    eventually("the first look", || seen(&gate)).await;

    // As an editor leaves one behind while a file is open.
    let lock = gate.plan().folder().join("policy/.#policy.toml");
    std::os::unix::fs::symlink("nobody@nowhere.1", lock).unwrap();
    write(&gate, &manifest("Second"));
    shows(&gate, &bob, "Second").await;
    assert_eq!(steps(&gate).await, ["put"]);

    write(
        &gate,
        "module = \"builtin:standard\"\n\n[settings]\ncontact = \"\"\n",
    );
    eventually("the refusal", || gate.log().contains("is not put in force")).await;
    shows(&gate, &bob, "Second").await;

    // What was taken back on purpose stays so while the folder stands as it does.
    write(&gate, &manifest("Third"));
    shows(&gate, &bob, "Third").await;
    gate.admin().done(Method::POST, ROLLBACK, None).await;
    shows(&gate, &bob, "Second").await;
    gate.restart();
    write(&gate, &manifest("Fourth"));
    shows(&gate, &bob, "Fourth").await;
    gate.kill_9();
    write(&gate, &manifest("Fifth"));
    gate.start_again();
    shows(&gate, &bob, "Fifth").await;
    assert_eq!(
        steps(&gate).await,
        ["put", "put", "rolled_back", "put", "put"]
    );
}

/// What a policy says is text, whatever it looks like.
#[tokio::test]
async fn a_script_in_the_words_of_a_policy_is_shown_and_not_run() {
    let (gate, _origin, bob) = stage("").await;
    assert_eq!(put(&gate, &hostile("script-in-words")).await.status, 200);
    let shown = page(&gate, &bob, "en").await;
    assert!(shown.contains("&lt;script&gt;alert(1)"), "{shown}");
    assert!(!shown.contains("<script"), "{shown}");
}

#[tokio::test]
async fn a_policy_that_fails_its_first_users_is_taken_back_by_itself() {
    let (gate, _origin, bob) = stage("[tenants.policy]\non_failure = \"previous\"\n").await;
    let answer = put(&gate, &hostile("trap-for-bob")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Meanwhile bob is told what the policy before it says.
    for language in ["aa", "bb", "cc"] {
        let page = page(&gate, &bob, language).await;
        assert!(page.contains("Your account is suspended"), "{page}");
    }
    within(LONG, "the step on record", async {
        while steps(&gate).await != ["failed", "put"] {}
    })
    .await;
    let shown = gate.admin().done(Method::GET, POLICY, None).await;
    assert_eq!(shown["generation"], 0);
    let metrics = Ask::get("/metrics").host(&gate.admin.to_string());
    let metrics = metrics.send(gate.admin).await.text();
    let failed = "policy_calls_total{tenant=\"acme\",policy=\"hostile\",generation=\"1\",outcome=\"trap\"} 3";
    assert!(metrics.contains(failed), "{metrics}");
}

#[tokio::test]
async fn a_folder_is_pushed_with_its_cases_and_taken_back() {
    let (gate, _origin, bob) = stage("").await;
    let policies = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("policies");
    let strict = policies.join("strict");
    let url = format!("http://{}", gate.admin);
    let variables = [
        ("PORTCULLIS_ADMIN_URL", url.as_str()),
        ("PORTCULLIS_TOKEN", gate.token.as_str()),
    ];
    let run =
        |words: &[&str]| portcullis_tests::program::run(gate.plan().folder(), words, &variables);
    let folder = strict.to_str().unwrap();
    let pushed = run(&["policy", "push", "--tenant", "acme", folder]);
    assert_eq!(pushed.code, 0, "{}", pushed.err);
    assert!(
        pushed
            .out
            .starts_with("acme: generation 1 is in force: standard"),
        "{}",
        pushed.out
    );
    let page = page(&gate, &bob, "en").await;
    assert!(
        page.contains("This account is closed") && page.contains("margin:20vh auto"),
        "{page}"
    );
    let back = run(&["policy", "rollback", "--tenant", "acme"]);
    assert!(
        back.out.starts_with("acme: generation 0 is in force"),
        "{}{}",
        back.out,
        back.err
    );
}

fn question() -> RefusalInput {
    RefusalInput {
        context: Context {
            tenant: "acme".to_owned(),
            user_id: "bob".to_owned(),
            ..Context::default()
        },
        suspension: Suspension {
            kind: SuspensionKind::Permanent,
            reason_key: None,
            reason_text: None,
            since: 0,
            until: None,
            source: "api".to_owned(),
        },
        surface: Surface::Page,
        occasion: Occasion::Request,
    }
}

fn numbered(number: u64) -> Bundle {
    let title = number.to_string();
    let settings = [
        ("contact", "a@b.test"),
        ("texts.en.permanent.title", &title),
        ("texts.en.permanent.message", "No."),
    ];
    let mut bundle = Bundle::built_in("standard").unwrap();
    bundle.settings = Settings::from_iter(settings);
    bundle
}

/// Pages of memory that the process holds.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_swaps_under_load_lose_no_answer_and_no_memory() {
    let limits = HostLimits {
        deadline_ms: 1000,
        // It asks as fast as it can, which is more than a tenant's share.
        guest_ms_per_second: 1000,
        ..HostLimits::default()
    };
    let host = Arc::new(PolicyHost::new(limits).unwrap());
    let load = |number| host.load_for("acme", number, &numbered(number)).unwrap();
    let generations = Arc::new(Generations::new(load(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = (0..4)
        .map(|_| {
            let (host, generations) = (Arc::clone(&host), Arc::clone(&generations));
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut answered = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let policy = Arc::clone(&generations.current().policy);
                    let decision = host.refusal(&policy, question()).await.unwrap();
                    assert_eq!(decision.title, policy.generation().to_string());
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    let mut settled = 0;
    for number in 1..=1000 {
        let policy = load(number);
        let put = Instant::now();
        generations.put(policy);
        let next = Arc::clone(&generations.current().policy);
        slowest = slowest.max(put.elapsed());
        assert_eq!(next.generation(), number);
        if number == 200 {
            settled = resident();
        }
        tokio::task::yield_now().await;
    }
    let grown = resident().saturating_sub(settled) * 4;
    stop.store(true, Ordering::Relaxed);
    let mut answered = 0;
    for asker in askers {
        answered += asker.await.unwrap();
    }
    println!("{answered} answers, slowest swap {slowest:?}, {grown} KiB grown after the first 200");
    assert!(answered > 1000, "{answered}");
    assert!(grown < 32 * 1024, "{grown} KiB");
}
