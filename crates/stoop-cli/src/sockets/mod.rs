//! What `ls`, `who`, `close` and `tree` share: the lines made of a snapshot, which of them were
//! asked for, and the words for them.
//!
//! | file | holds |
//! |---|---|
//! | `row.rs` | a line: a listener, a connection with both ends, or another socket |
//! | `select.rs` | which lines were asked for |
//! | `find.rs` | from a socket as a person names it to those it may be |
//! | `meant.rs` | what was probably meant where nothing is found |
//! | `glob.rs` | patterns |
//! | `words.rs` | addresses, processes and queues in few words |
//! | `json.rs` | the same as JSON: an interface |
//! | `missing.rs` | what could not be read: a note, and the exit code |
//!
//! Everything but the lookup of names and files is pure. Nothing is printed here.

mod find;
mod glob;
pub(crate) mod json;
mod meant;
mod missing;
mod row;
#[cfg(test)]
pub(crate) mod sample;
mod select;
pub(crate) mod words;

pub(crate) use find::Wanted;
pub(crate) use glob::Glob;
pub(crate) use json::{Change, Views, missing as missing_json};
pub(crate) use missing::{Seen, note, tell_of_files};
pub(crate) use row::{Row, Shape, rows};
pub(crate) use select::Selector;
pub(crate) use words::Words;
