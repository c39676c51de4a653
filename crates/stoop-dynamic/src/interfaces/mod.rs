//! Interfaces as facts: the text form of `schemas/*.facts`. Does no I/O.
//!
//! Holds what a call needs of a `.proto` file: packages, services, messages, enums, and their
//! names, numbers, types, labels and defaults. Never holds its comments, its options for code
//! generators, or its wording. `schemas/README.md` describes the form.
//!
//! | file | does |
//! |---|---|
//! | `tree.rs` | text to nodes: words, indentation, comments;  `print.rs`: nodes to text |
//! | `read.rs` | nodes to file descriptors |
//! | `members.rs` | fields, enum values, ranges;  `reader.rs`: what it shares with `read.rs` |
//! | `write.rs` | file descriptors to nodes |
//! | `facts.rs` | which parts of a file descriptor are facts |
//! | `names.rs` | names that are derived from others |
//! | `comments.rs` | comments to source info |
//!
//! `cargo xtask interfaces` compiles these files, too: they use `prost-types` and each other only.

pub mod comments;
#[cfg(test)]
pub mod facts;
pub mod members;
pub mod names;
#[cfg(any(test, feature = "fuzzing"))]
mod print;
pub mod read;
mod reader;
#[cfg(test)]
mod tests;
mod tree;
#[cfg(any(test, feature = "fuzzing"))]
pub mod write;
