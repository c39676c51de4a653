//! What the help texts of all commands end with.

use crate::exit::Exit;

/// Returns the end of every help text: examples and exit codes.
pub(crate) fn footer(examples: &str) -> String {
    format!("Examples:{examples}\n\n{}", Exit::list().trim_end())
}
