//! Servers and clients in one process.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use stoop::serve::{self, End};
use stoop::{Bind, handover};
use stoop_grpc::{Error, Server, connect};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Request;
use tonic::service::Routes;

use super::{Echo, EchoClient, block_on};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test with a temporary directory, within [`LIMIT`].
pub fn test<F: Future<Output = ()>>(body: impl FnOnce(PathBuf) -> F + Send + 'static) {
    stoop_testkit::deadline(LIMIT, || {
        let directory = stoop_testkit::tempdir();
        block_on(body(directory.path().to_owned()));
    });
}

/// A running server, and the handle that shuts it down.
pub struct Running {
    end: Option<oneshot::Sender<()>>,
    pub task: JoinHandle<Result<End, Error>>,
}

impl Running {
    pub async fn stop(mut self) -> End {
        drop(self.end.take());
        self.task.await.unwrap().unwrap()
    }
}

/// Serves [`Echo`].
pub fn run(server: serve::Server, name: &'static str) -> Running {
    let (end, ended) = oneshot::channel::<()>();
    let task = tokio::spawn(Server::new(Routes::new(Echo { name })).serve(server, ended));
    Running { end: Some(end), task }
}

/// Serves [`Echo`] at this path.
pub async fn start(path: &Path) -> Running {
    run(serve::Server::new(Bind::new(path).listen_async().await.unwrap()), "one")
}

/// Connects a client of [`Echo`] to this path.
pub async fn client(path: &Path) -> EchoClient {
    EchoClient::new(connect(path).await.unwrap())
}

pub fn message(text: &str) -> Request<Bytes> {
    Request::new(Bytes::copy_from_slice(text.as_bytes()))
}

/// Serves [`Echo`] at this path, takes over from a predecessor, and hands over to a successor.
pub async fn hand_over(path: &Path, control: &Path) -> Running {
    let (path, control) = (path.to_owned(), control.to_owned());
    let started = tokio::task::spawn_blocking(move || {
        handover::Server::start(&Bind::new(path), control, Duration::from_secs(10)).unwrap()
    });
    run(serve::Server::with_handover(started.await.unwrap()).unwrap(), "one")
}
