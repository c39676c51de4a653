//! A runtime without its work: it listens at the given address, takes over from the process that
//! listens there already, reports the revisions that it supports, and exits without losing a call.

use std::error::Error;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use stoop::{Bind, Policy, handover, serve};
use stoop_grpc::{Caller, Endpoint, Incoming, Server, health, reflection};
use tokio_stream::{Stream, StreamExt};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::api::runtime_server::{Runtime, RuntimeServer};
use crate::api::{DESCRIPTORS, Done, Job, VersionRequest, VersionResponse};
use crate::{REVISIONS, arguments, control_of, tls};

/// The work of one runtime.
pub type Work = fn(&str) -> String;

/// How long each step of a hand-over may take.
const HAND_OVER: Duration = Duration::from_secs(10);

struct Runner {
    name: &'static str,
    work: Work,
    revisions: Vec<u32>,
}

#[tonic::async_trait]
impl Runtime for Runner {
    async fn version(&self, request: Request<VersionRequest>) -> Result<Response<VersionResponse>, Status> {
        // Over a Unix socket, the kernel identifies the caller.
        if let Some(caller) = Caller::of(request.extensions()) {
            println!("asked by process {} of user {}", caller.pid, caller.uid);
        }
        let theirs = request.into_inner().revisions;
        let both = self.revisions.iter().filter(|revision| theirs.contains(revision)).max();
        let Some(&revision) = both else {
            let text = format!("{} speaks {:?}, the host speaks {theirs:?}", self.name, self.revisions);
            return Err(Status::failed_precondition(text));
        };
        Ok(Response::new(VersionResponse { name: self.name.to_owned(), revision }))
    }

    async fn run(&self, request: Request<Job>) -> Result<Response<Done>, Status> {
        Ok(Response::new(self.done(&request.into_inner().text)))
    }

    type FollowStream = Pin<Box<dyn Stream<Item = Result<Done, Status>> + Send>>;

    async fn follow(&self, request: Request<Job>) -> Result<Response<Self::FollowStream>, Status> {
        let text = request.into_inner().text;
        let pieces: Vec<_> = text.split_whitespace().map(|piece| Ok(self.done(piece))).collect();
        let pieces = tokio_stream::iter(pieces).throttle(Duration::from_millis(100));
        Ok(Response::new(Box::pin(pieces)))
    }
}

impl Runner {
    fn done(&self, text: &str) -> Done {
        Done { text: (self.work)(text), by: self.name.to_owned() }
    }
}

/// Runs a runtime, as its `main`: `NAME ADDRESS [--speaks 1,2] [--tls DIRECTORY]`.
pub fn run(name: &'static str, work: Work) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let served = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(serve(name, work)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(name: &'static str, work: Work) -> Result<(), Box<dyn Error>> {
    let (plain, [speaks, certificates]) = arguments(["speaks", "tls"]);
    let [address] = &plain[..] else { return Err(format!("usage: {name} ADDRESS").into()) };
    let endpoint: Endpoint = address.parse()?;
    let revisions = match speaks {
        Some(list) => list.split(',').map(str::parse).collect::<Result<_, _>>()?,
        None => REVISIONS.to_vec(),
    };

    let routes = Routes::new(RuntimeServer::new(Runner { name, work, revisions }));
    let (_reporter, routes) = health(routes);
    let mut server = Server::new(reflection(routes, &[DESCRIPTORS])?);
    if let Some(directory) = certificates {
        server = server.tls(tls::server(Path::new(&directory), name)?);
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let incoming = listen(endpoint).await?;
    println!("{name} is listening");
    let end = server.serve(incoming, terminate.recv()).await?;
    println!("{name} exited: {end:?}");
    Ok(())
}

/// Listens on a Unix domain socket, taking over from its present server, or on TCP as tonic does.
async fn listen(endpoint: Endpoint) -> Result<Incoming, Box<dyn Error>> {
    let path = match &endpoint {
        Endpoint::Local(address) => address.as_pathname(),
        _ => None,
    };
    let Some(path) = path else { return Ok(endpoint.listen(|bind| bind).await?) };
    let bind = Bind::new(path).mode(0o600).policy(Policy::same_user());
    let control = control_of(path);
    let server =
        tokio::task::spawn_blocking(move || handover::Server::start(&bind, control, HAND_OVER)).await??;
    Ok(serve::Server::with_handover(server)?.max_connections(100).into())
}
