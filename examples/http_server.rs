//! An HTTP daemon on a Unix domain socket: the kernel identifies its clients, and it finishes the
//! requests in progress before it exits.
//!
//! ```text
//! cargo run -p stoop-http --example http_server -- ./app.sock
//! curl --unix-socket ./app.sock http://localhost/whoami      # or: stoop http ./app.sock /whoami
//! ```

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use stoop::{Bind, Policy, serve};
use stoop_http::{Caller, Server};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: http_server SOCKET");
        return ExitCode::from(2);
    };
    match serve(&address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    // Registered before the socket is bound, so that no signal comes too early.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = Bind::new(address).mode(0o600).policy(Policy::same_user()).listen_async().await?;
    let connections = serve::Server::new(listener)
        .max_connections(100) // more wait in the queue
        .idle_timeout(Duration::from_secs(60)) // closes silent connections
        .drain_deadline(Duration::from_secs(5));
    println!("listening");

    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Server::new(connections).run(service_fn(answer), shutdown).await?;
    println!("exited");
    Ok(())
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/whoami") => {
            // Recorded by the kernel when the client connected, not claimed by the client.
            let caller = request.extensions().get::<Caller>();
            let uid = caller.map_or_else(|| "unknown".into(), |caller| caller.uid.to_string());
            (StatusCode::OK, format!("user {uid}\n"))
        }
        (&Method::POST, "/slow") => {
            tokio::time::sleep(Duration::from_millis(500)).await;
            (StatusCode::OK, "done, although the daemon may have been told to end\n".to_owned())
        }
        _ => (StatusCode::NOT_FOUND, "there is /whoami and /slow\n".to_owned()),
    };
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    Ok(answer)
}
