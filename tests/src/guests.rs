//! Components for tests: the hostile policy, and small ones made by hand.

use std::path::PathBuf;
use std::{env, fs};

/// The policy that misbehaves as it is told; built by `make policy`.
///
/// # Panics
/// Where it is not built, with the mend.
#[expect(clippy::panic, reason = "a test cannot go on without it")]
pub fn hostile() -> Vec<u8> {
    let path = target().join("policy/hostile.wasm");
    match fs::read(&path) {
        Ok(wasm) => wasm,
        Err(error) => panic!("{}: {error}; run `make policy` first", path.display()),
    }
}

/// The hostile policy with one name replaced by another of the same length, as
/// if it had been built against another contract.
///
/// # Panics
/// Where the lengths differ.
pub fn patched(name: &str, other: &str) -> Vec<u8> {
    patched_bytes(name.as_bytes(), other.as_bytes())
}

/// As [`patched`], with bytes that need be no text.
///
/// # Panics
/// Where the lengths differ.
pub fn patched_bytes(name: &[u8], other: &[u8]) -> Vec<u8> {
    assert_eq!(name.len(), other.len(), "lengths are written before names");
    let mut wasm = hostile();
    let mut position = 0;
    while let Some(rest) = wasm.get_mut(position..position + name.len()) {
        if rest == name {
            rest.copy_from_slice(other);
        }
        position += 1;
    }
    wasm
}

/// The hostile policy with a table of so many elements.
///
/// # Panics
/// Where the component is not laid out as expected.
pub fn with_table_of(elements: u32) -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    const TABLE: u8 = 4;
    map_section(&hostile(), CORE_MODULE, &mut |module| {
        map_section(module, TABLE, &mut |_| {
            // One table of functions, with a least size and no most.
            let mut section = vec![1, 0x70, 0];
            write_leb(&mut section, elements);
            section
        })
    })
}

/// The hostile policy, which stops with a trap before anybody has called it: its core
/// module has a start function that can't go on.
///
/// # Panics
/// Where the component is not laid out as expected.
pub fn trapping_at_start() -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    const TYPE: u8 = 1;
    const FUNCTION: u8 = 3;
    const EXPORT: u8 = 7;
    const START: u8 = 8;
    const CODE: u8 = 10;
    // Sections that are lists begin with their length.
    let (mut types, mut functions) = (0, 0);
    map_section(&hostile(), CORE_MODULE, &mut |module| {
        let module = map_section(module, TYPE, &mut |list| {
            types = read_leb(list, 0).0;
            with_one_more(list, &[0x60, 0, 0])
        });
        let module = map_section(&module, FUNCTION, &mut |list| {
            functions = read_leb(list, 0).0;
            with_one_more(list, &leb(types))
        });
        let module = map_section(&module, CODE, &mut |list| {
            // No locals, `unreachable`, `end`; its length before it.
            with_one_more(list, &[3, 0, 0x00, 0x0b])
        });
        // The start is said behind the exports. The module imports no function, so
        // that the new one's number is that of those before it.
        let (length, start) = section(&module, EXPORT);
        let (before, behind) = module.split_at(start + length);
        let number = leb(functions);
        let mut out = before.to_vec();
        out.extend([START, byte(number.len())]);
        out.extend(number);
        out.extend(behind);
        out
    })
}

/// The hostile policy with so many functions more that nobody calls, each of which is
/// so many additions long (seven bytes each) and keeps a compiler busy.
///
/// # Panics
/// Where the component is not laid out as expected.
pub fn hard_to_compile(functions: usize, additions: usize) -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    const TYPE: u8 = 1;
    const FUNCTION: u8 = 3;
    const CODE: u8 = 10;
    // One local of 32 bits; `local.get 0`, `local.get 0`, `i32.add`, `local.set 0`.
    let mut body = vec![1, 1, 0x7f];
    for _ in 0..additions {
        body.extend([0x20, 0, 0x20, 0, 0x6a, 0x21, 0]);
    }
    body.push(0x0b);
    let mut sized = leb(body.len());
    sized.extend(body);
    let mut types = 0;
    map_section(&hostile(), CORE_MODULE, &mut |module| {
        let module = map_section(module, TYPE, &mut |list| {
            types = read_leb(list, 0).0;
            with_one_more(list, &[0x60, 0, 0])
        });
        let module = map_section(&module, FUNCTION, &mut |list| {
            (0..functions).fold(list.to_vec(), |list, _| with_one_more(&list, &leb(types)))
        });
        map_section(&module, CODE, &mut |list| {
            (0..functions).fold(list.to_vec(), |list, _| with_one_more(&list, &sized))
        })
    })
}

