//! Writes a moment as a date that a person reads, in UTC.

const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const MONTHS_DE: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];
const MONTHS_FR: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];

/// `22 November 2026` in the language of `tag`, `2026-11-22` in one that is not
/// built in.
pub fn write(seconds: u64, tag: &str) -> String {
    let (year, month, day) = split(seconds);
    let (months, after_day) = match crate::texts::primary(tag).as_str() {
        "en" => (&MONTHS_EN, " "),
        "de" => (&MONTHS_DE, ". "),
        "fr" => (&MONTHS_FR, if day == 1 { "er " } else { " " }),
        _ => return iso(year, month, day),
    };
    let name = months.get(month - 1).copied().unwrap_or_default();
    let mut text = day.to_string();
    text.push_str(after_day);
    text.push_str(name);
    text.push(' ');
    text.push_str(&year.to_string());
    text
}

/// How long a suspension lasts, as part of a sentence; in a language that is not
/// built in, the date of its end alone.
pub fn duration(until: Option<u64>, tag: &str) -> String {
    let (before, for_good) = match crate::texts::primary(tag).as_str() {
        "en" => ("until ", "until further notice"),
        "de" => ("bis zum ", "bis auf Weiteres"),
        "fr" => ("jusqu’au ", "jusqu’à nouvel ordre"),
        _ => ("", ""),
    };
    match until {
        Some(until) => [before, &write(until, tag)].concat(),
        None => for_good.to_owned(),
    }
}

fn iso(year: u64, month: usize, day: u64) -> String {
    let mut text = year.to_string();
    for part in [month as u64, day] {
        text.push_str(if part < 10 { "-0" } else { "-" });
        text.push_str(&part.to_string());
    }
    text
}

/// Year, month from 1 and day from 1, by Howard Hinnant's `civil_from_days`,
/// for the years from 1970.
fn split(seconds: u64) -> (u64, usize, u64) {
    // A moment beyond year 9999 is nonsense; it must not overflow, that is all.
    let days = (seconds / 86_400).min(2_932_896) + 719_468;
    let era_day = days % 146_097;
    let era_year = (era_day - era_day / 1_460 + era_day / 36_524 - era_day / 146_096) / 365;
    let year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    let shifted_month = (5 * year_day + 2) / 153;
    let day = year_day - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = days / 146_097 * 400 + era_year + u64::from(month <= 2);
    (year, month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_dates() {
        let table = [
            (0, "en", "1 January 1970"),
            (0, "fr", "1er janvier 1970"),
            (951_782_400, "de-CH", "29. Februar 2000"),
            (951_868_800, "EN-gb", "1 March 2000"),
            (1_795_357_115, "en", "22 November 2026"),
            (1_798_761_599, "it", "2026-12-31"),
            (1_798_761_600, "it", "2027-01-01"),
            (4_107_542_400, "it", "2100-03-01"),
            (u64::MAX, "it", "9999-12-31"),
        ];
        for (seconds, tag, expected) in table {
            assert_eq!(write(seconds, tag), expected, "{seconds}");
        }
    }
}
