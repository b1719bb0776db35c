//! What policies cost: a decision (a fresh instance each time) beside a bare wasmtime
//! call of the same component with the same question, compiling, putting one in force,
//! and the memory of an instance. Prints a table in Markdown, and what handing a
//! question over to a guest thread adds.
//!
//! `cargo run --release -p portcullis --example policy_cost [FOLDER…]` measures the
//! standard policy, and then each policy in a folder.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement, not the gate"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::policy::{Bundle, Generations, HostLimits, PolicyHost, Question};
use portcullis_core::policy::{
    Context, Occasion, RefusalInput, Surface, Suspension, SuspensionKind,
};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, Store};

mod contract {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "policy",
        ownership: Borrowing { duplicate_if_necessary: false },
    });
}
use contract::exports::portcullis::policy::{refusal, types};

/// For each figure, at least so long and so often.
const AT_LEAST: Duration = Duration::from_secs(2);
const CALLS: usize = 50;
const SWAPS: usize = 10_000;

fn main() {
    let host = Arc::new(PolicyHost::new(HostLimits::default()).unwrap());
    println!(
        "| policy | module | compile and trial | a decision | a bare call | ratio | put in force | memory an instance |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    measure(&host, "standard", &Bundle::built_in("acme").unwrap());
    for folder in std::env::args_os().skip(1).map(PathBuf::from) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        measure(&host, &name, &Bundle::read(&folder).unwrap());
    }
    println!();
    hand_over(&host);
}

fn measure(host: &PolicyHost, name: &str, bundle: &Bundle) {
    let began = Instant::now();
    let policy = host.load(bundle).unwrap();
    let loading = began.elapsed();
    let bare = Bare::of(&bundle.module);
    let settings: Vec<(&str, &str)> = policy.settings().pairs().collect();
    let question = Question::Refusal(input());
    // In turns, so that what else the machine does falls on both.
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < 2 * AT_LEAST || ours.len() < CALLS {
        for _ in 0..CALLS {
            ours.push(time(|| drop(host.answer_here(&policy, &question).unwrap())));
        }
        for _ in 0..CALLS {
            theirs.push(time(|| bare.decide(&settings)));
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let other = host.load(bundle).unwrap();
    let generations = Generations::new(Arc::clone(&policy));
    let swaps = (0..SWAPS).map(|at| {
        let next = Arc::clone([&other, &policy][at % 2]);
        time(|| {
            let step = generations.put(next);
            // What the next request looks at.
            assert!(Arc::ptr_eq(&generations.current().policy, &step.to));
        })
    });
    let swap = median(swaps.collect());
    println!(
        "| {name} | {:.2} MB | {:.2} s | {:.1} µs | {:.1} µs | {:.2} | {:.2} µs | {} KiB |",
        bundle.module.len() as f64 / 1e6,
        loading.as_secs_f64(),
        micros(ours),
        micros(theirs),
        micros(ours) / micros(theirs),
        micros(swap),
        bare.memory_pages * 64,
    );
}

/// The component as anybody would call it: no deadline, no limits, and nobody looks at
/// the answer.
struct Bare {
    pre: contract::PolicyPre<()>,
    /// Of 64 KiB each, at the beginning.
    memory_pages: u64,
}

impl Bare {
    fn of(module: &[u8]) -> Self {
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::pooling());
        let engine = Engine::new(&config).unwrap();
        let component = Component::new(&engine, module).unwrap();
        let needs = component.resources_required();
        let pre = Linker::new(&engine).instantiate_pre(&component).unwrap();
        Self {
            pre: contract::PolicyPre::new(pre).unwrap(),
            memory_pages: needs
                .and_then(|needs| needs.max_initial_memory_size)
                .unwrap_or(0),
        }
    }

    fn decide(&self, settings: &[(&str, &str)]) {
        let mut store = Store::new(self.pre.engine(), ());
        let instance = self.pre.instantiate(&mut store).unwrap();
        let refusal = instance.portcullis_policy_refusal();
        refusal
            .call_decide(&mut store, request(settings))
            .unwrap()
            .unwrap();
    }
}

fn hand_over(host: &Arc<PolicyHost>) {
    let policy = host.load_builtin("acme").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let handed = runtime.block_on(async {
        let (mut handed, began) = (Vec::new(), Instant::now());
        while began.elapsed() < AT_LEAST {
            let asked = Instant::now();
            host.refusal(&policy, input()).await.unwrap();
            handed.push(asked.elapsed());
        }
        handed
    });
    let calls = 20_000 / 32 * 32;
    let began = Instant::now();
    runtime.block_on(async {
        for _ in 0..calls / 32 {
            let some = (0..32).map(|_| host.refusal(&policy, input()));
            for answer in futures_util::future::join_all(some).await {
                answer.unwrap();
            }
        }
    });
    println!(
        "standard, handed over to a guest thread and back: {:.1} µs; 32 at once, each: {:.1} µs",
        micros(median(handed)),
        micros(began.elapsed()) / calls as f64
    );
}

fn time(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

const LOCALES: [&str; 2] = ["en-GB", "de"];

fn input() -> RefusalInput {
    RefusalInput {
        context: Context {
            tenant: "acme".to_owned(),
            user_id: "bob".to_owned(),
            now: 1_795_309_200,
            seed: 42,
            locales: LOCALES.map(str::to_owned).to_vec(),
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

/// [`input`] in the contract's own types.
fn request<'a>(settings: &'a [(&'a str, &'a str)]) -> refusal::RefusalRequest<'a> {
    refusal::RefusalRequest {
        context: types::Context {
            tenant: "acme",
            user_id: "bob",
            now: 1_795_309_200,
            seed: 42,
            locales: &LOCALES,
            attributes: &[],
            settings,
        },
        suspension: types::Suspension {
            kind: types::SuspensionKind::Temporary,
            reason_key: Some("suspiciousUserNoGood"),
            reason_text: None,
            since: 1_795_305_600,
            until: None,
            source: "api",
        },
        surface: refusal::Surface::Page,
        occasion: refusal::Occasion::Request,
    }
}
