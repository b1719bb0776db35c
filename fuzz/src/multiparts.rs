//! Parsers of multipart bodies: a library's, and one that takes anything.

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use multer::Multipart;

/// The fields that a library sees; `None` where it gives up.
pub fn library(body: &[u8], boundary: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let whole = Bytes::copy_from_slice(body);
    let pieces = stream::iter([Ok::<_, std::convert::Infallible>(whole)]);
    let mut multipart = Multipart::new(pieces, boundary);
    let reading = async {
        let mut fields = Vec::new();
        while let Some(field) = multipart.next_field().await.ok()? {
            let name = field.name().unwrap_or_default().to_owned();
            fields.push((name, field.bytes().await.ok()?.to_vec()));
        }
        Some(fields)
    };
    // The body is there already, so nothing is ever waited for.
    reading.now_or_never()?
}

/// What stands between anything that looks like a delimiter, wherever it is, with
/// lines that end in any way, and names found by looking for them.
pub fn anything(body: &[u8], boundary: &str) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n");
    let mut fields = Vec::new();
    for part in text.split(&format!("--{boundary}")) {
        let part = part.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some((head, content)) = part.split_once("\n\n") else {
            continue;
        };
        let lower = head.to_ascii_lowercase();
        let Some(at) = lower.find("name=").or_else(|| lower.find("name*=")) else {
            continue;
        };
        let value = head[at..].split_once('=').map_or("", |(_, value)| value);
        let name = value.trim_start_matches('"');
        let name = name.split(['"', ';', '\n']).next().unwrap_or_default();
        let content = content.strip_suffix('\n').unwrap_or(content);
        fields.push((name.trim().to_owned(), content.to_owned()));
    }
    fields
}
