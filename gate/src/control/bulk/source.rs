//! Where the users of a bulk call come from: a list, a filter, or an earlier batch;
//! never more of them in memory than the next chunk has.

use std::sync::Arc;

use portcullis_core::ids::{BatchId, Revision, TenantId, UserKey};
use portcullis_core::plan::Step;

use crate::control::ledger::ReadError;
use crate::control::store::{SqliteStore, UserQuery};

/// A user who is to be changed.
#[derive(Clone, Debug)]
pub struct Target {
    /// As the caller wrote it.
    pub asked: String,
    /// Or why it is no name of a user.
    pub key: Result<UserKey, String>,
    /// What the batch did that is to be undone.
    pub(super) steps: Vec<Step>,
}

impl Target {
    pub fn new(asked: String, key: Result<UserKey, String>) -> Self {
        Self {
            asked,
            key,
            steps: Vec::new(),
        }
    }

    fn found(key: UserKey, steps: Vec<Step>) -> Self {
        Self {
            asked: key.user().to_owned(),
            key: Ok(key),
            steps,
        }
    }
}

pub enum Source {
    List(Box<dyn Iterator<Item = Target> + Send>),
    /// Users as the query finds them; `None`: there are no more.
    Found(Option<UserQuery>),
    /// Whom the batch changed, after that place in the ledger.
    Batch {
        tenant: TenantId,
        batch: BatchId,
        after: Revision,
    },
}

impl Source {
    /// The next users, at most about `limit`; none at the end.
    pub(super) async fn next(
        &mut self,
        store: Arc<SqliteStore>,
        limit: usize,
    ) -> Result<Vec<Target>, ReadError> {
        match self {
            Self::List(list) => Ok(list.by_ref().take(limit).collect()),
            Self::Found(query) => {
                let Some(mut asked) = query.take() else {
                    return Ok(Vec::new());
                };
                asked.limit = limit;
                let (page, asked) = look(move || Ok((store.users(&asked)?, asked))).await?;
                *query = page.next.map(|next| UserQuery {
                    after: Some(next),
                    ..asked
                });
                let users = page.users.into_iter();
                Ok(users
                    .map(|(key, _)| Target::found(key, Vec::new()))
                    .collect())
            }
            Self::Batch {
                tenant,
                batch,
                after,
            } => {
                let (tenant, batch) = (tenant.clone(), batch.clone());
                loop {
                    let (store, tenant, batch) =
                        (Arc::clone(&store), tenant.clone(), batch.clone());
                    let from = *after;
                    let page = look(move || batch_page(&store, &tenant, &batch, from, limit));
                    let Some((last, targets)) = page.await? else {
                        return Ok(Vec::new());
                    };
                    *after = last;
                    if !targets.is_empty() {
                        return Ok(targets);
                    }
                }
            }
        }
    }
}

/// The users of some entries of the batch, each at its last, and the place of the
/// last entry that was looked at; `None` at the end.
fn batch_page(
    store: &SqliteStore,
    tenant: &TenantId,
    batch: &BatchId,
    after: Revision,
    limit: usize,
) -> Result<Option<(Revision, Vec<Target>)>, ReadError> {
    let page = store.batch_users(tenant, batch, after, limit)?;
    let Some((end, _)) = page.last() else {
        return Ok(None);
    };
    let end = *end;
    let users: Vec<UserKey> = page.iter().map(|(_, user)| user.clone()).collect();
    let steps = store.batch_steps(batch, &users)?;
    let targets = page.into_iter().zip(steps);
    let targets = targets.filter(|((seq, _), (last, _))| seq == last);
    let targets = targets.map(|((_, key), (_, steps))| Target::found(key, steps));
    Ok(Some((end, targets.collect())))
}

async fn look<T: Send + 'static>(
    question: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    let answer = tokio::task::spawn_blocking(question).await;
    answer.map_err(|_| ReadError::Closed)?
}
