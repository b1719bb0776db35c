//! `portcullis compile-policy`: what a gate starts to have a policy compiled. A module
//! comes in, code goes out; nobody types it.

use clap::Args;

use super::{Failure, Surroundings};
use crate::policy::compiler::{self, Order};

#[derive(Debug, Args)]
pub(super) struct CompilePolicy {
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
    #[arg(long, default_value_t = 0)]
    niceness: i32,
}

impl CompilePolicy {
    pub(super) fn execute(self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let order = Order {
            engine: self.engine,
            memory_bytes_max: self.memory_bytes,
            cpu_seconds_max: self.cpu_seconds,
        };
        let (input, output) = (&mut surroundings.input, &mut surroundings.out);
        compiler::compile_inside(&order, self.niceness, input, output).map_err(Failure::Failed)
    }
}
