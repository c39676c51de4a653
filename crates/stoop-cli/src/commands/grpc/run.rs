//! Connects, and runs the action: list, describe, or call.

use stoop_dynamic::Options;

use super::error::ErrorContext;
use super::session::Session;
use super::{input, metadata, schema};
use crate::args::Grpc;
use crate::deadline::Deadline;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Runs the action: list, describe, or call.
pub(crate) fn run(flags: &Grpc) -> Outcome {
    flags.quiet.apply();
    let metadata = metadata::read(&flags.header)?;
    let errors = ErrorContext { flags };
    let session = Session {
        flags,
        errors,
        output: Output::new(flags.json, false),
        options: Options { metadata, timeout: flags.timeout },
        limit: Deadline::from_now(flags.timeout),
    };
    // Files are compiled before connecting, so that an error in them does not bother a server.
    let given = schema::given(flags)?;
    let input = input::prepare(flags)?;
    let reached = flags.endpoint.connect_stream(flags.wait, flags.timeout);
    let reached =
        reached.map_err(|failure| failure.for_client(flags.wait, |client| session.errors.client(client)))?;
    if let Some(found) = reached.event() {
        session.output.tell(&found)?;
    }
    // One thread is enough: the only concurrent work is to send and to receive.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("start the runtime", &error))?;
    let outcome = runtime.block_on(async {
        let client = session.open(reached.connection).await?;
        match flags.action.as_deref() {
            None | Some("list") => session.list(&client, given).await,
            Some("describe") => session.describe(&client, given).await,
            Some(method) => session.call(&client, given, method, input).await,
        }
    });
    // Do not wait for a thread that is still reading standard input.
    runtime.shutdown_background();
    outcome
}
