//! Who may know whom: the picture in ARCHITECTURE.md as data, a row a room. To
//! move a wall, change the row and say why in it; nothing else needs to change.

/// One room of the gate: a module directly under `gate/src`, or a part of one
/// that has walls of its own (the longest name that fits a file is its room).
pub(crate) struct Room {
    /// Module path from the root of the crate.
    pub(crate) name: &'static str,
    /// Other rooms that it may name. Itself and `portcullis_core` go unsaid.
    pub(crate) knows: &'static [&'static str],
    /// Path prefixes that it never names, outside of tests: other crates, or
    /// parts of rooms that it may know.
    pub(crate) never: &'static [&'static str],
    /// What of `never` it may name all the same.
    pub(crate) except: &'static [&'static str],
    pub(crate) why: &'static str,
}

pub(crate) const ROOMS: &[Room] = &[
    Room {
        name: "policy",
        knows: &[],
        never: &[
            "hyper",
            "hyper_util",
            "axum",
            "rusqlite",
            "moka",
            "tokio",
            "clap",
        ],
        except: &["tokio::sync"],
        why: "the policy room runs guests and knows no requests, users or stores; \
              of the runtime only the means to hand an answer back",
    },
    Room {
        name: "live",
        knows: &["policy", "config", "secret"],
        never: &[
            "hyper",
            "hyper_util",
            "axum",
            "rusqlite",
            "wasmtime",
            "wit_component",
            "wit_parser",
            "clap",
        ],
        // serde_json is not among them: the claims of a token are JSON.
        except: &[],
        why: "control writes `live` and data reads it: the one door between the wings leads to \
              neither of them, and to no disk",
    },
    Room {
        name: "data",
        knows: &["live", "policy", "config", "secret"],
        never: &[
            "rusqlite",
            "axum",
            "wasmtime",
            "wit_component",
            "wit_parser",
            "moka",
            "clap",
            "toml",
            "crate::live::writer",
            "crate::live::Writer",
        ],
        // serde_json is not among them: a login attempt may be a JSON body.
        except: &[],
        why: "a request touches no disk and changes no state: data reads `live` and nothing behind it",
    },
    Room {
        name: "control",
        knows: &["live", "policy", "config", "secret"],
        never: &["wasmtime", "wit_component", "wit_parser", "moka", "clap"],
        except: &[],
        why: "control changes state and never sees a request on the data path",
    },
    Room {
        name: "config",
        knows: &["secret"],
        never: &[
            "tokio",
            "hyper",
            "hyper_util",
            "axum",
            "rusqlite",
            "wasmtime",
            "moka",
            "clap",
        ],
        except: &[],
        why: "config turns a text into checked types once, and starts nothing",
    },
    Room {
        name: "demo",
        knows: &[
            "app",
            "config",
            "secret",
            "demo::app",
            "demo::sinks",
            "demo::html",
            "demo::testing",
        ],
        never: &["rusqlite", "wasmtime"],
        except: &[],
        why: "the demo runs the gate as everyone does: through `app`",
    },
    Room {
        name: "demo::app",
        knows: &["demo::sinks", "demo::html", "demo::testing"],
        never: &["portcullis_core", "rusqlite", "wasmtime"],
        except: &[],
        why: "the demo's app has never heard of Portcullis, or it would prove nothing",
    },
    Room {
        name: "demo::sinks",
        knows: &["demo::html", "demo::testing"],
        never: &["portcullis_core", "rusqlite", "wasmtime"],
        except: &[],
        why: "the sinks stand for somebody else's mail and SMS services",
    },
    Room {
        name: "demo::html",
        knows: &[],
        never: &["portcullis_core", "tokio", "hyper", "rusqlite", "wasmtime"],
        except: &[],
        why: "filling in a page needs nothing but text",
    },
    Room {
        name: "demo::testing",
        knows: &["demo::app", "demo::sinks"],
        never: &["portcullis_core", "rusqlite", "wasmtime"],
        except: &[],
        why: "what the tests of the demo have in common stays on the demo's side of the gate",
    },
    Room {
        name: "secret",
        knows: &[],
        never: &[
            "tokio", "hyper", "axum", "rusqlite", "wasmtime", "tracing", "serde",
        ],
        except: &[],
        why: "a secret has no way out but the one that is looked at: it is not logged and not written out",
    },
    Room {
        name: "cli",
        knows: &["app", "config", "demo", "policy", "secret"],
        never: &["rusqlite", "wasmtime", "moka", "axum"],
        except: &[],
        why: "commands parse, print and set exit codes; what they do is done by the admin API or `app`",
    },
    Room {
        name: "app",
        knows: &["config", "control", "data", "live", "policy", "secret"],
        never: &["rusqlite", "wasmtime", "moka", "axum", "clap"],
        except: &[],
        why: "app is where both wings are named: it builds, binds, spawns and drains, and decides nothing",
    },
    Room {
        name: "main",
        knows: &["app", "cli", "config", "demo"],
        never: &[
            "hyper",
            "hyper_util",
            "axum",
            "rusqlite",
            "wasmtime",
            "moka",
        ],
        except: &[],
        why: "main turns arguments into a run and a run into an exit code",
    },
    Room {
        name: "lib",
        knows: &[],
        never: &[],
        except: &[],
        why: "lib.rs is the map of the rooms: it names them as modules and re-exports nothing",
    },
];

