//! Documents of real answers: written down by a test that makes the calls, and
//! compared with what the repository has. What differs from run to run (times, ids)
//! is masked.
//!
//! `PORTCULLIS_BLESS=1` writes the document anew instead of comparing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{env, fs};

use serde_json::Value;

use crate::client::Answer;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
const HALF_A_DAY: Duration = Duration::from_secs(12 * 60 * 60);

/// A document that is being written.
pub struct Transcript {
    text: String,
    mask: Mask,
}

impl Transcript {
    pub fn new(opening: &str) -> Self {
        Self {
            text: format!("{}\n", opening.trim()),
            mask: Mask::new(),
        }
    }

    /// A text that always shows as another: a token, an address.
    pub fn hide(&mut self, text: &str, shown: &str) {
        self.mask.texts.push((text.to_owned(), shown.to_owned()));
    }

    pub fn head(&mut self, title: &str) {
        self.text += &format!("\n## {title}\n");
    }

    pub fn say(&mut self, words: &str) {
        self.text += &format!("\n{words}\n");
    }

    /// A command as it is typed, and what it printed.
    pub fn command(&mut self, arguments: &[&str], printed: &str) {
        let typed: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        self.block("sh", &format!("portcullis {}", typed.join(" ")));
        self.block("text", printed);
    }

    /// A call as it is sent, and what it was answered.
    pub fn call(&mut self, method: &str, target: &str, body: Option<&Value>, answer: &Answer) {
        let body = body.map(|body| format!("\n\n{}", pretty(body)));
        let call = format!("{method} {target}{}", body.unwrap_or_default());
        self.block("http", &call);
        self.answer(answer);
    }

    pub fn answer(&mut self, answer: &Answer) {
        let text = answer.text();
        let (kind, shown) = match serde_json::from_str::<Value>(&text) {
            Ok(json) => ("json", pretty(&json)),
            Err(_) => ("text", text),
        };
        self.say(&format!("{}:", answer.status));
        self.block(kind, &shown);
    }

    fn block(&mut self, kind: &str, text: &str) {
        let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
        self.text += &format!("\n```{kind}\n{}\n```\n", lines.join("\n"));
    }

    /// Compares it with `docs/NAME`, or writes it there.
    ///
    /// # Panics
    /// Where they differ.
    pub fn check(self, name: &str) {
        let file = Path::new(DOCS).join(name);
        let found = self.mask.apply(&self.text);
        if env::var_os("PORTCULLIS_BLESS").is_some() {
            fs::write(&file, found).expect("docs can be written");
            return;
        }
        let written = fs::read_to_string(&file).unwrap_or_default();
        let differs = written.lines().zip(found.lines()).position(|(a, b)| a != b);
        let at = differs.unwrap_or_else(|| written.lines().count().min(found.lines().count()));
        let around = |text: &str| -> String {
            let lines = text.lines().skip(at.saturating_sub(2)).take(5);
            lines.collect::<Vec<_>>().join("\n")
        };
        assert!(
            written == found,
            "docs/{name} is not what the gate does, from line {} on; run this test with \
             PORTCULLIS_BLESS=1 and look at what changes.\n--- written\n{}\n--- found\n{}",
            at + 1,
            around(&written),
            around(&found)
        );
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+=".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{word}'")
    }
}

fn pretty(json: &Value) -> String {
    serde_json::to_string_pretty(json).expect("JSON")
}

/// What differs from run to run, and what is shown instead; as long as what it
/// stands for, so that columns stay columns.
struct Mask {
    texts: Vec<(String, String)>,
    /// Times before are long ago, times after far ahead; between them it is now.
    past: String,
    future: String,
}

impl Mask {
    fn new() -> Self {
        let now = SystemTime::now();
        let text = |at| humantime::format_rfc3339_seconds(at).to_string();
        Self {
            texts: Vec::new(),
            past: text(now - HALF_A_DAY),
            future: text(now + HALF_A_DAY),
        }
    }

    fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (hidden, shown) in &self.texts {
            text = text.replace(hidden, shown);
        }
        let mut words = Words::default();
        let (mut shown, mut word) = (String::with_capacity(text.len()), String::new());
        for c in text.chars() {
            if c.is_ascii_alphanumeric() || "-:._".contains(c) {
                word.push(c);
            } else {
                shown += &self.word(&word, &mut words);
                word.clear();
                shown.push(c);
            }
        }
        shown + &self.word(&word, &mut words)
    }

    fn word(&self, word: &str, known: &mut Words) -> String {
        // Within the end of a sentence, or an address's query.
        let bare = word.trim_end_matches(['.', ':']);
        let rest = &word[bare.len()..];
        if let Some(time) = self.time(bare) {
            return time + rest;
        }
        let is_hex = bare.len() >= 16
            && bare
                .bytes()
                .all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
        if is_hex {
            return known.stand_in(bare) + rest;
        }
        let made = ["tok_", "bulk-"].into_iter();
        let mut made = made.filter_map(|head| Some((head, bare.strip_prefix(head)?)));
        match made.next() {
            Some((head, id)) => format!("{head}{}{rest}", known.stand_in(id)),
            None => word.to_owned(),
        }
    }

    fn time(&self, word: &str) -> Option<String> {
        let form = "0000-00-00T00:00:00";
        let matches = |(c, f): (char, char)| c == f || (f == '0' && c.is_ascii_digit());
        let rest = word.get(form.len()..)?;
        if !word.chars().zip(form.chars()).all(matches) {
            return None;
        }
        let part = match rest.len() {
            1 if rest == "Z" => "Z",
            5 if rest.starts_with('.') && rest.ends_with('Z') => ".000Z",
            _ => return None,
        };
        let day = if *word < *self.past {
            "2029-12-26"
        } else if *word > *self.future {
            "2030-01-03"
        } else {
            "2030-01-02"
        };
        Some(format!("{day}T03:04:05{part}"))
    }
}

/// Ids by the order in which they appear, so that the same one shows as the same.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn stand_in(&mut self, word: &str) -> String {
        let at = self.0.iter().position(|known| known == word);
        let at = at.unwrap_or_else(|| {
            self.0.push(word.to_owned());
            self.0.len() - 1
        });
        let digits = "23456789abcdef".chars().cycle().skip(at * 5);
        digits.take(word.len()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_masked_and_nothing_else() {
        let mask = Mask::new();
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let text = format!("at {now}, {now}. tok_AbCdEfGh 0123456789abcdef x-0123456789abcdef bob");
        let shown = mask.apply(&text);
        assert_eq!(
            shown,
            "at 2030-01-02T03:04:05.000Z, 2030-01-02T03:04:05.000Z. tok_23456789 789abcdef2345678 x-0123456789abcdef bob"
        );
        assert_eq!(
            mask.apply("suspiciousUserNoGood 42"),
            "suspiciousUserNoGood 42"
        );
    }
}
