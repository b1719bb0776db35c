//! The sinks: where the demonstration's mail and text messages land instead of
//! at real people. A [`Mailbox`] is the handle that senders hold, [`router`]
//! the page and the JSON list that show what arrived.

mod mailbox;
mod page;

pub use mailbox::{Channel, MAX_MESSAGES, Mailbox, Message};
pub use page::router;

#[cfg(test)]
mod tests;
