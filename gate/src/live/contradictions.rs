//! Requests that name two users at once: told once a minute for each pair, so that
//! who sends many fills no log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use portcullis_core::ids::UserKey;
use portcullis_core::limits;

#[derive(Default)]
pub struct Contradictions(Mutex<HashMap<(UserKey, UserKey), Instant>>);

impl Contradictions {
    /// Whether this pair, in either order, was not met within the last minute. Past
    /// the bound, pairs that are new are kept to themselves.
    pub fn is_news(&self, one: &UserKey, other: &UserKey) -> bool {
        self.is_news_at(one, other, Instant::now())
    }

    fn is_news_at(&self, one: &UserKey, other: &UserKey, now: Instant) -> bool {
        let is_recent = |told: &Instant| now.duration_since(*told) < limits::CONTRADICTION_KEPT;
        let pair = if one <= other {
            (one.clone(), other.clone())
        } else {
            (other.clone(), one.clone())
        };
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(&pair).is_some_and(is_recent) {
            return false;
        }
        if told.len() >= limits::CONTRADICTIONS_MAX {
            told.retain(|_, told| is_recent(told));
        }
        if told.len() >= limits::CONTRADICTIONS_MAX {
            return false;
        }
        told.insert(pair, now);
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use portcullis_core::ids::{TenantId, UserId};

    use super::*;

    fn user(name: &str) -> UserKey {
        let tenant = TenantId::parse("acme").unwrap();
        UserKey::new(&tenant, &UserId::parse(name).unwrap())
    }

    #[test]
    fn a_pair_is_told_once_a_minute_whatever_its_order() {
        let contradictions = Contradictions::default();
        let now = Instant::now();
        let later = now + limits::CONTRADICTION_KEPT;
        let (alice, bob) = (user("alice"), user("bob"));
        assert!(contradictions.is_news_at(&alice, &bob, now));
        assert!(!contradictions.is_news_at(&bob, &alice, now));
        assert!(contradictions.is_news_at(&alice, &user("carol"), now));
        assert!(contradictions.is_news_at(&bob, &alice, later));
    }

    #[test]
    fn a_flood_of_pairs_is_bounded_and_passes() {
        let contradictions = Contradictions::default();
        let now = Instant::now();
        let alice = user("alice");
        for count in 0..limits::CONTRADICTIONS_MAX {
            assert!(contradictions.is_news_at(&alice, &user(&format!("b{count}")), now));
        }
        assert!(!contradictions.is_news_at(&alice, &user("bob"), now));
        let later = now + limits::CONTRADICTION_KEPT;
        assert!(contradictions.is_news_at(&alice, &user("bob"), later));
    }
}
