//! hyper-util's connection builder and pooling client on a Unix socket, without code of stoop's in
//! between.
//!
//! ```text
//! cargo run -p stoop-adapters --example hyper_util -- ./app.sock
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::future::ready;
use std::path::Path;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use stoop::{Bind, aio};
use stoop_http::Connector;

/// Serves each connection in HTTP/1.1 or HTTP/2, as its client begins it.
pub async fn serve(listener: aio::Listener) -> stoop::Result<Infallible> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let pid = stream.peer().pid.to_string();
            let service = service_fn(move |request: Request<Incoming>| {
                let text = format!("{:?} for pid {pid}", request.version());
                ready(Ok::<_, Infallible>(Response::new(text)))
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            // An error concerns this client only.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Serves, makes one request, and returns the response.
pub async fn run(path: &Path) -> Result<String, Box<dyn Error>> {
    tokio::spawn(serve(Bind::new(path).listen_async().await?));
    let client: Client<_, Empty<Bytes>> =
        Client::builder(TokioExecutor::new()).http2_only(true).build(Connector::new(path));
    let response = client.get("http://localhost/".parse()?).await?;
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.into())?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: hyper_util PATH")?;
    println!("{}", run(path.as_ref()).await?);
    Ok(())
}
