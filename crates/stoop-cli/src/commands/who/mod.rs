//! `stoop who`: one socket in full.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | finds the socket, and shows what was gathered |
//! | `detail.rs` | gathers everything that is known of one socket |
//! | `file.rs` | the file it is bound to, and whether it was moved, replaced or removed |
//! | `mounted.rs` | the containers that have the file, too |
//! | `warnings.rs` | problems the user may want to know of: pure |
//! | `render/` | formats the result and the unread bytes: pure |

pub(crate) mod args;
mod detail;
mod file;
mod mounted;
mod render;
mod run;
mod traffic;
mod warnings;

pub(super) use run::run;
