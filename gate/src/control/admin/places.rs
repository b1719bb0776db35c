//! Places that there are few of, for calls that take long: bulk calls, their bodies,
//! streams of events. No tenant can take all of them, and no token all of its
//! tenant's: however many are greedy, another finds room.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_core::ids::TenantId;
use portcullis_core::share::may_take;

use crate::control::command::Caller;

/// Of the places that are left, one tenant may have as many again; tokens for all
/// tenants count as one tenant.
const TENANT_PART: usize = 1;
const TOKEN_PART: usize = 2;

pub(super) struct Places {
    most: usize,
    taken: Mutex<Vec<Taker>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Taker {
    tenant: Option<TenantId>,
    token: Option<String>,
}

/// Given back when it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    taker: Taker,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            taken: Mutex::default(),
        })
    }

    /// `None`: the caller has its share, or all are taken.
    pub(super) fn take(self: &Arc<Self>, caller: &Caller) -> Option<Place> {
        let taker = Taker {
            tenant: caller.tenant.clone(),
            token: caller.token.clone(),
        };
        let mut taken = self.lock();
        let free = self.most.saturating_sub(taken.len());
        let of_tenant = taken.iter().filter(|other| other.tenant == taker.tenant);
        let of_token = taken.iter().filter(|other| **other == taker);
        let fits = may_take(of_tenant.count(), free, TENANT_PART)
            && may_take(of_token.count(), free, TOKEN_PART);
        if !fits {
            return None;
        }
        taken.push(taker.clone());
        drop(taken);
        Some(Place {
            places: Arc::clone(self),
            taker,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Taker>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(at) = taken.iter().position(|taker| *taker == self.taker) {
            taken.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn caller(tenant: Option<&str>, token: &str) -> Caller {
        Caller {
            tenant: tenant.map(|tenant| TenantId::parse(tenant).unwrap()),
            token: Some(token.to_owned()),
            ..Caller::gate()
        }
    }

    /// Takes until nothing more is given.
    fn take_all(places: &Arc<Places>, caller: &Caller) -> Vec<Place> {
        std::iter::from_fn(|| places.take(caller)).collect()
    }

    #[test]
    fn whoever_is_greedy_leaves_places_to_others() {
        let places = Places::new(64);
        let mut kept = Vec::new();
        for token in 0..100 {
            kept.extend(take_all(
                &places,
                &caller(Some("globex"), &token.to_string()),
            ));
        }
        assert_eq!(kept.len(), 32, "one tenant, however many tokens");
        let one = take_all(&places, &caller(Some("acme"), "one"));
        assert!(!one.is_empty());
        assert!(places.take(&caller(Some("acme"), "two")).is_some());
        assert!(places.take(&caller(None, "root")).is_some());
    }

    #[test]
    fn a_place_is_given_back() {
        let places = Places::new(1);
        let (ann, bob) = (caller(Some("acme"), "ann"), caller(Some("acme"), "bob"));
        let place = places.take(&ann).unwrap();
        assert!(places.take(&bob).is_none());
        drop(place);
        assert!(places.take(&bob).is_some());
    }
}
