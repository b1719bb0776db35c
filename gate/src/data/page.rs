//! The gate's own pages: self-contained, readable without styles, every text from
//! outside escaped.

use std::fmt::Write;

use portcullis_core::policy::template::{Markup, escape_into};
use portcullis_core::policy::{AnswerLimits, LinkKind, Template};

use crate::live::refusals::Prepared;

const STYLE: &str = "body{font:17px/1.55 system-ui,sans-serif;color:#1c2430;background:#f4f5f7;\
margin:0;display:grid;min-height:100vh;place-items:center}main{background:#fff;max-width:34rem;\
margin:1rem;padding:2.2rem 2.4rem;border-radius:12px;box-shadow:0 1px 3px #0002,0 8px 30px #0001}\
h1{font-size:1.45rem;margin:0 0 .8rem}p{margin:.6rem 0;white-space:pre-line}a{color:#0b57b7}\
.words{border-left:4px solid #c23b22;padding-left:.9rem}.id{color:#667;font-size:.85rem;\
margin-top:1.6rem}@media(prefers-color-scheme:dark){body{background:#12161c;color:#e6e9ee}\
main{background:#1c222b}a{color:#7db3ff}.id{color:#9aa}}";

/// What a suspended user's browser shows: the tenant's own page, where the policy
/// chose one.
pub(super) fn refusal(prepared: &Prepared) -> String {
    let own = prepared.page.as_ref();
    own.and_then(|page| fill(page, prepared))
        .unwrap_or_else(|| plain(prepared))
}

/// The names are those of [`portcullis_core::policy::template::PAGE_NAMES`], which
/// the template was held to when the policy was loaded; what comes out too long is
/// answered with the gate's own layout.
fn fill(page: &Template, prepared: &Prepared) -> Option<String> {
    let link = |kind: LinkKind| prepared.links.iter().find(|link| link.kind == kind);
    let url = |kind| Some(link(kind).map_or("", |link| link.href.as_str()));
    let label = |kind| Some(link(kind).map_or("", |link| link.label.as_str()));
    let value = |name: &str| match name {
        "language" => Some(prepared.language.as_str()),
        "title" => Some(prepared.title.as_str()),
        "message" => Some(prepared.message.as_str()),
        "words" => Some(prepared.words.as_deref().unwrap_or_default()),
        "error_id" => Some(prepared.error_id.as_str()),
        "contact_url" => url(LinkKind::Contact),
        "contact_label" => label(LinkKind::Contact),
        "appeal_url" => url(LinkKind::Appeal),
        "appeal_label" => label(LinkKind::Appeal),
        "reset_url" => url(LinkKind::Reset),
        "reset_label" => label(LinkKind::Reset),
        _ => None,
    };
    let bytes_max = AnswerLimits::STANDARD.rendered_bytes_max;
    page.render(value, Markup::Html, bytes_max).ok()
}

fn plain(prepared: &Prepared) -> String {
    let mut main = format!("<h1>{}</h1>", escape(&prepared.title));
    // Most policies say the words within their message; twice would be shouting.
    let apart = prepared
        .words
        .as_ref()
        .filter(|words| !prepared.message.contains(words.as_str()));
    if let Some(words) = apart {
        let _ = write!(main, "<p class=\"words\">{}</p>", escape(words));
    }
    let _ = write!(main, "<p>{}</p>", escape(&prepared.message));
    if !prepared.links.is_empty() {
        main.push_str("<p>");
        for link in &prepared.links {
            let (href, label) = (escape(&link.href), escape(&link.label));
            let _ = write!(main, "<a href=\"{href}\">{label}</a> ");
        }
        main.push_str("</p>");
    }
    document(
        &prepared.language,
        &prepared.title,
        &main,
        &prepared.error_id,
    )
}

/// An error of the gate's own, for a browser.
pub(super) fn problem(title: &str, detail: &str, error_id: &str) -> String {
    let main = format!("<h1>{}</h1><p>{}</p>", escape(title), escape(detail));
    document("en", title, &main, error_id)
}

fn document(language: &str, title: &str, main: &str, error_id: &str) -> String {
    format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{}</title><style>{STYLE}</style></head>\
         <body><main>{main}<p class=\"id\">Ref. {}</p></main></body></html>\n",
        escape(language),
        escape(title),
        escape(error_id),
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    escape_into(&mut escaped, text);
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let page = problem("<script>", "\"'><img src=x onerror=alert(1)>", "a<b");
        assert!(!page.contains("<script>") && !page.contains("<img"));
        assert!(page.contains("&lt;script&gt;"));
    }
}
