//! A connector for hyper's pooling client.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Uri;
use stoop::{Connect, ToAddress};
use tower_service::Service;

use crate::Io;

/// Connects hyper's pooling client ([`hyper_util::client::legacy::Client`]) to a Unix socket.
///
/// The host of a URI is ignored. The [`Connect`] settings say how long to wait for room in a full
/// backlog, and for a server that is starting. The pool reconnects by itself after the server
/// restarts.
///
/// ```
/// use http_body_util::{BodyExt, Empty};
/// use hyper::body::Bytes;
/// use hyper_util::client::legacy::Client;
/// use hyper_util::rt::TokioExecutor;
/// use stoop_http::Connector;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let listener = stoop::Bind::new(&path).listen_async().await?;
/// # let hello = hyper::service::service_fn(|_| async {
/// #     Ok::<_, std::convert::Infallible>(hyper::Response::new("hello".to_owned()))
/// # });
/// # let server = stoop_http::Server::new(stoop::serve::Server::new(listener));
/// # tokio::spawn(server.run(hello, std::future::pending::<()>()));
/// let client: Client<_, Empty<Bytes>> =
///     Client::builder(TokioExecutor::new()).build(Connector::new(&path));
/// let answer = client.get("http://localhost/version".parse()?).await?;
/// assert_eq!(answer.into_body().collect().await?.to_bytes(), "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Connector {
    connect: Connect,
}

impl Connector {
    /// Creates a connector for this address, which waits indefinitely for room in the backlog.
    pub fn new(address: impl ToAddress) -> Connector {
        Connector::with(Connect::new(address))
    }

    /// Creates a connector with these settings.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # use http_body_util::Empty;
    /// # use hyper::{Response, body::Bytes, service::service_fn};
    /// # use hyper_util::{client::legacy::Client, rt::TokioExecutor};
    /// # use stoop_http::{Connector, Server};
    /// use std::time::Duration;
    ///
    /// let connect = stoop::Connect::new(&path).wait_for_server(Duration::from_secs(5));
    /// let client: Client<_, Empty<Bytes>> =
    ///     Client::builder(TokioExecutor::new()).build(Connector::with(connect));
    /// // The request waits for the server, which starts only now.
    /// let request = tokio::spawn(client.get("http://localhost/".parse()?));
    /// let listener = stoop::Bind::new(&path).listen_async().await?;
    /// let hello = service_fn(async |_| Ok::<_, hyper::Error>(Response::new(String::new())));
    /// let server = Server::new(stoop::serve::Server::new(listener));
    /// tokio::spawn(server.run(hello, std::future::pending::<()>()));
    /// assert_eq!(request.await??.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with(connect: Connect) -> Connector {
        Connector { connect }
    }
}

impl Service<Uri> for Connector {
    type Response = Io;
    type Error = stoop::Error;
    type Future = Pin<Box<dyn Future<Output = stoop::Result<Io>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<stoop::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connect = self.connect.clone();
        Box::pin(async move { Ok(Io::new(connect.stream_async().await?)) })
    }
}
