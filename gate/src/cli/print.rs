//! Text for terminals: tables with aligned columns, and nothing that a terminal
//! would obey.

use std::io::{self, Write};

use console::{measure_text_width, truncate_str};

/// `text` without control characters: a reason or an id must not be able to move
/// the cursor, or to write a line that looks like the gate's own.
pub(super) fn visible(text: &str) -> String {
    // Two lines of a comment are two things said.
    let text = text.replace("\r\n", "\n").replace('\n', "; ");
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() || is_bidi(c) => '\u{FFFD}',
            c => c,
        })
        .collect()
}

/// Characters that reorder what is read (Unicode TR9).
fn is_bidi(c: char) -> bool {
    matches!(u32::from(c), 0x061C | 0x200E | 0x200F | 0x202A..=0x202E | 0x2066..=0x2069)
}

/// Rows under a head, for people: each column as wide as its widest cell, and
/// columns that hold nothing left out.
#[derive(Debug)]
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// Between columns.
const GAP: usize = 2;
/// A column is not made narrower than this to fit a terminal.
const NARROWEST: usize = 8;

impl Table {
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self {
            head: head.to_vec(),
            rows: Vec::new(),
        }
    }

    /// As many cells as the head has; what is missing is empty.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<String> = cells.into_iter().collect();
        cells.resize(self.head.len(), String::new());
        self.rows.push(cells);
    }

    /// `limit`: the terminal's width. Where the table is wider, its widest columns
    /// are cut, never the first: that one is typed into the next command.
    pub(super) fn print(&self, out: &mut dyn Write, limit: Option<usize>) -> io::Result<()> {
        let mut widths: Vec<usize> = (0..self.head.len()).map(|at| self.width(at)).collect();
        if let Some(limit) = limit {
            fit(&mut widths, limit);
        }
        print_row(out, self.head.iter().copied(), &widths)?;
        for row in &self.rows {
            print_row(out, row.iter().map(String::as_str), &widths)?;
        }
        Ok(())
    }

    /// Nought for a column that holds nothing.
    fn width(&self, at: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(at));
        let widest = cells.map(|cell| measure_text_width(cell)).max();
        match (widest, self.head.get(at)) {
            (Some(widest), Some(head)) if widest > 0 || at == 0 => {
                widest.max(measure_text_width(head))
            }
            (_, _) => 0,
        }
    }
}

fn fit(widths: &mut [usize], limit: usize) {
    let shown = widths.iter().filter(|width| **width > 0).count();
    let room = limit.saturating_sub(GAP * shown.saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        let widest = widths.iter_mut().skip(1).max_by_key(|width| **width);
        match widest {
            Some(width) if *width > NARROWEST => *width -= 1,
            Some(_) | None => return,
        }
    }
}

fn print_row<'a>(
    out: &mut dyn Write,
    cells: impl Iterator<Item = &'a str>,
    widths: &[usize],
) -> io::Result<()> {
    let cells = cells.zip(widths).filter(|(_, width)| **width > 0);
    let cells: Vec<_> = cells
        .map(|(cell, width)| {
            let cell = truncate_str(cell, *width, "…");
            let room = width.saturating_sub(measure_text_width(&cell));
            format!("{cell}{}", " ".repeat(room))
        })
        .collect();
    writeln!(out, "{}", cells.join(&" ".repeat(GAP)).trim_end())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn printed(limit: Option<usize>) -> String {
        let mut table = Table::new(&["USER", "NOTHING", "TEXT", "END"]);
        table.row(["alexandra-the-first", "", "日本語の長い文章がここに", "x"].map(str::to_owned));
        table.row(["bob", "", "short", "y"].map(str::to_owned));
        let mut out = Vec::new();
        table.print(&mut out, limit).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen_and_empty_ones_left_out() {
        let expected = "\
USER                 TEXT                      END
alexandra-the-first  日本語の長い文章がここに  x
bob                  short                     y
";
        assert_eq!(printed(None), expected);
    }

    #[test]
    fn lines_of_a_comment_are_parted_and_nothing_moves_the_cursor() {
        assert_eq!(
            visible("one\r\ntwo\nthree\tx\u{1b}[2J"),
            "one; two; three x\u{FFFD}[2J"
        );
    }

    #[test]
    fn a_table_fits_the_terminal_and_its_first_column_stays_whole() {
        let cut = printed(Some(40));
        for line in cut.lines() {
            assert!(measure_text_width(line) <= 40, "{line}");
        }
        assert!(
            cut.contains("alexandra-the-first  日本語") && cut.contains('…'),
            "{cut}"
        );
        // Narrower than any table can be: nothing is lost for it but the room.
        assert!(printed(Some(5)).contains("alexandra-the-first"));
    }
}
