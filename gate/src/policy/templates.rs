//! Templates as they are written: `templates/NAME.toml` of a policy's folder, a
//! table for each language, and the ones that the gate brings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_core::policy::template::PAGE_NAMES;
use portcullis_core::policy::{AnswerLimits, Template, TemplateTexts, Templates};
use serde::Deserialize;

use super::files;
use super::limits::{TEMPLATE_BYTES_MAX, TEMPLATES_MAX};
use super::manifest::{ManifestError, syntax_error};

/// What the gate brings, by name.
const BUILT_IN: [(&str, &str); 8] = [
    ("reset", include_str!("templates/reset.toml")),
    ("suspended", include_str!("templates/suspended.toml")),
    ("restored", include_str!("templates/restored.toml")),
    ("deleted", include_str!("templates/deleted.toml")),
    (
        "notice-suspended",
        include_str!("templates/notice-suspended.toml"),
    ),
    (
        "notice-restored",
        include_str!("templates/notice-restored.toml"),
    ),
    (
        "notice-deleted",
        include_str!("templates/notice-deleted.toml"),
    ),
    (
        "notice-review",
        include_str!("templates/notice-review.toml"),
    ),
];

/// The texts of one language, as they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    subject: Option<String>,
    text: Option<String>,
    html: Option<String>,
    sms: Option<String>,
    page: Option<String>,
}

/// The templates that the gate brings.
///
/// # Errors
/// Never, as a test shows.
pub(super) fn built_in() -> Result<Templates, ManifestError> {
    let parsed = BUILT_IN.iter().map(|(name, text)| {
        let path = Path::new("builtin").join(name);
        Ok(((*name).to_owned(), parse(&path, text)?))
    });
    Ok(Templates(parsed.collect::<Result<_, ManifestError>>()?))
}

/// The templates of a policy's folder by name, as text; none where it has no
/// `templates`.
///
/// # Errors
/// What cannot be read.
pub(super) fn read(folder: &Path) -> Result<BTreeMap<String, String>, ManifestError> {
    let folder = folder.join("templates");
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| ManifestError::Read { path, source }
    };
    if !folder.is_dir() {
        return Ok(BTreeMap::new());
    }
    let entries = std::fs::read_dir(&folder).map_err(unreadable(&folder))?;
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(unreadable(&folder))?.path();
        let name = path.file_stem().and_then(std::ffi::OsStr::to_str);
        let is_template = path.extension().is_some_and(|ending| ending == "toml");
        if let (true, Some(name)) = (is_template, name) {
            let text = files::text(&path).map_err(unreadable(&path))?;
            found.insert(name.to_owned(), text);
        }
    }
    Ok(found)
}

/// Parses a policy's own templates. `folder` is where they stand, for errors.
///
/// # Errors
/// What is wrong with one, and where.
pub(super) fn parse_all(
    folder: &Path,
    texts: &BTreeMap<String, String>,
) -> Result<Templates, ManifestError> {
    if texts.len() > TEMPLATES_MAX {
        return Err(ManifestError::Value {
            path: folder.to_owned(),
            key: "templates".to_owned(),
            message: format!("there are {}; {TEMPLATES_MAX} is the most", texts.len()),
        });
    }
    let parsed = texts.iter().map(|(name, text)| {
        let path = folder.join("templates").join(format!("{name}.toml"));
        Ok((name.clone(), parse(&path, text)?))
    });
    Ok(Templates(parsed.collect::<Result<_, ManifestError>>()?))
}

fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, TemplateTexts>, ManifestError> {
    let wrong = |key: &str, message: String| ManifestError::Value {
        path: PathBuf::from(path),
        key: key.to_owned(),
        message,
    };
    if text.len() > TEMPLATE_BYTES_MAX {
        let message = format!("is longer than {TEMPLATE_BYTES_MAX} bytes");
        return Err(wrong("the template", message));
    }
    let languages: BTreeMap<String, Texts> =
        toml::from_str(text).map_err(|error| syntax_error(path, text, &error))?;
    if languages.is_empty() {
        let message = "has no language; begin one with [en], or with [\"*\"] for all";
        return Err(wrong("the template", message.to_owned()));
    }
    let languages = languages.into_iter().map(|(language, texts)| {
        let subject = texts.subject.as_deref().unwrap_or_default();
        if subject.contains('\n') || subject.len() > AnswerLimits::STANDARD.line_bytes_max {
            let message = "is not one line of at most 200 bytes".to_owned();
            return Err(wrong(&format!("{language}.subject"), message));
        }
        let page = texts.page.as_deref().map(Template::parse);
        let names = page.iter().flat_map(Template::names);
        if let Some(unknown) = names.into_iter().find(|name| !PAGE_NAMES.contains(name)) {
            let known = PAGE_NAMES.join(", ");
            let message = format!("holds {{{unknown}}}, which is not one of {known}");
            return Err(wrong(&format!("{language}.page"), message));
        }
        let parsed = |text: Option<String>| text.map(|text| Arc::new(Template::parse(&text)));
        let texts = TemplateTexts {
            subject: parsed(texts.subject),
            text: parsed(texts.text),
            html: parsed(texts.html),
            sms: parsed(texts.sms),
            page: parsed(texts.page),
        };
        Ok((language, texts))
    });
    languages.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_gates_own_templates_are_whole_in_each_language() {
        for (name, languages) in built_in().unwrap().0 {
            let tags: Vec<&str> = languages.keys().map(String::as_str).collect();
            assert_eq!(tags, ["de", "en", "fr"], "{name}");
            for texts in languages.values() {
                assert!(texts.subject.is_some() && texts.text.is_some(), "{name}");
                assert!(texts.sms.is_some() || name.starts_with("notice"), "{name}");
            }
        }
    }

    #[test]
    fn a_wrong_template_says_where() {
        let table = [
            ("", "has no language"),
            (
                "[en]\nsubjct = \"x\"\n",
                "a.toml:2:1: unknown field `subjct`",
            ),
            (
                "[en]\nsubject = \"a\\nb\"\n",
                "a.toml: en.subject: is not one line",
            ),
            (
                "[en]\npage = \"{titel}\"\n",
                "a.toml: en.page: holds {titel}, which is not one of language, title",
            ),
        ];
        for (text, expected) in table {
            let error = parse(Path::new("a.toml"), text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
