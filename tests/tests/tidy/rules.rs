//! The rules: each takes sources and gives back what is wrong in them, in words.

use crate::source::{Path, Token, paths, tokens};
use crate::table::{CORE, Closed, EMPTY_NAMES, FORBIDDING, LINES_MAX, ROOMS, Room, UNSAFE};

/// A file of the repository, its path from the root with forward slashes.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    fn says(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }

    /// The module that the file is, from the root of its crate.
    fn module(&self, root: &str) -> Option<Vec<String>> {
        let inside = self.path.strip_prefix(root)?.strip_suffix(".rs")?;
        let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
        module.retain(|name| !matches!(name.as_str(), "lib" | "main" | "mod"));
        Some(module)
    }

    /// Whether the whole file is compiled for tests only.
    fn is_test(&self) -> bool {
        self.path
            .split('/')
            .any(|part| matches!(part, "tests" | "tests.rs" | "examples" | "benches"))
    }
}

const GATE: &str = "gate/src/";

/// The walls of the gate: which room names which, and what each never names.
pub(crate) fn walls(file: &File) -> Vec<String> {
    let Some(module) = file.module(GATE) else {
        return Vec::new();
    };
    let Some(room) = room_of_file(file, &module) else {
        return vec![file.says(
            1,
            "this room is not in the table of rooms: give it a row (tests/tests/tidy/table.rs)",
        )];
    };
    let mut wrong = Vec::new();
    for path in paths(&tokens(&file.text)) {
        let (inside, named) = resolve(&path, &module);
        let text = named.join("::");
        if inside {
            wrong.extend(crossing(room, &named).map(|what| file.says(path.line, &what)));
        }
        let text = if inside {
            format!("crate::{text}")
        } else {
            text
        };
        if !path.test && !file.is_test() && forbidden(room, &text) {
            wrong.push(file.says(
                path.line,
                &format!("`{}` names `{text}`: {}", room.name, room.why),
            ));
        }
    }
    wrong
}

/// Core is one room: what it never names, it names nowhere.
pub(crate) fn purity(file: &File) -> Vec<String> {
    if !file.path.starts_with("gate/core/src/") || file.is_test() {
        return Vec::new();
    }
    paths(&tokens(&file.text))
        .iter()
        .filter(|path| !path.test && forbidden(&CORE, &path.segments.join("::")))
        .map(|path| {
            file.says(
                path.line,
                &format!("names `{}`: {}", path.segments.join("::"), CORE.why),
            )
        })
        .collect()
}

fn room_of_file(file: &File, module: &[String]) -> Option<&'static Room> {
    if module.is_empty() {
        let name = file.path.trim_start_matches(GATE).trim_end_matches(".rs");
        return ROOMS.iter().find(|room| room.name == name);
    }
    room_of(module)
}

/// The room with the longest name that the module path begins with.
fn room_of(module: &[String]) -> Option<&'static Room> {
    let text = module.join("::");
    ROOMS
        .iter()
        .filter(|room| within(&text, room.name))
        .max_by_key(|room| room.name.len())
}

/// Whether `path` is `prefix` or something in it.
fn within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn forbidden(room: &Room, path: &str) -> bool {
    let in_list = |list: &[&str]| list.iter().any(|prefix| within(path, prefix));
    in_list(room.never) && !in_list(room.except)
}

/// Whether the path stays in the crate, and its segments from the crate's root,
/// or as they stand.
fn resolve(path: &Path, module: &[String]) -> (bool, Vec<String>) {
    let mut base: Vec<String> = module.iter().chain(&path.within).cloned().collect();
    let mut rest = path.segments.as_slice();
    match rest.first().map(String::as_str) {
        // The binary is another crate than the library, and the same house.
        Some("crate" | "portcullis") => return (true, rest[1..].to_vec()),
        Some("self" | "super") => {}
        // From the root of the crate its modules are named as they are.
        Some(first) if base.is_empty() && ROOMS.iter().any(|room| room.name == first) => {
            return (true, rest.to_vec());
        }
        _ => return (false, rest.to_vec()),
    }
    while let Some(("self" | "super", after)) = rest
        .split_first()
        .map(|(first, after)| (first.as_str(), after))
    {
        if rest[0] == "super" {
            base.pop();
        }
        rest = after;
    }
    base.extend_from_slice(rest);
    (true, base)
}

