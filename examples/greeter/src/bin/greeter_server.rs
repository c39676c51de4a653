//! Greets every client that may connect; root may choose the words.
//!
//! ```text
//! cargo run -p stoop-example-greeter --bin greeter_server -- ./greeter.sock
//! ```

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use greeter::admin_server::{Admin, AdminServer};
use greeter::greeter_server::{Greeter, GreeterServer};
use greeter::{DESCRIPTORS, HelloReply, HelloRequest, SetWordReply, SetWordRequest};
use stoop::Policy;
use stoop_grpc::{Caller, Endpoint, Server, health, only, reflection};
use tokio::signal::unix::{SignalKind, signal};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// The greeting, shared by both services.
#[derive(Clone, Default)]
struct Word(Arc<Mutex<Option<String>>>);

// ANCHOR: answer
#[tonic::async_trait]
impl Greeter for Word {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        // Recorded by the kernel when the client connected, not claimed by the client.
        let user = Caller::of(request.extensions())
            .map_or_else(String::new, |caller| format!(", user {}", caller.uid));
        let word = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let word = word.unwrap_or_else(|| "hello".to_owned());
        Ok(Response::new(HelloReply { text: format!("{word}, {}{user}", request.into_inner().name) }))
    }
}
// ANCHOR_END: answer

#[tonic::async_trait]
impl Admin for Word {
    async fn set_word(&self, request: Request<SetWordRequest>) -> Result<Response<SetWordReply>, Status> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(request.into_inner().word);
        Ok(Response::new(SetWordReply {}))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: greeter_server ADDRESS")?;
    let (word, mut terminate) = (Word::default(), signal(SignalKind::terminate())?);
    // ANCHOR: serve
    let endpoint: Endpoint = address.parse()?;
    let incoming = endpoint.listen(|bind| bind.mode(0o600).policy(Policy::same_user())).await?;

    let root = only(Policy::nobody().allow_root());
    let routes =
        Routes::new(GreeterServer::new(word.clone())).add_service(AdminServer::with_interceptor(word, root));
    let (_reporter, routes) = health(routes);
    let routes = reflection(routes, &[DESCRIPTORS])?;

    Server::new(routes).serve(incoming, terminate.recv()).await?;
    // ANCHOR_END: serve
    Ok(())
}
