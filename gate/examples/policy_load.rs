//! What it costs to put a policy's module in force: compiled in this process, compiled
//! in a process of its own, and from what was kept. Prints seconds, and the memory of
//! this process afterwards.
//!
//! `cargo run --release -p portcullis --example policy_load -- PORTCULLIS FOLDER…`,
//! where PORTCULLIS is the gate's executable and each FOLDER holds a policy.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement, not the gate"
)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use portcullis::policy::compiler::{Compiler, Program};
use portcullis::policy::{Bundle, HostLimits, PolicyHost};

fn main() {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let gate = arguments.next().unwrap();
    let store = std::env::temp_dir().join(format!("policy-load-{}", std::process::id()));
    std::fs::create_dir(&store).unwrap();
    let apart = || Compiler::apart(Program::at(&gate, &["compile-policy"]), &store);
    println!("{:24} {:12} {:>9} {:>10}", "policy", "", "s", "RSS KiB");
    for folder in arguments {
        measure(&folder, "in a child", apart());
        for _ in 0..3 {
            measure(&folder, "kept", apart());
        }
        // Last, since its memory does not all come back.
        measure(&folder, "in process", Compiler::here());
    }
    std::fs::remove_dir_all(&store).unwrap();
}

/// All that a start does for a module: checks, code, link, trial.
fn measure(folder: &Path, how: &str, compiler: Compiler) {
    let bundle = Bundle::read(folder).unwrap();
    let host = PolicyHost::with_compiler(HostLimits::default(), compiler).unwrap();
    let before = resident();
    let started = Instant::now();
    let policy = host.load(&bundle).unwrap();
    let taken = started.elapsed().as_secs_f64();
    println!(
        "{:24} {how:12} {taken:>9.4} {:>+10}",
        policy.description().name,
        resident() - before
    );
}

fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
