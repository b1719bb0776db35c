//! Puts refusals on record, behind the request's back: a refusal waits for no disk.

use std::sync::Arc;

use portcullis_core::ids::{TenantId, UserId};
use portcullis_core::ledger::{Draft, Event};
use portcullis_core::limits;
use portcullis_core::time::Timestamp;
use portcullis_core::user::Source;
use tokio::sync::mpsc;

use super::ledger::{Expect, Ledger};
use crate::live::refusals::Record;

/// What the data wing calls; never blocks. Over the bound a refusal is only in the
/// log, which says so.
pub type Recorder = Box<dyn Fn(Record) + Send + Sync>;

pub fn channel() -> (Recorder, mpsc::Receiver<Record>) {
    let (sender, receiver) = mpsc::channel(limits::REFUSALS_QUEUED_MAX);
    let recorder = move |record: Record| {
        if let Err(error) = sender.try_send(record) {
            let error_id = match error {
                mpsc::error::TrySendError::Full(record)
                | mpsc::error::TrySendError::Closed(record) => record.error_id,
            };
            tracing::warn!(
                error_id,
                "too many refusals at once: this one is not in the ledger"
            );
        }
    };
    (Box::new(recorder), receiver)
}

/// Appends what comes until the data wing is gone.
pub async fn run(
    ledger: Arc<dyn Ledger>,
    mut records: mpsc::Receiver<Record>,
    clock: fn() -> Timestamp,
) {
    while let Some(record) = records.recv().await {
        let draft = Draft {
            at: clock(),
            tenant: TenantId::parse(record.user.tenant()).ok(),
            user: UserId::parse(record.user.user()).ok(),
            actor: "gate".into(),
            token: None,
            source: Source::Gate,
            approver: None,
            ticket: None,
            comment: None,
            batch: None,
            event: Event::Refused {
                error_id: record.error_id.clone(),
                code: record.code,
                policy: record.decided_by,
            },
        };
        if let Err(error) = ledger.append(draft, Expect::Any, None).await {
            tracing::error!(error_id = record.error_id, %error, "a refusal could not be put on record");
        }
    }
}
