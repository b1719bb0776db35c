//! A question to a policy and its answer, whichever of the three it is: what cases,
//! measurements and rehearsals have in common.

use std::sync::Arc;

use portcullis_core::policy::scrub::{scrub_notification, scrub_reactivation, scrub_refusal};
use portcullis_core::policy::{
    AnswerLimits, Context, Fault, Message, NotificationDecision, NotificationInput,
    ReactivationDecision, ReactivationInput, RefusalDecision, RefusalInput, Surface, Suspension,
    Verdict,
};
use toml::{Table, Value};

use super::host::PolicyHost;
use super::loaded::Policy;

/// What a policy can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    Refusal(RefusalInput),
    Reactivation(ReactivationInput),
    Notification(NotificationInput),
}

/// What it answered, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Refusal(RefusalDecision),
    Reactivation(ReactivationDecision),
    Notification(NotificationDecision),
}

impl PolicyHost {
    /// Asks on a thread for guests, as a request does.
    ///
    /// # Errors
    /// Why there is no answer that can be used.
    pub async fn answer(&self, policy: &Arc<Policy>, question: &Question) -> Result<Answer, Fault> {
        match question {
            Question::Refusal(input) => self
                .refusal(policy, input.clone())
                .await
                .map(Answer::Refusal),
            Question::Reactivation(input) => self
                .reactivation(policy, input.clone())
                .await
                .map(Answer::Reactivation),
            Question::Notification(input) => self
                .notification(policy, input.clone())
                .await
                .map(Answer::Notification),
        }
    }
}

impl Question {
    /// `refusal`, `reactivation` or `notification`.
    pub fn kind(&self) -> &'static str {
        match self {
            Question::Refusal(_) => "refusal",
            Question::Reactivation(_) => "reactivation",
            Question::Notification(_) => "notification",
        }
    }

    /// Without anything of the person whom it is about.
    #[must_use]
    pub fn scrubbed(&self) -> Question {
        match self {
            Question::Refusal(input) => Question::Refusal(scrub_refusal(input)),
            Question::Reactivation(input) => Question::Reactivation(scrub_reactivation(input)),
            Question::Notification(input) => Question::Notification(scrub_notification(input)),
        }
    }

    pub fn context(&self) -> &Context {
        match self {
            Question::Refusal(input) => &input.context,
            Question::Reactivation(input) => &input.context,
            Question::Notification(input) => &input.context,
        }
    }

    pub fn suspension(&self) -> Option<&Suspension> {
        match self {
            Question::Refusal(input) => Some(&input.suspension),
            Question::Reactivation(input) => Some(&input.suspension),
            Question::Notification(input) => input.suspension.as_ref(),
        }
    }

    pub(super) fn parts_mut(&mut self) -> (&mut Context, Option<&mut Suspension>) {
        match self {
            Question::Refusal(input) => (&mut input.context, Some(&mut input.suspension)),
            Question::Reactivation(input) => (&mut input.context, Some(&mut input.suspension)),
            Question::Notification(input) => (&mut input.context, input.suspension.as_mut()),
        }
    }
}

impl Answer {
    /// The answer as a case writes it: what is absent is left out.
    pub fn table(&self) -> Table {
        match self {
            Answer::Refusal(decision) => refusal(decision),
            Answer::Reactivation(decision) => reactivation(decision),
            Answer::Notification(decision) => notification(decision),
        }
    }
}

fn refusal(decision: &RefusalDecision) -> Table {
    let links = decision.links.iter().map(|link| {
        Value::from(format!(
            "{}: {} -> {}",
            link.kind.as_str(),
            link.label,
            link.href
        ))
    });
    let headers = decision.headers.iter().map(|(name, value)| {
        Value::from(format!(
            "{name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        ))
    });
    let mut table = Table::new();
    table.insert(
        "status".to_owned(),
        i64::from(decision.status.as_u16()).into(),
    );
    insert(&mut table, "key", decision.key.as_deref());
    insert(&mut table, "language", Some(&decision.language));
    insert(&mut table, "title", Some(&decision.title));
    insert(&mut table, "words", decision.words.as_deref());
    insert(&mut table, "message", Some(&decision.message));
    let surface = decision.surface.map(|surface| match surface {
        Surface::Page => "page",
        Surface::Api => "api",
    });
    insert(&mut table, "surface", surface);
    if decision.page.is_some() {
        table.insert("own_page".to_owned(), true.into());
    }
    table.insert("links".to_owned(), Value::Array(links.collect()));
    table.insert("headers".to_owned(), Value::Array(headers.collect()));
    insert_actions(&mut table, &decision.actions);
    table
}

fn reactivation(decision: &ReactivationDecision) -> Table {
    let mut table = Table::new();
    let verdict = match &decision.verdict {
        Verdict::Allowed(terms) => {
            let seconds = i64::from(terms.lifetime_seconds);
            table.insert("lifetime_seconds".to_owned(), seconds.into());
            insert(&mut table, "redirect_to", terms.redirect_to.as_deref());
            "allowed"
        }
        Verdict::Refused => "refused",
        Verdict::StepUp(proofs) => {
            let proofs = proofs.iter().map(|proof| Value::from(proof.as_str()));
            table.insert("proofs".to_owned(), Value::Array(proofs.collect()));
            "step-up"
        }
    };
    insert(&mut table, "verdict", Some(verdict));
    insert(&mut table, "words", decision.words.as_deref());
    insert(&mut table, "language", Some(&decision.language));
    insert_actions(&mut table, &decision.actions);
    table
}

fn notification(decision: &NotificationDecision) -> Table {
    let messages = decision
        .messages
        .iter()
        .map(|each| Value::Table(message(each)));
    let mut table = Table::from_iter([("messages".to_owned(), Value::Array(messages.collect()))]);
    insert_actions(&mut table, &decision.actions);
    table
}

/// A message as it goes out, but for the secret of a reset.
fn message(message: &Message) -> Table {
    let mut table = Table::new();
    insert(&mut table, "channel", Some(message.channel.as_str()));
    if !message.to.is_empty() {
        table.insert("to".to_owned(), message.to.clone().into());
    }
    insert(&mut table, "from", message.from.as_deref());
    // It was rendered once when it was checked, so this does not fail.
    if let Ok(rendered) = message.render(None, &AnswerLimits::STANDARD) {
        insert(&mut table, "subject", rendered.subject.as_deref());
        insert(&mut table, "text", Some(&rendered.text));
    }
    insert(&mut table, "language", Some(&message.language));
    if let Some(reset) = &message.reset {
        let seconds = i64::from(reset.lifetime_seconds);
        table.insert("lifetime_seconds".to_owned(), seconds.into());
        insert(&mut table, "redirect_to", reset.redirect_to.as_deref());
    }
    table
}

fn insert_actions(table: &mut Table, actions: &[portcullis_core::policy::Action]) {
    if !actions.is_empty() {
        let names = actions
            .iter()
            .map(|action| Value::from(action.name.as_str()));
        table.insert("actions".to_owned(), Value::Array(names.collect()));
    }
}

fn insert(table: &mut Table, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        table.insert(key.to_owned(), text.into());
    }
}
