//! `stoop why`: predicts and explains the result of a call on a Unix socket. With `--try`, also
//! makes the call to check the prediction.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | creates the question from the flags, and answers it |
//! | `prediction.rs` | the answer, and the exit code that follows from it |
//! | `render/text.rs` `json.rs` | formats the whole answer, as text and as JSON |
//! | `render/listing.rs` | shows the path to the socket, component by component |

pub(crate) mod args;
mod prediction;
mod render;
mod run;

pub(super) use run::run;
