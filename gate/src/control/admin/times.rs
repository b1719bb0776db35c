//! Times as the API writes and reads them: RFC 3339, in UTC when written.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis_core::time::Timestamp;

use super::problem::Problem;

/// 9999-12-31T23:59:59.999Z, the last moment that RFC 3339 can write.
const LAST_MS: u64 = 253_402_300_799_999;

pub(super) fn text(at: Timestamp) -> String {
    let since_epoch = Duration::from_millis(at.0.min(LAST_MS));
    let time = UNIX_EPOCH.checked_add(since_epoch).unwrap_or(UNIX_EPOCH);
    humantime::format_rfc3339_millis(time).to_string()
}

/// Reads a time, or a duration that counts `from` then.
pub(super) fn moment(field: &str, text: &str, from: Timestamp) -> Result<Timestamp, Problem> {
    if let Some(at) = parse_rfc3339(text) {
        return Ok(at);
    }
    let duration = humantime::parse_duration(text).ok();
    let at = duration
        .and_then(|duration| u64::try_from(duration.as_millis()).ok())
        .and_then(|ms| from.0.checked_add(ms))
        .filter(|at| *at <= LAST_MS);
    at.map(Timestamp).ok_or_else(|| {
        Problem::field(field, format!("{text:?} is neither a time nor a duration"))
            .mend("write a time as 2030-01-02T03:04:05Z (RFC 3339) or a duration as 24h or 90d")
    })
}

/// Reads a time and nothing else.
pub(super) fn time(field: &str, text: &str) -> Result<Timestamp, Problem> {
    parse_rfc3339(text).ok_or_else(|| {
        Problem::field(field, format!("{text:?} is no time"))
            .mend("write it as 2030-01-02T03:04:05Z (RFC 3339)")
    })
}

fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    if !text.is_ascii() {
        return None;
    }
    let (local, offset_minutes) = match text.strip_suffix(['Z', 'z']) {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            (local, parse_offset(offset)?)
        }
    };
    let local = local.replacen(['t', ' '], "T", 1);
    // Whatever is older than our counting lies before everything.
    let (year, rest) = local.split_at_checked(4)?;
    let ancient = year.parse::<u16>().ok()? < 1970;
    let year = if ancient { "1972" } else { year };
    let local = humantime::parse_rfc3339(&format!("{year}{rest}Z")).ok()?;
    if ancient {
        return Some(Timestamp(0));
    }
    let local_ms = i128::try_from(since_epoch(local)?.as_millis()).ok()?;
    let ms = u64::try_from(local_ms - i128::from(offset_minutes) * 60_000).ok()?;
    (ms <= LAST_MS).then_some(Timestamp(ms))
}

fn since_epoch(time: SystemTime) -> Option<Duration> {
    time.duration_since(UNIX_EPOCH).ok()
}

/// `+02:00` in minutes.
fn parse_offset(text: &str) -> Option<i32> {
    let (sign, rest) = text.split_at_checked(1)?;
    let sign = match sign {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str, max: i32| -> Option<i32> {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|n| digits && *n <= max)
    };
    Some(sign * (number(hours, 23)? * 60 + number(minutes, 59)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_read_with_their_offset_and_written_in_utc() {
        for spelling in [
            "2030-01-02T03:04:05Z",
            "2030-01-02t03:04:05z",
            "2030-01-02T05:04:05+02:00",
            "2030-01-01T21:34:05.000-05:30",
        ] {
            let at = time("since", spelling).unwrap();
            assert_eq!(text(at), "2030-01-02T03:04:05.000Z", "{spelling}");
        }
        for bad in [
            "",
            "x",
            "2030-01-02",
            "2030-01-02T03:04:05",
            "2030-13-02T03:04:05Z",
            "1960-13-01T00:00:00Z",
            "é",
        ] {
            assert!(time("since", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_older_than_all_entries_is_before_them() {
        assert_eq!(time("since", "1696-03-26T23:32:38Z").unwrap(), Timestamp(0));
    }

    #[test]
    fn a_duration_counts_from_its_beginning() {
        let now = Timestamp(1_000);
        assert_eq!(
            moment("ends_at", "24h", now).unwrap(),
            Timestamp(86_401_000)
        );
        assert!(moment("ends_at", "90000000000d", now).is_err());
        assert!(moment("ends_at", "soon", now).is_err());
    }

    #[test]
    fn no_number_is_too_large_to_be_written() {
        assert_eq!(text(Timestamp(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }
}
