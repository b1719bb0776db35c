//! Following the ledger: every entry once, in order, those to come included.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use portcullis_core::ids::Revision;
use portcullis_core::ledger::Entry;
use tokio::sync::watch;

use super::ReadError;

/// Entries read at once; bounds the memory of a tail that is far behind.
const PAGE_ENTRIES: usize = 256;

/// Reads up to so many entries after a place.
pub type PageReader =
    Arc<dyn Fn(Revision, usize) -> BoxFuture<'static, Result<Vec<Entry>, ReadError>> + Send + Sync>;

/// A reader's place in the ledger.
///
/// It pulls by number and the head only wakes it, so a slow reader costs nobody
/// anything and a wake-up that was missed loses nothing.
pub struct Tail {
    after: Revision,
    head: watch::Receiver<Revision>,
    read: PageReader,
    waiting: VecDeque<Entry>,
}

impl Tail {
    pub fn new(after: Revision, head: watch::Receiver<Revision>, read: PageReader) -> Self {
        Self {
            after,
            head,
            read,
            waiting: VecDeque::new(),
        }
    }

    /// The place of the entry handed out last: where a new tail would go on.
    pub const fn after(&self) -> Revision {
        self.after
    }

    /// The next entry; waits for it at the head. May be dropped and called
    /// again, and after an error it goes on where it was.
    pub async fn next(&mut self) -> Result<Entry, ReadError> {
        loop {
            if let Some(entry) = self.waiting.pop_front() {
                self.pass(&entry)?;
                return Ok(entry);
            }
            self.fetch().await?;
        }
    }

    /// The next entries, one at least: as [`Tail::next`], for who keeps up with
    /// many only by taking them together.
    pub async fn next_page(&mut self) -> Result<Vec<Entry>, ReadError> {
        if self.waiting.is_empty() {
            self.fetch().await?;
        }
        let page: Vec<Entry> = self.waiting.drain(..).collect();
        for entry in &page {
            self.pass(entry)?;
        }
        Ok(page)
    }

    fn pass(&mut self, entry: &Entry) -> Result<(), ReadError> {
        if entry.seq.0 != self.after.0 + 1 {
            self.waiting.clear();
            return Err(ReadError::Gap {
                after: self.after,
                found: entry.seq,
            });
        }
        self.after = entry.seq;
        Ok(())
    }

    async fn fetch(&mut self) -> Result<(), ReadError> {
        let after = self.after;
        let head = *self
            .head
            .wait_for(|head| *head > after)
            .await
            .map_err(|_closed| ReadError::Closed)?;
        let page = (self.read)(after, PAGE_ENTRIES).await?;
        if page.is_empty() {
            return Err(ReadError::Gap { after, found: head });
        }
        self.waiting.extend(page);
        Ok(())
    }
}
