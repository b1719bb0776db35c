//! Reading a TOML tree table by table, with the place of everything at hand.
//!
//! Read by hand rather than through serde: serde stops at the first fault, and
//! an operator deserves all of them. The keys that are asked for are the keys
//! that there are; what nobody asked for is unknown.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::Environment;
use super::fault::{ConfigError, Fault, Noted};

/// What is known of the file while it is read.
pub(super) struct Report<'a> {
    file: &'a Path,
    text: &'a str,
    environment: Environment<'a>,
    faults: RefCell<Vec<Fault>>,
    doubts: RefCell<Vec<Fault>>,
    /// Full names of all keys that were asked for, whether present or not.
    asked: RefCell<BTreeSet<String>>,
}

/// One table of the file, or the absence of one.
pub(super) struct Section<'a> {
    report: &'a Report<'a>,
    table: Option<&'a DeTable<'a>>,
    /// Full name; empty at the top.
    name: String,
    span: Range<usize>,
    asked: RefCell<Vec<&'static str>>,
}

/// Reads `text` with `reader`. The outcome is good only if nothing was noted.
pub(super) fn read<T>(
    text: &str,
    file: &Path,
    environment: Environment<'_>,
    reader: impl FnOnce(&Section<'_>) -> Result<T, Noted>,
) -> Result<T, ConfigError> {
    read_and_list(text, file, environment, reader).0
}

/// As [`read`], with the names of the keys that were asked for.
pub(super) fn read_and_list<T>(
    text: &str,
    file: &Path,
    environment: Environment<'_>,
    reader: impl FnOnce(&Section<'_>) -> Result<T, Noted>,
) -> (Result<T, ConfigError>, BTreeSet<String>) {
    let report = Report {
        file,
        text,
        environment,
        faults: RefCell::default(),
        doubts: RefCell::default(),
        asked: RefCell::default(),
    };
    let (tree, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let place = error.span().unwrap_or_default();
        let what = error.message().replace('\n', ", ");
        report.note(
            place,
            String::new(),
            format!("not valid TOML: {what}; see https://toml.io"),
        );
    }
    let outcome = if errors.is_empty() {
        read_tree(&report, &tree, reader)
    } else {
        Err(Noted)
    };
    let mut faults = report.faults.into_inner();
    faults.sort_by_key(|fault| fault.line);
    let outcome = match outcome {
        Ok(value) if faults.is_empty() => Ok(value),
        Ok(_) | Err(Noted) => Err(ConfigError { faults }),
    };
    (outcome, report.asked.into_inner())
}

fn read_tree<'a, T>(
    report: &'a Report<'a>,
    tree: &'a Spanned<DeTable<'a>>,
    reader: impl FnOnce(&Section<'a>) -> Result<T, Noted>,
) -> Result<T, Noted> {
    let top = Section {
        report,
        table: Some(tree.get_ref()),
        name: String::new(),
        span: 0..0,
        asked: RefCell::default(),
    };
    let outcome = reader(&top);
    top.refuse_unknown();
    outcome
}

impl Report<'_> {
    fn note(&self, place: Range<usize>, key: String, text: String) -> Noted {
        let fault = self.fault(place, key, text);
        self.faults.borrow_mut().push(fault);
        Noted
    }

    fn fault(&self, place: Range<usize>, key: String, text: String) -> Fault {
        let before = self.text.as_bytes().get(..place.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Fault {
            file: self.file.to_owned(),
            line: Some(line),
            key,
            text,
        }
    }
}

impl<'a> Section<'a> {
    /// Whether the file has this table.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// The value of `key` read by `reader`, which says what is wrong and the mend.
    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        reader: impl FnOnce(&'a DeValue<'a>) -> Result<T, String>,
    ) -> Result<Option<T>, Noted> {
        let Some((_, value)) = self.find(key) else {
            return Ok(None);
        };
        match reader(value.get_ref()) {
            Ok(read) => Ok(Some(read)),
            Err(text) => Err(self.report.note(value.span(), self.full_name(key), text)),
        }
    }

    /// As [`Self::optional`], of a key that must be there; `example` is a line to add.
    pub(super) fn required<T>(
        &self,
        key: &'static str,
        example: &str,
        reader: impl FnOnce(&'a DeValue<'a>) -> Result<T, String>,
    ) -> Result<T, Noted> {
        match self.optional(key, reader)? {
            Some(read) => Ok(read),
            None => Err(self.note(key, format!("is missing; add {example}"))),
        }
    }

    /// Each value of the list `key`; empty where there is none.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        reader: impl Fn(&'a DeValue<'a>) -> Result<T, String>,
    ) -> Result<Vec<T>, Noted> {
        let Some((_, value)) = self.find(key) else {
            return Ok(Vec::new());
        };
        let Some(values) = value.get_ref().as_array() else {
            return Err(self.wrong_type(key, value, "a list in brackets"));
        };
        let read = values.iter().map(|value| {
            reader(value.get_ref())
                .map_err(|text| self.report.note(value.span(), self.full_name(key), text))
        });
        // Two passes, so that each bad value is noted and not only the first.
        let read: Vec<_> = read.collect();
        read.into_iter().collect()
    }

    /// The value of `key`, or each value of the list that it is: not none, and none
    /// twice. `None` where there is no such key.
    pub(super) fn one_or_more<T: PartialEq>(
        &self,
        key: &'static str,
        reader: impl Fn(&'a DeValue<'a>) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, Noted> {
        let is_list = |(_, value): Entry<'a>| value.get_ref().as_array().is_some();
        if !self.find(key).is_some_and(is_list) {
            return Ok(self.optional(key, reader)?.map(|value| vec![value]));
        }
        let values = self.list(key, reader)?;
        if values.is_empty() {
            return Err(self.note(key, "is an empty list; write one value or remove the key"));
        }
        let is_double = |(at, value): (usize, &T)| values.iter().take(at).any(|v| v == value);
        if values.iter().enumerate().any(is_double) {
            return Err(self.note(key, "has a value twice; write it once"));
        }
        Ok(Some(values))
    }

    /// The table `key`; an absent one reads as a table without keys.
    pub(super) fn section(&self, key: &'static str) -> Result<Section<'a>, Noted> {
        match self.find(key) {
            None => Ok(self.child(key, None, self.span.clone())),
            Some((name, value)) => match value.get_ref().as_table() {
                Some(table) => Ok(self.child(key, Some(table), name.span())),
                None => Err(self.wrong_type(key, value, "a table")),
            },
        }
    }

    /// The tables `[[key]]`; none where there are none.
    pub(super) fn sections(&self, key: &'static str) -> Result<Vec<Section<'a>>, Noted> {
        let Some((_, value)) = self.find(key) else {
            return Ok(Vec::new());
        };
        let expected = format!("a list of tables, each headed [[{}]]", self.full_name(key));
        let Some(values) = value.get_ref().as_array() else {
            return Err(self.wrong_type(key, value, &expected));
        };
        let mut sections = Vec::with_capacity(values.len());
        for value in values {
            match value.get_ref().as_table() {
                Some(table) => sections.push(self.child(key, Some(table), value.span())),
                None => return Err(self.wrong_type(key, value, &expected)),
            }
        }
        Ok(sections)
    }

    /// Notes a fault of `key`, at its value or, where it is absent, at its table.
    pub(super) fn note(&self, key: &'static str, text: impl Into<String>) -> Noted {
        self.report
            .note(self.place(key), self.full_name(key), text.into())
    }

    /// Says what is allowed, and seldom what was meant.
    pub(super) fn doubt(&self, key: &'static str, text: impl Into<String>) {
        let doubt = self
            .report
            .fault(self.place(key), self.full_name(key), text.into());
        self.report.doubts.borrow_mut().push(doubt);
    }

    /// Everything that was doubted so far, in the whole file.
    pub(super) fn doubts(&self) -> Vec<Fault> {
        let mut doubts = self.report.doubts.borrow().clone();
        doubts.sort_by_key(|doubt| doubt.line);
        doubts
    }

    fn place(&self, key: &'static str) -> Range<usize> {
        let found = self.find(key);
        found.map_or(self.span.clone(), |(_, value)| value.span())
    }

    /// Notes a fault of the table as a whole.
    pub(super) fn note_whole(&self, text: impl Into<String>) -> Noted {
        self.report
            .note(self.span.clone(), self.name.clone(), text.into())
    }

    /// Notes each key that nobody asked for. To be called when all were.
    pub(super) fn refuse_unknown(&self) {
        let asked = self.asked.borrow();
        for name in self.table.into_iter().flat_map(DeTable::keys) {
            let key: &str = name.get_ref();
            if !asked.contains(&key) {
                let text = unknown(key, &asked);
                self.report.note(name.span(), self.full_name(key), text);
            }
        }
    }

    /// Where a path of the file leads: relative ones start at the file's folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.report
            .file
            .parent()
            .unwrap_or(Path::new(""))
            .join(path)
    }

    pub(super) fn file(&self) -> &Path {
        self.report.file
    }

    pub(super) fn variable(&self, name: &str) -> Option<OsString> {
        (self.report.environment)(name)
    }

    fn child(
        &self,
        key: &'static str,
        table: Option<&'a DeTable<'a>>,
        span: Range<usize>,
    ) -> Section<'a> {
        let name = self.full_name(key);
        Section {
            report: self.report,
            table,
            name,
            span,
            asked: RefCell::default(),
        }
    }

    fn find(&self, key: &'static str) -> Option<Entry<'a>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
            self.report.asked.borrow_mut().insert(self.full_name(key));
        }
        self.table?.get_key_value(key)
    }

    fn full_name(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Noted {
        let text = format!(
            "must be {expected}, not {}",
            super::scalar::kind(value.get_ref())
        );
        self.report.note(value.span(), self.full_name(key), text)
    }
}

type Entry<'a> = (&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>);

fn unknown(key: &str, known: &[&'static str]) -> String {
    let nearest = known
        .iter()
        .map(|name| (distance(key, name), *name))
        .filter(|(distance, name)| {
            *distance <= 1 + name.len() / 4 || key.starts_with(*name) || name.starts_with(key)
        })
        .min();
    match nearest {
        Some((_, name)) => format!("unknown key; did you mean {name}?"),
        None => format!(
            "unknown key; remove it, or use one of: {}",
            known.join(", ")
        ),
    }
}

/// Edits between two keys (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.bytes().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            *cell = (diagonal + usize::from(x != y))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
