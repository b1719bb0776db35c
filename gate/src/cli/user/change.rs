//! `portcullis user set` and `user delete`.

use clap::{Args, ValueEnum};
use http::Method;
use serde_json::{Map, Value};

use super::terms::given;
use super::{Common, Record, path, tell, with_dry_run};
use crate::cli::client::AdminApi;
use crate::cli::print::visible;
use crate::cli::{Failure, Surroundings, terminal, words};

#[derive(Debug, Args)]
pub(in crate::cli) struct Set {
    /// The user's id, email, phone, username or employee id
    id: String,
    #[arg(long, value_name = "ADDRESS")]
    /// The email address
    email: Option<String>,
    /// The phone number, as digits with their +
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// The name that the user logs in by
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// The number that the employer knows the user by
    #[arg(long, value_name = "ID")]
    employee_id: Option<String>,
    /// The language to speak to the user in, such as de or pt-BR
    #[arg(long, value_name = "TAG")]
    locale: Option<String>,
    #[arg(long, value_name = "HASH")]
    /// An API key that is the user's, as sha256:HEX of it; may be given again, and all
    /// of them are those that are given
    api_key_hash: Vec<String>,
    /// Forget one of them; may be given again
    #[arg(long, value_name = "FIELD")]
    clear: Vec<Field>,
    #[command(flatten)]
    common: Common,
}

/// What can be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Field {
    Email,
    Phone,
    Username,
    EmployeeId,
    Locale,
    ApiKeys,
}

impl Field {
    const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Username => "username",
            Self::EmployeeId => "employee_id",
            Self::Locale => "locale",
            Self::ApiKeys => "api_keys",
        }
    }
}

impl Field {
    /// What sets it.
    fn option(self) -> String {
        match self {
            Self::ApiKeys => "api-key-hash".to_owned(),
            Self::Email | Self::Phone | Self::Username | Self::EmployeeId | Self::Locale => {
                self.name().replace('_', "-")
            }
        }
    }
}

impl Set {
    pub(super) fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let fields = self.fields()?;
        let api = AdminApi::require(surroundings)?;
        let path = path(&self.id, "", &self.common)?;
        let what = format!("set {}", self.id);
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        let names = names.join(", ").replace('_', " ");
        let body = Value::Object(fields);
        let answer = api.call(&what, Method::PUT, &path, Some(&body))?;
        let words = words::attributes(&answer.json, &names);
        tell(&answer, &self.common, &words, surroundings)
    }

    fn fields(&self) -> Result<Map<String, Value>, Failure> {
        let mut fields = given(&[
            ("email", &self.email),
            ("phone", &self.phone),
            ("username", &self.username),
            ("employee_id", &self.employee_id),
            ("locale", &self.locale),
        ]);
        if !self.api_key_hash.is_empty() {
            let hashes = self.api_key_hash.iter().cloned().map(Value::String);
            fields.insert("api_keys".to_owned(), Value::Array(hashes.collect()));
        }
        for field in &self.clear {
            let name = field.name();
            if fields.get(name).is_some_and(|value| !value.is_null()) {
                let (name, option) = (name.replace('_', "-"), field.option());
                return Err(Failure::usage(format!(
                    "--clear {name}: --{option} sets it as well; give one of the two"
                )));
            }
            fields.insert(name.to_owned(), Value::Null);
        }
        if fields.is_empty() {
            return Err(Failure::usage(
                "nothing to change is given; add --email, --phone, --username, --employee-id, --locale, --api-key-hash or --clear FIELD",
            ));
        }
        Ok(fields)
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    /// The user's id, email, phone, username or employee id
    id: String,
    /// Why; it stays on record, so it may not name the user
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    record: Record,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    common: Common,
}

impl Delete {
    pub(super) fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let api = AdminApi::require(surroundings)?;
        let path = path(&self.id, "", &self.common)?;
        let what = format!("delete {}", self.id);
        if !self.yes && !self.dry_run {
            let id = visible(&self.id);
            let question = format!(
                "Deleting is final: {id} is out for good, and what is known of {id} is forgotten.\nType {id} to go on:"
            );
            terminal::confirm(surroundings, &question, &[self.id.as_str()], &what)?;
        }
        let mut fields = given(&[("reason", &self.reason)]);
        fields.extend(self.record.fields());
        let body = with_dry_run(fields, self.dry_run);
        let answer = api.call(&what, Method::DELETE, &path, Some(&body))?;
        let words = words::deletion(&answer.json, &self.id, self.dry_run);
        tell(&answer, &self.common, &words, surroundings)
    }
}
