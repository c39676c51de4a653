//! An axum application on a Unix socket, whose handlers know the calling process.
//!
//! ```text
//! cargo run -p stoop-adapters --example axum -- ./app.sock
//! ```

use std::error::Error;
use std::path::Path;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use stoop::{Bind, Policy};
use stoop_http::{AxumListener, Caller, Client};

/// Creates the application, which does not depend on the kind of socket.
pub fn app() -> Router {
    Router::new().route("/whoami", get(whoami))
}

async fn whoami(ConnectInfo(caller): ConnectInfo<Caller>) -> String {
    format!("uid {}, pid {}", caller.uid, caller.pid)
}

/// Serves, makes one request, and returns the response.
pub async fn run(path: &Path) -> Result<String, Box<dyn Error>> {
    let listener = Bind::new(path).mode(0o600).policy(Policy::same_user()).listen_async().await?;
    let app = app().into_make_service_with_connect_info::<Caller>();
    tokio::spawn(axum::serve(AxumListener::from(listener), app).into_future());

    let mut client = Client::connect(path).await?;
    let response = client.send(Request::get("/whoami").body(Empty::<Bytes>::new())?).await?;
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.into())?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: axum PATH")?;
    println!("{}", run(path.as_ref()).await?);
    Ok(())
}
