//! WebSocket on a Unix domain socket: a server that echoes messages and says goodbye when it ends,
//! and its client. The handshake is an HTTP upgrade, and tungstenite speaks the protocol behind it.
//!
//! ```text
//! cargo run -p stoop-http --example http_websocket -- serve ./chat.sock
//! cargo run -p stoop-http --example http_websocket -- send ./chat.sock hello
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::process::ExitCode;

use futures_util::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use stoop::serve::Draining;
use stoop::{Bind, serve};
use stoop_http::{Client, Server, upgraded, upgraded_request};
use tokio::signal::unix::{SignalKind, signal};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

type Anything = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["serve", address] => serve(address).await,
        ["send", address, text] => talk(address, Some(text)).await,
        ["listen", address] => talk(address, None).await,
        _ => Err("usage: http_websocket serve SOCKET | send SOCKET TEXT | listen SOCKET".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: &str) -> Result<(), Anything> {
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = Bind::new(address).mode(0o600).listen_async().await?;
    // Connections are counted until their WebSocket is closed.
    let server = serve::Server::new(listener).max_connections(100);
    let draining = server.draining();
    println!("listening");
    let answer = service_fn(move |request| {
        let draining = draining.clone();
        async move { Ok::<_, Infallible>(accept(request, draining)) }
    });
    Server::new(server).run(answer, async move { terminate.recv().await }).await?;
    println!("exited");
    Ok(())
}

/// Accepts the handshake (RFC 6455, 4.2.2), and converses in a task of its own.
fn accept(request: Request<Incoming>, draining: Draining) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    let Some(key) = request.headers().get("Sec-WebSocket-Key") else {
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        response.headers_mut().insert("Upgrade", "websocket".parse().expect("a valid value"));
        return response;
    };
    let accept = derive_accept_key(key.as_bytes()).parse().expect("base64 is a valid value");
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert("Connection", "upgrade".parse().expect("a valid value"));
    headers.insert("Upgrade", "websocket".parse().expect("a valid value"));
    headers.insert("Sec-WebSocket-Accept", accept);
    tokio::spawn(async move {
        if let Err(error) = converse(request, draining).await {
            eprintln!("a client failed: {error}");
        }
    });
    response
}

async fn converse(request: Request<Incoming>, mut draining: Draining) -> Result<(), Anything> {
    let (stream, first) = upgraded_request(request).await?;
    let mut socket = WebSocketStream::from_partially_read(stream, first.into(), Role::Server, None).await;
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            () = draining.wait() => break,
        };
        match message.transpose()? {
            Some(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).await?,
            Some(_) => {}
            None => return Ok(()),
        }
    }
    socket.close(None).await?;
    // The client's answer to it.
    while socket.next().await.transpose()?.is_some() {}
    Ok(())
}

/// Sends a text, and closes after its echo; or listens until the server closes.
async fn talk(address: &str, text: Option<&str>) -> Result<(), Anything> {
    let key = generate_key();
    let request = Request::get("/").header("Connection", "upgrade").header("Upgrade", "websocket");
    let request = request.header("Sec-WebSocket-Version", "13").header("Sec-WebSocket-Key", &key);
    let response = Client::connect(address).await?.send(request.body(Empty::<Bytes>::new())?).await?;
    let accepted = response.headers().get("Sec-WebSocket-Accept").cloned();
    let (stream, first) = upgraded(response).await?;
    if accepted.is_none_or(|accepted| accepted != derive_accept_key(key.as_bytes())) {
        return Err("the server does not speak WebSocket".into());
    }
    let mut socket = WebSocketStream::from_partially_read(stream, first.into(), Role::Client, None).await;
    socket.send(text.map_or(Message::Ping(Bytes::new()), Message::text)).await?;
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(text) => {
                println!("{text}");
                socket.close(None).await?;
            }
            Message::Pong(_) => println!("connected"),
            Message::Close(_) => println!("goodbye"),
            _ => {}
        }
    }
    Ok(())
}
