//! A policy that misbehaves costs its own call, with an outcome that names what
//! it did, and nobody else anything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::policy::{Bundle, HostLimits, LimitsAsked, LoadError, Policy, PolicyHost};
use portcullis_core::policy::{
    Audience, Channel, Context, Fault, NotificationInput, Occasion, ReactivationInput,
    RefusalInput, ResetStep, Settings, Surface, Suspension, SuspensionKind, UserEvent,
};
use portcullis_tests::guests;

fn context() -> Context {
    Context {
        tenant: "acme".to_owned(),
        user_id: "bob".to_owned(),
        ..Context::default()
    }
}

fn suspension() -> Suspension {
    Suspension {
        kind: SuspensionKind::Temporary,
        reason_key: None,
        reason_text: None,
        since: 0,
        until: None,
        source: "api".to_owned(),
    }
}

fn refusal() -> RefusalInput {
    RefusalInput {
        context: context(),
        suspension: suspension(),
        surface: Surface::Page,
        occasion: Occasion::Request,
    }
}

fn reactivation() -> ReactivationInput {
    ReactivationInput {
        context: context(),
        suspension: suspension(),
        step: ResetStep::Issue,
        channel: Channel::Email,
        issued_at: None,
        proofs: Vec::new(),
    }
}

fn notification(audience: Audience) -> NotificationInput {
    NotificationInput {
        context: context(),
        event: UserEvent::Suspended,
        audience,
        suspension: Some(suspension()),
        source: "api".to_owned(),
        channels: vec![Channel::Email],
    }
}

fn hostile(host: &PolicyHost, behaviour: &str) -> Arc<Policy> {
    host.load_module(
        &guests::hostile(),
        Settings::from_iter([("behave", behaviour)]),
    )
    .unwrap()
}

/// A host, and a policy of another tenant that must never notice anything.
fn host() -> (PolicyHost, Arc<Policy>) {
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    let bystander = host.load_builtin("acme").unwrap();
    (host, bystander)
}

/// A deadline that a guest on a busy machine meets all the same, so that another
/// bound than time is what stops it.
fn patient() -> HostLimits {
    HostLimits {
        deadline_ms: 500,
        ..HostLimits::default()
    }
}

#[tokio::test]
async fn each_way_of_misbehaving_has_its_own_outcome_and_costs_only_its_call() {
    let limits = patient();
    let host = PolicyHost::new(limits.clone()).unwrap();
    let bystander = host.load_builtin("acme").unwrap();
    let table = [
        (
            "loop",
            Fault::Deadline {
                limit_ms: limits.deadline_ms,
            },
        ),
        (
            "memory",
            Fault::Memory {
                limit_bytes: limits.memory_bytes_max,
            },
        ),
        ("recurse", Fault::StackOverflow),
        (
            "huge-result",
            Fault::ResultTooLarge {
                limit_bytes: limits.result_bytes_max,
            },
        ),
        (
            "many-links",
            Fault::ResultTooLarge {
                limit_bytes: limits.result_bytes_max,
            },
        ),
        (
            "error",
            Fault::Declined {
                code: "no-idea".to_owned(),
                message: "cannot decide".to_owned(),
            },
        ),
    ];
    for (behaviour, expected) in table {
        let policy = hostile(&host, behaviour);
        let fault = host.refusal(&policy, refusal()).await.unwrap_err();
        assert_eq!(fault, expected, "{behaviour}");
        host.refusal(&bystander, refusal()).await.unwrap();
    }
    let policy = hostile(&host, "trap");
    let fault = host.refusal(&policy, refusal()).await.unwrap_err();
    assert!(
        matches!(&fault, Fault::Trap(cause) if cause.contains("unreachable")),
        "{fault}"
    );
    host.refusal(&bystander, refusal()).await.unwrap();
}

