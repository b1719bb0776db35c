//! Multipart bodies (`multipart/form-data`, RFC 7578), in the one spelling that
//! all parsers read alike. They disagree on nearly everything else: preambles,
//! folded headers, escapes in names, encodings, what ends a boundary. A browser
//! or an HTTP library writes none of that in a login.

use super::LoginFault;
use super::form::names_another_charset;
use crate::limits;

const UNREADABLE: LoginFault = LoginFault::Unreadable("multipart/form-data");

/// What separates the parts, from the parameters of the content type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary(String);

/// One part: a field, or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    pub name: String,
    pub is_file: bool,
    /// Its own content type, in lower case and without parameters.
    media_type: Option<String>,
    pub content: &'a [u8],
}

impl Boundary {
    /// Reads what follows `multipart/form-data` in the content type: one boundary
    /// (RFC 2046 §5.1.1), of characters that need no quotes, and nothing else.
    pub fn parse(parameters: &str) -> Result<Self, LoginFault> {
        let (name, value) = parameters.split_once('=').ok_or(UNREADABLE)?;
        let name = name.trim_matches([' ', ';']);
        let one = parameters.matches(';').count() == 1 && parameters.trim().starts_with(';');
        let bare = value
            .strip_prefix('"')
            .map_or(Some(value), |rest| rest.strip_suffix('"'))
            .ok_or(UNREADABLE)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"'+_-.".contains(&b);
        let fits = (1..=70).contains(&bare.len()) && bare.bytes().all(plain);
        if one && name.eq_ignore_ascii_case("boundary") && fits {
            Ok(Self(bare.to_owned()))
        } else {
            Err(UNREADABLE)
        }
    }
}

/// The parts of a body, each between two delimiters that stand where they should.
pub fn parts<'a>(body: &'a [u8], boundary: &Boundary) -> Result<Vec<Part<'a>>, LoginFault> {
    // To a parser that takes the quotes of a boundary for a part of it, this is one.
    if find(body, format!("\"{}\"", boundary.0).as_bytes()).is_some() {
        return Err(UNREADABLE);
    }
    let dashes = format!("--{}", boundary.0);
    let delimiter = format!("\r\n{dashes}");
    // No preamble; the first delimiter begins the body.
    let mut rest = body.strip_prefix(dashes.as_bytes()).ok_or(UNREADABLE)?;
    let mut parts = Vec::new();
    while let Some(begun) = rest.strip_prefix(b"\r\n") {
        let end = find(begun, delimiter.as_bytes()).ok_or(UNREADABLE)?;
        let part = begun.get(..end).ok_or(UNREADABLE)?;
        // A parser that takes a bare line feed for a line's end would end it here.
        if find(part, dashes.as_bytes()).is_some() || parts.len() == limits::LOGIN_PARTS_MAX {
            return Err(UNREADABLE);
        }
        parts.push(read_part(part)?);
        rest = begun.get(end + delimiter.len()..).ok_or(UNREADABLE)?;
    }
    match rest {
        b"--" | b"--\r\n" => Ok(parts),
        _ => Err(UNREADABLE),
    }
}

/// The fields among the parts, as names and texts; `is_user` says which of the
/// names could be the user's. Such a one is text and nothing else.
pub fn fields(
    parts: Vec<Part<'_>>,
    is_user: impl Fn(&str) -> bool,
) -> Result<Vec<(String, String)>, LoginFault> {
    let mut fields = Vec::new();
    for part in parts {
        if is_user(&part.name) {
            let text = part.media_type.as_deref().is_none_or(is_plain_text);
            if part.is_file || !text {
                return Err(UNREADABLE);
            }
        } else if part.is_file {
            continue;
        }
        let value = std::str::from_utf8(part.content);
        // Bytes of a field that names nobody are the app's affair.
        let value = match value {
            Ok(value) => value,
            Err(_) if is_user(&part.name) => return Err(UNREADABLE),
            Err(_) => "",
        };
        if names_another_charset(&part.name, value) {
            return Err(UNREADABLE);
        }
        fields.push((part.name, value.to_owned()));
    }
    Ok(fields)
}

fn is_plain_text(media_type: &str) -> bool {
    media_type == "text/plain"
}

fn read_part(part: &[u8]) -> Result<Part<'_>, LoginFault> {
    let end = find(part, b"\r\n\r\n").ok_or(UNREADABLE)?;
    let (head, content) = part.split_at_checked(end).ok_or(UNREADABLE)?;
    let content = content.get(4..).ok_or(UNREADABLE)?;
    let head = std::str::from_utf8(head).map_err(|_| UNREADABLE)?;
    let (mut disposition, mut media_type, mut length) = (None, None, None);
    for line in head.split("\r\n") {
        // A folded line begins with white space, and so has no name.
        let (name, value) = line.split_once(':').ok_or(UNREADABLE)?;
        if value.contains(|c: char| c.is_control()) {
            return Err(UNREADABLE);
        }
        let value = value.trim_matches(' ');
        let place = match name.to_ascii_lowercase().as_str() {
            "content-disposition" => &mut disposition,
            "content-type" => &mut media_type,
            "content-length" => &mut length,
            // An encoding, above all.
            _ => return Err(UNREADABLE),
        };
        if place.replace(value).is_some() {
            return Err(UNREADABLE);
        }
    }
    if length.is_some_and(|length| length != content.len().to_string()) {
        return Err(UNREADABLE);
    }
    let (name, is_file) = read_disposition(disposition.ok_or(UNREADABLE)?)?;
    let media_type = media_type.map(read_media_type).transpose()?;
    Ok(Part {
        name,
        is_file,
        media_type,
        content,
    })
}

/// `form-data; name="…"`, and for a file `; filename="…"` after it (RFC 7578 §4.2).
fn read_disposition(value: &str) -> Result<(String, bool), LoginFault> {
    let rest = value.strip_prefix("form-data").ok_or(UNREADABLE)?;
    let (name, rest) = read_parameter(rest, "name").ok_or(UNREADABLE)?;
    if rest.is_empty() {
        return Ok((name, false));
    }
    match read_parameter(rest, "filename") {
        Some((_, "")) => Ok((name, true)),
        Some(_) | None => Err(UNREADABLE),
    }
}

/// `; NAME="value"`, or without quotes where none are needed. Escapes are read in
/// two ways, `%22` for a quote in three, so a value has neither.
fn read_parameter<'a>(text: &'a str, name: &str) -> Option<(String, &'a str)> {
    let rest = text.strip_prefix(';')?.trim_start_matches(' ');
    // In another case, not every parser takes it for the same.
    let rest = rest.strip_prefix(name)?.strip_prefix('=')?;
    let odd = |c: char| matches!(c, '\\' | '%') || c.is_control();
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let (value, rest, fits) = match rest.strip_prefix('"') {
        Some(quoted) => {
            let (value, rest) = quoted.split_once('"')?;
            (value, rest, !value.contains(odd))
        }
        None => {
            let (value, rest) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
            (value, rest, !value.is_empty() && value.chars().all(bare))
        }
    };
    (fits && (name != "name" || !value.is_empty())).then(|| (value.to_owned(), rest))
}

/// A part's own content type. A part that holds parts, or text in another charset,
/// is read by some and not by others.
fn read_media_type(value: &str) -> Result<String, LoginFault> {
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let essence = essence.trim().to_ascii_lowercase();
    let nested = essence.starts_with("multipart/") || essence.starts_with("message/");
    if nested || !super::is_utf8(parameters) {
        return Err(UNREADABLE);
    }
    Ok(essence)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests;
