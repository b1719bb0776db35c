//! Chooses the language of an answer.

use crate::settings::{DEFAULT_LANGUAGE, LANGUAGE_DEFAULT, Settings};

/// The first of `locales`, best first, that `has` words; a regional tag
/// (`de-AT`) is cut down (`de`) before the next is tried, as in the lookup of
/// RFC 4647 §3.4. Failing all, the default language, whether it has or not.
pub fn choose(settings: Settings<'_>, locales: &[String], has: impl Fn(&str) -> bool) -> String {
    for locale in locales {
        let mut tag = locale.as_str();
        loop {
            if has(tag) {
                return tag.to_owned();
            }
            match tag.rsplit_once('-') {
                Some((shorter, _)) => tag = shorter,
                None => break,
            }
        }
    }
    default(settings).to_owned()
}

/// The tenant's default language.
pub fn default(settings: Settings<'_>) -> &str {
    settings.text(DEFAULT_LANGUAGE).unwrap_or(LANGUAGE_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose_among(locales: &[&str], known: &[&str], default: &str) -> String {
        let settings = [(DEFAULT_LANGUAGE.to_owned(), default.to_owned())];
        let locales: Vec<String> = locales.iter().map(|tag| (*tag).to_owned()).collect();
        let has = |tag: &str| known.iter().any(|known| known.eq_ignore_ascii_case(tag));
        choose(Settings(&settings), &locales, has)
    }

    #[test]
    fn the_first_language_that_has_words_wins() {
        let table: [(&[&str], &str); 7] = [
            (&["de"], "de"),
            (&["de-AT", "en"], "de"),
            (&["it", "fr-CH", "en"], "fr"),
            (&["zh-Hant-TW"], "en"),
            (&["PT-br"], "PT-br"),
            (&[], "en"),
            (&["", "-", "*"], "en"),
        ];
        for (locales, expected) in table {
            let chosen = choose_among(locales, &["en", "de", "fr", "pt-BR"], "en");
            assert_eq!(chosen, expected, "{locales:?}");
        }
    }
}
