//! Text for terminals: tables with aligned columns, and nothing that a terminal
//! would obey.

use std::io::{self, Write};

/// `text` without control characters: a reason or an id must not be able to move
/// the cursor, or to write a line that looks like the gate's own.
pub(super) fn visible(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || is_bidi(c) {
                '\u{FFFD}'
            } else {
                c
            }
        })
        .collect()
}

/// Characters that reorder what is read (Unicode TR9).
fn is_bidi(c: char) -> bool {
    matches!(u32::from(c), 0x061C | 0x200E | 0x200F | 0x202A..=0x202E | 0x2066..=0x2069)
}

/// Rows under `head`, each column as wide as its widest cell.
pub(super) fn table<const N: usize>(
    out: &mut dyn Write,
    head: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    print_row(out, head.iter().copied(), &widths)?;
    for row in rows {
        print_row(out, row.iter().map(String::as_str), &widths)?;
    }
    Ok(())
}

fn print_row<'a>(
    out: &mut dyn Write,
    cells: impl Iterator<Item = &'a str>,
    widths: &[usize],
) -> io::Result<()> {
    let cells: Vec<_> = cells
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    writeln!(out, "{}", cells.join("  ").trim_end())
}

/// `name: value` lines, the values in one column.
pub(super) fn pairs(out: &mut dyn Write, pairs: &[(&str, String)]) -> io::Result<()> {
    let width = pairs
        .iter()
        .map(|(name, _)| name.len() + 1)
        .max()
        .unwrap_or_default();
    for (name, value) in pairs {
        writeln!(out, "{:<width$}  {value}", format!("{name}:"))?;
    }
    Ok(())
}
