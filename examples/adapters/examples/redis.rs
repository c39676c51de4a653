//! redis over `aio::Stream`.
//!
//! ```text
//! cargo run -p stoop-adapters --example redis -- /run/redis/redis.sock
//! ```

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, RedisConnectionInfo};
use stoop::Connect;

/// Connects, and waits for a server that is starting.
pub async fn connect(path: &Path) -> Result<MultiplexedConnection, Box<dyn Error>> {
    let stream = Connect::new(path).wait_for_server(Duration::from_secs(10)).stream_async().await?;
    // `Default`: database 0, no user. The configuration has the timeouts of redis.
    let (login, config) = (RedisConnectionInfo::default(), AsyncConnectionConfig::default());
    let (connection, driver) = MultiplexedConnection::new_with_config(&login, stream, config).await?;
    tokio::spawn(driver);
    Ok(connection)
}

/// Stores a number and increments it on the server.
pub async fn run(path: &Path) -> Result<i64, Box<dyn Error>> {
    let mut connection = connect(path).await?;
    let () = connection.set("stoop:example", 41).await?;
    Ok(connection.incr("stoop:example", 1).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: redis PATH")?;
    println!("{}", run(path.as_ref()).await?);
    Ok(())
}
