//! The services and methods of a server, for completion: within a short time, and without a word.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use stoop_dynamic::{Origin, Schema};

use super::error::ErrorContext;
use super::session::Session;
use super::{run, schema};
use crate::args::Grpc;
use crate::deadline::Deadline;
use crate::output::Output;
use crate::runtime;

/// Returns the schema of the server that the flags name, or of the files that they name. Returns
/// `None` if the server does not answer in time, or does not show what it has.
pub(crate) fn known(flags: &Grpc, limit: Duration) -> Option<Schema> {
    if let Some(given) = schema::given(&flags.schema).ok()? {
        return Some(given);
    }
    let session = Session {
        flags,
        errors: ErrorContext { flags },
        output: Output::new(false, true),
        options: run::options(flags, &flags.rpc_header).ok()?,
        reflection: run::options(flags, &flags.reflect_header).ok()?,
        limit: Deadline::from_now(Some(limit)),
        begun: Instant::now(),
        fallback: RefCell::default(),
    };
    let stream = flags.endpoint.connect_stream(None, Some(limit)).ok()?.connection;
    let runtime = runtime::start().ok()?;
    let asked = runtime.block_on(async {
        let asking = async {
            let client = session.open(stream).await.ok()?;
            let schema = session.load_schema(&client, None).await.ok()?;
            match schema.origin() {
                Origin::Builtin => session.served(&client, schema).await.ok(),
                _ => Some(schema),
            }
        };
        tokio::time::timeout(session.limit.left().unwrap_or(limit), asking).await.ok()?
    });
    runtime.shutdown_background();
    asked
}
