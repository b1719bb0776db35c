//! The query of a request: each parameter once, and only known ones.

use portcullis_core::limits;

use super::problem::Problem;

#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: Option<&str>) -> Result<Self, Problem> {
        let text = text.unwrap_or_default();
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if pairs.iter().any(|(known, _)| *known == name) {
                let what = format!("the parameter `{name}` is there twice");
                return Err(Problem::field(name, what).mend("give it once"));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    pub(super) fn find(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Takes a parameter out, so that nothing later can write it down.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn refuse_unknown(&self, known: &[&str]) -> Result<(), Problem> {
        let unknown = self
            .0
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()));
        let Some((name, _)) = unknown else {
            return Ok(());
        };
        let mend = if known.is_empty() {
            "this call takes none".to_owned()
        } else {
            format!("this call takes {}", known.join(", "))
        };
        let what = format!("unknown parameter `{name}`");
        Err(Problem::bad("unknown_field", what).of(name).mend(mend))
    }

    /// How many rows a page is to have.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.find("limit") else {
            return Ok(limits::PAGE_ROWS_DEFAULT);
        };
        let limit = text.parse().ok();
        limit
            .filter(|limit| (1..=limits::PAGE_ROWS_MAX).contains(limit))
            .ok_or_else(|| {
                let what = format!("{text:?} is no number from 1 to {}", limits::PAGE_ROWS_MAX);
                Problem::field("limit", what)
            })
    }

    /// What must be the same for two requests to be one and its retry.
    pub(super) fn fingerprint(&self) -> String {
        let mut pairs = self.0.clone();
        pairs.sort();
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(pairs);
        text.finish()
    }
}
