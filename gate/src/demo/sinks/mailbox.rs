//! The messages themselves, in memory and bounded: the newest stay.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Serialize, Serializer};

/// How many messages are kept; beyond it the oldest is dropped.
pub const MAX_MESSAGES: usize = 1_000;

/// How a message would have travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Electronic mail: `to` is an address.
    Email,
    /// A text message: `to` is a phone number.
    Sms,
}

/// One message as its recipient would have got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// How it would have travelled.
    pub channel: Channel,
    /// An email address or a phone number.
    pub to: String,
    /// The sender's address or name.
    pub from: String,
    /// The subject line; text messages have none.
    pub subject: Option<String>,
    /// The words in plain text.
    pub text: String,
    /// The same words as HTML, where the sender made some.
    pub html: Option<String>,
    /// When it was handed over; RFC 3339, UTC, with milliseconds, in JSON.
    #[serde(serialize_with = "write_rfc3339")]
    pub sent_at: SystemTime,
}

impl Message {
    /// An email sent now.
    pub fn email(to: &str, from: &str, subject: &str, text: String, html: Option<String>) -> Self {
        Self {
            channel: Channel::Email,
            to: to.to_owned(),
            from: from.to_owned(),
            subject: Some(subject.to_owned()),
            text,
            html,
            sent_at: SystemTime::now(),
        }
    }

    /// A text message sent now.
    pub fn sms(to: &str, from: &str, text: String) -> Self {
        Self {
            channel: Channel::Sms,
            to: to.to_owned(),
            from: from.to_owned(),
            subject: None,
            text,
            html: None,
            sent_at: SystemTime::now(),
        }
    }
}

fn write_rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

/// A shared handle on the messages; clones see the same ones.
#[derive(Clone, Debug, Default)]
pub struct Mailbox {
    messages: Arc<Mutex<VecDeque<Message>>>,
}

impl Mailbox {
    /// An empty mailbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a message, dropping the oldest where there are [`MAX_MESSAGES`].
    pub fn push(&self, message: Message) {
        let mut messages = self.lock();
        while messages.len() >= MAX_MESSAGES {
            messages.pop_front();
        }
        messages.push_back(message);
    }

    /// All messages kept, newest last.
    pub fn messages(&self) -> Vec<Message> {
        self.lock().iter().cloned().collect()
    }

    /// Forgets all messages.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// A poisoned lock still holds whole messages: nothing here stops halfway.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
