//! Text for terminals: tables with aligned columns, and nothing that a terminal
//! would obey.

use std::io::{self, Write};

use console::measure_text_width;

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

/// A column of a [`Table`]: what becomes of it where the terminal is too narrow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    head: &'static str,
    folds: bool,
    /// Which is left out first; 0: none is a table without it.
    spare: u8,
}

impl Column {
    /// Ids, times and single words, which nobody reads in parts.
    pub(super) const fn whole(head: &'static str) -> Self {
        Self {
            head,
            folds: false,
            spare: 0,
        }
    }

    /// Words that may go on in the next line.
    pub(super) const fn words(head: &'static str) -> Self {
        Self {
            head,
            folds: true,
            spare: 0,
        }
    }

    /// May be left out: those of the lowest rank first.
    pub(super) const fn spare(self, rank: u8) -> Self {
        Self {
            spare: rank,
            ..self
        }
    }
}

/// Rows under a head, for people: each column as wide as its widest cell, and
/// columns that hold nothing left out.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// Between columns.
const GAP: usize = 2;
/// Words are not folded into less than this.
const NARROWEST: usize = 10;

impl Table {
    pub(super) fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// As many cells as there are columns; what is missing is empty.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<String> = cells.into_iter().collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// `limit`: the terminal's width. Where the table is wider, times lose their
    /// seconds, words are folded, and spare columns are left out; where it can't be
    /// shown even so, each row is told in lines of its own. Nothing is cut: half an
    /// id, or half a time, is worth nothing.
    pub(super) fn print(&self, out: &mut dyn Write, limit: Option<usize>) -> io::Result<()> {
        let widths = self.widths(&self.rows);
        let Some(limit) = limit.filter(|limit| breadth(&widths) > *limit) else {
            return self.print_rows(out, &self.rows, &widths);
        };
        let shorter = self.rows.iter();
        let shorter: Vec<Vec<String>> = shorter
            .map(|row| row.iter().map(|cell| minutes(cell)).collect())
            .collect();
        let ranks = self.columns.iter().map(|column| column.spare).max();
        for rank in 0..=ranks.unwrap_or_default() {
            let mut widths = self.widths(&shorter);
            let mut left_out = Vec::new();
            for (width, column) in widths.iter_mut().zip(&self.columns) {
                if *width > 0 && (1..=rank).contains(&column.spare) {
                    left_out.push(column.head);
                    *width = 0;
                }
            }
            if !self.fold(&shorter, &mut widths, limit) {
                continue;
            }
            self.print_rows(out, &shorter, &widths)?;
            if !left_out.is_empty() {
                let left_out = left_out.join(", ");
                writeln!(out, "Left out, for want of width: {left_out}; see --json")?;
            }
            return Ok(());
        }
        self.print_blocks(out, limit)
    }

    /// Nought for a column that holds nothing.
    fn widths(&self, rows: &[Vec<String>]) -> Vec<usize> {
        let width = |(at, column): (usize, &Column)| {
            let widest = widest(rows, at, measure_text_width);
            if widest > 0 || at == 0 {
                widest.max(measure_text_width(column.head))
            } else {
                0
            }
        };
        self.columns.iter().enumerate().map(width).collect()
    }

    /// Makes the columns of words narrower, the widest first; `false`: not enough.
    fn fold(&self, rows: &[Vec<String>], widths: &mut [usize], limit: usize) -> bool {
        let parts = |cell: &str| {
            let widths = parts(cell).map(|part| measure_text_width(part.trim_end()));
            widths.max().unwrap_or_default()
        };
        let floors: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                if column.folds {
                    widest(rows, at, parts).max(NARROWEST)
                } else {
                    usize::MAX
                }
            })
            .collect();
        while breadth(widths) > limit {
            let wider = widths.iter_mut().zip(&floors);
            let wider = wider.filter(|(width, floor)| **width > **floor);
            match wider.max_by_key(|(width, _)| **width) {
                Some((width, _)) => *width -= 1,
                None => return false,
            }
        }
        true
    }

    fn print_rows(
        &self,
        out: &mut dyn Write,
        rows: &[Vec<String>],
        widths: &[usize],
    ) -> io::Result<()> {
        print_row(out, self.columns.iter().map(|column| column.head), widths)?;
        for row in rows {
            print_row(out, row.iter().map(String::as_str), widths)?;
        }
        Ok(())
    }

    /// Each row as `name: value` lines, with all that it holds.
    fn print_blocks(&self, out: &mut dyn Write, limit: usize) -> io::Result<()> {
        let names: Vec<String> = self
            .columns
            .iter()
            .map(|column| column.head.to_lowercase())
            .collect();
        let indent = names.iter().map(String::len).max().unwrap_or_default() + 1 + GAP;
        let room = limit.saturating_sub(indent).max(NARROWEST);
        for (at, row) in self.rows.iter().enumerate() {
            if at > 0 {
                writeln!(out)?;
            }
            for (name, cell) in names.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
                let value = folded(cell, room).join(&format!("\n{}", " ".repeat(indent)));
                writeln!(out, "{:<indent$}{value}", format!("{name}:"))?;
            }
        }
        Ok(())
    }
}

