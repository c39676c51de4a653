//! Formats tables that fit a width. Pure, except for querying the width of the terminal.
//!
//! All text is in one buffer: a table of ten thousand lines costs a few allocations instead of a
//! hundred thousand.

use std::io::{self, IsTerminal};
use std::ops::Range;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The number of spaces between two columns.
const GAP: usize = 2;
/// How many of 100 texts fit into their column in any case.
const FITTING_PERCENT: usize = 95;
/// How much wider than these texts a text may be without exceeding its column.
const EXCESS: usize = 16;
/// Replaces truncated text.
const MARK: char = '…';

/// Returns the width of the terminal that is standard output, or `None` if it is not a terminal and
/// nothing has to be truncated.
pub(crate) fn terminal_width() -> Option<usize> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(out).ok()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

/// A column, and how it is shortened if the table is too wide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Which part of a long text is truncated.
    pub(crate) truncate: Truncate,
    /// The order in which columns are omitted if truncating is not enough, the highest first.
    /// Columns with 0 are kept.
    pub(crate) spare: u8,
}

/// Which part of a long text is truncated, and down to which width before whole columns are
/// omitted. After that it may be truncated to half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truncate {
    /// It is not truncated.
    Never,
    /// The middle: both ends of a path are significant.
    Middle(usize),
    /// The end.
    End(usize),
}

/// Cells of a table, filled from left to right and from the top.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    text: String,
    cells: Vec<Cell>,
}

/// The position of a text in the buffer, and its width in terminal columns.
#[derive(Clone, Copy, Debug)]
struct Cell {
    start: u32,
    end: u32,
    width: u32,
}

/// What of a table is shown, and in which widths.
#[derive(Debug, Default, PartialEq, Eq)]
struct Layout {
    /// The columns shown, with their widths.
    shown: Vec<(usize, usize)>,
    /// The columns omitted.
    left_out: Vec<usize>,
}

impl Table {
    pub(crate) fn new(columns: Vec<Column>) -> Table {
        Table { columns, text: String::new(), cells: Vec::new() }
    }

    /// Appends a cell.
    pub(crate) fn cell(&mut self, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        let width = width_of(&self.text[start..]) as u32;
        self.cells.push(Cell { start: start as u32, end: self.text.len() as u32, width });
    }

    /// Returns the number of lines.
    pub(crate) fn len(&self) -> usize {
        self.cells.len() / self.columns.len().max(1)
    }

    /// Returns whether two lines have the same text.
    pub(crate) fn is_same(&self, one: usize, other: usize) -> bool {
        let mut pairs = self.line(one).iter().zip(self.line(other));
        pairs.all(|(one, other)| one.width == other.width && self.at(*one) == self.at(*other))
    }

