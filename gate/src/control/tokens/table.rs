//! The tokens in memory: found by the hash of a secret or by id, with the moment
//! of their last use, which is too frequent to be written down each time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_core::time::Timestamp;

use crate::control::store::TokenRow;

#[derive(Default)]
pub(super) struct Table {
    by_id: HashMap<String, Known>,
    /// Ids by the hashes of their secrets, the old one of a rotation included.
    ids: HashMap<[u8; 32], String>,
}

pub(super) struct Known {
    pub(super) row: TokenRow,
    /// Milliseconds; 0: never.
    used: AtomicU64,
    /// What of it is written down.
    noted: AtomicU64,
}

impl Known {
    fn new(row: TokenRow) -> Self {
        let used = row.last_used_at.unwrap_or_default().0;
        Self {
            row,
            used: AtomicU64::new(used),
            noted: AtomicU64::new(used),
        }
    }

    pub(super) fn note_use(&self, now: Timestamp) {
        self.used.fetch_max(now.0, Ordering::Relaxed);
    }

    /// The row, with the last use as it is by now.
    pub(super) fn row(&self) -> TokenRow {
        let used = self.used.load(Ordering::Relaxed);
        TokenRow {
            last_used_at: (used > 0).then_some(Timestamp(used)),
            ..self.row.clone()
        }
    }
}

/// Not revoked, and not expired.
pub(super) fn in_force(row: &TokenRow, now: Timestamp) -> bool {
    row.revoked_at.is_none() && row.expires_at.is_none_or(|end| now < end)
}

impl Table {
    /// Takes a token in, or what became of one that is here.
    pub(super) fn put(&mut self, row: TokenRow) {
        let before = self.by_id.remove(&row.id);
        if let Some(before) = &before {
            self.ids.remove(&before.row.hash);
            if let Some(old) = before.row.old {
                self.ids.remove(&old.hash);
            }
        }
        self.ids.insert(row.hash, row.id.clone());
        if let Some(old) = row.old {
            self.ids.insert(old.hash, row.id.clone());
        }
        let id = row.id.clone();
        let known = match before {
            Some(before) => Known { row, ..before },
            None => Known::new(row),
        };
        self.by_id.insert(id, known);
    }

    pub(super) fn revoke(&mut self, id: &str, at: Timestamp) {
        if let Some(known) = self.by_id.get_mut(id) {
            known.row.revoked_at = known.row.revoked_at.or(Some(at));
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<&Known> {
        self.by_id.get(id)
    }

    /// The token in force that a secret of this hash opens.
    pub(super) fn of_secret(&self, hash: &[u8; 32], now: Timestamp) -> Option<&Known> {
        let known = self.by_id.get(self.ids.get(hash)?)?;
        let is_old = known.row.hash != *hash;
        let too_old = known.row.old.is_none_or(|old| old.until <= now);
        (in_force(&known.row, now) && !(is_old && too_old)).then_some(known)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &TokenRow> {
        self.by_id.values().map(|known| &known.row)
    }

    /// The oldest first.
    pub(super) fn list(&self) -> Vec<TokenRow> {
        let mut rows: Vec<TokenRow> = self.by_id.values().map(Known::row).collect();
        rows.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        rows
    }

    /// Last uses that are not written down.
    pub(super) fn used(&self) -> Vec<(String, Timestamp)> {
        let news = self.by_id.iter().filter_map(|(id, known)| {
            let used = known.used.load(Ordering::Relaxed);
            let is_news = used > known.noted.load(Ordering::Relaxed);
            is_news.then(|| (id.clone(), Timestamp(used)))
        });
        news.collect()
    }

    pub(super) fn noted(&self, used: &[(String, Timestamp)]) {
        for (id, at) in used {
            if let Some(known) = self.by_id.get(id) {
                known.noted.fetch_max(at.0, Ordering::Relaxed);
            }
        }
    }
}
