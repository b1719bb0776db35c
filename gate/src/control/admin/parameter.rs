//! The query parameters of the API, as its description shows them.

use serde_json::{Value, json};

/// What a parameter may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Text,
    /// A user's id or alias, or the beginning of one.
    Name,
    /// A number of rows.
    Rows,
    /// RFC 3339.
    Time,
    OneOf(&'static [&'static str]),
    /// Matches the pattern (ECMA 262).
    Pattern(&'static str),
}

/// One query parameter, never required.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) about: &'static str,
}

impl Parameter {
    pub(super) const fn new(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, shape, about }
    }

    pub(super) fn schema(&self) -> Value {
        match self.shape {
            Shape::Text => {
                json!({ "type": "string", "minLength": 1, "maxLength": portcullis_core::limits::TEXT_FIELD_BYTES_MAX })
            }
            Shape::Name => name_schema(),
            Shape::Rows => json!({
                "type": "integer",
                "minimum": 1,
                "maximum": portcullis_core::limits::PAGE_ROWS_MAX,
                "default": portcullis_core::limits::PAGE_ROWS_DEFAULT,
            }),
            Shape::Time => json!({ "type": "string", "format": "date-time" }),
            Shape::OneOf(words) => json!({ "type": "string", "enum": words }),
            Shape::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
        }
    }
}

/// What may not stand in a name, see [`portcullis_core::names`]: controls, format
/// characters, private use, and blanks that are letters; as a part of a pattern's
/// character class.
const UNSEEN: &str = "\u{0}-\u{1f}\u{7f}-\u{9f}\u{ad}\u{34f}\u{600}-\u{605}\u{61c}\u{6dd}\u{70f}\u{890}\u{891}\u{8e2}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180b}-\u{180f}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{3164}\u{e000}-\u{f8ff}\u{fe00}-\u{fe0f}\u{feff}\u{ffa0}\u{fff0}-\u{ffff}\u{110bd}\u{110cd}\u{13430}-\u{1345f}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{10ffff}";

/// A user's id or alias, before it is brought to the tenant's one spelling.
pub(super) fn name_schema() -> Value {
    json!({
        "type": "string",
        "description": "At most 256 bytes, before and after it is brought to the spelling of the tenant's rule",
        "pattern": format!("^[^{UNSEEN}]*[^\\s{UNSEEN}][^{UNSEEN}]*$"),
        "minLength": 1,
    })
}

pub(super) const TENANT: Parameter = Parameter::new(
    "tenant",
    Shape::Pattern("^[a-z][a-z0-9-]{0,62}$"),
    "The tenant, where the token is for all and there is more than one; X-Tenant says the same",
);
pub(super) const LIMIT: Parameter = Parameter::new("limit", Shape::Rows, "Rows of the page");
pub(super) const CURSOR: Parameter = Parameter::new(
    "cursor",
    Shape::Pattern("^[A-Za-z0-9_-]+$"),
    "`next_cursor` of the page before, as it is",
);