    /// Appends the titles and the lines in `order`, each with its suffix. Returns the columns that
    /// were omitted.
    pub(crate) fn render(
        &self,
        width: Option<usize>,
        order: &[(usize, String)],
        out: &mut String,
    ) -> Vec<&'static str> {
        let layout = self.layout(width, order);
        let title = |&(at, wide): &(usize, usize)| {
            (self.columns[at].title, width_of(self.columns[at].title), wide, Truncate::Never)
        };
        push_line(layout.shown.iter().map(title), "", out);
        out.reserve(order.len() * 80);
        for (line, suffix) in order {
            let cells = self.line(*line);
            let cell = |&(at, wide): &(usize, usize)| {
                let truncate = if width.is_none() { Truncate::Never } else { self.columns[at].truncate };
                (self.at(cells[at]), cells[at].width as usize, wide, truncate)
            };
            push_line(layout.shown.iter().map(cell), suffix, out);
        }
        layout.left_out.iter().map(|&at| self.columns[at].title).collect()
    }

    fn line(&self, number: usize) -> &[Cell] {
        let columns = self.columns.len();
        &self.cells[number * columns..][..columns]
    }

    fn at(&self, cell: Cell) -> &str {
        &self.text[Range::<usize> { start: cell.start as usize, end: cell.end as usize }]
    }

    /// Determines the width of each column. If they do not fit, truncates the widest first, and
    /// then omits columns.
    fn layout(&self, width: Option<usize>, order: &[(usize, String)]) -> Layout {
        let widths = (0..self.columns.len()).map(|column| self.width(column, order, width.is_none()));
        let suffix = order.iter().map(|(_, suffix)| width_of(suffix)).max().unwrap_or(0);
        let mut layout = Layout { shown: widths.enumerate().collect(), left_out: Vec::new() };
        let beside = if suffix > 0 { suffix + GAP } else { 0 };
        let Some(room) = width.map(|width| width.saturating_sub(beside)) else { return layout };
        while !self.squeeze(&mut layout.shown, room, 1) {
            let spare = |&(at, _): &(usize, usize)| self.columns[at].spare;
            let Some(most) = layout.shown.iter().map(spare).max().filter(|&most| most > 0) else {
                self.squeeze(&mut layout.shown, room, 2);
                break;
            };
            let goes = layout
                .shown
                .iter()
                .rposition(|column| spare(column) == most)
                .expect("the most is one of them");
            layout.left_out.push(layout.shown.remove(goes).0);
        }
        layout
    }

    /// Returns the width of a column: that of its widest text. If texts are not truncated, a few
    /// that are much wider than all others may exceed it.
    fn width(&self, column: usize, order: &[(usize, String)], may_exceed: bool) -> usize {
        let title = width_of(self.columns[column].title);
        let mut widths: Vec<usize> =
            order.iter().map(|(line, _)| self.line(*line)[column].width as usize).collect();
        let Some(&widest) = widths.iter().max() else { return title };
        if !may_exceed {
            return widest.max(title);
        }
        let at = (widths.len() * FITTING_PERCENT).div_ceil(100) - 1;
        let (_, &mut usual, _) = widths.select_nth_unstable(at);
        if widest > usual + EXCESS { usual.max(title) } else { widest.max(title) }
    }

    /// Shortens columns until they fit, the widest first, none below its minimum divided by `part`.
    /// Returns whether they fit.
    fn squeeze(&self, shown: &mut [(usize, usize)], room: usize, part: usize) -> bool {
        let least = |&(at, wide): &(usize, usize)| match self.columns[at].truncate {
            Truncate::Never => wide,
            Truncate::Middle(least) | Truncate::End(least) => {
                (least / part).max(width_of(self.columns[at].title)).min(wide)
            }
        };
        let smallest: Vec<usize> = shown.iter().map(least).collect();
        let gaps = total(shown) - shown.iter().map(|(_, wide)| wide).sum::<usize>();
        if smallest.iter().sum::<usize>() + gaps > room && part == 1 {
            return false;
        }
        while total(shown) > room {
            let can_give = (0..shown.len()).filter(|&at| shown[at].1 > smallest[at]);
            let Some(widest) = can_give.max_by_key(|&at| shown[at].1) else { return false };
            shown[widest].1 -= 1;
        }
        true
    }
}

fn total(shown: &[(usize, usize)]) -> usize {
    shown.iter().map(|(_, wide)| wide).sum::<usize>() + GAP * shown.len().saturating_sub(1)
}

/// Returns the width of a text in terminal columns.
pub(crate) fn width_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// Appends one line. Nothing but `suffix` follows the last cell.
fn push_line<'a>(
    cells: impl Iterator<Item = (&'a str, usize, usize, Truncate)>,
    suffix: &str,
    out: &mut String,
) {
    let mut owed = 0;
    for (text, needs, wide, truncate) in cells {
        out.extend(std::iter::repeat_n(' ', owed));
        let taken = match truncate {
            _ if needs <= wide => {
                out.push_str(text);
                needs
            }
            Truncate::Never => {
                out.push_str(text);
                needs
            }
            Truncate::Middle(_) => push_truncated(text, wide, wide.saturating_sub(1) / 3, out),
            Truncate::End(_) => push_truncated(text, wide, wide.saturating_sub(1), out),
        };
        owed = wide.saturating_sub(taken) + GAP;
    }
    if suffix.is_empty() {
        out.truncate(out.trim_end_matches(' ').len());
    } else {
        out.extend(std::iter::repeat_n(' ', owed));
        out.push_str(suffix);
    }
    out.push('\n');
}

/// Truncates a text in the middle if it is wider than `wide` columns.
pub(crate) fn truncate_middle(text: &str, wide: usize) -> String {
    let mut out = String::new();
    if width_of(text) <= wide {
        out.push_str(text);
    } else {
        push_truncated(text, wide, wide.saturating_sub(1) / 3, &mut out);
    }
    out
}

