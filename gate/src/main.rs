//! The `portcullis` binary: arguments in, exit code out.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use mimalloc::MiMalloc;
use portcullis::cli::{self, CompilePolicy, Failure, Surroundings, Terminal};

/// Under many small, short-lived allocations on several threads it is faster
/// than the system's, and holds its size.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let (mut out, mut err, mut input) = (io::stdout(), io::stderr(), io::stdin().lock());
    let mut surroundings = Surroundings {
        out: &mut out,
        err: &mut err,
        input: &mut input,
        terminal: Terminal::of_process(),
        variable: &|name| std::env::var_os(name),
    };
    let done = match CompilePolicy::asked(std::env::args_os()) {
        Some(order) => order.execute(&mut surroundings),
        None => cli::run(std::env::args_os(), &mut surroundings),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure != Failure::Unheard {
                // Where even this cannot be written, the exit code still says it.
                drop(writeln!(io::stderr(), "{failure}"));
            }
            ExitCode::from(failure.exit_code())
        }
    }
}