/// What core never names: whatever would let a decision depend on anything but
/// its arguments. (clippy.toml there bans the calls; this, the modules.)
pub(crate) const CORE: Room = Room {
    name: "portcullis_core",
    knows: &[],
    never: &[
        "std::fs",
        "std::env",
        "std::thread",
        "std::process",
        "std::net",
        "std::os",
        "std::time::Instant",
        "std::io",
        "tokio",
        "hyper",
        "wasmtime",
        "serde_json",
        "tracing",
    ],
    except: &[
        "std::net::IpAddr",
        "std::net::Ipv4Addr",
        "std::net::Ipv6Addr",
        "std::net::SocketAddr",
        "std::net::AddrParseError",
    ],
    why: "core is pure: no clock, socket, file, environment or runtime can be reached from it",
};

/// Crates whose whole list of dependencies is fixed, tests included.
pub(crate) struct Closed {
    pub(crate) manifest: &'static str,
    pub(crate) allowed: &'static [&'static str],
    pub(crate) why: &'static str,
}

pub(crate) const CLOSED: &[Closed] = &[
    Closed {
        manifest: "gate/core/Cargo.toml",
        allowed: &[
            "http",
            "thiserror",
            "unicode-normalization",
            "percent-encoding",
            "form_urlencoded",
            // Derives alone: the entries of the ledger say how they are written
            // down, and a format, such as serde_json, is chosen elsewhere.
            "serde",
            "proptest",
        ],
        why: "only a crate's own list of dependencies proves that its decisions are free of I/O",
    },
    Closed {
        manifest: "policy-wasm/Cargo.toml",
        allowed: &["wit-bindgen"],
        why: "the standard policy knows the contract alone, and every dependency weighs in the module",
    },
];

/// Names that say nothing of what is inside.
pub(crate) const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "shared", "mod",
];

/// Files that may say `unsafe`, each with its argument beside it. The engine believes
/// what it is given as compiled code, so its one door for that is unsafe; and a guest's
/// allocator is, inside its sandbox.
pub(crate) const UNSAFE: &[&str] = &[
    "gate/src/policy/compiler/artefact.rs",
    "policy-wasm/src/arena.rs",
];

/// Roots of crates in which not even a file of that table could be: they forbid it.
pub(crate) const FORBIDDING: &[&str] = &[
    "gate/core/src/lib.rs",
    "gate/src/main.rs",
    "policy-wasm/componentize/src/main.rs",
    "tests/src/lib.rs",
];

/// A file above this is a question, asked aloud.
pub(crate) const LINES_ASKED: usize = 500;
/// A file above this is two files.
pub(crate) const LINES_MAX: usize = 800;
