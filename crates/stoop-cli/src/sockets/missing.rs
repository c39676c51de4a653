//! Reports what could not be read: a note for the user, and the exit code.

use std::fmt::Write as _;
use std::io;

use stoop::escaped;
use stoop::internal::responding;
use stoop_inspect::{Missing, Snapshot};

use super::suggest::{describe_non_socket, other_spellings};
use super::{Filter, format};
use crate::descriptor_limit;
use crate::exit::Exit;
use crate::failure::describe;
use crate::output::status;
use crate::shell;

/// Whether a snapshot is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Completeness(bool);

impl Completeness {
    pub(crate) fn of(snapshot: &Snapshot) -> Completeness {
        Completeness(snapshot.missing.is_empty())
    }

    /// Returns the exit code of a command that has shown everything visible.
    pub(crate) fn exit(self) -> Exit {
        if self.0 { Exit::Done } else { Exit::Partial }
    }
}

/// Returns the note for standard error. Empty if nothing is missing.
pub(crate) fn note(missing: &[Missing]) -> String {
    let mut text = String::new();
    for missing in missing {
        let _ = writeln!(text, "stoop: not visible: {}", one_line(&missing.to_string()));
    }
    if missing.iter().any(|missing| descriptor_limit::is_reached(missing.errno)) {
        let _ = writeln!(text, "stoop: {}; next: {}", descriptor_limit::words(), descriptor_limit::command());
    }
    text
}

/// Reports paths that were asked for but whose sockets are listed under other names.
pub(crate) fn report_files(filter: &Filter<'_>, snapshot: &Snapshot) {
    for (typed, address) in filter.without_file() {
        let what = match address.as_pathname().map(responding::metadata) {
            Some(Err(error)) if !is_absence(&error) => {
                format!("cannot look up '{address}' ({})", describe(&error))
            }
            _ => format!("no file at '{address}'"),
        };
        status(&format!("stoop: {what}: searching for sockets bound to this name\n"));
        for meant in other_spellings(typed, snapshot) {
            status(&format!("stoop: did you mean '{meant}'?\n"));
        }
    }
    for path in filter.files() {
        let shown = format::path(path);
        match describe_non_socket(path) {
            Some((what, Some(inside))) => {
                status(&format!("stoop: '{shown}' is {what}; for the sockets in it, use {inside}\n"))
            }
            Some((what, None)) => status(&format!("stoop: '{shown}' is {what}\n")),
            None => {}
        }
    }
    for (asked, bound) in filter.renamed(snapshot) {
        status(&format!(
            "stoop: the socket at '{asked}' is listed under the name it was bound to, '{bound}'\n"
        ));
    }
}

/// Reports socket files that were asked for and to which nothing in the table is bound: they may be
/// stale, or have a server by another path.
pub(crate) fn report_files_without_socket(filter: &Filter<'_>) {
    for path in filter.files().filter(|path| describe_non_socket(path).is_none()) {
        let (shown, word) = (format::path(path), shell::path(path));
        status(&format!("stoop: no socket is bound to '{shown}' as seen from here: stoop why {word}\n"));
    }
}

/// Returns whether a lookup has shown that there is no file.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Escapes a name, which may come from an untrusted process.
fn one_line(text: &str) -> String {
    text.split('%').map(|part| escaped(part).to_string()).collect::<Vec<_>>().join("%")
}
