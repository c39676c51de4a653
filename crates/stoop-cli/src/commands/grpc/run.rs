//! Connects, and runs the action: list, describe, or call.

use std::cell::RefCell;
use std::time::Instant;

use stoop_dynamic::Options;

use super::args::Compression;
use super::error::ErrorContext;
use super::session::Session;
use super::{input, metadata, schema};
use crate::args::Grpc;
use crate::deadline::Deadline;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::runtime;

/// Runs the action: list, describe, or call.
pub(crate) fn run(flags: &Grpc) -> Outcome {
    flags.quiet.apply();
    let errors = ErrorContext { flags };
    let session = Session {
        flags,
        errors,
        output: Output::new(flags.json, false),
        options: options(flags, &flags.rpc_header)?,
        reflection: options(flags, &flags.reflect_header)?,
        limit: Deadline::from_now(flags.timeout),
        begun: Instant::now(),
        fallback: RefCell::default(),
    };
    // Files are compiled before connecting, so that an error in them does not bother a server.
    let given = schema::given(&flags.schema)?;
    if let (Some(schema), false) = (&given, flags.is_call()) {
        return session.show_given(schema);
    }
    let input = input::prepare(flags)?;
    let reached = flags.endpoint.connect_stream(flags.wait, flags.connect_timeout.or(flags.timeout));
    let reached = reached.map_err(|failure| {
        failure.for_client(flags.wait, |client| session.errors.client(client)).for_call()
    })?;
    if let Some(found) = reached.event() {
        session.output.tell(&found)?;
    }
    let runtime = runtime::start()?;
    let outcome = runtime.block_on(async {
        let client = session.open(reached.connection).await?;
        match flags.action.as_deref() {
            None | Some("list") => session.list(&client).await,
            Some("describe") => session.describe(&client).await,
            Some(method) => session.call(&client, given, method, input).await,
        }
    });
    // Do not wait for a thread that is still reading standard input.
    runtime.shutdown_background();
    outcome.map_err(Failure::for_call)
}

/// Returns the options of calls that send these headers, in addition to those of all calls.
pub(super) fn options(flags: &Grpc, headers: &[String]) -> Result<Options, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let headers = flags.header.iter().chain(headers);
    let metadata = if flags.expand_headers {
        let expanded: Vec<String> =
            headers.map(|header| metadata::expand(header, variable)).collect::<Result<_, _>>()?;
        metadata::read(&expanded)?
    } else {
        metadata::read(headers)?
    };
    let compression = flags.compress.map(|compression| match compression {
        Compression::Gzip => stoop_dynamic::Compression::Gzip,
        Compression::Deflate => stoop_dynamic::Compression::Deflate,
        Compression::Zstd => stoop_dynamic::Compression::Zstd,
    });
    Ok(Options { metadata, timeout: flags.timeout, compression })
}
