//! Reads Rust as far as the rules need it: tokens without comments and strings,
//! which of them are test code, and every path that is named.

/// A word or a mark of a source file, with the line it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
    /// Inside an item that is compiled for tests only.
    pub(crate) test: bool,
}

/// A path as it is named somewhere: `crate::live::Reader` is three segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    /// The modules opened with braces around it, outermost first.
    pub(crate) within: Vec<String>,
    pub(crate) line: usize,
    pub(crate) test: bool,
}

/// The tokens of a file; comments, strings, characters and lifetimes left out.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(first) = text[at..].chars().next() {
        let length = skipped(&text[at..]);
        if length > 0 {
            line += text[at..at + length].matches('\n').count();
            at += length;
            continue;
        }
        let length = if word(first) {
            text[at..].find(|c| !word(c)).unwrap_or(text.len() - at)
        } else if text[at..].starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        found.push(Token {
            text: &text[at..at + length],
            line,
            test: false,
        });
        at += length;
    }
    mark_tests(&mut found);
    found
}

fn word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// How many bytes at the start of `rest` are no token: 0 when one begins here.
fn skipped(rest: &str) -> usize {
    if rest.starts_with(char::is_whitespace) {
        return rest
            .find(|c: char| !c.is_whitespace())
            .unwrap_or(rest.len());
    }
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('\'') {
        return quote(rest);
    }
    // A string, perhaps behind one of its prefixes (`r#type` is no string).
    let prefix = rest.find(|c| !word(c)).unwrap_or(rest.len());
    if !matches!(&rest[..prefix], "" | "b" | "c" | "r" | "br" | "cr") {
        return 0;
    }
    let raw = rest[..prefix].ends_with('r');
    let hashes = if raw {
        rest[prefix..].len() - rest[prefix..].trim_start_matches('#').len()
    } else {
        0
    };
    let Some(body) = rest[prefix + hashes..].strip_prefix('"') else {
        return 0;
    };
    let start = prefix + hashes + 1;
    if raw {
        let close = format!("\"{}", "#".repeat(hashes));
        return body
            .find(&close)
            .map_or(rest.len(), |end| start + end + close.len());
    }
    escaped(body, '"').map_or(rest.len(), |end| start + end)
}

/// Where the text ends that runs to an unescaped `close`, the mark included.
fn escaped(body: &str, close: char) -> Option<usize> {
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == close {
            return Some(at + c.len_utf8());
        }
    }
    None
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// A character, or a lifetime, which has no closing quote.
fn quote(rest: &str) -> usize {
    let mut after = rest[1..].chars();
    let (first, second) = (after.next(), after.next());
    if first == Some('\\') || second == Some('\'') {
        return 1 + escaped(&rest[1..], '\'').unwrap_or(rest.len() - 1);
    }
    1 + rest[1..].find(|c| !word(c)).unwrap_or(rest.len() - 1)
}

/// Marks what follows `#[test]` or `#[cfg(test)]`, to the end of its item.
fn mark_tests(tokens: &mut [Token<'_>]) {
    let mut at = 0;
    while at + 1 < tokens.len() {
        if tokens[at].text != "#" || tokens[at + 1].text != "[" {
            at += 1;
            continue;
        }
        let end = closing(tokens, at + 1);
        let says = |name| tokens[at + 2..end].iter().any(|token| token.text == name);
        let gate = tokens[at + 2].text;
        if (gate == "cfg" && says("test") && !says("not")) || (gate == "test" && end == at + 3) {
            let item = item_end(tokens, end + 1);
            tokens[at..item]
                .iter_mut()
                .for_each(|token| token.test = true);
            at = item;
        } else {
            at = end + 1;
        }
    }
}

/// The index of the bracket that closes the one at `open`, or of the last token.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

/// One past the end of the item at `at`: past its block, or its semicolon.
fn item_end(tokens: &[Token<'_>], mut at: usize) -> usize {
    while at < tokens.len() {
        match tokens[at].text {
            ";" => return at + 1,
            "{" => return closing(tokens, at) + 1,
            "(" | "[" => at = closing(tokens, at) + 1,
            _ => at += 1,
        }
    }
    tokens.len()
}

/// Every path that the tokens name, `use` trees spelt out.
pub(crate) fn paths(tokens: &[Token<'_>]) -> Vec<Path> {
    let mut found = Vec::new();
    // For each open brace, the module that it opened, if it opened one.
    let mut braces: Vec<Option<String>> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let token = tokens[at];
        let before = |back: usize| at.checked_sub(back).map_or("", |at| tokens[at].text);
        match token.text {
            "{" => braces.push((before(2) == "mod").then(|| before(1).to_owned())),
            "}" => drop(braces.pop()),
            _ => {}
        }
        let mut named = Vec::new();
        let next_is_list = tokens.get(at + 1).is_some_and(|next| next.text == "<");
        // `.await` and fields name nothing; the end of a range (`0..limits::MAX`) does.
        let member = before(1) == "." && before(2) != ".";
        // `<T as Trait>::Item` goes on from a type; `-> ::http::Uri` begins.
        let qualified = before(1) == ">" && !matches!(before(2), "-" | "=");
        let next = if (token.text == "use" && !next_is_list)
            || (token.text == "crate" && before(1) == "extern")
        {
            tree(tokens, at + 1, &[], &mut named)
        } else if token.text.starts_with(word) && before(1) != "::" && !member {
            plain(tokens, at, &mut named)
        } else if token.text == "::" && !before(1).ends_with(word) && !qualified {
            plain(tokens, at + 1, &mut named)
        } else {
            at + 1
        };
        found.extend(named.into_iter().map(|segments| Path {
            segments,
            within: braces.iter().flatten().cloned().collect(),
            line: token.line,
            test: token.test,
        }));
        at = next;
    }
    found
}

/// A path outside of `use`, from its first word; one word alone names nothing.
fn plain(tokens: &[Token<'_>], mut at: usize, named: &mut Vec<Vec<String>>) -> usize {
    let mut segments = Vec::new();
    while at < tokens.len() && tokens[at].text.starts_with(word) {
        segments.push(tokens[at].text.to_owned());
        at += 1;
        if tokens.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
    }
    if segments.len() > 1 {
        named.push(segments);
    }
    at
}

/// The tree of a `use` from `at`, each leaf as a whole path; returns its end.
fn tree(
    tokens: &[Token<'_>],
    mut at: usize,
    stem: &[String],
    named: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = stem.to_vec();
    let mut leaf = true;
    while at < tokens.len() {
        match tokens[at].text {
            "::" => {}
            "{" => {
                let end = closing(tokens, at);
                at += 1;
                while at < end {
                    at = tree(&tokens[..end], at, &path, named);
                    at += usize::from(at < end);
                }
                leaf = false;
            }
            // `as name`: the name is new, not a path.
            "as" => at += 1,
            "," | ";" | "}" => break,
            text => path.push(text.to_owned()),
        }
        at += 1;
    }
    if leaf && path.len() > stem.len() {
        named.push(path);
    }
    at
}
