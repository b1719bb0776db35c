//! What the client would like to be answered with: a page or data, and in which
//! language (RFC 9110 §12.5).

use http::HeaderValue;

const LOCALES_MAX: usize = 5;
const LOCALE_BYTES_MAX: usize = 35;

/// Whether the client is a browser that shows a page. Only one that asks for HTML
/// by name is: `*/*` is what programs send.
pub fn wants_page(accept: Option<&HeaderValue>) -> bool {
    weighted(accept)
        .any(|(media_type, weight)| weight > 0 && media_type.eq_ignore_ascii_case("text/html"))
}

/// The client's languages (BCP 47), best first, lower case.
pub fn locales(accept_language: Option<&HeaderValue>) -> Vec<String> {
    let plain = |tag: &str| {
        (1..=LOCALE_BYTES_MAX).contains(&tag.len())
            && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let mut wanted: Vec<(String, u16)> = weighted(accept_language)
        .filter(|(tag, weight)| *weight > 0 && plain(tag))
        .map(|(tag, weight)| (tag.to_ascii_lowercase(), weight))
        .take(4 * LOCALES_MAX)
        .collect();
    wanted.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    wanted.truncate(LOCALES_MAX);
    wanted.into_iter().map(|(tag, _)| tag).collect()
}

/// The items of a header with their weights in thousandths.
fn weighted(header: Option<&HeaderValue>) -> impl Iterator<Item = (&str, u16)> {
    header
        .and_then(|value| value.to_str().ok())
        .into_iter()
        .flat_map(|value| value.split(','))
        .map(|item| {
            let mut parts = item.split(';');
            let name = parts.next().unwrap_or_default().trim();
            let weight = parts
                .find_map(|part| part.trim().strip_prefix("q="))
                .map_or(1000, thousandths);
            (name, weight)
        })
}

fn thousandths(weight: &str) -> u16 {
    let (whole, fraction) = weight.trim().split_once('.').unwrap_or((weight.trim(), ""));
    if whole != "0" {
        return if whole == "1" { 1000 } else { 0 };
    }
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_pages_and_programs_get_data() {
        let page = |accept| wants_page(Some(&HeaderValue::from_static(accept)));
        assert!(page("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!page("*/*"));
        assert!(!page("application/json"));
        assert!(!page("text/html;q=0, application/json"));
        assert!(!wants_page(None));
    }

    #[test]
    fn languages_come_best_first_and_bounded() {
        let wanted = |value| locales(Some(&HeaderValue::from_static(value)));
        assert_eq!(
            wanted("en;q=0.8, de-CH, fr;q=0.9, *;q=0.1"),
            ["de-ch", "fr", "en"]
        );
        assert_eq!(wanted("a,b,c,d,e,f,g").len(), LOCALES_MAX);
        assert!(wanted("<script>, de;q=0").is_empty());
    }
}
