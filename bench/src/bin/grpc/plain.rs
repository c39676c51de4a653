//! HTTP/1.1 requests that are answered with their own body, by hyper alone and by
//! `stoop_http`.

use std::time::Instant;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use stoop_bench::Result;
use stoop_http as http;
use tokio::net::{UnixListener, UnixStream};

type Sent = Full<Bytes>;

async fn back(request: Request<Incoming>) -> std::result::Result<Response<Sent>, hyper::Error> {
    Ok(Response::new(Full::new(request.into_body().collect().await?.to_bytes())))
}

/// Serves until `end` completes: as in hyper's own example, or with `stoop_http`.
pub async fn serve(library: &str, path: &str, end: impl Future) -> Result {
    if library != "hyper" {
        let server = stoop::serve::Server::new(stoop::Bind::new(path).listen_async().await?);
        println!("ready");
        http::Server::new(server).run(service_fn(back), end).await?;
        return Ok(());
    }
    let listener = UnixListener::bind(path)?;
    println!("ready");
    let mut end = std::pin::pin!(end);
    loop {
        let (stream, _) = tokio::select! {
            client = listener.accept() => client?,
            _ = &mut end => return Ok(()),
        };
        let mut http1 = hyper::server::conn::http1::Builder::new();
        let connection =
            http1.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service_fn(back));
        tokio::spawn(async { drop(connection.await) });
    }
}

/// A client of one connection.
enum Client {
    Hyper(hyper::client::conn::http1::SendRequest<Sent>),
    Stoop(http::Client<Sent>),
}

impl Client {
    async fn connect(library: &str, path: &str) -> Result<Client> {
        if library != "hyper" {
            return Ok(Client::Stoop(http::Client::connect(path).await?));
        }
        let stream = TokioIo::new(UnixStream::connect(path).await?);
        let (sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
        tokio::spawn(async { drop(connection.await) });
        Ok(Client::Hyper(sender))
    }

    /// Makes one request, and checks the response.
    async fn request(&mut self, number: u64) -> Result {
        let message = Bytes::from([number.to_be_bytes(); 8].concat());
        let request = Request::post("/back").header("host", "localhost").body(Full::new(message.clone()))?;
        let answer = match self {
            Client::Hyper(client) => {
                client.ready().await?;
                client.send_request(request).await?.into_body().collect().await?.to_bytes()
            }
            Client::Stoop(client) => client.send(request).await?.into_body().collect().await?.to_bytes(),
        };
        if answer == message { Ok(()) } else { Err("another message came back".into()) }
    }
}

/// Makes requests, each of those in flight over a connection of its own.
pub async fn call(library: &str, path: &str, at_once: u64, requests: u64) -> Result {
    let each = requests / at_once;
    let work = async |clients: Vec<Client>, rounds: u64| {
        let tasks: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                tokio::task::spawn_local(async move {
                    for number in 0..rounds {
                        client.request(number).await.map_err(|error| error.to_string())?;
                    }
                    Ok::<_, String>(client)
                })
            })
            .collect();
        let mut clients = Vec::new();
        for task in tasks {
            clients.push(task.await??);
        }
        Result::Ok(clients)
    };
    let rate = async {
        let mut clients = Vec::new();
        for _ in 0..at_once {
            clients.push(Client::connect(library, path).await?);
        }
        let clients = work(clients, each / 10 + 1).await?;
        let begun = Instant::now();
        work(clients, each).await?;
        Result::Ok((each * at_once) as f64 / begun.elapsed().as_secs_f64())
    };
    println!("{}", tokio::task::LocalSet::new().run_until(rate).await?);
    Ok(())
}

/// Opens connections, each with one request, one after the other.
pub async fn connect(library: &str, path: &str, count: u64) -> Result {
    let begun = Instant::now();
    for number in 0..count {
        Client::connect(library, path).await?.request(number).await?;
    }
    println!("{}", count as f64 / begun.elapsed().as_secs_f64());
    Ok(())
}
