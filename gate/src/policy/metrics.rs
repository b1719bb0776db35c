//! What became of the calls, counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::limits::OUTCOMES_MAX;
use super::threads::Owner;

/// Calls of one policy that ended alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    pub tenant: Owner,
    /// The name that the policy gives itself.
    pub policy: String,
    pub generation: u64,
    /// `decided`, or the name of the fault.
    pub outcome: &'static str,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    pub count: u64,
    /// From asking to the answer, the wait for a thread included.
    pub taken: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Outcomes(Mutex<BTreeMap<Series, Calls>>);

impl Outcomes {
    pub(super) fn count(&self, series: Series, taken: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Old generations go first: nobody looks at them any more.
        while all.len() >= OUTCOMES_MAX && !all.contains_key(&series) {
            let oldest = all.keys().min_by_key(|series| series.generation).cloned();
            let Some(oldest) = oldest else { break };
            all.remove(&oldest);
        }
        let calls = all.entry(series).or_default();
        calls.count += 1;
        calls.taken += taken;
    }

    pub(super) fn all(&self) -> Vec<(Series, Calls)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .map(|(series, calls)| (series.clone(), *calls))
            .collect()
    }
}