/// What is wrong with `room` naming `named`, a path from the root of the crate.
fn crossing(room: &Room, named: &[String]) -> Option<String> {
    let text = named.join("::");
    if matches!(named.first().map_or("self", String::as_str), "*" | "self") {
        return Some(format!(
            "`{}` names the whole crate: name the room that is meant",
            room.name
        ));
    }
    let Some(other) = room_of(named) else {
        return Some(format!(
            "`crate::{text}` is in no room of the table: what is shared lives in a room or in core"
        ));
    };
    if other.name == room.name || room.knows.contains(&other.name) {
        return None;
    }
    Some(format!(
        "`{}` knows nothing of `{}` (`crate::{text}`): {}",
        room.name, other.name, room.why
    ))
}

const FORBIDS: &str = "\n#![forbid(unsafe_code)]\n";

/// The habits that hold for every Rust file.
pub(crate) fn habits(file: &File) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut says = |line, what: &str| wrong.push(file.says(line, what));
    if !file.text.starts_with("//! ") {
        says(1, "begins without a `//!` that says what the file is for");
    }
    for part in file.path.trim_end_matches(".rs").split('/').skip(1) {
        if EMPTY_NAMES.contains(&part) {
            says(
                1,
                &format!("`{part}` says nothing of what is inside: name it for that"),
            );
        }
    }
    if FORBIDDING.contains(&file.path.as_str()) && !file.text.contains(FORBIDS) {
        says(
            1,
            "this crate has no unsafe code: say `#![forbid(unsafe_code)]`",
        );
    }
    let lines = file.text.lines().count();
    if lines > LINES_MAX {
        says(
            lines,
            &format!("{lines} lines; above {LINES_MAX} a file is two files"),
        );
    }
    let tokens = tokens(&file.text);
    for (at, token) in tokens.iter().enumerate() {
        let after = |ahead: usize| tokens.get(at + ahead).map_or("", |token| token.text);
        if let Some(what) = word_rule(file, token, after(1)) {
            says(token.line, &what);
        }
        if token.text == "#" && after(1) == "[" && after(2) == "ignore" {
            says(
                token.line,
                "a test that is ignored keeps no promise: mend it or remove it",
            );
        }
    }
    wrong
}

fn word_rule(file: &File, token: &Token<'_>, next: &str) -> Option<String> {
    match (token.text, next) {
        // An attribute such as #[unsafe(no_mangle)] is how a guest exports.
        ("unsafe", "(") => None,
        ("unsafe", _) if !UNSAFE.contains(&file.path.as_str()) => {
            Some("unsafe code is for the files named in the table, with their argument".to_owned())
        }
        // A guest's generated glue is unsafe by nature, and allowed where it is made.
        ("unsafe_code", _)
            if file.path.starts_with("gate/")
                && !UNSAFE.contains(&file.path.as_str())
                && !file.text.contains(FORBIDS) =>
        {
            Some("the lint on unsafe code is for the files named in the table alone".to_owned())
        }
        ("todo" | "unimplemented", "!") => Some(format!("`{}!` is a stub: nothing here is one", token.text)),
        ("unreachable", "!") if !token.test && !file.is_test() => {
            Some("`unreachable!` panics when we are wrong: make the state impossible to write, or return an error".to_owned())
        }
        ("fn", name) if name.starts_with("get_") => {
            Some(format!("`{name}`: say what it finds or makes; everything gets"))
        }
        _ => None,
    }
}

/// The names of the dependencies that a manifest lists under headings that end
/// so: `dependencies]` is every kind, `workspace.dependencies]` the shared list.
pub(crate) fn listed(manifest: &str, heading: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.ends_with(heading);
        } else if inside && !line.starts_with('#') {
            let end = line.find(['.', '=', ' ']).unwrap_or(0);
            names.extend((end > 0).then(|| line[..end].to_owned()));
        }
    }
    names
}

/// A crate whose list of dependencies is fixed has no other.
pub(crate) fn closed(rule: &Closed, manifest: &str) -> Vec<String> {
    listed(manifest, "dependencies]")
        .iter()
        .filter(|name| !rule.allowed.contains(&name.as_str()))
        .map(|name| format!("{}: depends on `{name}`: {}", rule.manifest, rule.why))
        .collect()
}

/// What a manifest lists and no source beside it names.
pub(crate) fn unnamed(manifest: &File, sources: &[File]) -> Vec<String> {
    let folder = manifest.path.trim_end_matches("Cargo.toml");
    let words: std::collections::BTreeSet<&str> = sources
        .iter()
        .filter(|file| file.path.starts_with(folder))
        .flat_map(|file| tokens(&file.text))
        .map(|token| token.text)
        .collect();
    listed(&manifest.text, "dependencies]")
        .iter()
        .filter(|name| !words.contains(name.replace('-', "_").as_str()))
        .map(|name| {
            format!(
                "{}: `{name}` is listed and never named: remove it",
                manifest.path
            )
        })
        .collect()
}
