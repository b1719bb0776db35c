//! `portcullis compile-policy`: what a gate starts to have a policy compiled. A module
//! comes in, code goes out. Nobody types it, so no help, completion or page of the
//! manual offers it.

use std::ffi::OsString;

use clap::Parser;

use super::{Failure, Surroundings};
use crate::policy::compiler::{self, Order};

#[derive(Debug, Parser)]
#[command(name = "portcullis compile-policy")]
pub struct CompilePolicy {
    /// The mark of the engine that will run the code
    #[arg(long)]
    engine: String,
    /// The most memory that it may write to
    #[arg(long)]
    memory_bytes: u64,
    /// The most processor time that it may take
    #[arg(long)]
    cpu_seconds: u64,
    /// How much it gives way to others
    #[arg(long)]
    niceness: i32,
}

impl CompilePolicy {
    /// Whether the process was started for this: by its arguments, its name first.
    pub fn asked(arguments: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut arguments = arguments.into_iter().skip(1).peekable();
        let asked = arguments.peek().is_some_and(|word| word == compiler::ASK);
        asked.then(|| Self::parse_from(arguments))
    }

    /// # Errors
    /// Why there is no code, in words for the gate.
    pub fn execute(self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let order = Order {
            engine: self.engine,
            memory_bytes_max: self.memory_bytes,
            cpu_seconds_max: self.cpu_seconds,
        };
        let (input, output) = (&mut surroundings.input, &mut surroundings.out);
        compiler::compile_inside(&order, self.niceness, input, output).map_err(Failure::Failed)
    }
}
