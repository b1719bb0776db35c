//! Hosts and paths: what is accepted has one reading, and the gate's own paths
//! can't be written around.
#![no_main]

use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use portcullis_core::host::HostName;
use portcullis_core::path::CheckedPath;

fuzz_target!(|text: &str| {
    if let Ok(host) = HostName::parse(text) {
        assert_eq!(HostName::parse(host.as_str()).as_ref(), Ok(&host));
        let loud = host.as_str().to_ascii_uppercase();
        assert_eq!(HostName::parse(&loud).as_ref(), Ok(&host));
    }
    let Ok(path) = CheckedPath::parse(text) else {
        return;
    };
    assert!(path.is_route(&path));
    // A server that decodes, takes backslashes for slashes, drops parameters and
    // empty segments, and climbs.
    let decoded = percent_decode_str(text)
        .decode_utf8_lossy()
        .replace('\\', "/");
    let mut climbed: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                climbed.pop();
            }
            name => climbed.push(name),
        }
    }
    let theirs = format!("/{}", climbed.join("/"));
    if let Ok(read) = CheckedPath::parse(&theirs.replace('%', "%25")) {
        assert!(path.is_route(&read), "{text:?} is {theirs:?} to another");
        assert_eq!(path.is_reserved(), read.is_reserved(), "{theirs:?}");
    }
});
