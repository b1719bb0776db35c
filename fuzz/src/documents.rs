//! Readers of JSON that differ in what they make of a key that stands twice.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A document in which the first of two equal keys counts; most take the last.
#[derive(Debug)]
pub enum FirstWins {
    Object(BTreeMap<String, FirstWins>),
    Text(String),
    Whole(String),
    Other,
}

impl FirstWins {
    pub fn at(&self, steps: &[&str]) -> Option<&Self> {
        let Some((step, rest)) = steps.split_first() else {
            return Some(self);
        };
        match self {
            Self::Object(entries) => entries.get(*step)?.at(rest),
            Self::Text(_) | Self::Whole(_) | Self::Other => None,
        }
    }

    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Whole(text) => Some(text),
            Self::Object(_) | Self::Other => None,
        }
    }
}

/// As Go does: a field is found whatever its case, and the last one counts.
pub fn caseless<'a>(value: &'a Value, steps: &[&str]) -> Option<&'a Value> {
    let Some((step, rest)) = steps.split_first() else {
        return Some(value);
    };
    let entries = value.as_object()?.iter();
    let mut same = entries.filter(|(key, _)| key.eq_ignore_ascii_case(step));
    caseless(same.next_back()?.1, rest)
}

impl<'de> Deserialize<'de> for FirstWins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = FirstWins;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<FirstWins, E> {
        Ok(FirstWins::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<FirstWins, E> {
        Ok(FirstWins::Other)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<FirstWins, E> {
        Ok(FirstWins::Whole(number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<FirstWins, E> {
        Ok(FirstWins::Whole(number.to_string()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<FirstWins, E> {
        Ok(FirstWins::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<FirstWins, E> {
        Ok(FirstWins::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<FirstWins, A::Error> {
        while list.next_element::<FirstWins>()?.is_some() {}
        Ok(FirstWins::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FirstWins, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            entries.entry(key).or_insert(value);
        }
        Ok(FirstWins::Object(entries))
    }
}
