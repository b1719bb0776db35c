//! The one canonicaliser of user names, idempotent and used everywhere: what is
//! typed into a login form, claimed by a token and called in the admin API must
//! come out as the same user, or not at all.
//!
//! Form: NFKC (Unicode TR15), surrounding white space removed, and under
//! [`NameRule::FoldCase`] without case: upper case taken to lower, since an app that
//! compares in either (`UPPER(name) = UPPER(?)`) must not see one user where the
//! gate sees two. A phone number that begins with `+` loses what stands between its
//! digits. Under [`NameRule::FoldAccents`] accents go too. Characters that a
//! person can't see are refused rather than removed: an app might keep them.

mod spacing;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use self::spacing::is_spacing_mark;

use crate::ids::USER_ID_BYTES_MAX;

/// How the tenant's apps tell user names apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameRule {
    /// `BOB` and `bob` are one user. The default, and the side to err on: folding
    /// too much refuses too much, folding too little lets a suspended user in.
    #[default]
    FoldCase,
    /// `BOB` and `bob` are two users.
    KeepCase,
    /// `BÓB` and `bob` are one user, as in a database with a collation that
    /// overlooks accents (MySQL's `…_ai_ci`, Postgres' `unaccent`).
    FoldAccents,
}

impl NameRule {
    pub const ALL: [Self; 3] = [Self::FoldCase, Self::KeepCase, Self::FoldAccents];

    /// As the configuration has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FoldCase => "fold-case",
            Self::KeepCase => "keep-case",
            Self::FoldAccents => "fold-accents",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a user name must not be empty")]
    Empty,
    #[error("a user name is at most {USER_ID_BYTES_MAX} bytes")]
    TooLong,
    #[error(
        "a user name must not contain control, formatting or private-use characters (found U+{0:04X})"
    )]
    Invisible(u32),
}

/// Canonical form of `text`, or why it has none.
pub fn canonical(text: &str, rule: NameRule) -> Result<String, NameError> {
    if text.len() > 4 * USER_ID_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    // Bounded rounds: lower-casing can leave text that is no longer NFKC (and the
    // other way round), and the result must be a fixed point to be one key.
    let mut name = fold(text, rule);
    for _ in 0..4 {
        let next = fold(&name, rule);
        if next == name {
            break;
        }
        name = next;
    }
    check(&name)?;
    Ok(name)
}

/// Whether `name` could be the canonical form of something.
pub fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > USER_ID_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    match name.chars().find(|c| is_invisible(*c)) {
        Some(found) => Err(NameError::Invisible(found.into())),
        None => Ok(()),
    }
}

fn fold(text: &str, rule: NameRule) -> String {
    let normal: String = text.trim().nfkc().collect();
    let normal = normal.trim();
    if let Some(phone) = phone(normal) {
        return phone;
    }
    match rule {
        NameRule::FoldCase => without_case(normal.chars()).nfkc().collect(),
        NameRule::KeepCase => normal.to_owned(),
        NameRule::FoldAccents => {
            let bare = without_case(normal.chars()).nfkd();
            let bare = bare.filter(|c| !is_accent(*c));
            let bare: String = bare.flat_map(without_stroke).collect();
            bare.trim().nfkc().collect()
        }
    }
}

/// A phone number with its country (`+49 170 123-45`), without what people write
/// between the digits: apps that take phone numbers as names do the same.
pub fn phone(text: &str) -> Option<String> {
    let rest = text.trim().strip_prefix('+')?;
    let between = |c: char| c.is_ascii_digit() || " -./()\u{a0}".contains(c);
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    let fits = (5..=20).contains(&digits.len()) && rest.chars().all(between);
    fits.then(|| format!("+{digits}"))
}

/// The same number with the plus that international numbers begin with, where the
/// name could be one with `00` in its place.
pub fn dialled(name: &str) -> Option<String> {
    phone(&format!("+{}", name.strip_prefix("00")?))
}

