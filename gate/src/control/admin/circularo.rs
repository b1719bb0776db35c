//! `PUT /api/v1/users/{id}`: Circularo's status, and the user's attributes.

use portcullis_core::ids::{ApiKeyHash, UserId, UserKey};
use portcullis_core::limits;
use portcullis_core::names::NameRule;
use portcullis_core::user::{Profile, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::access::Call;
use super::ask::{Answer, Ask};
use super::problem::Problem;
use super::schema::{ApiKeyText, EmailText, LocaleText, NameText, PhoneText};
use super::scope::Scope;
use super::view::Outcome;
use crate::control::command::{Caller, CommandError, Done, Note, Restore, Suspend, Terms};
use crate::control::ledger::AppendError;

const LOCALE_BYTES_MAX: usize = 35;

/// Absent: leave it. `null`: clear it.
type Change = Option<Option<String>>;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UserFields", extend("minProperties" = 1))]
pub(super) struct Fields {
    /// Circularo's: `suspended` places the hold `admin`, `active` lifts every hold.
    #[serde(default, deserialize_with = "said")]
    #[schemars(with = "NewStatus")]
    status: Option<NewStatus>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<EmailText>")]
    email: Change,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<PhoneText>")]
    phone: Change,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<NameText>")]
    username: Change,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<NameText>")]
    employee_id: Change,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<LocaleText>")]
    locale: Change,
    /// All that the user is to have, by the hash of each; `null`: none.
    #[serde(default, deserialize_with = "given_keys")]
    #[schemars(with = "Option<Vec<ApiKeyText>>", length(max = 32))]
    api_keys: Option<Option<Vec<String>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum NewStatus {
    Suspended,
    Active,
}

/// `null` is no status.
fn said<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<NewStatus>, D::Error> {
    NewStatus::deserialize(reader).map(Some)
}

fn given<'de, D: Deserializer<'de>>(reader: D) -> Result<Change, D::Error> {
    Option::<String>::deserialize(reader).map(Some)
}

fn given_keys<'de, D: Deserializer<'de>>(
    reader: D,
) -> Result<Option<Option<Vec<String>>>, D::Error> {
    Option::<Vec<String>>::deserialize(reader).map(Some)
}

pub(super) async fn put(ask: Ask, fields: Fields) -> Result<Answer<Outcome>, Problem> {
    let scope = ask.scope()?;
    let key = ask.resolve(&scope, "id", &ask.id)?;
    let status = fields.status;
    let edit = Edit::of(fields, scope.names)?;
    if edit.is_some() {
        ask.demand(Call::EditUser)?;
    }
    if let Some(keys) = edit.as_ref().and_then(|edit| edit.api_keys.as_ref()) {
        leave_configured(&ask, &scope, &key, keys)?;
    }
    let commander = &ask.api.state.commander;
    let (by, terms) = (caller(&ask.caller, status), ask.terms(false)?);
    let done = match (edit, status) {
        (None, None) => {
            return Err(
                Problem::bad("nothing_to_change", "the body changes nothing")
                    .mend("give `status`, or one of email, phone, username, employee_id, locale, api_keys"),
            );
        }
        (Some(edit), None) => {
            let given = edit.names();
            let change = move |profile: &Profile| edit.apply(profile);
            let done = commander.change_profile(&by, &key, change, terms).await;
            done.map_err(|error| told(error, &given))?
        }
        (None, Some(status)) => set_status(&ask, &by, &key, status, terms).await?,
        (Some(edit), Some(status)) => {
            // What would stop the second change stops both.
            let trial = Terms {
                dry_run: true,
                ..terms.clone()
            };
            set_status(&ask, &by, &key, status, trial).await?;
            let given = edit.names();
            let change = move |profile: &Profile| edit.apply(profile);
            let first = commander.change_profile(&by, &key, change, terms).await;
            let first = first.map_err(|error| told(error, &given))?;
            let terms = ask.further_terms()?;
            let mut done = set_status(&ask, &by, &key, status, terms).await?;
            done.unchanged &= first.unchanged;
            done
        }
    };
    let mut outcome = Outcome::of(&ask.api.state, &done);
    outcome.status = Some("SUCCESS");
    Ok(Answer::ok(&outcome)?.at(done.user.revision))
}

/// The configuration says whose a key is as well: with two words on one key, it would
/// be refused when either user is out.
fn leave_configured(
    ask: &Ask,
    scope: &Scope,
    user: &UserKey,
    keys: &[ApiKeyHash],
) -> Result<(), Problem> {
    let live = &ask.api.state.live;
    let tenants = live.tenants();
    let Some(tenant) = tenants.of_id(scope.tenant.as_str()) else {
        return Ok(());
    };
    let configured = tenant.config.api_keys.iter();
    let configured =
        configured.flat_map(|source| keys.iter().filter_map(|key| source.users.get(key)));
    for owner in configured {
        let owner = live.resolve(UserKey::new(&scope.tenant, owner));
        if owner != *user {
            let what = format!(
                "the configuration gives one of the API keys to the user {:?}",
                owner.user()
            );
            return Err(Problem::conflict("api_key_taken", what)
                .of("api_keys")
                .mend("take it out of the tenant's api_keys in the configuration first"));
        }
    }
    Ok(())
}

/// Names that the call gives, and the fields that they are in.
type Given = Vec<(&'static str, String)>;

/// A name that is taken is told with its field.
fn told(error: CommandError, given: &Given) -> Problem {
    let taken = if let CommandError::Append(AppendError::AliasTaken { alias, .. }) = &error {
        given.iter().find(|(_, name)| name == alias)
    } else {
        None
    };
    let field = taken.map(|(field, _)| *field);
    let problem = Problem::from(error);
    match field {
        Some(field) => problem.of(field),
        None => problem,
    }
}

/// The status is Circularo's word; attributes are our own.
fn caller(caller: &Caller, status: Option<NewStatus>) -> Caller {
    let source = status.map_or(caller.source, |_| Source::Circularo);
    Caller {
        source,
        ..caller.clone()
    }
}

async fn set_status(
    ask: &Ask,
    by: &Caller,
    key: &UserKey,
    status: NewStatus,
    terms: Terms,
) -> Result<Done, CommandError> {
    let commander = &ask.api.state.commander;
    let note = Note::default();
    match status {
        NewStatus::Suspended => {
            let wanted = Suspend::default();
            commander.suspend(by, key, &wanted, &note, terms).await
        }
        // Active means active: no hold may stay.
        NewStatus::Active => {
            let wanted = Restore {
                hold: None,
                whole: true,
                restore_api_keys: true,
            };
            commander.restore(by, key, &wanted, &note, terms).await
        }
    }
}

/// Changes to a profile, checked and in the spelling that names are kept in.
#[derive(Debug, Default)]
struct Edit {
    email: Change,
    phone: Change,
    username: Change,
    employee_id: Change,
    locale: Change,
    api_keys: Option<Vec<ApiKeyHash>>,
}

impl Edit {
    /// `None`: no attribute is given.
    fn of(fields: Fields, rule: NameRule) -> Result<Option<Self>, Problem> {
        let edit = Self {
            email: change("email", fields.email, |text| email(text, rule))?,
            phone: change("phone", fields.phone, |text| {
                phone(text).ok_or_else(|| "it is no phone number; write +33612345678".to_owned())
            })?,
            username: change("username", fields.username, |text| name(text, rule))?,
            employee_id: change("employee_id", fields.employee_id, |text| name(text, rule))?,
            locale: change("locale", fields.locale, locale)?,
            api_keys: fields.api_keys.map(api_keys).transpose()?,
        };
        let given = [
            &edit.email,
            &edit.phone,
            &edit.username,
            &edit.employee_id,
            &edit.locale,
        ];
        let any = edit.api_keys.is_some() || given.into_iter().any(Option::is_some);
        Ok(any.then_some(edit))
    }

    fn names(&self) -> Given {
        let all = [
            ("email", &self.email),
            ("phone", &self.phone),
            ("username", &self.username),
            ("employee_id", &self.employee_id),
        ];
        let given = all.into_iter();
        let given = given.filter_map(|(field, change)| Some((field, change.clone()??)));
        given.collect()
    }

    fn apply(&self, profile: &Profile) -> Profile {
        let pick = |change: &Change, old: &Option<String>| match change {
            Some(new) => new.clone(),
            None => old.clone(),
        };
        Profile {
            email: pick(&self.email, &profile.email),
            phone: pick(&self.phone, &profile.phone),
            username: pick(&self.username, &profile.username),
            employee_id: pick(&self.employee_id, &profile.employee_id),
            locale: pick(&self.locale, &profile.locale),
            api_keys: match &self.api_keys {
                Some(new) => new.clone(),
                None => profile.api_keys.clone(),
            },
        }
    }
}

fn change(
    field: &str,
    change: Change,
    check: impl Fn(&str) -> Result<String, String>,
) -> Result<Change, Problem> {
    let Some(Some(text)) = change else {
        return Ok(change);
    };
    let checked = check(&text).map_err(|what| Problem::field(field, what))?;
    Ok(Some(Some(checked)))
}

/// In order, each once, so that the same keys are the same profile.
fn api_keys(given: Option<Vec<String>>) -> Result<Vec<ApiKeyHash>, Problem> {
    let parse = |text: &String| {
        ApiKeyHash::parse(text).map_err(|error| Problem::field("api_keys", error.to_string()))
    };
    let given = given.unwrap_or_default();
    let mut keys: Vec<ApiKeyHash> = given.iter().map(parse).collect::<Result<_, _>>()?;
    keys.sort_unstable();
    keys.dedup();
    if keys.len() > limits::API_KEYS_PER_USER_MAX {
        let most = limits::API_KEYS_PER_USER_MAX;
        return Err(
            Problem::field("api_keys", format!("there are more than {most}"))
                .mend("take away those that are out of use"),
        );
    }
    Ok(keys)
}

fn name(text: &str, rule: NameRule) -> Result<String, String> {
    let name = UserId::canonical(text, rule).map_err(|error| error.to_string())?;
    Ok(name.as_str().to_owned())
}

fn email(text: &str, rule: NameRule) -> Result<String, String> {
    let email = name(text, rule)?;
    let whole = email
        .rsplit_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if whole && !email.contains(char::is_whitespace) {
        Ok(email)
    } else {
        Err("it is no email address; write one such as bob@example.com".to_owned())
    }
}

/// Digits, and the plus in front of them, for which `00` may stand; what people write
/// between is dropped.
pub(super) fn phone(text: &str) -> Option<String> {
    let text = text.trim();
    let between = |c: char| c.is_ascii_digit() || " -./()\u{a0}".contains(c);
    let (plus, rest) = match text.strip_prefix('+').or_else(|| text.strip_prefix("00")) {
        Some(rest) => ("+", rest),
        None => ("", text),
    };
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    let fits = (1..=20).contains(&digits.len()) && rest.chars().all(between);
    fits.then(|| format!("{plus}{digits}"))
}

/// A language tag (RFC 5646), as far as its alphabet goes.
fn locale(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if (2..=LOCALE_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("it is no language tag; write one such as fr or pt-BR".to_owned())
    }
}
