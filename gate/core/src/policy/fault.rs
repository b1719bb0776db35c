//! Why a policy gave no answer that can be used.

use thiserror::Error;

/// Each is the policy's fault or the load's, never the user's, so none of it is
/// shown to the user.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The component no longer fits this gate; loading should have said so.
    #[error("the policy does not fit this gate: {0}")]
    Invalid(String),
    /// The guest stopped itself: a panic, an uncaught exception, a bad access.
    #[error("the policy trapped: {0}")]
    Trap(String),
    #[error("the policy took longer than its {limit_ms} ms and was stopped")]
    Deadline { limit_ms: u64 },
    #[error("the policy wanted more than its {limit_bytes} bytes of memory")]
    Memory { limit_bytes: usize },
    #[error("the policy recursed beyond its stack")]
    StackOverflow,
    #[error("the policy's answer is larger than {limit_bytes} bytes")]
    ResultTooLarge { limit_bytes: usize },
    /// The answer breaks a rule of the contract; `what` names field and rule.
    #[error("the policy's answer cannot be used: {what}")]
    BadOutput { what: String },
    /// The guest answered with its own error.
    #[error("the policy declined: {code}: {message}")]
    Declined { code: String, message: String },
    /// All guest threads are taken and no more calls may wait.
    #[error("too many policy calls are waiting")]
    Busy,
    /// The tenant's calls have taken all the time that it has.
    #[error("the calls of this tenant's policy have taken too much time of late")]
    OverBudget,
}

impl Fault {
    /// All that [`name`](Self::name) can say.
    pub const NAMES: [&'static str; 10] = [
        "invalid",
        "trap",
        "deadline",
        "memory",
        "stack_overflow",
        "result_too_large",
        "bad_output",
        "declined",
        "busy",
        "over_budget",
    ];

    /// A short fixed name, for metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Invalid(_) => "invalid",
            Fault::Trap(_) => "trap",
            Fault::Deadline { .. } => "deadline",
            Fault::Memory { .. } => "memory",
            Fault::StackOverflow => "stack_overflow",
            Fault::ResultTooLarge { .. } => "result_too_large",
            Fault::BadOutput { .. } => "bad_output",
            Fault::Declined { .. } => "declined",
            Fault::Busy => "busy",
            Fault::OverBudget => "over_budget",
        }
    }
}
