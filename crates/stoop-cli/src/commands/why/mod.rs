//! `stoop why`: predicts and explains the result of a call on a Unix socket. With `--try`, also
//! makes the call to check the prediction.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | creates the question from the flags, and the exit code from the verdict |
//! | `render/text.rs` `json.rs` | formats the whole answer, as text and as JSON |
//! | `render/listing.rs` | shows the path to the socket, component by component |

pub(crate) mod args;
mod render;
mod run;

pub(super) use run::run;
