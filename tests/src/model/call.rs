//! A change as it is asked for over HTTP, and as the model understands it.

use std::time::{Duration, UNIX_EPOCH};

use http::Method;
use serde_json::{Map, Value, json};

use super::caller::{By, Caller};
use super::command::{Change, Deed, Terms, When};
use super::hold::{Kind, Second};
use super::person::{Suspension, Wish};

/// One request of the admin API, so that it can be sent again as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub by: Caller,
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
    pub idempotency_key: Option<String>,
    pub if_match: Option<u64>,
}

/// What the answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A user and a receipt.
    Own,
    /// A profile.
    ReachFive,
}

impl Change {
    pub fn dialect(&self) -> Dialect {
        match &self.deed {
            Deed::Suspend(_)
            | Deed::Restore { .. }
            | Deed::EndSessions
            | Deed::Circularo { .. }
            | Deed::Name(_)
            | Deed::Delete => Dialect::Own,
            Deed::ReachFive { .. } | Deed::ReachFiveUnsuspend => Dialect::ReachFive,
        }
    }

    /// Not every dialect can ask for a rehearsal.
    pub fn is_rehearsal(&self) -> bool {
        let can = match &self.deed {
            Deed::Suspend(_) | Deed::Restore { .. } | Deed::EndSessions | Deed::Delete => true,
            Deed::Circularo { .. }
            | Deed::ReachFive { .. }
            | Deed::ReachFiveUnsuspend
            | Deed::Name(_) => false,
        };
        can && self.dry_run
    }

    /// Whether the answer tells which holds were lifted.
    pub fn tells_holds(&self) -> bool {
        matches!(self.deed, Deed::Restore { .. })
    }

    /// Whether the answer has Circularo's word of success.
    pub fn is_circularo(&self) -> bool {
        match &self.deed {
            Deed::Circularo { .. } | Deed::Name(_) | Deed::Delete => true,
            Deed::Suspend(_)
            | Deed::Restore { .. }
            | Deed::EndSessions
            | Deed::ReachFive { .. }
            | Deed::ReachFiveUnsuspend => false,
        }
    }

    pub fn by(&self) -> By {
        let source = match &self.deed {
            Deed::Suspend(_)
            | Deed::Restore { .. }
            | Deed::EndSessions
            | Deed::Name(_)
            | Deed::Delete => "api",
            Deed::Circularo { .. } => "circularo",
            Deed::ReachFive { .. } | Deed::ReachFiveUnsuspend => "reach_five",
        };
        By::caller(self.by, source)
    }

    /// `called`: how the user is called; `name`: its id.
    pub fn request(&self, called: &str, name: &str, beginning: Second) -> (Method, String, Value) {
        let v1 = format!("/api/v1/users/{called}");
        let v2 = format!("/api/v2/users/{called}");
        let (method, path) = match &self.deed {
            Deed::Suspend(_) => (Method::POST, format!("{v1}/suspend")),
            Deed::Restore { .. } => (Method::POST, format!("{v1}/restore")),
            Deed::EndSessions => (Method::DELETE, format!("{v1}/sessions")),
            Deed::Circularo { .. } | Deed::Name(_) => (Method::PUT, v1),
            Deed::Delete => (Method::DELETE, v1),
            Deed::ReachFive { .. } => (Method::POST, format!("{v2}/suspend")),
            Deed::ReachFiveUnsuspend => (Method::POST, format!("{v2}/unsuspend")),
        };
        let mut body = self.deed.fields(beginning);
        if let Deed::Name(other) = &self.deed {
            body["username"] = json!(other.map(|other| other_name(name, other)));
        }
        if self.is_rehearsal() {
            body["dry_run"] = json!(true);
        }
        (method, path, body)
    }
}

