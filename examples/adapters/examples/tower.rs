//! A tower service with the caller in the extensions of each request, served by hyper-util.
//!
//! ```text
//! cargo run -p stoop-adapters --example tower -- ./app.sock
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::path::Path;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use stoop::{Bind, aio};
use stoop_http::{Caller, Client, MakeAddCaller, ServerStream};
use tower::{MakeService, service_fn};

async fn whoami(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let caller = request.extensions().get::<Caller>();
    let text = caller.map(|caller| format!("uid {}, pid {}", caller.uid, caller.pid));
    Ok(Response::new(text.unwrap_or_default()))
}

/// Accepts clients, and makes one service for each connection.
pub async fn serve(listener: aio::Listener) -> stoop::Result<Infallible> {
    let mut make = MakeAddCaller::new(service_fn(whoami));
    loop {
        let stream = ServerStream::from(listener.accept().await?.0);
        let Ok(service) = MakeService::<_, Request<Incoming>>::make_service(&mut make, &stream).await;
        tokio::spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            // An error concerns this client only.
            let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
        });
    }
}

/// Serves, makes one request, and returns the response.
pub async fn run(path: &Path) -> Result<String, Box<dyn Error>> {
    tokio::spawn(serve(Bind::new(path).listen_async().await?));
    let mut client = Client::connect(path).await?;
    let response = client.send(Request::new(Empty::<Bytes>::new())).await?;
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.into())?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: tower PATH")?;
    println!("{}", run(path.as_ref()).await?);
    Ok(())
}
