//! D-Bus by zbus, on a connection made by stoop.
//!
//! zbus passes file descriptors and so takes the socket itself: an `aio::Stream` becomes tokio's
//! `UnixStream`, with nothing lost.
//!
//! ```text
//! cargo run -p stoop-adapters --example zbus -- /run/dbus/system_bus_socket
//! ```

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use stoop::Connect;
use tokio::net::UnixStream;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::fdo::DBusProxy;

/// Connects, and waits for a bus that is starting.
pub async fn connect(path: &Path) -> Result<Connection, Box<dyn Error>> {
    let stream = Connect::new(path).wait_for_server(Duration::from_secs(10)).stream_async().await?;
    Ok(Builder::unix_stream(UnixStream::try_from(stream)?).build().await?)
}

/// Returns the pid that the bus has recorded for this connection.
pub async fn run(path: &Path) -> Result<u32, Box<dyn Error>> {
    let connection = connect(path).await?;
    let name = connection.unique_name().ok_or("the bus assigned no name")?.clone();
    Ok(DBusProxy::new(&connection).await?.get_connection_unix_process_id(name.into()).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: zbus PATH")?;
    println!("{}", run(path.as_ref()).await?);
    Ok(())
}
