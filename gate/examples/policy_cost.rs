//! What one refusal by the standard policy costs: a fresh instance each time,
//! called through the thread hand-off as the gate does, one call at a time and
//! several at once. Prints medians in microseconds.
//!
//! `cargo run --release -p portcullis --example policy_cost`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement, not the gate"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::policy::{HostLimits, PolicyHost, Question};
use portcullis_core::policy::{
    Context, Occasion, RefusalInput, Surface, Suspension, SuspensionKind,
};

const WARM_UP: usize = 2_000;
const CALLS: usize = 20_000;

fn main() {
    let host = Arc::new(PolicyHost::new(HostLimits::default()).unwrap());
    let started = Instant::now();
    let policy = host.load_builtin("acme").unwrap();
    println!(
        "load, compile and trial  {:>9.1} ms",
        started.elapsed().as_secs_f64() * 1e3
    );

    let mut direct: Vec<Duration> = Vec::with_capacity(CALLS);
    for call in 0..WARM_UP + CALLS {
        let started = Instant::now();
        host.answer_here(&policy, &Question::Refusal(input()))
            .unwrap();
        if call >= WARM_UP {
            direct.push(started.elapsed());
        }
    }
    report("decision, on this thread", direct);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let handed = runtime.block_on(async {
        let mut handed = Vec::with_capacity(CALLS);
        for call in 0..WARM_UP + CALLS {
            let started = Instant::now();
            host.refusal(&policy, input()).await.unwrap();
            if call >= WARM_UP {
                handed.push(started.elapsed());
            }
        }
        handed
    });
    report("decision, handed over", handed);

    let started = Instant::now();
    runtime.block_on(async {
        for _ in 0..CALLS / 32 {
            let calls = (0..32).map(|_| host.refusal(&policy, input()));
            for answer in futures_util::future::join_all(calls).await {
                answer.unwrap();
            }
        }
    });
    let each = started.elapsed().as_secs_f64() * 1e6 / (CALLS / 32 * 32) as f64;
    println!("a call, 32 at once       {each:>9.1} µs");
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        times[index.min(times.len() - 1)].as_secs_f64() * 1e6
    };
    println!(
        "{name:<25}{:>9.1} µs median, {:.1} µs p99",
        at(0.5),
        at(0.99)
    );
}

fn input() -> RefusalInput {
    RefusalInput {
        context: Context {
            tenant: "acme".to_owned(),
            user_id: "bob".to_owned(),
            now: 1_795_309_200,
            seed: 42,
            locales: vec!["en-GB".to_owned(), "de".to_owned()],
            attributes: Vec::new(),
        },
        suspension: Suspension {
            kind: SuspensionKind::Temporary,
            reason_key: Some("suspiciousUserNoGood".to_owned()),
            reason_text: None,
            since: 1_795_305_600,
            until: None,
            source: "api".to_owned(),
        },
        surface: Surface::Page,
        occasion: Occasion::Request,
    }
}
