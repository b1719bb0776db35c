//! Which field of a body names the user, and which others an app could take for
//! it. What has two readings has none here.

use super::{BodyFormat, LoginFault};

/// A field that names the user, as the configuration writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserField {
    text: String,
    steps: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    #[error("is empty; write the name of the field, such as \"username\"")]
    Empty,
    #[error("has a '~' that is neither ~0 nor ~1 (RFC 6901); write ~0 for '~' and ~1 for '/'")]
    BadEscape,
    #[error("has a step without a name; write a pointer such as \"/user/email\"")]
    EmptyStep,
}

impl UserField {
    /// A field's name, or, where it begins with `/`, a JSON pointer (RFC 6901).
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let steps = if text.starts_with('/') {
            pointer(text)?
        } else if text.is_empty() {
            return Err(FieldError::Empty);
        } else {
            vec![text.to_owned()]
        };
        if steps.iter().any(String::is_empty) {
            return Err(FieldError::EmptyStep);
        }
        Ok(Self {
            text: text.to_owned(),
            steps,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a body of this format can hold the field. A pointer is JSON's alone.
    pub fn fits(&self, format: BodyFormat) -> bool {
        match format {
            BodyFormat::Form | BodyFormat::Multipart => self.name().is_some(),
            BodyFormat::Json => true,
        }
    }

    /// The field's name in a form; `None` where it is a pointer.
    pub fn name(&self) -> Option<&str> {
        (!self.text.starts_with('/')).then_some(self.text.as_str())
    }

    /// The keys that lead to it in JSON.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }
}

/// The keys of a JSON pointer (RFC 6901 §4).
pub fn pointer(text: &str) -> Result<Vec<String>, FieldError> {
    let Some(rest) = text.strip_prefix('/') else {
        return Err(FieldError::Empty);
    };
    rest.split('/').map(unescape_step).collect()
}

fn unescape_step(step: &str) -> Result<String, FieldError> {
    let mut name = String::with_capacity(step.len());
    let mut chars = step.chars();
    while let Some(c) = chars.next() {
        name.push(match c {
            '~' => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                Some(_) | None => return Err(FieldError::BadEscape),
            },
            other => other,
        });
    }
    Ok(name)
}

/// The one value that names the user. Exactly one of `fields` may be present: an
/// app that takes either has its own order of preference. A name that some app
/// would read as one of them, and is none to the letter, makes two readings too.
pub fn one_user<T>(
    entries: impl IntoIterator<Item = (String, T)>,
    fields: &[&str],
) -> Result<T, LoginFault> {
    let is_one = |name: &str| fields.iter().any(|field| alike(name, field));
    let mut found = entries.into_iter().filter(|(name, _)| is_one(name));
    match (found.next(), found.next()) {
        (None, _) => Err(LoginFault::NoUser(fields.join("' or '"))),
        (Some((name, value)), None) if fields.contains(&name.as_str()) => Ok(value),
        (Some(_), _) => Err(LoginFault::ManyUsers(fields.join("' or '"))),
    }
}

/// Whether some app would take the field `name` for `wanted`, or for a part of it.
pub fn alike(name: &str, wanted: &str) -> bool {
    may_be_alike(name, wanted) && are_alike(name, wanted)
}

/// A look without an allocation, since every parameter of every query is asked
/// about: whatever else readers do to ASCII, they keep its letters and digits in
/// their order. `true` says nothing.
fn may_be_alike(name: &str, wanted: &str) -> bool {
    if !name.is_ascii() || !wanted.is_ascii() {
        return true;
    }
    let mut ahead = signs(name);
    signs(wanted).all(|sign| {
        ahead
            .next()
            .is_some_and(|next| next.eq_ignore_ascii_case(&sign))
    })
}

fn signs(text: &str) -> impl Iterator<Item = u8> {
    let until_nul = text.bytes().take_while(|b| *b != 0);
    until_nul.filter(u8::is_ascii_alphanumeric)
}

fn are_alike(name: &str, wanted: &str) -> bool {
    let (name, wanted) = (folded(name), folded(wanted));
    if flat(&name) == flat(&wanted) {
        return true;
    }
    // Rails, qs and their like build a tree from brackets and dots, leave out what
    // is empty, and make a list or a table of `user[]` and `user[x]`.
    let mut ahead = segments(&name);
    segments(&wanted).all(|segment| ahead.next() == Some(segment))
}

/// PHP trims and cuts at a NUL; Go and .NET look at no case, and Go takes the long
/// s for an s, which upper case does as well.
fn folded(name: &str) -> String {
    let until_nul = name.split('\0').next().unwrap_or_default();
    until_nul
        .trim()
        .chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// PHP turns punctuation into `_`.
fn flat(name: &str) -> String {
    name.replace(['.', '[', ' ', '+'], "_")
}

fn segments(name: &str) -> impl Iterator<Item = &str> {
    name.split(['[', ']', '.'])
        .map(str::trim)
        .filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pointer_is_read_after_its_rfc() {
        let steps = |text: &str| UserField::parse(text).map(|field| field.steps);
        assert_eq!(steps("username"), Ok(vec!["username".into()]));
        assert_eq!(steps("a/b"), Ok(vec!["a/b".into()]), "no pointer");
        assert_eq!(
            steps("/user/email"),
            Ok(vec!["user".into(), "email".into()])
        );
        assert_eq!(steps("/a~1b/m~0n"), Ok(vec!["a/b".into(), "m~n".into()]));
        assert_eq!(steps(""), Err(FieldError::Empty));
        assert_eq!(steps("/"), Err(FieldError::EmptyStep));
        assert_eq!(steps("/a//b"), Err(FieldError::EmptyStep));
        assert_eq!(steps("/a~2"), Err(FieldError::BadEscape));
    }

    #[test]
    fn names_that_some_app_takes_for_the_field_are_alike() {
        for name in [
            "username",
            "UserName",
            " username",
            "username\0x",
            "u\u{17F}ername",
            "username[]",
            "username[0]",
            "[username]",
            "username]",
            "username.x",
        ] {
            assert!(alike(name, "username"), "{name}");
        }
        for name in ["user", "password", "username2", "my.username", ""] {
            assert!(!alike(name, "username"), "{name}");
        }
        assert!(alike("user_name", "user.name"));
        for name in [
            "user[email]",
            "user][email]",
            "user[ email ]",
            "User[email",
            "user.email",
        ] {
            assert!(alike(name, "user[email]"), "{name}");
        }
        assert!(!alike("user[password]", "user[email]"));
    }

    #[test]
    fn exactly_one_of_several_fields_may_be_present() {
        let read = |names: &[&'static str]| {
            let entries = names.iter().map(|name| ((*name).to_owned(), *name));
            one_user(entries, &["username", "email"])
        };
        assert_eq!(read(&["email", "password"]), Ok("email"));
        assert_eq!(read(&["password", "username"]), Ok("username"));
        let both = "username' or 'email".to_owned();
        assert_eq!(
            read(&["email", "username"]),
            Err(LoginFault::ManyUsers(both.clone()))
        );
        assert_eq!(
            read(&["email", "email"]),
            Err(LoginFault::ManyUsers(both.clone()))
        );
        assert_eq!(read(&["Email"]), Err(LoginFault::ManyUsers(both.clone())));
        assert_eq!(read(&["password"]), Err(LoginFault::NoUser(both)));
    }

    proptest! {
        /// Names of few letters and all that readers fold, so that many are alike.
        #[test]
        fn the_short_look_overlooks_nothing(
            name in "[aAsS1_.\\[\\] +\0\u{17F}\u{212A}kK]{0,8}",
            wanted in "[aAsS1_.\\[\\] +\0kK]{0,4}",
        ) {
            prop_assert!(may_be_alike(&name, &wanted) || !are_alike(&name, &wanted));
        }
    }
}
