//! Shared by `ls`, `who`, `close` and `tree`: the lines of a snapshot, their selection, and their
//! formatting.
//!
//! | file | holds |
//! |---|---|
//! | `row.rs` | a line: a listener, a connection with both ends, or another socket |
//! | `filter.rs` | selects lines by flags |
//! | `find.rs` | finds the sockets that a selector refers to |
//! | `suggest.rs` | suggestions if nothing is found |
//! | `glob.rs` | patterns;  `pattern.rs`: of names, or a name as it is printed |
//! | `words.rs` | untrusted bytes as words, and back |
//! | `format.rs` | formats addresses, processes and queues as words |
//! | `json.rs` | the same as JSON, a stable interface |
//! | `opener.rs` | the process that opened a connection, and how old that is at most |
//! | `clock.rs` | the clock of process start times |
//! | `paths.rs` | the present paths of socket files |
//! | `missing.rs` | what could not be read: a note, and the exit code |
//!
//! Everything except the lookup of names and files is pure. Nothing is printed here.

mod clock;
mod filter;
mod find;
pub(crate) mod format;
mod glob;
pub(crate) mod json;
mod missing;
pub(crate) mod opener;
mod paths;
mod pattern;
mod row;
#[cfg(test)]
pub(crate) mod sample;
mod suggest;
mod words;

pub(crate) use clock::Now;
pub(crate) use filter::{Filter, is_in_container, is_in_unit};
pub(crate) use find::ResolvedSelector;
pub(crate) use format::SocketFormatter;
pub(crate) use glob::Glob;
pub(crate) use json::{Change, JsonFormatter, missing as missing_json};
pub(crate) use missing::{Completeness, note, report_files, report_files_without_socket};
pub(crate) use paths::Paths;
pub(crate) use pattern::NamePattern;
pub(crate) use row::{Row, Shape, rows};
