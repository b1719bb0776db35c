//! Many users changed in one go: some hundred of them are read, decided about and
//! written within one job of the writer, each by itself, so that one who can't be
//! changed holds up nobody; and what undoing such a batch needs to know.

use portcullis_core::ids::{BatchId, Revision, TenantId, UserKey};
use portcullis_core::ledger::{Draft, Event, apply};
use portcullis_core::plan::Step;
use portcullis_core::user::User;
use rusqlite::{Connection, params};

use super::append::{self, Refused};
use super::columns::Number;
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

impl SqliteStore {
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
        self.write(move |tx| {
            let all = users.iter().enumerate();
            all.map(|(index, each)| change(tx, each, |user| decide(index, user)))
                .collect()
        })
        .await
    }

    /// What is known of each, as of one moment. Blocks on the disk.
    pub fn users_of(&self, keys: &[UserKey]) -> Result<Vec<Option<User>>, ReadError> {
        self.readers.look(|reader| {
            let all = keys.iter();
            all.map(|key| people::find(reader, key)).collect()
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
            let sql = "SELECT seq, tenant, user FROM events
                       WHERE batch = ? AND seq > ? AND tenant = ? AND user IS NOT NULL
                       ORDER BY seq LIMIT ?";
            let mut some = reader.prepare_cached(sql)?;
            let mut rows = some.query(params![
                batch.as_str(),
                Number(after.0),
                tenant.as_str(),
                Number(limit as u64)
            ])?;
            let mut users = Vec::new();
            while let Some(row) = rows.next()? {
                let (tenant, user): (String, String) = (row.get(1)?, row.get(2)?);
                let seq = Revision(row.get::<_, Number>(0)?.0);
                users.push((seq, people::key(&tenant, &user)?));
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

fn change<T>(
    tx: &Connection,
    each: &Each,
    decide: impl FnOnce(&User) -> Decision<T>,
) -> Result<Changed<T>, Refused> {
    let before = people::find(tx, &each.key)?.unwrap_or_default();
    let mut changed = Changed {
        before: before.revision,
        tag: None,
        written: Ok(None),
    };
    if let Some(key) = &each.idempotency {
        match append::appended_before(tx, key) {
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
    let Decision { draft, tag } = decide(&before);
    changed.tag = Some(tag);
    if let Some(draft) = draft {
        changed.written = match alone(tx, || write(tx, draft, &before, each.idempotency.as_ref())) {
            Ok(written) => Ok(Some(written)),
            Err(Refused::Append(error)) => Err(error),
            Err(fault) => return Err(fault),
        };
    }
    Ok(changed)
}

/// Leaves no trace of what was refused.
fn alone<T>(tx: &Connection, work: impl FnOnce() -> Result<T, Refused>) -> Result<T, Refused> {
    let say = |sql: &str| -> Result<(), Refused> {
        tx.prepare_cached(sql)?.execute([])?;
        Ok(())
    };
    say("SAVEPOINT each")?;
    let outcome = work();
    if let Err(Refused::Append(_)) = &outcome {
        say("ROLLBACK TO each")?;
    }
    if !matches!(outcome, Err(Refused::Fault(_))) {
        say("RELEASE each")?;
    }
    outcome
}

fn write(
    tx: &Connection,
    draft: Draft,
    before: &User,
    idempotency: Option<&IdempotencyKey>,
) -> Result<Written, Refused> {
    let body = append::encode(&draft)?;
    let (entry, after) = append::add(tx, draft, &body, before, idempotency)?;
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
    let sql = "SELECT seq, body FROM events
               WHERE tenant = ? AND user = ? AND action <> 'refused' ORDER BY seq";
    let mut all = reader.prepare_cached(sql)?;
    let mut rows = all.query([user.tenant(), user.user()])?;
    let (mut now, mut last, mut steps) = (User::default(), Revision(0), Vec::new());
    while let Some(row) = rows.next()? {
        let body: String = row.get(1)?;
        let entry = audit::entry(Revision(row.get::<_, Number>(0)?.0), &body)?;
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
