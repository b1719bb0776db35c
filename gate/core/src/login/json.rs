//! JSON as it stands, keys that stand twice included: parsers disagree on which
//! one of them counts. The grammar is the caller's parser's; this is what it fills.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::LoginFault;
use super::fields::{UserField, alike};

/// A JSON value. Numbers that are not whole have no one spelling, so they have
/// no value here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    Null,
    Flag(bool),
    Whole(i128),
    Fraction,
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// A key on the way stands twice, or in a spelling that only some would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

impl Json {
    /// What the steps lead to. `same` says which keys count as one; a key that is
    /// the same and not equal is ambiguous, as one that stands twice.
    pub fn at(
        &self,
        steps: &[String],
        same: impl Fn(&str, &str) -> bool,
    ) -> Result<Option<&Self>, Ambiguous> {
        let mut here = self;
        for step in steps {
            let next = match here {
                Self::Object(entries) => {
                    let mut found = entries.iter().filter(|(key, _)| same(key, step));
                    match (found.next(), found.next()) {
                        (None, _) => None,
                        (Some((key, value)), None) if key == step => Some(value),
                        (Some(_), _) => return Err(Ambiguous),
                    }
                }
                Self::List(items) => index(step).and_then(|index| items.get(index)),
                Self::Null | Self::Flag(_) | Self::Whole(_) | Self::Fraction | Self::Text(_) => {
                    None
                }
            };
            let Some(next) = next else {
                return Ok(None);
            };
            here = next;
        }
        Ok(Some(here))
    }

    /// The user that a login's body names in one of `fields`.
    pub fn user(&self, fields: &[UserField]) -> Result<String, LoginFault> {
        let listed = || {
            let names: Vec<&str> = fields.iter().map(UserField::as_str).collect();
            names.join("' or '")
        };
        let mut users = Vec::new();
        for field in fields {
            match self.at(field.steps(), alike) {
                Ok(found) => users.extend(found),
                Err(Ambiguous) => return Err(LoginFault::ManyUsers(listed())),
            }
        }
        match users.as_slice() {
            [] => Err(LoginFault::NoUser(listed())),
            [Self::Text(name)] => Ok(name.clone()),
            [Self::Whole(number)] => Ok(number.to_string()),
            [Self::Null | Self::Flag(_) | Self::Fraction | Self::List(_) | Self::Object(_)] => {
                Err(LoginFault::BadUser)
            }
            [_, _, ..] => Err(LoginFault::ManyUsers(listed())),
        }
    }
}

/// An array index (RFC 6901 §4): digits without a zero before them.
fn index(step: &str) -> Option<usize> {
    let digits = step.bytes().all(|b| b.is_ascii_digit());
    let plain = step == "0" || !step.starts_with('0');
    if digits && plain {
        step.parse().ok()
    } else {
        None
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Flag(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Whole(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Whole(number.into()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Fraction)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Json::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn object(entries: &[(&str, Json)]) -> Json {
        let entries = entries.iter();
        Json::Object(
            entries
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        )
    }

    fn text(text: &str) -> Json {
        Json::Text(text.to_owned())
    }

    fn fields(texts: &[&str]) -> Vec<UserField> {
        texts
            .iter()
            .map(|text| UserField::parse(text).unwrap())
            .collect()
    }

    #[test]
    fn the_user_is_found_below_the_top() {
        let bob = object(&[("email", text("bob")), ("password", text("x"))]);
        let body = object(&[("user", bob), ("email", text("other"))]);
        assert_eq!(body.user(&fields(&["/user/email"])), Ok("bob".into()));
        assert_eq!(body.user(&fields(&["email"])), Ok("other".into()));
        let list = object(&[("users", Json::List(vec![text("bob")]))]);
        assert_eq!(list.user(&fields(&["/users/0"])), Ok("bob".into()));
        for beyond in ["/users/1", "/users/00", "/users/-", "/users/+0"] {
            assert!(list.user(&fields(&[beyond])).is_err(), "{beyond}");
        }
        let number = object(&[("id", Json::Whole(7))]);
        assert_eq!(number.user(&fields(&["id"])), Ok("7".into()));
    }

    #[test]
    fn a_key_that_stands_twice_on_the_way_is_refused_on_every_level() {
        let named = |name: &str| object(&[("email", text(name))]);
        let twice = Err(LoginFault::ManyUsers("/user/email".into()));
        let above = object(&[("user", named("alice")), ("user", named("bob"))]);
        let folded = object(&[("user", named("alice")), ("User", named("bob"))]);
        let below = object(&[("email", text("alice")), ("email", text("bob"))]);
        let below = object(&[("user", below)]);
        let spelt = object(&[("user", object(&[("Email", text("bob"))]))]);
        for body in [above, folded, below, spelt] {
            assert_eq!(body.user(&fields(&["/user/email"])), twice, "{body:?}");
        }
    }

    #[test]
    fn one_of_several_fields_names_the_user_and_no_two_do() {
        let both = fields(&["username", "/user/email"]);
        let nested = object(&[("user", object(&[("email", text("bob"))]))]);
        assert_eq!(nested.user(&both), Ok("bob".into()));
        let Json::Object(mut entries) = nested else {
            return;
        };
        entries.push(("username".into(), text("alice")));
        assert!(matches!(
            Json::Object(entries).user(&both),
            Err(LoginFault::ManyUsers(_))
        ));
    }

    #[test]
    fn what_is_no_name_is_none() {
        for odd in [
            Json::Null,
            Json::Flag(true),
            Json::Fraction,
            Json::List(vec![text("bob")]),
            object(&[("$ne", text(""))]),
        ] {
            let body = object(&[("email", odd.clone())]);
            assert_eq!(
                body.user(&fields(&["email"])),
                Err(LoginFault::BadUser),
                "{odd:?}"
            );
        }
    }
}
