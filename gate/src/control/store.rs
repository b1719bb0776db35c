//! The embedded store: the ledger, its fold, sessions and admin tokens in one
//! SQLite file.
//!
//! One thread writes, in groups, and nothing is answered before the group is on
//! disk (WAL, `synchronous=FULL`). Entries, the users that they fold into and the
//! cursor change in one transaction, so a crash at any point needs no repair.
//! Queries read from connections of their own and block: call them from
//! `tokio::task::spawn_blocking`.

mod api_keys;
mod append;
mod audit;
mod batch;
mod columns;
mod fault;
mod folder;
mod fresh;
mod names;
mod people;
mod readers;
mod schema;
mod sealing;
mod secrets;
mod sessions;
mod tenants;
mod tokens;
mod users;
mod vault;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::ledger::{Draft, Entry};
use portcullis_core::user::User;
use rusqlite::Connection;
use tokio::sync::watch;

pub use audit::{AuditPage, AuditQuery};
pub use batch::{Changed, Decision, Each, One, Written};
pub use folder::{LEDGER_FILE, LOCK_FILE, OpenError};
pub use names::Names;
pub use sessions::SessionWrite;
pub use tokens::{OldSecret, Rotation, TokenRow};
pub use users::{UserFilter, UserPage, UserQuery};
pub use vault::Farewell;

use crate::control::ledger::{
    AppendError, Appended, Expect, IdempotencyKey, Ledger, PageReader, ReadError, Tail,
};
use crate::live::forgotten::Pseudonyms;
use append::Refused;
use folder::Claim;
use readers::Readers;
use vault::Vault;
use writer::{Size, Writer};

/// The store of one state folder. Share it as `Arc<SqliteStore>`; dropping the
/// last one waits until all that was handed in is written.
pub struct SqliteStore {
    // Dropped in this order: the folder is given up only when nobody writes.
    writer: Writer,
    readers: Arc<Readers>,
    vault: Arc<Vault>,
    claim: Claim,
}

impl SqliteStore {
    /// Opens or creates the store in `folder`, for this process alone.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let claim = Claim::take(folder)?;
        let path = claim.ledger_path();
        let (connection, vault) = schema::open(&path, claim.is_marked())?;
        let vault = Arc::new(vault);
        claim.mark()?;
        let head = schema::head(&connection, &path)?;
        let readers = Arc::new(Readers::new(path.clone()));
        let writer = Writer::start(connection, Arc::clone(&vault), path, head)?;
        Ok(Self {
            writer,
            readers,
            vault,
            claim,
        })
    }

    /// Whether the store answers at all. Blocks on the disk.
    pub fn readable(&self) -> Result<(), ReadError> {
        self.readers.look(|reader| {
            reader
                .prepare_cached("SELECT value FROM meta LIMIT 1")?
                .exists([])?;
            Ok(())
        })
    }

    /// The folder that the store lives in.
    pub fn folder(&self) -> &Path {
        self.claim.folder()
    }

    /// The file that holds everything (with `-wal` and `-shm` beside it while open).
    pub fn path(&self) -> PathBuf {
        self.claim.ledger_path()
    }

    /// Runs `job` on the writer thread, apart from other jobs, and answers when what
    /// it wrote is durable.
    async fn write<T, F>(&self, job: F) -> Result<T, AppendError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &Vault) -> Result<T, Refused> + Send + 'static,
    {
        self.write_sized(Size::Several, job).await
    }

    async fn write_sized<T, F>(&self, size: Size, job: F) -> Result<T, AppendError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &Vault) -> Result<T, Refused> + Send + 'static,
    {
        let vault = Arc::clone(&self.vault);
        self.writer.run(size, move |tx| job(tx, &vault)).await
    }

    /// How deleted users are called.
    pub fn pseudonyms(&self) -> Pseudonyms {
        self.vault.pseudonyms.clone()
    }

    /// What the deletion at `seq` made the store forget, once. Empty where the store
    /// has been opened since.
    pub fn take_farewell(&self, seq: Revision) -> Farewell {
        self.vault.take_farewell(seq)
    }

    /// The users as these entries left them, where the entries are so new that this is
    /// known without reading.
    pub fn users_after(&self, entries: &[Entry]) -> Option<HashMap<UserKey, User>> {
        self.vault.newest.users_after(entries)
    }

    /// Empties the write-ahead log of what deletions removed, unless that has been
    /// done. `false`: somebody reads; try again.
    pub async fn scrub(&self) -> Result<bool, AppendError> {
        if !self.vault.is_scrub_due() {
            return Ok(true);
        }
        // The writer does it behind each group.
        self.write(|_, _| Ok(())).await?;
        Ok(!self.vault.is_scrub_due())
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.readers.release();
    }
}

impl Ledger for SqliteStore {
    fn append(
        &self,
        draft: Draft,
        expect: Expect,
        idempotency: Option<IdempotencyKey>,
    ) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.write_sized(Size::Entry, move |tx, vault| {
            append::append(tx, vault, draft, expect, idempotency.as_ref())
        }))
    }

    fn read(&self, after: Revision, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        Box::pin(readers::in_background(
            Arc::clone(&self.readers),
            move |reader| audit::entries_after(reader, after, limit),
        ))
    }

    fn last(&self, user: &UserKey) -> BoxFuture<'_, Result<Option<Entry>, ReadError>> {
        let (user, vault) = (user.clone(), Arc::clone(&self.vault));
        Box::pin(readers::in_background(
            Arc::clone(&self.readers),
            move |reader| audit::last_change(reader, &vault, &user),
        ))
    }

    fn head(&self) -> Revision {
        *self.writer.head().borrow()
    }

    fn watch_head(&self) -> watch::Receiver<Revision> {
        self.writer.head().clone()
    }

    fn tail(&self, after: Revision) -> Tail {
        let (readers, vault) = (Arc::clone(&self.readers), Arc::clone(&self.vault));
        let read: PageReader = Arc::new(move |after, limit| {
            if let Some(entries) = vault.newest.entries_after(after, limit) {
                return Box::pin(std::future::ready(Ok(entries)));
            }
            Box::pin(readers::in_background(
                Arc::clone(&readers),
                move |reader| audit::entries_after(reader, after, limit),
            ))
        });
        Tail::new(after, self.watch_head(), read)
    }
}
