//! The ledger: the only way in which state changes, and the order in which it did.
//!
//! [`Ledger`] is the interface behind which a store stands; the embedded one is
//! [`crate::control::store::SqliteStore`]. What every ledger promises is written
//! down as tests in `ledger/conformance.rs`, and any new one has to pass them.

mod key;
mod tail;

#[cfg(test)]
pub(crate) mod conformance;

use futures_util::future::BoxFuture;
use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::ledger::{Draft, Entry};
use tokio::sync::watch;

pub use key::{IdempotencyKey, KeyError};
pub use tail::{PageReader, Tail};

/// The append-only log of every change.
///
/// Object-safe, so that the rest of the control wing holds an `Arc<dyn Ledger>`
/// and never learns which store it is.
pub trait Ledger: Send + Sync {
    /// Writes `draft` behind everything that was written before. Once this
    /// returns `Ok`, the entry is durable and folded into the user's state.
    ///
    /// An idempotency key is looked at before `expect`: a retry of what has been
    /// written gets the first entry back, whatever has happened since.
    ///
    /// Dropping the future leaves the outcome open: the entry may be written.
    fn append(
        &self,
        draft: Draft,
        expect: Expect,
        idempotency: Option<IdempotencyKey>,
    ) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// Up to `limit` entries after `after`, in order and without gaps. Empty at
    /// the head. Only durable entries are ever seen.
    fn read(&self, after: Revision, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>>;

    /// The entry that changed `user` last: what to look at when an append ended
    /// in [`AppendError::Unknown`] and had no idempotency key to retry with.
    fn last(&self, user: &UserKey) -> BoxFuture<'_, Result<Option<Entry>, ReadError>>;

    /// The place of the newest durable entry.
    fn head(&self) -> Revision;

    /// Follows [`Ledger::head`]. Closes with the ledger.
    fn watch_head(&self) -> watch::Receiver<Revision>;

    /// Every entry after `after`, those to come included.
    fn tail(&self, after: Revision) -> Tail;
}

/// What the caller believes about the user that the entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Append whatever the state is.
    Any,
    /// Append only if the user was last changed at this revision; 0 where
    /// nothing is known of the user, or where the entry names no user.
    At(Revision),
}

/// An entry that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    pub entry: Entry,
    /// Nothing was written now: the same request had been written before, and
    /// `entry` is what it wrote.
    pub repeated: bool,
}

/// Why an entry was not appended, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error(
        "the user has changed meanwhile: its revision is {actual}; read it again and repeat the change"
    )]
    Conflict { actual: Revision },
    #[error("the idempotency key was used before for another request")]
    KeyReused,
    #[error(
        "{alias:?} already names the user {:?} of tenant {:?}",
        .user.user(), .user.tenant()
    )]
    AliasTaken { alias: String, user: UserKey },
    #[error("one of the API keys is the user {:?}'s of tenant {:?}", .user.user(), .user.tenant())]
    ApiKeyTaken { user: UserKey },
    #[error("an entry that changes a user must name its tenant and its user")]
    Nameless,
    #[error("the entry is {bytes} bytes, the limit is {limit}; shorten its texts")]
    TooLarge { bytes: usize, limit: usize },
    #[error("the user is deleted, which is final")]
    UserDeleted,
    #[error("an admin token with this id or secret exists already; make another")]
    TokenTaken,
    /// Of the token of that id, whose secret nobody can be told again.
    #[error(
        "an earlier request with this idempotency key gave the token '{0}' its secret, which was shown that once"
    )]
    SecretShown(String),
    /// Nothing was written. The text says why and what mends it.
    #[error("{0}")]
    Unavailable(String),
    /// It may or may not have been written.
    #[error(
        "it is not known whether the change was written; repeat it with the same idempotency key, or read the user again"
    )]
    Unknown,
}

/// Why entries could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The text says why and what mends it.
    #[error("{0}")]
    Unavailable(String),
    /// Entries are numbered without gaps, so one that is missing is lost.
    #[error(
        "the ledger has a gap: entry {found} follows {after}; stop the gate and restore the store from a copy"
    )]
    Gap { after: Revision, found: Revision },
    #[error("the ledger was closed")]
    Closed,
}
