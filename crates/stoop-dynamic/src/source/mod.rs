//! File descriptors as `.proto` source, which compiles to the same descriptors. Does no I/O.
//!
//! Comments are printed if the descriptors have them.
//!
//! | file | does |
//! |---|---|
//! | `printer.rs` | lines, blocks, comments, and names of types |
//! | `element.rs` | files, services, messages and enums |
//! | `field.rs` | fields and extensions |
//! | `options.rs` | options, values, and ranges of numbers |
//! | `custom.rs` | options that extensions define |

mod custom;
mod element;
mod field;
mod options;
mod printer;
#[cfg(test)]
mod tests;

pub(crate) use printer::{Names, Printer};
