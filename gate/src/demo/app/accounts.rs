//! The people whom the app knows, and their passwords.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One person. The name is what sessions and tokens carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: &'static str,
    pub(super) email: Option<String>,
    pub(super) phone: Option<&'static str>,
    password: String,
}

/// All people of one tenant. Their number is fixed: nobody can sign up.
pub(super) struct Accounts {
    people: Mutex<[Account; 3]>,
}

impl Accounts {
    /// alice and bob with an email address, carol with a phone alone; all with
    /// the password `demo`.
    pub(super) fn new(tenant: &str) -> Self {
        let person = |name, phone: Option<&'static str>| Account {
            name,
            email: phone.is_none().then(|| format!("{name}@{tenant}.test")),
            phone,
            password: "demo".to_owned(),
        };
        Self {
            people: Mutex::new([
                person("alice", None),
                person("bob", None),
                person("carol", Some("+15550100")),
            ]),
        }
    }

    /// Who goes by this name or email address, letter for letter.
    pub(super) fn find(&self, name_or_email: &str) -> Option<Account> {
        self.lock()
            .iter()
            .find(|person| {
                person.name == name_or_email || person.email.as_deref() == Some(name_or_email)
            })
            .cloned()
    }

    /// The person's name, if that is the password. Compared plainly, kept
    /// plainly: this is a demonstration, with nothing to protect.
    pub(super) fn authenticate(&self, name_or_email: &str, password: &str) -> Option<&'static str> {
        self.find(name_or_email)
            .filter(|person| person.password == password)
            .map(|person| person.name)
    }

    /// Replaces a person's password; an unknown name changes nothing.
    pub(super) fn set_password(&self, name: &str, password: &str) {
        for person in self.lock().iter_mut().filter(|person| person.name == name) {
            password.clone_into(&mut person.password);
        }
    }

    fn lock(&self) -> MutexGuard<'_, [Account; 3]> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