#[tokio::test]
async fn rubbish_in_an_answer_is_named_and_never_sent() {
    let (host, _) = host();
    let table = [
        ("bad-status", "status 200"),
        ("bad-header", "set-cookie"),
        ("split-header", "header link"),
        ("script", "javascript:alert(1)"),
        ("control", "title"),
    ];
    for (behaviour, named) in table {
        let policy = hostile(&host, behaviour);
        let fault = host.refusal(&policy, refusal()).await.unwrap_err();
        assert!(
            matches!(&fault, Fault::BadOutput { what } if what.contains(named)),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn a_reset_can_neither_last_for_ever_nor_lead_elsewhere() {
    let (host, _) = host();
    for (behaviour, named) in [("forever", "lifetime_seconds"), ("redirect", "redirect_to")] {
        let policy = hostile(&host, behaviour);
        let fault = host
            .reactivation(&policy, reactivation())
            .await
            .unwrap_err();
        assert!(
            matches!(&fault, Fault::BadOutput { what } if what.contains(named)),
            "{fault}"
        );
    }
    let policy = hostile(&host, "loop");
    let fault = host
        .reactivation(&policy, reactivation())
        .await
        .unwrap_err();
    assert!(matches!(fault, Fault::Deadline { .. }), "{fault}");
}

#[tokio::test]
async fn a_reset_goes_to_the_user_and_to_nobody_else() {
    let (host, _) = host();
    for (behaviour, named) in [
        ("steal-reset", "to is set"),
        ("inject-mail-header", "subject"),
    ] {
        let policy = hostile(&host, behaviour);
        let asked = notification(Audience::User);
        let fault = host.notification(&policy, asked).await.unwrap_err();
        assert!(
            matches!(&fault, Fault::BadOutput { what } if what.contains(named)),
            "{fault}"
        );
    }
    let policy = hostile(&host, "steal-reset");
    let asked = notification(Audience::Stakeholder);
    let fault = host.notification(&policy, asked).await.unwrap_err();
    assert!(
        matches!(&fault, Fault::BadOutput { what } if what.contains("reset")),
        "{fault}"
    );
}

#[tokio::test]
async fn a_policy_whose_check_of_settings_misbehaves_is_not_put_in_force() {
    let (host, bystander) = host();
    let load = |behaviour: &str| {
        let settings = Settings::from_iter([("behave", behaviour), ("when", "validate")]);
        host.load_module(&guests::hostile(), settings).unwrap_err()
    };
    assert!(matches!(
        load("loop"),
        LoadError::Unchecked(Fault::Deadline { .. })
    ));
    assert!(matches!(load("trap"), LoadError::Unchecked(Fault::Trap(_))));
    assert!(matches!(
        load("memory"),
        LoadError::Unchecked(Fault::Memory { .. })
    ));
    assert!(matches!(
        load("error"),
        LoadError::Unchecked(Fault::Declined { .. })
    ));
    let error = load("problem").to_string();
    assert_eq!(error, "settings: behave: is not to the guest's liking");
    host.refusal(&bystander, refusal()).await.unwrap();
}

/// Looping calls of one policy hold one thread and a part of the queue; the
/// rest is for the others, who wait for nobody.
#[tokio::test]
async fn a_policy_that_loops_leaves_room_for_the_others() {
    let limits = HostLimits {
        queue_per_policy_max: 3,
        ..HostLimits::default()
    };
    let host = Arc::new(PolicyHost::new(limits).unwrap());
    let bystander = host.load_builtin("acme").unwrap();
    let looping = hostile(&host, "loop");
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (host, policy) = (Arc::clone(&host), Arc::clone(&looping));
            tokio::spawn(async move { host.refusal(&policy, refusal()).await })
        })
        .collect();
    tokio::task::yield_now().await;
    for _ in 0..50 {
        host.refusal(&bystander, refusal()).await.unwrap();
    }
    let mut busy = 0;
    for call in calls {
        let fault = call.await.unwrap().unwrap_err();
        if fault == Fault::Busy {
            busy += 1;
        } else {
            assert!(matches!(fault, Fault::Deadline { .. }), "{fault}");
        }
    }
    // One runs and three wait; a slow machine may start another meanwhile.
    assert!((10..=17).contains(&busy), "{busy} were turned away");
}

#[tokio::test]
async fn when_every_thread_loops_the_rest_are_turned_away_and_then_all_recovers() {
    let limits = HostLimits {
        guest_threads: 1,
        queue_max: 1,
        ..patient()
    };
    let host = Arc::new(PolicyHost::new(limits).unwrap());
    let bystander = host.load_builtin("acme").unwrap();
    let looping = hostile(&host, "loop");
    let call = || {
        let (host, policy) = (Arc::clone(&host), Arc::clone(&looping));
        tokio::spawn(async move { host.refusal(&policy, refusal()).await })
    };
    let mut calls = vec![call()];
    // One that is not turned away at once waits behind the first, which runs.
    loop {
        let next = call();
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let waits = !next.is_finished();
        calls.push(next);
        if waits {
            break;
        }
    }
    assert_eq!(host.refusal(&bystander, refusal()).await, Err(Fault::Busy));
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
    host.refusal(&bystander, refusal()).await.unwrap();
}

/// A caller that gives up does not free the place of a guest that still runs.
#[tokio::test]
async fn the_place_is_held_until_the_guest_is_done() {
    let limits = HostLimits {
        guest_threads: 1,
        deadline_ms: 100,
        queue_max: 8,
        ..HostLimits::default()
    };
    let host = PolicyHost::new(limits).unwrap();
    let bystander = host.load_builtin("acme").unwrap();
    let looping = hostile(&host, "loop");
    let started = Instant::now();
    let given_up =
        tokio::time::timeout(Duration::from_millis(10), host.refusal(&looping, refusal())).await;
    assert!(given_up.is_err());
    host.refusal(&bystander, refusal()).await.unwrap();
    assert!(
        started.elapsed() >= Duration::from_millis(95),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_never_started() {
    let limits = HostLimits {
        guest_threads: 1,
        deadline_ms: 50,
        ..HostLimits::default()
    };
    let host = PolicyHost::new(limits).unwrap();
    let bystander = host.load_builtin("acme").unwrap();
    let looping = hostile(&host, "loop");
    let started = Instant::now();
    for _ in 0..20 {
        let patience = Duration::from_millis(1);
        tokio::time::timeout(patience, host.refusal(&looping, refusal()))
            .await
            .unwrap_err();
    }
    host.refusal(&bystander, refusal()).await.unwrap();
    // Twenty deadlines would be a second.
    assert!(
        started.elapsed() < Duration::from_millis(500),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_policy_may_be_given_more_but_not_more_than_there_is() {
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    let bundle = |deadline_ms| Bundle {
        limits: LimitsAsked {
            deadline_ms: Some(deadline_ms),
            ..LimitsAsked::default()
        },
        ..Bundle::new(
            &guests::hostile(),
            Settings::from_iter([("behave", "loop")]),
        )
    };
    let policy = host.load(&bundle(5)).unwrap();
    let fault = host.refusal(&policy, refusal()).await.unwrap_err();
    assert_eq!(fault, Fault::Deadline { limit_ms: 5 });

    let error = host.load(&bundle(60_000)).unwrap_err();
    let expected = "limits: deadline_ms is 60000; give a number from 1 to 1000";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn an_answer_that_is_not_utf8_is_not_read() {
    let (host, _) = host();
    let wasm = guests::patched_bytes(b"text-that-a-test-garbles", &[0xff; 24]);
    let settings = Settings::from_iter([("behave", "not-utf8")]);
    let policy = host.load_module(&wasm, settings).unwrap();
    let fault = host.refusal(&policy, refusal()).await.unwrap_err();
    assert!(
        matches!(&fault, Fault::BadOutput { what } if what.contains("utf-8")),
        "{fault}"
    );
}

/// Whatever a policy says of one user, it has forgotten when it is asked of the next.
#[tokio::test]
async fn a_policy_cannot_answer_one_user_with_what_it_was_told_of_another() {
    let (host, _) = host();
    let policy = hostile(&host, "remember");
    for user in ["alice", "bob", "carol"] {
        let mut input = refusal();
        input.context.user_id = user.to_owned();
        let decision = host.refusal(&policy, input).await.unwrap();
        assert_eq!(decision.message, "", "it remembers somebody");
    }
}

#[test]
fn a_table_beyond_the_bound_is_refused_when_the_policy_is_loaded() {
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    host.load_module(&guests::with_table_of(1000), Settings::default())
        .unwrap();
    let error = host
        .load_module(&guests::with_table_of(10_000_000), Settings::default())
        .unwrap_err();
    assert!(
        matches!(&error, LoadError::Compile { .. }) && error.to_string().contains("10000000"),
        "{error}"
    );
}

/// Calls that stay under their deadline and never end to come cost their tenant its
/// time, and then are turned away without being run.
#[tokio::test]
async fn a_tenant_that_burns_its_time_is_refused_at_once_and_alone() {
    let limits = HostLimits {
        guest_ms_saved_max: 50,
        guest_ms_per_second: 0,
        ..patient()
    };
    let host = PolicyHost::new(limits).unwrap();
    let bystander = host.load_builtin("acme").unwrap();
    let settings = [("behave", "slow"), ("spins", "2000000")];
    let slow = host
        .load_module(&guests::hostile(), Settings::from_iter(settings))
        .unwrap();
    let mut decided = 0;
    loop {
        match host.refusal(&slow, refusal()).await {
            Ok(_) => decided += 1,
            Err(Fault::OverBudget) => break,
            Err(other) => panic!("{other}"),
        }
        assert!(decided < 1000, "it is never turned away");
    }
    assert!(decided > 0);
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(host.refusal(&slow, refusal()).await, Err(Fault::OverBudget));
    }
    assert!(
        started.elapsed() < Duration::from_millis(100),
        "it is not quick"
    );
    host.refusal(&bystander, refusal()).await.unwrap();
    let counted: Vec<_> = host.outcomes();
    let over = counted
        .iter()
        .find(|(series, _)| series.outcome == "over_budget");
    assert_eq!(over.map(|(_, calls)| calls.count), Some(101));
}

/// While three tenants do nothing but loop, a fourth waits for none of them: their
/// calls leave one thread free.
#[test]
fn a_neighbour_of_looping_tenants_hardly_notices() {
    let limits = HostLimits {
        deadline_ms: 1000,
        guest_ms_per_second: 1000,
        guest_ms_saved_max: 600_000,
        ..HostLimits::default()
    };
    let host = Arc::new(PolicyHost::new(limits).unwrap());
    let neighbour = host.load_builtin("acme").unwrap();
    let loops_ended = || {
        let outcomes = host.outcomes();
        let ended = outcomes
            .iter()
            .filter(|(series, _)| series.outcome == "deadline");
        ended.map(|(_, calls)| calls.count).sum::<u64>()
    };
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    let quiet = runtime();
    let measure = || {
        let mut times = Vec::new();
        for _ in 0..500 {
            let started = Instant::now();
            quiet.block_on(host.refusal(&neighbour, refusal())).unwrap();
            times.push(started.elapsed());
        }
        times.sort_unstable();
        (times[250], times[495])
    };
    measure();
    let calm = measure();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let attacked = std::thread::scope(|scope| {
        for _ in 0..3 {
            let looping = hostile(&host, "loop");
            let (host, stop) = (&host, &stop);
            scope.spawn(move || {
                let runtime = runtime();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let calls = (0..2).map(|_| host.refusal(&looping, refusal()));
                    let answers = runtime.block_on(futures_util::future::join_all(calls));
                    // Who was turned away comes again at the pace of a network.
                    if answers
                        .iter()
                        .all(|answer| answer == &Err(Fault::OverBudget))
                    {
                        std::thread::park_timeout(Duration::from_millis(1));
                    }
                }
            });
        }
        // Until all three have shown what they are.
        while loops_ended() < 3 {
            std::thread::yield_now();
        }
        let before = loops_ended();
        let attacked = measure();
        let waited_for = loops_ended() - before;
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        // Had it waited for them, there would be one for every call or two.
        assert!(waited_for < 100, "{waited_for} loops ended meanwhile");
        attacked
    });
    println!("median and p99: {calm:?} calm, {attacked:?} in the attack");
}
