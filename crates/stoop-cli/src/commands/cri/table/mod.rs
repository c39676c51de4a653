//! The tables: from the runtime's answers to lines. Pure.
//!
//! | file | tables |
//! |---|---|
//! | `containers.rs` | containers, their usage and events |
//! | `pods.rs` | pods, and their usage |
//! | `images.rs` | images, and file systems |

mod containers;
mod images;
mod pods;

pub(super) use containers::{containers, event, stats};
pub(super) use images::{Shown, file_systems, images};
pub(super) use pods::{conditions, pod_stats, pods, version};

use stoop::escaped;

use crate::output::{Column, Table, Truncate};

/// A table: its titles, and its lines.
#[derive(Debug)]
pub(super) struct Listing {
    columns: Vec<Column>,
    lines: Vec<Vec<String>>,
}

impl Listing {
    fn new(columns: &[(&'static str, Truncate, u8)]) -> Listing {
        let columns = columns.iter().map(|&(title, truncate, spare)| Column { title, truncate, spare });
        Listing { columns: columns.collect(), lines: Vec::new() }
    }

    /// Formats the table.
    pub(super) fn text(&self, width: Option<usize>) -> String {
        let mut table = Table::new(self.columns.clone());
        for cell in self.lines.iter().flatten() {
            table.cell(|text| text.push_str(&escaped(cell).to_string()));
        }
        let order: Vec<(usize, String)> = (0..table.len()).map(|line| (line, String::new())).collect();
        let mut text = String::new();
        table.render(width, &order, &mut text);
        text
    }
}

/// Formats a number of bytes in decimal units, as crictl does: `1.24MB`.
fn size(bytes: i64, digits: usize) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes.max(0) as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    // As many significant digits, without zeros at the end.
    let before = if value < 1.0 { 1 } else { value.log10() as usize + 1 };
    let text = format!("{value:.*}", digits.saturating_sub(before));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

/// Returns a word of the interface as people write it: `CONTAINER_RUNNING` is `Running`.
fn state(word: &str) -> String {
    let word = word.split_once('_').map_or(word, |(_, state)| state);
    match word {
        "NOTREADY" => "NotReady".to_owned(),
        word => {
            let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
            format!("{first}{}", rest.to_lowercase())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_few_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1_240_000, "1.24MB"),
            (29_547_080, "29.5MB"),
            (-1, "0B"),
        ] {
            assert_eq!(size(bytes, 3), text);
        }
        assert_eq!(size(1_234_567, 4), "1.235MB");
    }

    #[test]
    fn states_are_words() {
        assert_eq!(
            ["CONTAINER_RUNNING", "SANDBOX_NOTREADY", "SANDBOX_READY", ""].map(state),
            ["Running", "NotReady", "Ready", ""]
        );
    }
}