impl Deed {
    pub fn fields(&self, beginning: Second) -> Value {
        match self {
            Self::Suspend(terms) => fields(terms, beginning),
            Self::Restore {
                hold,
                restore_api_keys,
            } => given([
                ("hold", hold.map(Value::from)),
                ("restore_api_keys", restore_api_keys.map(Value::from)),
            ]),
            Self::EndSessions | Self::ReachFiveUnsuspend | Self::Name(_) | Self::Delete => {
                json!({})
            }
            Self::Circularo { suspended } => {
                let status = if *suspended { "suspended" } else { "active" };
                json!({ "status": status })
            }
            Self::ReachFive {
                allow_password_reset,
            } => json!({ "allow_password_reset": allow_password_reset }),
        }
    }

    /// The same in the model's words, with what is meant where nothing is said.
    pub fn wish(&self, beginning: Second, now: Second) -> Wish {
        match self {
            Self::Suspend(terms) => Wish::Suspend(meant(terms, beginning, now)),
            Self::Restore {
                hold,
                restore_api_keys,
            } => Wish::Restore {
                hold: *hold,
                gives_keys_back: restore_api_keys.unwrap_or(true),
                whole: false,
            },
            Self::EndSessions => Wish::EndSessions,
            Self::Name(other) => Wish::Name(*other),
            Self::Delete => Wish::Delete,
            Self::Circularo { suspended: true } => Wish::Suspend(plain(Kind::Permanent)),
            Self::ReachFive {
                allow_password_reset: true,
            } => Wish::Suspend(plain(Kind::Temporary)),
            Self::ReachFive {
                allow_password_reset: false,
            } => Wish::Suspend(plain(Kind::Permanent)),
            Self::Circularo { suspended: false } | Self::ReachFiveUnsuspend => Wish::Restore {
                hold: None,
                gives_keys_back: true,
                whole: true,
            },
        }
    }
}

fn plain(kind: Kind) -> Suspension {
    Suspension {
        hold: "admin",
        kind,
        read_only: false,
        reason: None,
        ticket: None,
        starts: None,
        ends: None,
        stops_keys: true,
        ends_sessions: true,
    }
}

fn meant(terms: &Terms, beginning: Second, now: Second) -> Suspension {
    let starts = terms.starts_at.map(|at| at.from(now, beginning));
    // A start that has passed is now, and a duration is how long the hold lasts.
    let from = starts.unwrap_or(now).max(now);
    Suspension {
        hold: terms.hold.unwrap_or("admin"),
        kind: terms.kind.unwrap_or(Kind::Permanent),
        read_only: terms.read_only,
        reason: terms.reason,
        ticket: terms.ticket,
        starts,
        ends: terms.ends_at.map(|at| at.from(from, beginning)),
        stops_keys: terms.disable_api_keys.unwrap_or(!terms.read_only),
        ends_sessions: terms.revoke_sessions.unwrap_or(!terms.read_only),
    }
}

fn fields(terms: &Terms, beginning: Second) -> Value {
    let when = |at: Option<When>| at.map(|at| Value::from(at.text(beginning)));
    given([
        ("hold", terms.hold.map(Value::from)),
        ("kind", terms.kind.map(|kind| Value::from(kind.word()))),
        ("access", terms.read_only.then(|| "read-only".into())),
        ("reason", terms.reason.map(Value::from)),
        ("ticket", terms.ticket.map(Value::from)),
        ("starts_at", when(terms.starts_at)),
        ("ends_at", when(terms.ends_at)),
        ("disable_api_keys", terms.disable_api_keys.map(Value::from)),
        ("revoke_sessions", terms.revoke_sessions.map(Value::from)),
    ])
}

fn given<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let said = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(said.collect::<Map<_, _>>())
}

impl When {
    fn from(self, start: Second, beginning: Second) -> Second {
        match self {
            Self::In(seconds) => start + seconds,
            Self::At(distance) => beginning.saturating_add_signed(distance),
        }
    }

    fn text(self, beginning: Second) -> String {
        match self {
            Self::In(seconds) => format!("{seconds}s"),
            Self::At(distance) => time(beginning.saturating_add_signed(distance)),
        }
    }
}

/// A name that somebody may have besides the id.
pub fn other_name(name: &str, other: usize) -> String {
    format!("{name}-n{other}")
}

/// As the admin API writes it.
pub fn time(at: Second) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_secs(at)).to_string()
}
