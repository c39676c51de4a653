//! Requests a greeting.
//!
//! ```text
//! cargo run -p stoop-example-greeter --bin greeter_client -- ./greeter.sock you
//! ```

use std::error::Error;

use greeter::HelloRequest;
use greeter::greeter_client::GreeterClient;
use stoop_grpc::Endpoint;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err("usage: greeter_client ADDRESS NAME".into());
    };
    // ANCHOR: call
    let channel = stoop_grpc::connect(address.parse::<Endpoint>()?).await?;
    let mut greeter = GreeterClient::new(channel);
    let reply = greeter.hello(HelloRequest { name }).await?.into_inner();
    println!("{}", reply.text);
    // ANCHOR_END: call
    Ok(())
}
