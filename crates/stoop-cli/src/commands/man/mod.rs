//! `stoop man`: manual pages, generated from the definition of the command line.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | prints one page, or writes all of them |
//! | `render.rs` | formats a page |
//! | `reference.rs` | the files, variables and related pages of each command |

pub(crate) mod args;
mod reference;
mod render;
mod run;

pub(super) use run::run;
