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
            Shape::Text => json!({
                "type": "string",
                "maxLength": portcullis_core::limits::TEXT_FIELD_BYTES_MAX,
                "description": "Visible text; any language is taken, though the pattern names ASCII alone",
                "pattern": "^[!-~]([ -~]*[!-~])?$",
            }),
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

/// A user's id or alias, before it is brought to the tenant's one spelling. The
/// pattern has what every program can send as it is; see [`portcullis_core::names`]
/// for all that is taken.
pub(super) fn name_schema() -> Value {
    json!({
        "type": "string",
        "description": "At most 256 bytes, without control and format characters; brought to the spelling of the tenant's rule. Any language is taken, though the pattern names ASCII alone",
        "pattern": "^[A-Za-z0-9@_+-][A-Za-z0-9@._+-]*$",
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
