//! What a policy's answer may hold at most.

/// Lengths are in bytes of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerLimits {
    /// A one-line text: title, label, subject.
    pub line_bytes_max: usize,
    /// A text of several lines: message, words, mail text.
    pub text_bytes_max: usize,
    /// A template filled in, markup included.
    pub rendered_bytes_max: usize,
    /// A URL or path.
    pub href_bytes_max: usize,
    /// A language tag. BCP 47 (RFC 5646 §4.4.1) asks for room for 35.
    pub language_bytes_max: usize,
    /// A key for programs: the gate's own prefix and a reason, twice over.
    pub key_bytes_max: usize,
    /// The name of a template, a variable, an action or an attribute.
    pub name_bytes_max: usize,
    pub header_value_bytes_max: usize,
    pub links_max: usize,
    pub headers_max: usize,
    pub messages_max: usize,
    pub recipients_max: usize,
    pub variables_max: usize,
    pub actions_max: usize,
    pub arguments_max: usize,
    /// Languages, settings and templates of a description.
    pub described_max: usize,
    pub proofs_max: usize,
    /// A reset shorter than this cannot be used by a person.
    pub reset_seconds_min: u32,
    /// A reset longer than this is a spare key left under the mat.
    pub reset_seconds_max: u32,
}

impl AnswerLimits {
    /// The limits in force; a constant, so that a table of tests can use them.
    pub const STANDARD: AnswerLimits = AnswerLimits {
        line_bytes_max: 200,
        text_bytes_max: 16 * 1024,
        rendered_bytes_max: 64 * 1024,
        href_bytes_max: 2048,
        language_bytes_max: 35,
        key_bytes_max: 200,
        name_bytes_max: 64,
        header_value_bytes_max: 1024,
        links_max: 8,
        headers_max: 8,
        messages_max: 8,
        recipients_max: 16,
        variables_max: 32,
        actions_max: 8,
        arguments_max: 16,
        described_max: 256,
        proofs_max: 4,
        reset_seconds_min: 60,
        reset_seconds_max: 7 * 24 * 3600,
    };
}

impl Default for AnswerLimits {
    fn default() -> Self {
        Self::STANDARD
    }
}
