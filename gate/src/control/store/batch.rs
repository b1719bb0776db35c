//! Many users changed in one go: some hundred of them are read, decided about and
//! written within one job of the writer, each by itself, so that one who can't be
//! changed holds up nobody; and what undoing such a batch needs to know.

use portcullis_core::ids::{BatchId, Revision, TenantId, UserKey};
use portcullis_core::ledger::{Draft, Entry, Event, apply};
use portcullis_core::plan::Step;
use portcullis_core::user::User;
use rusqlite::{Connection, params};

use super::append::{self, Pen, Refused};
use super::columns::Number;
use super::people::Met;
use super::vault::Vault;
use super::writer::Size;
use super::{SqliteStore, audit, people};
use crate::control::ledger::{AppendError, IdempotencyKey, ReadError};

/// A user who is to be changed.
#[derive(Clone, Debug)]
pub struct Each {
    pub key: UserKey,
    pub idempotency: Option<IdempotencyKey>,
}

/// What is to be done about a user; `tag` is what the caller wants to know of it.
#[derive(Debug)]
pub struct Decision<T> {
    pub draft: Option<Draft>,
    pub tag: T,
}

/// What came of it.
#[derive(Debug)]
pub struct Changed<T> {
    /// The user's revision before; 0: never heard of.
    pub before: Revision,
    /// `None`: written by an earlier attempt, so that nothing was decided now.
    pub tag: Option<T>,
    /// `None`: nothing was to be written.
    pub written: Result<Option<Written>, AppendError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub seq: Revision,
    /// By an earlier attempt with the same idempotency key.
    pub repeated: bool,
    /// A hold that was placed has yet to come into force.
    pub waits: bool,
}

/// What came of the change of one user.
#[derive(Debug)]
pub enum One<E> {
    Written {
        entry: Box<Entry>,
        /// As the entry left it, and as it is called from then on.
        key: UserKey,
        user: Box<User>,
    },
    /// By an earlier attempt with the same idempotency key.
    Repeated(Box<Entry>),
    /// Nothing was to be written.
    Nothing(Box<User>),
    Refused(E),
}

impl SqliteStore {
    /// Decides about a user by the state that it is in, and writes what was decided;
    /// durable when this returns. An idempotency key is looked at first: what has
    /// been done once is not decided about again.
    pub async fn change_one<E, F>(
        &self,
        key: &UserKey,
        idempotency: Option<IdempotencyKey>,
        decide: F,
    ) -> Result<One<E>, AppendError>
    where
        E: Send + 'static,
        F: FnOnce(&User) -> Result<Option<Draft>, E> + Send + 'static,
    {
        let key = key.clone();
        self.write_sized(Size::Entry, move |tx, vault| {
            one(tx, vault, &key, idempotency.as_ref(), decide)
        })
        .await
    }

    /// Decides about each user in its turn by the state that it is in, and writes
    /// what was decided. One answer for each, in order; all of them durable when
    /// this returns, or none written at all.
    pub async fn change_each<T, F>(
        &self,
        users: Vec<Each>,
        mut decide: F,
    ) -> Result<Vec<Changed<T>>, AppendError>
    where
        T: Send + 'static,
        F: FnMut(usize, &User) -> Decision<T> + Send + 'static,
    {
        self.write_sized(Size::Lot, move |tx, vault| {
            let all = users.iter().enumerate();
            all.map(|(index, each)| change(tx, vault, each, |user| decide(index, user)))
                .collect()
        })
        .await
    }

    /// What is known of each, as of one moment. Blocks on the disk.
    pub fn users_of(&self, keys: &[UserKey]) -> Result<Vec<Option<User>>, ReadError> {
        self.readers.look(|reader| {
            let all = keys.iter();
            all.map(|key| people::find(reader, &self.vault, key))
                .collect()
        })
    }