fn without_case(text: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    text.flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

/// Marks that stand on another letter: Mn, and the few that enclose it (Me).
fn is_accent(c: char) -> bool {
    is_combining_mark(c) && !is_spacing_mark(c)
}

/// Letters whose accent is drawn through them has no mark to drop: what the
/// Unicode collation (UTS 10) takes them for at its first level.
fn without_stroke(c: char) -> impl Iterator<Item = char> {
    let plain = match c {
        'ø' => "o",
        'ł' => "l",
        'đ' => "d",
        'ħ' => "h",
        'ŧ' => "t",
        'æ' => "ae",
        'œ' => "oe",
        _ => "",
    };
    plain.chars().chain(plain.is_empty().then_some(c))
}

/// Control characters, and those of Unicode's general category Cf (format), Co
/// (private use) and the line separators: they tell apart names that look alike.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0x00AD | 0x034F | 0x0600..=0x0605 | 0x061C | 0x06DD | 0x070F | 0x0890..=0x0891
            | 0x08E2 | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F
            | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164 | 0xE000..=0xF8FF | 0xFE00..=0xFE0F
            | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0x110BD | 0x110CD | 0x13430..=0x1345F
            | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0x10FFFF)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_name_come_out_as_one() {
        for spelling in ["bob", "BOB", " bob", "bob\t", "ｂｏｂ", "Bob\u{3000}"] {
            assert_eq!(
                canonical(spelling, NameRule::FoldCase).unwrap(),
                "bob",
                "{spelling:?}"
            );
        }
        // The Kelvin sign folds to k.
        assert_eq!(
            canonical("mi\u{212A}e", NameRule::FoldCase).unwrap(),
            "mike"
        );
    }

    /// Apps compare in upper case as well as in lower.
    #[test]
    fn names_that_are_one_in_either_case_come_out_as_one() {
        for (one, other) in [("mıke", "mike"), ("ΒΟΣ", "βος"), ("STRASSE", "straße")] {
            let fold = |name| canonical(name, NameRule::FoldCase).unwrap();
            assert_eq!(fold(one), fold(other));
        }
    }

    #[test]
    fn accents_are_overlooked_where_the_tenant_says_so() {
        let fold = |name: &str| canonical(name, NameRule::FoldAccents).unwrap();
        for spelling in [
            "bob",
            "bób",
            "BO\u{301}B",
            "b\u{301}\u{302}ob",
            "ｂöb",
            "bøb",
        ] {
            assert_eq!(fold(spelling), "bob", "{spelling:?}");
        }
        assert_eq!(fold("Æsop Łuk"), "aesop luk");
        assert_eq!(fold("이순신"), "이순신");
        // Vowel signs that are letters of their own stay.
        assert_ne!(fold("\u{915}\u{93E}"), fold("\u{915}"));
        assert_eq!(
            canonical("\u{301}", NameRule::FoldAccents),
            Err(NameError::Empty)
        );
        assert_ne!(canonical("bób", NameRule::FoldCase).unwrap(), "bob");
    }

    #[test]
    fn spellings_of_one_phone_number_come_out_as_one() {
        for spelling in [
            "+49123456",
            "+49 123 456",
            "+49-123-456",
            " +49 (123) 456",
            "＋49 123.456",
        ] {
            for rule in [
                NameRule::FoldCase,
                NameRule::KeepCase,
                NameRule::FoldAccents,
            ] {
                assert_eq!(
                    canonical(spelling, rule).unwrap(),
                    "+49123456",
                    "{spelling}"
                );
            }
        }
        assert_eq!(canonical("+49 x", NameRule::FoldCase).unwrap(), "+49 x");
        assert_eq!(dialled("0049 123456").as_deref(), Some("+49123456"));
        assert_eq!(dialled("0012x"), None);
    }

    #[test]
    fn names_that_only_look_alike_stay_apart_or_are_refused() {
        // A Cyrillic letter that looks like a Latin one.
        assert_ne!(canonical("bоb", NameRule::FoldCase).unwrap(), "bob");
        assert_ne!(canonical("bób", NameRule::FoldCase).unwrap(), "bob");
        assert_eq!(
            canonical("bob\0", NameRule::FoldCase),
            Err(NameError::Invisible(0))
        );
        assert_eq!(
            canonical("b\u{200B}ob", NameRule::FoldCase),
            Err(NameError::Invisible(0x200B))
        );
        assert_eq!(canonical("  ", NameRule::FoldCase), Err(NameError::Empty));
        assert_eq!(
            canonical(&"a".repeat(257), NameRule::FoldCase),
            Err(NameError::TooLong)
        );
        assert_eq!(canonical("Bob", NameRule::KeepCase).unwrap(), "Bob");
    }

    const RULES: [NameRule; 3] = [
        NameRule::FoldCase,
        NameRule::KeepCase,
        NameRule::FoldAccents,
    ];

    fn is_fixed(text: &str) -> Result<(), TestCaseError> {
        for rule in RULES {
            if let Ok(once) = canonical(text, rule) {
                prop_assert_eq!(canonical(&once, rule), Ok(once), "{:?}", rule);
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn canonical_is_idempotent(text in any::<String>()) {
            is_fixed(&text)?;
        }

        #[test]
        fn canonical_is_idempotent_with_marks_and_odd_cases(
            text in "[a-zA-Zßİıſςǅŉøæ \u{300}-\u{36f}\u{345}\u{93e}\u{941}\u{1100}-\u{11ff}\u{1fb0}-\u{1fff}]{0,24}"
        ) {
            is_fixed(&text)?;
        }

        #[test]
        fn a_name_is_its_own_in_either_case_where_case_is_folded(text in "\\PC{1,24}") {
            for rule in [NameRule::FoldCase, NameRule::FoldAccents] {
                let upper = canonical(&text.to_uppercase(), rule);
                prop_assert_eq!(canonical(&text, rule).ok(), upper.ok(), "{:?}", rule);
            }
        }
    }
}
