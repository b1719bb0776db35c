//! What a suspension or a restore says, of one user or of many. Only what was
//! asked for is sent: the defaults are the API's.

use clap::Args;
use serde_json::{Map, Value, json};

#[derive(Debug, Args)]
pub(in crate::cli) struct SuspendTerms {
    /// A key such as suspiciousUserNoGood, which the policy has words for, or free text
    #[arg(long, value_name = "KEY_OR_TEXT")]
    reason: Option<String>,
    /// The key that the policy has words for, where --reason is free text
    #[arg(long, value_name = "KEY")]
    reason_key: Option<String>,
    /// The user may come back by a password reset
    #[arg(long, conflicts_with = "permanent")]
    temporary: bool,
    /// Only an administrator may lift it (the default)
    #[arg(long)]
    permanent: bool,
    /// The name of the hold [default: admin]
    #[arg(long, value_name = "NAME")]
    hold: Option<String>,
    /// The user may go on looking (GET, HEAD and OPTIONS), log in and log out; sessions
    /// and API keys are left alive for that
    #[arg(long)]
    read_only: bool,
    /// When it starts: a time (RFC 3339) or a duration from now such as 2h [default: now]
    #[arg(long, value_name = "TIME")]
    starts_at: Option<String>,
    /// When it ends by itself: a time (RFC 3339), or how long it lasts, such as 24h
    #[arg(long, value_name = "TIME")]
    ends_at: Option<String>,
    /// Leave sessions alive for when the user is let back in
    #[arg(long)]
    no_revoke_sessions: bool,
    /// Leave the user's API keys working
    #[arg(long)]
    keep_api_keys: bool,
    #[command(flatten)]
    record: Record,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RestoreTerms {
    /// The hold to lift [default: all that the token may lift]
    #[arg(long, value_name = "NAME")]
    hold: Option<String>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Leave the user's API keys disabled, until a restore gives them back
    #[arg(long)]
    keep_api_keys_disabled: bool,
    #[command(flatten)]
    record: Record,
}

/// What stands in the audit beside every change.
#[derive(Debug, Args)]
pub(in crate::cli) struct Record {
    /// Who approved it
    #[arg(long, value_name = "WHO")]
    approver: Option<String>,
    /// The ticket that it belongs to
    #[arg(long)]
    ticket: Option<String>,
    /// For the audit alone
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

impl Record {
    pub(in crate::cli) fn fields(&self) -> Map<String, Value> {
        given(&[
            ("approver", &self.approver),
            ("ticket", &self.ticket),
            ("comment", &self.comment),
        ])
    }
}

impl SuspendTerms {
    pub(in crate::cli) fn fields(&self) -> Map<String, Value> {
        let mut fields = given(&[
            ("reason", &self.reason),
            ("suspension_reason", &self.reason_key),
            ("hold", &self.hold),
            ("starts_at", &self.starts_at),
            ("ends_at", &self.ends_at),
        ]);
        fields.extend(self.record.fields());
        let flags = [
            (self.temporary, "kind", json!("temporary")),
            (self.permanent, "kind", json!("permanent")),
            (self.read_only, "access", json!("read-only")),
            (self.no_revoke_sessions, "revoke_sessions", json!(false)),
            (self.keep_api_keys, "disable_api_keys", json!(false)),
        ];
        fields.extend(chosen(flags));
        fields
    }
}

impl RestoreTerms {
    pub(in crate::cli) fn fields(&self) -> Map<String, Value> {
        let mut fields = given(&[("hold", &self.hold), ("reason", &self.reason)]);
        fields.extend(self.record.fields());
        let keep = self.keep_api_keys_disabled;
        fields.extend(chosen([(keep, "restore_api_keys", json!(false))]));
        fields
    }
}

/// The fields that were given a text.
pub(in crate::cli) fn given(fields: &[(&str, &Option<String>)]) -> Map<String, Value> {
    let given = fields.iter();
    let given = given.filter_map(|(key, value)| Some((*key, value.as_ref()?)));
    given
        .map(|(key, value)| (key.to_owned(), Value::String(value.clone())))
        .collect()
}

fn chosen<const N: usize>(
    flags: [(bool, &'static str, Value); N],
) -> impl Iterator<Item = (String, Value)> {
    let chosen = flags.into_iter().filter(|(flag, _, _)| *flag);
    chosen.map(|(_, key, value)| (key.to_owned(), value))
}
