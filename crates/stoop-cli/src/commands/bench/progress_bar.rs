//! Shows progress on standard error, if that is a terminal.

use std::io::{self, IsTerminal, Write};

const WIDTH: usize = 28;

/// A progress bar in the last line of the terminal. Erased on drop.
pub(super) struct ProgressBar {
    total: usize,
    done: usize,
    on_terminal: bool,
}

impl ProgressBar {
    pub(super) fn new(total: usize) -> ProgressBar {
        ProgressBar { total, done: 0, on_terminal: io::stderr().is_terminal() }
    }

    /// Starts the next step.
    pub(super) fn begin(&mut self, what: &str) {
        if self.on_terminal {
            // ProgressBar is optional, so errors are ignored.
            let _ = write!(io::stderr(), "\r\x1b[K{}", bar(self.done, self.total, what));
        }
        self.done += 1;
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        if self.on_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn bar(done: usize, total: usize, what: &str) -> String {
    let full = (done * WIDTH).checked_div(total).unwrap_or(WIDTH).min(WIDTH);
    let percent = (done * 100).checked_div(total).unwrap_or(100).min(100);
    format!("{}{} {percent:3} %  {what}", "━".repeat(full), "─".repeat(WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_proportional() {
        assert_eq!(bar(0, 4, "x"), format!("{}   0 %  x", "─".repeat(WIDTH)));
        assert_eq!(bar(2, 4, "x"), format!("{}{}  50 %  x", "━".repeat(14), "─".repeat(14)));
        assert_eq!(bar(9, 4, ""), format!("{} 100 %  ", "━".repeat(WIDTH)));
        assert!(bar(0, 0, "").contains("100 %"));
    }
}
