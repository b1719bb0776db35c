//! What a policy says of itself.

/// As the guest gave it; [`super::check::check_description`] has looked at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// One word, such as `standard`.
    pub name: String,
    pub version: String,
    pub summary: String,
    /// BCP 47 tags that it has texts for without any setting.
    pub languages: Vec<String>,
    pub settings: Vec<SettingDescription>,
    /// Templates that it may choose.
    pub templates: Vec<String>,
    pub attributes: Vec<(String, String)>,
}

/// A setting that a policy reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingDescription {
    /// The dotted key, with `*` for a part that the tenant names.
    pub key: String,
    pub summary: String,
    pub required: bool,
    pub default: Option<String>,
}
