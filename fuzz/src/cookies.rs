//! Parsers of the `Cookie` header, as lenient as those of the common frameworks.

use cookie::Cookie;
use percent_encoding::percent_decode_str;

/// The pairs that the parsers see which leave escapes as they are.
pub fn raw(header: &str) -> Vec<(String, Vec<u8>)> {
    let mut all = strict(header);
    all.extend(splitting_everywhere(header));
    all
}

/// The pairs that the parsers see which undo percent-encoding.
pub fn decoded(header: &str) -> Vec<(String, Vec<u8>)> {
    let mut all = decoding(header);
    all.extend(php(header));
    all
}

/// A library's: no more than RFC 6265.
fn strict(header: &str) -> Vec<(String, Vec<u8>)> {
    let found = Cookie::split_parse(header).flatten();
    found
        .map(|cookie| (cookie.name().to_owned(), cookie.value().as_bytes().to_vec()))
        .collect()
}

/// The same, percent-decoded.
fn decoding(header: &str) -> Vec<(String, Vec<u8>)> {
    let found = Cookie::split_parse_encoded(header).flatten();
    found
        .map(|cookie| (cookie.name().to_owned(), cookie.value().as_bytes().to_vec()))
        .collect()
}

/// PHP's: names decoded, cut at a NUL, and their punctuation made `_`.
fn php(header: &str) -> Vec<(String, Vec<u8>)> {
    let pairs = header.split(';').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| {
            let name = percent_decode_str(name.trim_start()).decode_utf8_lossy();
            let name = name.split('\0').next().unwrap_or_default();
            let name = name.trim_start_matches(|c| c <= ' ');
            let name = name.replace(['.', ' ', '['], "_");
            (name, percent_decode_str(value.trim()).collect())
        })
        .collect()
}

/// As old Python's and Java's did: a new cookie after white space and commas, quotes
/// taken off, octal escapes undone.
fn splitting_everywhere(header: &str) -> Vec<(String, Vec<u8>)> {
    let is_end = |c: char| c == ';' || c == ',' || c.is_ascii_whitespace();
    let pairs = header.split(is_end).filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| {
            let name = name.trim_matches('"');
            let bare = value
                .strip_prefix('"')
                .map(|rest| rest.strip_suffix('"').unwrap_or(rest));
            (name.to_owned(), bare.map_or(value.into(), unescape))
        })
        .collect()
}

fn unescape(quoted: &str) -> Vec<u8> {
    let bytes = quoted.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        if *byte != b'\\' {
            plain.push(*byte);
            continue;
        }
        let octal = bytes
            .get(at..at + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.extend(bytes.get(at));
                at += 1;
            }
        }
    }
    plain
}
