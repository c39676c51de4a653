//! Connects, and runs the action.

use std::io::IsTerminal;

use super::args::{Action, Cri};
use super::error::ErrorContext;
use super::session::Session;
use super::{list, logs, manage, stream};
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::runtime;

/// Connects, and runs the action.
pub(crate) fn run(flags: &Cri) -> Outcome {
    flags.quiet.apply();
    let images = flags.image_endpoint.as_ref().filter(|_| flags.action.is_of_images());
    let endpoint = images.unwrap_or(&flags.endpoint);
    let errors = ErrorContext { endpoint: endpoint.clone() };
    if let Action::Other(words) = &flags.action {
        let word = words.first().map(|word| word.to_string_lossy().into_owned());
        return Err(errors.other_word(&word.unwrap_or_default()));
    }
    let reached = endpoint.connect_stream(flags.wait, flags.timeout);
    let reached = reached
        .map_err(|failure| failure.for_client(flags.wait, |client| errors.client(client)).for_call())?;
    if let Some(found) = reached.event() {
        Output::new(false, !std::io::stderr().is_terminal()).tell(&found)?;
    }
    let runtime = runtime::start()?;
    let outcome = runtime.block_on(async {
        let session = Session::open(flags, errors, reached.connection).await?;
        act(&session, &flags.action).await
    });
    // Do not wait for a thread that is still reading standard input.
    runtime.shutdown_background();
    outcome.map_err(Failure::for_call)
}

async fn act(session: &Session<'_>, action: &Action) -> Outcome {
    match action {
        Action::Ps(flags) => list::containers(session, flags).await,
        Action::Pods(flags) => list::pods(session, flags).await,
        Action::Images(flags) => list::images(session, flags).await,
        Action::Inspect(flags) => list::inspect(session, flags).await,
        Action::Inspectp(flags) => list::inspect_pods(session, flags).await,
        Action::Inspecti(flags) => list::inspect_images(session, flags).await,
        Action::Stats(flags) => list::stats(session, flags).await,
        Action::Statsp(flags) => list::pod_stats(session, flags).await,
        Action::Events(flags) => list::events(session, flags).await,
        Action::Imagefsinfo(flags) => list::file_systems(session, flags).await,
        Action::Info(flags) => list::info(session, flags).await,
        Action::Version(flags) => list::version(session, flags).await,
        Action::Logs(flags) => logs::run(session, flags).await,
        Action::Exec(flags) => stream::exec(session, flags).await,
        Action::Attach(flags) => stream::attach(session, flags).await,
        Action::PortForward(flags) => stream::port_forward(session, flags).await,
        Action::Run(flags) => manage::run(session, flags).await,
        Action::Runp(flags) => manage::run_pod(session, flags).await,
        Action::Create(flags) => manage::create(session, flags).await,
        Action::Start(flags) => manage::start(session, flags).await,
        Action::Stop(flags) => manage::stop(session, flags).await,
        Action::Stopp(flags) => manage::stop_pods(session, flags).await,
        Action::Rm(flags) => manage::remove(session, flags).await,
        Action::Rmp(flags) => manage::remove_pods(session, flags).await,
        Action::Rmi(flags) => manage::remove_images(session, flags).await,
        Action::Pull(flags) => manage::pull(session, flags).await,
        Action::Other(_) => unreachable!("answered before the connection"),
    }
}
