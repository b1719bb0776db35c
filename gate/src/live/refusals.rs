//! Refusals that are ready to be sent, so that a suspended user who hammers the
//! gate costs one policy run a minute, one error id and one line of the ledger.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, StatusCode};
use moka::Expiry;
use moka::sync::Cache;
use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::limits;
use portcullis_core::policy::{Link, Surface, Template};
use portcullis_core::refusal::Occasion;
use portcullis_core::time::Timestamp;
use portcullis_core::user::Access;

/// Everything that the answer depends on: a key that leaves something out would
/// show one user another's answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub user: UserKey,
    pub revision: Revision,
    /// The hold that speaks, by its start and end, and what it leaves: holds begin
    /// and end by themselves.
    pub hold: Option<(Timestamp, Option<Timestamp>)>,
    pub access: Access,
    /// SHA-256 of the policy's module; settings are fixed for a generation.
    pub policy: Arc<str>,
    pub generation: u64,
    pub occasion: Occasion,
    pub surface: Surface,
    pub locales: Vec<String>,
}

/// An answer as the policy (or the gate itself, where the policy failed) gave it.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub error_id: String,
    pub key: String,
    /// What the user may still do.
    pub access: Access,
    /// In place of what the reader asked for.
    pub surface: Option<Surface>,
    /// In place of the gate's own layout.
    pub page: Option<Arc<Template>>,
    pub status: StatusCode,
    pub language: String,
    pub title: String,
    pub words: Option<String>,
    pub message: String,
    pub links: Vec<Link>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The policy's digest, or `builtin`.
    pub decided_by: String,
}

/// What the ledger is told of a refusal.
#[derive(Clone, Debug)]
pub struct Record {
    pub user: UserKey,
    pub error_id: String,
    pub code: String,
    pub decided_by: String,
}

/// `None`: neither the policy nor the gate has an answer; the client gets a 503.
type Kept = (Option<Arc<Prepared>>, Duration);

/// What one error id stands for: a user met on an occasion, within a minute, and told
/// by one policy, which the entry names. The reader's language and surface are not part
/// of it, or a suspended user could fill the ledger by asking in a thousand languages.
type Incident = (UserKey, Revision, Occasion, Arc<str>, u64);

pub struct Refusals {
    prepared: Cache<Key, Kept>,
    incidents: Cache<Incident, String>,
    record: Box<dyn Fn(Record) + Send + Sync>,
}

struct KeptFor;

impl Expiry<Key, Kept> for KeptFor {
    fn expire_after_create(&self, _: &Key, kept: &Kept, _: Instant) -> Option<Duration> {
        Some(kept.1)
    }
}

impl Refusals {
    pub(super) fn new(record: Box<dyn Fn(Record) + Send + Sync>) -> Self {
        let prepared = Cache::builder()
            .max_capacity(limits::REFUSAL_CACHE_ENTRIES_MAX)
            .expire_after(KeptFor)
            .build();
        let incidents = Cache::builder()
            .max_capacity(limits::REFUSAL_CACHE_ENTRIES_MAX)
            .time_to_live(limits::REFUSAL_KEPT)
            .build();
        Self {
            prepared,
            incidents,
            record,
        }
    }

    pub fn find(&self, key: &Key) -> Option<Option<Arc<Prepared>>> {
        self.prepared.get(key).map(|(prepared, _)| prepared)
    }

    /// The error id of a refusal: that of its incident, or `fresh` for a new one.
    /// `true`: it is new, and to be put on record.
    pub fn incident(&self, key: &Key, fresh: impl FnOnce() -> String) -> (String, bool) {
        let incident = (
            key.user.clone(),
            key.revision,
            key.occasion,
            Arc::clone(&key.policy),
            key.generation,
        );
        let entry = self.incidents.entry(incident).or_insert_with(fresh);
        let new = entry.is_fresh();
        (entry.into_value(), new)
    }

    /// Keeps an answer; `new` puts it on record. `failed`: the policy gave none, so
    /// that this one is kept for a moment only.
    pub fn keep(&self, key: Key, prepared: Option<Arc<Prepared>>, new: bool, failed: bool) {
        if let Some(prepared) = prepared.as_ref().filter(|_| new) {
            (self.record)(Record {
                user: key.user.clone(),
                error_id: prepared.error_id.clone(),
                code: prepared.key.clone(),
                decided_by: prepared.decided_by.clone(),
            });
        }
        let kept = if failed {
            limits::FAILED_REFUSAL_KEPT
        } else {
            limits::REFUSAL_KEPT
        };
        self.prepared.insert(key, (prepared, kept));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use portcullis_core::ids::{TenantId, UserId};

    use super::*;

    /// The entry of an incident names who decided: another policy is another incident.
    #[test]
    fn an_error_id_stands_for_one_policys_word_in_any_language() {
        let refusals = Refusals::new(Box::new(|_| ()));
        let tenant = TenantId::parse("acme").unwrap();
        let key = Key {
            user: UserKey::new(&tenant, &UserId::parse("bob").unwrap()),
            revision: Revision(3),
            hold: None,
            access: Access::None,
            policy: "a".into(),
            generation: 1,
            occasion: Occasion::Request,
            surface: Surface::Page,
            locales: vec!["en".into()],
        };
        assert_eq!(
            refusals.incident(&key, || "one".into()),
            ("one".into(), true)
        );
        let french = Key {
            locales: vec!["fr".into()],
            surface: Surface::Api,
            ..key.clone()
        };
        assert_eq!(
            refusals.incident(&french, || "two".into()),
            ("one".into(), false)
        );
        let swapped = Key {
            policy: "b".into(),
            generation: 2,
            ..key.clone()
        };
        assert_eq!(
            refusals.incident(&swapped, || "two".into()),
            ("two".into(), true)
        );
        let back = Key {
            generation: 3,
            ..key
        };
        assert!(refusals.incident(&back, || "three".into()).1);
    }
}
