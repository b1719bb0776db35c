//! What the body of a bulk call says.

use axum::body::Bytes;
use portcullis_core::limits;
use portcullis_core::user::{Access, Kind};
use schemars::JsonSchema;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::super::ask::internal;
use super::super::body::{self, Form};
use super::super::problem::Problem;
use super::super::schema::{
    AccessWord, BatchText, False, FilterText, HoldNameText, KindWord, Moment, ReasonKeyText,
    UserText, Words,
};
use super::super::suspension::{RestoreFields, SuspendFields};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Suspend,
    Restore,
}

impl Action {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Restore => "restore",
        }
    }
}

/// The fields of the call itself, and those of the action.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct BulkFields {
    pub(super) action: Action,
    /// Not what a retry has to say again: it may be longer then.
    #[serde(skip_serializing)]
    /// Who is meant; or else `filter` says so.
    #[schemars(with = "Option<Vec<UserText>>", length(min = 1, max = 1_000_000))]
    pub(super) users: Option<Names>,
    #[schemars(with = "Option<FilterText>")]
    pub(super) filter: Option<String>,
    /// The id of the batch, of the caller's own choice; several calls may share one.
    #[schemars(with = "Option<BatchText>")]
    pub(super) batch: Option<String>,
    pub(super) dry_run: Option<bool>,
    #[schemars(with = "Option<HoldNameText>")]
    hold: Option<String>,
    #[schemars(with = "Option<Words>")]
    reason: Option<String>,
    #[schemars(with = "Option<Words>")]
    approver: Option<String>,
    #[schemars(with = "Option<Words>")]
    ticket: Option<String>,
    #[schemars(with = "Option<Words>")]
    comment: Option<String>,
    // Of suspensions alone.
    #[schemars(with = "Option<ReasonKeyText>")]
    suspension_reason: Option<String>,
    #[schemars(with = "Option<KindWord>")]
    kind: Option<Kind>,
    allow_password_reset: Option<bool>,
    #[schemars(with = "Option<AccessWord>")]
    access: Option<Access>,
    revoke_sessions: Option<bool>,
    disable_api_keys: Option<bool>,
    #[schemars(with = "Option<Moment>")]
    starts_at: Option<String>,
    #[schemars(with = "Option<Moment>")]
    ends_at: Option<String>,
    #[schemars(with = "Option<False>")]
    notify: Option<bool>,
    // Of restores alone.
    restore_api_keys: Option<bool>,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct UndoFields {
    /// The id of the batch, of the caller's own choice; several calls may share one.
    #[schemars(with = "Option<BatchText>")]
    pub(super) batch: Option<String>,
    #[schemars(with = "Option<Words>")]
    pub(super) approver: Option<String>,
    #[schemars(with = "Option<Words>")]
    pub(super) ticket: Option<String>,
    #[schemars(with = "Option<Words>")]
    pub(super) comment: Option<String>,
    pub(super) dry_run: Option<bool>,
}

impl BulkFields {
    pub(super) fn suspend(self) -> Result<SuspendFields, Problem> {
        not_here(
            "suspend",
            &[("restore_api_keys", self.restore_api_keys.is_some())],
        )?;
        Ok(SuspendFields {
            reason: self.reason,
            suspension_reason: self.suspension_reason,
            kind: self.kind,
            allow_password_reset: self.allow_password_reset,
            access: self.access,
            revoke_sessions: self.revoke_sessions,
            disable_api_keys: self.disable_api_keys,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            hold: self.hold,
            approver: self.approver,
            ticket: self.ticket,
            comment: self.comment,
            notify: self.notify,
            dry_run: self.dry_run,
        })
    }

    pub(super) fn restore(self) -> Result<RestoreFields, Problem> {
        let foreign = [
            ("suspension_reason", self.suspension_reason.is_some()),
            ("kind", self.kind.is_some()),
            ("allow_password_reset", self.allow_password_reset.is_some()),
            ("access", self.access.is_some()),
            ("revoke_sessions", self.revoke_sessions.is_some()),
            ("disable_api_keys", self.disable_api_keys.is_some()),
            ("starts_at", self.starts_at.is_some()),
            ("ends_at", self.ends_at.is_some()),
            ("notify", self.notify.is_some()),
        ];
        not_here("restore", &foreign)?;
        Ok(RestoreFields {
            hold: self.hold,
            reason: self.reason,
            approver: self.approver,
            ticket: self.ticket,
            comment: self.comment,
            restore_api_keys: self.restore_api_keys,
            dry_run: self.dry_run,
        })
    }
}

fn not_here(action: &str, fields: &[(&str, bool)]) -> Result<(), Problem> {
    let found = fields.iter().find(|(_, given)| *given);
    found.map_or(Ok(()), |(field, _)| {
        let what = format!("`{field}` is no field of the action {action}");
        Err(Problem::bad("unknown_field", what)
            .of(*field)
            .mend("leave it out"))
    })
}

/// Users as they are called; bounded.
#[derive(Debug)]
pub(super) struct Names(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Names;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of user ids")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element::<String>()? {
                    if names.len() == limits::BULK_USERS_MAX {
                        return Err(A::Error::custom(too_many()));
                    }
                    names.push(name);
                }
                if names.is_empty() {
                    return Err(A::Error::custom(
                        "the list is empty; name one user at least",
                    ));
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_seq(List)
    }
}

fn too_many() -> String {
    let limit = limits::BULK_USERS_MAX;
    format!("more than {limit} users; send the rest in further calls with the same `batch`")
}

/// Reads the body, off the threads that serve requests: it may be large.
pub(super) async fn read(form: Form, bytes: Bytes) -> Result<BulkFields, Problem> {
    let read = tokio::task::spawn_blocking(move || match form {
        Form::Json => body::parse(&bytes),
        Form::Lines => read_lines(&bytes),
    });
    read.await.map_err(|_| internal())?
}

/// The first line is the object; each further one is a user's id as a JSON text.
/// All of them are read before anything is done, so that a broken file changes nobody.
fn read_lines(bytes: &[u8]) -> Result<BulkFields, Problem> {
    let mut lines = bytes
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty());
    let first = lines.next().map(|(_, line)| line).unwrap_or_default();
    let mut fields: BulkFields = body::parse(first)?;
    let mut names = Vec::new();
    for (at, line) in lines {
        let name = serde_json::from_slice(line).map_err(|_| {
            let what = format!("line {} is no text in double quotes", at + 1);
            Problem::bad("malformed_json", what)
                .of("users")
                .mend("after the first line, write one user's id a line, like \"bob\"")
        })?;
        if names.len() == limits::BULK_USERS_MAX {
            return Err(Problem::field("users", too_many()));
        }
        names.push(name);
    }
    if !names.is_empty() {
        if fields.users.is_some() {
            return Err(Problem::field("users", "the users are listed twice")
                .mend("list them in the first line, or in lines of their own"));
        }
        fields.users = Some(Names(names));
    }
    Ok(fields)
}