fn with_one_more(list: &[u8], item: &[u8]) -> Vec<u8> {
    let (count, start) = read_leb(list, 0);
    let mut out = leb(count + 1);
    out.extend(&list[start..]);
    out.extend(item);
    out
}

fn leb(number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    write_leb(&mut out, u32::try_from(number).unwrap_or(u32::MAX));
    out
}

/// How long the first section of that id is, and where its content begins.
fn section(wasm: &[u8], id: u8) -> (usize, usize) {
    let mut at = 8;
    while wasm[at] != id {
        let (length, start) = read_leb(wasm, at + 1);
        at = start + length;
    }
    read_leb(wasm, at + 1)
}

/// A binary (component or module) with the content of its first section of that id
/// replaced. Both begin with eight bytes that say what they are.
fn map_section(wasm: &[u8], id: u8, change: &mut dyn FnMut(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut out = wasm[..8].to_vec();
    let (mut at, mut changed) = (8, false);
    while at < wasm.len() {
        let (length, start) = read_leb(wasm, at + 1);
        let content = &wasm[start..start + length];
        let content = if wasm[at] == id && !changed {
            changed = true;
            change(content)
        } else {
            content.to_vec()
        };
        out.push(wasm[at]);
        write_leb(&mut out, u32::try_from(content.len()).unwrap_or(u32::MAX));
        out.extend(content);
        at = start + length;
    }
    assert!(changed, "there is no section {id}");
    out
}

/// An unsigned number in LEB128, and where what follows it begins.
fn read_leb(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = usize::from(bytes[at]);
        number |= (byte & 0x7f) << shift;
        (at, shift) = (at + 1, shift + 7);
        if byte & 0x80 == 0 {
            return (number, at);
        }
    }
}

fn write_leb(out: &mut Vec<u8>, mut number: u32) {
    while number > 0x7f {
        out.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or_default());
}

/// A component that holds nothing.
pub fn empty() -> Vec<u8> {
    b"\0asm\x0d\0\x01\0".to_vec()
}

/// A component that imports a function without parameters or result.
pub fn importing_function(name: &str) -> Vec<u8> {
    const FUNCTION: u8 = 0x01;
    with_import(&FUNCTION_TYPE, name, FUNCTION)
}

/// A component that imports an interface of one function, `get`.
pub fn importing_interface(name: &str) -> Vec<u8> {
    const INSTANCE: u8 = 0x05;
    // An instance of two declarations: a type, and an export of that type.
    let mut instance = vec![0x42, 2, 0x01];
    instance.extend(FUNCTION_TYPE);
    instance.extend(b"\x04\0\x03get\x01\0");
    with_import(&instance, name, INSTANCE)
}

/// `func()`, as the component model's binary format writes it.
const FUNCTION_TYPE: [u8; 4] = [0x40, 0, 1, 0];

/// A type section of one type, and an import section of one item of that type.
fn with_import(defined: &[u8], name: &str, sort: u8) -> Vec<u8> {
    let mut import = vec![1, 0, byte(name.len())];
    import.extend(name.as_bytes());
    import.extend([sort, 0]);
    let mut types = vec![1];
    types.extend(defined);
    let mut wasm = empty();
    for (id, section) in [(0x07, types), (0x0a, import)] {
        wasm.extend([id, byte(section.len())]);
        wasm.extend(section);
    }
    wasm
}

/// Lengths below 128 are one byte in LEB128.
fn byte(length: usize) -> u8 {
    assert!(length < 128, "too long for one byte");
    u8::try_from(length).unwrap_or_default()
}

/// The target folder of the workspace.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).with_file_name("target"),
        PathBuf::from,
    )
}
