//! Calls any method of any gRPC server on a Unix domain socket, with the schema that the server
//! reports: JSON in, JSON out.
//!
//! ```text
//! cargo run -p stoop-dynamic --example grpc_call -- \
//!     ./app.sock greet.Greeter/Hello '{"name": "you"}'
//! ```

use std::io::{self, Write};
use std::process::ExitCode;

use stoop_dynamic::{Client, Options, ReflectError, Schema, json, reflect};
use stoop_grpc::{Endpoint, connect};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let [address, method, request] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        eprintln!("usage: grpc_call ADDRESS METHOD JSON");
        return ExitCode::from(2);
    };
    match call(address, method, request).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

// ANCHOR: call
async fn call(address: &str, name: &str, request: &str) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::grpc(connect(address.parse::<Endpoint>()?).await?);
    // The schema: from the server's reflection, or one that is built in.
    let schema = match reflect(&client, &Options::default()).await {
        Err(ReflectError::Unsupported) => Schema::builtin(),
        schema => schema?,
    };
    let method = schema.method(name, &[]).map_err(|unresolved| format!("{name}: {unresolved:?}"))?;
    let request = json::read(&method.input(), request)?;
    let mut answers = client.call(&method, tokio_stream::once(request), Options::default()).await?;
    // One response, or a stream of them.
    while let Some(answer) = answers.message().await? {
        // One write for each response: a reader that closes the pipe after one has it whole.
        let text = json::Style::default().text(&answer);
        io::stdout().write_all(format!("{text}\n").as_bytes())?;
    }
    Ok(())
}
// ANCHOR_END: call