    /// Whom the batch changed: a user an entry, in order, after `after`. Blocks on
    /// the disk.
    pub fn batch_users(
        &self,
        tenant: &TenantId,
        batch: &BatchId,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<(Revision, UserKey)>, ReadError> {
        self.readers.look(|reader| {
            let sql = "SELECT e.seq, u.key FROM events e JOIN users u ON u.number = e.user
                       WHERE e.batch = ? AND e.seq > ? AND e.tenant = ?
                       ORDER BY e.seq LIMIT ?";
            let mut some = reader.prepare_cached(sql)?;
            let mut rows = some.query(params![
                batch.as_str(),
                Number(after.0),
                tenant.as_str(),
                Number(limit as u64)
            ])?;
            let mut users = Vec::new();
            while let Some(row) = rows.next()? {
                let seq = Revision(row.get::<_, Number>(0)?.0);
                let key: String = row.get(1)?;
                users.push((seq, people::whole_key(&key)?));
            }
            Ok(users)
        })
    }

    /// What the batch did to each user, and where in the ledger it did so last.
    /// Blocks on the disk.
    pub fn batch_steps(
        &self,
        batch: &BatchId,
        users: &[UserKey],
    ) -> Result<Vec<(Revision, Vec<Step>)>, ReadError> {
        self.readers.look(|reader| {
            let all = users.iter();
            all.map(|user| steps(reader, batch, user)).collect()
        })
    }
}

fn one<E>(
    tx: &Connection,
    vault: &Vault,
    key: &UserKey,
    idempotency: Option<&IdempotencyKey>,
    decide: impl FnOnce(&User) -> Result<Option<Draft>, E>,
) -> Result<One<E>, Refused> {
    if let Some(key) = idempotency
        && let Some(first) = append::appended_before(tx, vault, key)?
    {
        return Ok(One::Repeated(Box::new(first)));
    }
    let met = people::meet(tx, vault, key)?;
    let draft = match decide(&met.user) {
        Ok(Some(draft)) => draft,
        Ok(None) => return Ok(One::Nothing(Box::new(met.user))),
        Err(refused) => return Ok(One::Refused(refused)),
    };
    let text = append::encode(&draft)?;
    let pen = Pen {
        tx,
        vault,
        idempotency,
    };
    let (entry, user) = pen.add(draft, &text, met)?;
    let called = (entry.draft.tenant.as_ref()).zip(entry.draft.user.as_ref());
    let called = called.map(|(tenant, user)| UserKey::new(tenant, user));
    Ok(One::Written {
        key: called.unwrap_or_else(|| key.clone()),
        user: Box::new(user),
        entry: Box::new(entry),
    })
}

fn change<T>(
    tx: &Connection,
    vault: &Vault,
    each: &Each,
    decide: impl FnOnce(&User) -> Decision<T>,
) -> Result<Changed<T>, Refused> {
    let met = people::meet(tx, vault, &each.key)?;
    let mut changed = Changed {
        before: met.user.revision,
        tag: None,
        written: Ok(None),
    };
    if let Some(key) = &each.idempotency {
        match append::appended_before(tx, vault, key) {
            Ok(None) => {}
            Ok(Some(entry)) => {
                changed.written = Ok(Some(Written {
                    seq: entry.seq,
                    repeated: true,
                    waits: false,
                }));
                return Ok(changed);
            }
            Err(Refused::Append(error)) => {
                changed.written = Err(error);
                return Ok(changed);
            }
            Err(fault) => return Err(fault),
        }
    }
    let Decision { draft, tag } = decide(&met.user);
    changed.tag = Some(tag);
    if let Some(draft) = draft {
        let pen = Pen {
            tx,
            vault,
            idempotency: each.idempotency.as_ref(),
        };
        changed.written = match write(&pen, draft, met) {
            Ok(written) => Ok(Some(written)),
            Err(Refused::Append(error)) => Err(error),
            Err(fault) => return Err(fault),
        };
    }
    Ok(changed)
}

fn write(pen: &Pen<'_>, draft: Draft, met: Met) -> Result<Written, Refused> {
    let text = append::encode(&draft)?;
    let (entry, after) = pen.add(draft, &text, met)?;
    Ok(Written {
        seq: entry.seq,
        repeated: false,
        waits: waits(&entry.draft.event, &after),
    })
}

fn waits(event: &Event, after: &User) -> bool {
    let mut placed = event.placed().iter();
    placed.any(|hold| after.hold(&hold.name).is_some_and(|hold| !hold.begun))
}

fn steps(
    reader: &Connection,
    batch: &BatchId,
    user: &UserKey,
) -> Result<(Revision, Vec<Step>), super::fault::Fault> {
    let (mut now, mut last, mut steps) = (User::default(), Revision(0), Vec::new());
    for entry in audit::changes_of(reader, user)? {
        let after = apply(&now, &entry);
        let before = std::mem::replace(&mut now, after);
        if entry.draft.batch.as_ref() == Some(batch) {
            last = entry.seq;
            let after = now.clone();
            steps.push(Step { before, after });
        }
    }
    Ok((last, steps))
}