/// Truncates the end of a text if it is wider than `wide` columns.
pub(crate) fn truncate_end(text: &str, wide: usize) -> String {
    let mut out = String::new();
    if width_of(text) <= wide {
        out.push_str(text);
    } else {
        push_truncated(text, wide, wide.saturating_sub(1), &mut out);
    }
    out
}

/// Writes at most `wide` columns of `text`: about `head` columns of its start, the mark, and its
/// end. Returns how many were written.
fn push_truncated(text: &str, wide: usize, head: usize, out: &mut String) -> usize {
    let columns = |c: char| c.width().unwrap_or(0);
    let mut taken = 0;
    for character in text.chars() {
        if taken + columns(character) > head {
            break;
        }
        out.push(character);
        taken += columns(character);
    }
    out.push(MARK);
    taken += 1;
    let mut tail = text.len();
    for (at, character) in text.char_indices().rev() {
        if taken + columns(character) > wide {
            break;
        }
        taken += columns(character);
        tail = at;
    }
    out.push_str(&text[tail..]);
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &[[&str; 3]]) -> Table {
        let column = |title, truncate, spare| Column { title, truncate, spare };
        let mut table = Table::new(vec![
            column("ADDRESS", Truncate::Middle(10), 0),
            column("KIND", Truncate::Never, 0),
            column("WHERE", Truncate::End(6), 1),
        ]);
        for cell in lines.iter().flatten() {
            table.cell(|text| text.push_str(cell));
        }
        table
    }

    fn shown(lines: &[[&str; 3]], width: Option<usize>) -> (String, Vec<&'static str>) {
        let order: Vec<(usize, String)> = (0..lines.len()).map(|line| (line, String::new())).collect();
        let mut text = String::new();
        let left_out = table(lines).render(width, &order, &mut text);
        (text, left_out)
    }

    #[test]
    fn one_wide_text_does_not_widen_the_column() {
        let long = "x".repeat(300);
        let mut lines = vec![["/run/dbus/system_bus_socket", "stream", "-"]; 40];
        lines[7] = [&long, "stream", "-"];
        let (text, _) = shown(&lines, None);
        let widths: Vec<usize> = text.lines().map(str::len).collect();
        assert_eq!((widths[0], widths[1], widths[8]), (42, 38, 311), "{text}");
        assert!(text.contains(&long), "nothing is truncated");
        let few = shown(&lines[5..10], None).0;
        assert!(few.lines().next().unwrap().len() > 300, "in a short list, all are aligned: {few}");
    }

    const LINES: [[&str; 3]; 2] =
        [["/run/dbus/system_bus_socket", "stream", "dbus.service"], ["@x", "dgram", "-"]];

    #[test]
    fn nothing_is_truncated_without_a_width() {
        let expected = "ADDRESS                      KIND    WHERE\n\
                        /run/dbus/system_bus_socket  stream  dbus.service\n\
                        @x                           dgram   -\n";
        assert_eq!(shown(&LINES, None), (expected.into(), vec![]));
    }

    #[test]
    fn the_widest_column_is_truncated_first() {
        let expected = "ADDRESS         KIND    WHERE\n\
                        /run…us_socket  stream  dbus.service\n\
                        @x              dgram   -\n";
        assert_eq!(shown(&LINES, Some(36)), (expected.into(), vec![]));
    }

    #[test]
    fn columns_are_omitted_and_reported_if_truncating_is_not_enough() {
        let expected = "ADDRESS     KIND\n\
                        /ru…socket  stream\n\
                        @x          dgram\n";
        assert_eq!(shown(&LINES, Some(18)), (expected.into(), vec!["WHERE"]));
        let expected = "ADDRESS  KIND\n\
                        /r…cket  stream\n\
                        @x       dgram\n";
        assert_eq!(shown(&LINES, Some(15)), (expected.into(), vec!["WHERE"]));
        // If nothing helps, the terminal has to wrap.
        assert_eq!(shown(&LINES, Some(3)), (expected.into(), vec!["WHERE"]));
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        let lines = [["/日本語の名前の長いパス", "x", "-"]];
        let (text, _) = shown(&lines, Some(16));
        for line in text.lines() {
            assert!(width_of(line) <= 16, "{line}");
        }
    }

    #[test]
    fn no_line_exceeds_the_width() {
        for width in 15..60 {
            let (text, _) = shown(&LINES, Some(width));
            for line in text.lines() {
                assert!(width_of(line) <= width, "{width}: {line}");
            }
        }
    }
}