/// The widest of a column, as `measure` has it.
fn widest(rows: &[Vec<String>], at: usize, measure: impl Fn(&str) -> usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(at));
    cells.map(|cell| measure(cell)).max().unwrap_or_default()
}

/// Of a whole line.
fn breadth(widths: &[usize]) -> usize {
    let shown = widths.iter().filter(|width| **width > 0).count();
    widths.iter().sum::<usize>() + GAP * shown.saturating_sub(1)
}

fn print_row<'a>(
    out: &mut dyn Write,
    cells: impl Iterator<Item = &'a str>,
    widths: &[usize],
) -> io::Result<()> {
    let cells = cells.zip(widths).filter(|(_, width)| **width > 0);
    let cells: Vec<(Vec<String>, usize)> = cells
        .map(|(cell, width)| (folded(cell, *width), *width))
        .collect();
    let height = cells.iter().map(|(lines, _)| lines.len()).max();
    for at in 0..height.unwrap_or_default().max(1) {
        let line: Vec<String> = cells
            .iter()
            .map(|(lines, width)| {
                let part = lines.get(at).map(String::as_str).unwrap_or_default();
                let room = width.saturating_sub(measure_text_width(part));
                format!("{part}{}", " ".repeat(room))
            })
            .collect();
        writeln!(out, "{}", line.join(&" ".repeat(GAP)).trim_end())?;
    }
    Ok(())
}

/// `text` in lines of at most `width`, as far as its parts allow.
fn folded(text: &str, width: usize) -> Vec<String> {
    if measure_text_width(text) <= width {
        return vec![text.to_owned()];
    }
    let mut lines = Vec::new();
    let mut line = String::new();
    for part in parts(text) {
        let wide = measure_text_width(&line) + measure_text_width(part.trim_end());
        if !line.is_empty() && wide > width {
            lines.push(line.trim_end().to_owned());
            line.clear();
        }
        line.push_str(part);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// Words with the space behind them; keys such as `error.account.suspended` part at
/// their dots.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive([' ', '.'])
}

/// A time without its seconds; other texts as they are.
fn minutes(cell: &str) -> String {
    let is_moment = cell.len() == "2030-01-02T03:04:05Z".len()
        && cell.ends_with('Z')
        && cell.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            19 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    match (cell.get(..10), cell.get(11..16)) {
        (Some(day), Some(minute)) if is_moment => format!("{day} {minute}Z"),
        (_, _) => cell.to_owned(),
    }
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
        let mut table = Table::new(&[
            Column::whole("USER"),
            Column::whole("NOTHING"),
            Column::words("TEXT"),
            Column::whole("AT").spare(1),
            Column::whole("END"),
        ]);
        let at = "2030-01-02T03:04:05Z";
        table.row(
            [
                "alexandra-the-first",
                "",
                "日本語の長い 文章が ここに",
                at,
                "x",
            ]
            .map(str::to_owned),
        );
        table.row(["bob", "", "short", "", "y"].map(str::to_owned));
        let mut out = Vec::new();
        table.print(&mut out, limit).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen_and_empty_ones_left_out() {
        let expected = "\
USER                 TEXT                        AT                    END
alexandra-the-first  日本語の長い 文章が ここに  2030-01-02T03:04:05Z  x
bob                  short                                             y
";
        assert_eq!(printed(None), expected);
        assert_eq!(printed(Some(80)), expected);
    }

    #[test]
    fn lines_of_a_comment_are_parted_and_nothing_moves_the_cursor() {
        assert_eq!(
            visible("one\r\ntwo\nthree\tx\u{1b}[2J"),
            "one; two; three x\u{FFFD}[2J"
        );
    }

    #[test]
    fn a_table_fits_the_terminal_and_no_id_or_time_is_cut() {
        let minutes = "\
USER                 TEXT                        AT                 END
alexandra-the-first  日本語の長い 文章が ここに  2030-01-02 03:04Z  x
bob                  short                                          y
";
        assert_eq!(printed(Some(71)), minutes);
        let folded = "\
USER                 TEXT                 AT                 END
alexandra-the-first  日本語の長い 文章が  2030-01-02 03:04Z  x
                     ここに
bob                  short                                   y
";
        assert_eq!(printed(Some(64)), folded);
        let without = "\
USER                 TEXT              END
alexandra-the-first  日本語の長い      x
                     文章が ここに
bob                  short             y
Left out, for want of width: AT; see --json
";
        assert_eq!(printed(Some(42)), without);
    }

    #[test]
    fn what_cannot_be_a_table_is_told_in_lines_with_all_that_it_holds() {
        let blocks = "\
user:     alexandra-the-first
text:     日本語の長い
          文章が ここに
at:       2030-01-02T03:04:05Z
end:      x

user:     bob
text:     short
end:      y
";
        assert_eq!(printed(Some(26)), blocks);
    }

    #[test]
    fn long_keys_part_at_their_dots() {
        assert_eq!(
            folded("error.account.temporarilySuspended.byeBye, e-1", 22),
            ["error.account.", "temporarilySuspended.", "byeBye, e-1"]
        );
    }
}
