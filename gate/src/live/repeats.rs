//! Log lines that a flood would repeat: told once a minute, with how many were kept
//! back since the last.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use portcullis_core::limits;

#[derive(Default)]
pub struct Repeats(Mutex<HashMap<String, Told>>);

struct Told {
    at: Instant,
    kept_back: u64,
}

impl Repeats {
    /// `Some`: the line about `what` is due, and so many were kept back. Past the
    /// bound, all that is new counts as one thing.
    pub fn due(&self, what: String) -> Option<u64> {
        self.due_at(what, Instant::now())
    }

    fn due_at(&self, mut what: String, now: Instant) -> Option<u64> {
        let is_recent = |told: &Told| now.duration_since(told.at) < limits::LINE_KEPT_BACK;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&what) && all.len() >= limits::LINES_KEPT_BACK_MAX {
            all.retain(|_, told| is_recent(told));
            if all.len() >= limits::LINES_KEPT_BACK_MAX {
                what = String::new();
            }
        }
        let fresh = Told {
            at: now,
            kept_back: 0,
        };
        let Some(told) = all.get_mut(&what) else {
            all.insert(what, fresh);
            return Some(0);
        };
        if is_recent(told) {
            told.kept_back += 1;
            return None;
        }
        Some(std::mem::replace(told, fresh).kept_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_once_a_minute_and_says_how_many_were_not() {
        let repeats = Repeats::default();
        let now = Instant::now();
        let later = now + limits::LINE_KEPT_BACK;
        let due = |what: &str, at| repeats.due_at(what.to_owned(), at);
        assert_eq!(due("a", now), Some(0));
        assert_eq!(due("a", now), None);
        assert_eq!(due("a", now), None);
        assert_eq!(due("b", now), Some(0), "another line");
        assert_eq!(due("a", later), Some(2));
        assert_eq!(due("a", later), None);
    }

    #[test]
    fn a_flood_of_different_lines_is_bounded_and_still_heard_of() {
        let repeats = Repeats::default();
        let now = Instant::now();
        for count in 0..limits::LINES_KEPT_BACK_MAX {
            assert_eq!(repeats.due_at(count.to_string(), now), Some(0));
        }
        assert_eq!(repeats.due_at("one more".into(), now), Some(0));
        assert_eq!(repeats.due_at("and another".into(), now), None);
        let later = now + limits::LINE_KEPT_BACK;
        assert_eq!(repeats.due_at("one more".into(), later), Some(0));
    }
}
