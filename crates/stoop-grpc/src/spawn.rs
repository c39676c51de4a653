//! Where the tasks of a connection run.

use std::future::Future;

use hyper::rt::Executor;

/// Runs each future of hyper's in a task of its own, on the heap at once: a task is copied several
/// times on its way to where it runs, and for each call of a client hyper spawns one with room for
/// a whole connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spawn;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, future: F) {
        tokio::spawn(Box::pin(future));
    }
}
