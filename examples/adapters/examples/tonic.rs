//! tonic's own server and channel on a Unix socket, for programs that keep tonic's types.
//!
//! `stoop_grpc::Server` and `stoop_grpc::connect` do the same with limits, hand-over and retries.
//!
//! ```text
//! cargo run -p stoop-adapters --example tonic -- ./app.sock
//! ```

use std::error::Error;
use std::path::Path;

use stoop::{Bind, Policy};
use stoop_grpc::{Connections, Connector, only};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Serves the health service to clients that `policy` allows.
pub async fn serve(path: &Path, policy: Policy) -> Result<(), Box<dyn Error>> {
    let connections = Connections::from(Bind::new(path).mode(0o660).listen_async().await?);
    let (_reporter, health) = tonic_health::server::health_reporter();
    let server = Server::builder().add_service(InterceptedService::new(health, only(policy)));
    tokio::spawn(server.serve_with_incoming(connections));
    Ok(())
}

/// Connects; the host of the URI is what the server sees as `:authority`.
pub async fn connect(path: &Path) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_static("http://localhost").connect_with_connector(Connector::new(path)).await
}

/// Serves, makes one call, and returns the status.
pub async fn run(path: &Path) -> Result<String, Box<dyn Error>> {
    serve(path, Policy::same_user()).await?;
    let mut client = HealthClient::new(connect(path).await?);
    let response = client.check(HealthCheckRequest::default()).await?;
    Ok(response.into_inner().status().as_str_name().to_owned())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: tonic PATH")?;
    println!("{}", run(path.as_ref()).await?);
    Ok(())
}
