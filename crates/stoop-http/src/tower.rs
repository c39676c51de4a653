//! The caller in the requests of tower services, for accept loops outside this crate.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use crate::{Caller, ServerStream};

/// Makes one [`AddCaller`] for each connection: a `tower::MakeService` whose target is an accepted
/// stream.
///
/// [`Server`](crate::Server) adds the caller itself. This is for a server that drives connections
/// by hyper or hyper-util:
///
/// ```
/// use http_body_util::Empty;
/// use hyper::{Request, Response, body::Bytes, server::conn::http1};
/// use hyper_util::{rt::TokioIo, service::TowerToHyperService};
/// use stoop_http::{Caller, Client, MakeAddCaller, ServerStream, Version};
/// use tower_service::Service;
/// # use std::{convert::Infallible, future::{Ready, ready}, task::{Context, Poll}};
///
/// # #[derive(Clone)]
/// # struct WhoAmI;
/// # impl<B> Service<Request<B>> for WhoAmI {
/// #     type Response = Response<String>;
/// #     type Error = Infallible;
/// #     type Future = Ready<Result<Response<String>, Infallible>>;
/// #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
/// #         Poll::Ready(Ok(()))
/// #     }
/// #     fn call(&mut self, request: Request<B>) -> Self::Future {
/// #         let caller = request.extensions().get::<Caller>().unwrap();
/// #         let response = Response::builder().header("pid", caller.pid.to_string());
/// #         ready(Ok(response.body(String::new()).unwrap()))
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let whoami = WhoAmI; // responds with the pid of `request.extensions().get::<Caller>()`
/// let (client, stream) = stoop::aio::Stream::pair()?;
/// let stream = ServerStream::from(stream);
/// let service = MakeAddCaller::new(whoami).call(&stream).await?;
/// let service = TowerToHyperService::new(service);
/// tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
///
/// let mut client = Client::over(client, Version::Http1).await?;
/// let response = client.send(Request::new(Empty::<Bytes>::new())).await?;
/// assert_eq!(response.headers()["pid"], std::process::id().to_string());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MakeAddCaller<S> {
    service: S,
}

impl<S> MakeAddCaller<S> {
    /// Wraps the service that handles the requests of every connection.
    pub fn new(service: S) -> MakeAddCaller<S> {
        MakeAddCaller { service }
    }
}

impl<S: Clone> Service<&ServerStream> for MakeAddCaller<S> {
    type Response = AddCaller<S>;
    type Error = Infallible;
    type Future = Ready<Result<AddCaller<S>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, stream: &ServerStream) -> Self::Future {
        ready(Ok(AddCaller { service: self.service.clone(), caller: stream.caller() }))
    }
}

/// A service whose requests carry the [`Caller`] of one connection in their extensions.
#[derive(Clone, Debug)]
pub struct AddCaller<S> {
    service: S,
    caller: Caller,
}

impl<S, B> Service<Request<B>> for AddCaller<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.caller.clone());
        self.service.call(request)
    }
}
