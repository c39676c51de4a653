//! tokio-postgres over `aio::Stream`.
//!
//! ```text
//! cargo run -p stoop-adapters --example postgres -- /run/postgresql/.s.PGSQL.5432 USER
//! ```

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use stoop::Connect;
use tokio_postgres::{Client, Config, NoTls};

/// Connects to the database `postgres`, and waits for a server that is starting.
pub async fn connect(path: &Path, user: &str) -> Result<Client, Box<dyn Error>> {
    let stream = Connect::new(path).wait_for_server(Duration::from_secs(10)).stream_async().await?;
    // The kernel says who has the server's end, which no password exchange proves.
    eprintln!("connected to pid {}", stream.peer().pid);
    let (client, connection) = Config::new().user(user).dbname("postgres").connect_raw(stream, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Computes 6 × 7 on the server.
pub async fn run(path: &Path, user: &str) -> Result<i32, Box<dyn Error>> {
    let client = connect(path, user).await?;
    Ok(client.query_one("SELECT 6 * $1::INT4", &[&7]).await?.try_get(0)?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, user] = &arguments[..] else { return Err("usage: postgres PATH USER".into()) };
    println!("{}", run(path.as_ref(), user).await?);
    Ok(())
}
