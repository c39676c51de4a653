//! A listener for `axum::serve`.

use std::io;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use stoop::{Address, aio};

use crate::{Caller, ServerStream};

/// How long to pause after an error of the listener itself. axum's own listeners pause as long.
const PAUSE: Duration = Duration::from_secs(1);

/// A listener for [`axum::serve`](axum::serve()).
///
/// The listener's policy applies, and its socket file is unlinked when axum drops it. Requests have
/// their [`Caller`] if the router is served with `into_make_service_with_connect_info::<Caller>()`:
/// as the extractor `ConnectInfo<Caller>`, and through [`Caller::of`].
///
/// [`Server`](crate::Server) has limits on connections and slow clients, and hands over to a
/// successor. axum's does not.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # use http_body_util::{BodyExt, Empty};
/// # use hyper::{Request, body::Bytes};
/// use axum::extract::ConnectInfo;
/// use axum::{Router, routing::get};
/// use stoop_http::{AxumListener, Caller};
///
/// let whoami = get(async |ConnectInfo(caller): ConnectInfo<Caller>| caller.uid.to_string());
/// let app = Router::new().route("/whoami", whoami);
/// let listener = stoop::Bind::new(&path).mode(0o660).listen_async().await?;
/// let app = app.into_make_service_with_connect_info::<Caller>();
/// tokio::spawn(axum::serve(AxumListener::from(listener), app).into_future());
///
/// let mut client = stoop_http::Client::connect(&path).await?;
/// let response = client.send(Request::get("/whoami").body(Empty::<Bytes>::new())?).await?;
/// let uid = response.into_body().collect().await?.to_bytes();
/// # use std::os::unix::fs::MetadataExt;
/// assert_eq!(uid, path.metadata()?.uid().to_string());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AxumListener(aio::Listener);

impl From<aio::Listener> for AxumListener {
    fn from(listener: aio::Listener) -> AxumListener {
        AxumListener(listener)
    }
}

impl Listener for AxumListener {
    type Io = ServerStream;
    type Addr = Address;

    async fn accept(&mut self) -> (ServerStream, Address) {
        loop {
            match self.0.accept().await {
                Ok((stream, address)) => return (stream.into(), address),
                // Only errors of the listener itself remain. axum cannot be told of one.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Address> {
        Ok(self.0.local_addr()?)
    }
}

impl Connected<IncomingStream<'_, AxumListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, AxumListener>) -> Caller {
        stream.io().caller()
    }
}
