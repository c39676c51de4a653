//! The executor for a connection's tasks.

use std::future::Future;

use hyper::rt::Executor;

/// Spawns each of hyper's futures boxed. A future is copied several times when it is spawned, and
/// for each call of a client hyper spawns one that is large enough for a whole connection.
#[derive(Clone, Copy, Debug)]
pub struct Spawn;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, future: F) {
        tokio::spawn(Box::pin(future));
    }
}
