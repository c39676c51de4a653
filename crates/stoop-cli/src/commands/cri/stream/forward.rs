//! Forwards TCP ports of this machine to a pod. Each connection has a stream of its own, on a
//! connection of its own to the runtime, so that none waits for another.

use std::io;

use serde_json::json;
use stoop::escaped;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::super::args::PortForward;
use super::super::error::ErrorContext;
use super::super::field::text;
use super::super::select::Sort;
use super::super::session::Session;
use super::connection::{Connection, PIECE_BYTES, Sender};
use super::exec::cut;
use super::spdy::Event;
use super::upgrade::{Purpose, upgrade};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;

/// Forwards ports until the process is terminated.
pub(in super::super) async fn port_forward(session: &Session<'_>, flags: &PortForward) -> Outcome {
    let id = session.id_of(Sort::Pod, &flags.id).await?;
    let (accepted, mut clients) = mpsc::channel(1);
    for ports in &flags.ports {
        let listener = TcpListener::bind(("127.0.0.1", ports.local)).await;
        let failed = |error| Failure::io(format!("listen on port {}", ports.local), &error);
        let listener = listener.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        output::print(format!("Forwarding from {local} -> {}\n", ports.remote).as_bytes())?;
        tokio::spawn(accept(listener, ports.remote, accepted.clone()));
    }
    drop(accepted);
    while let Some((client, port)) = clients.recv().await {
        let request = json!({"podSandboxId": id, "port": [port]});
        match session.call("PortForward", &request).await {
            Ok(answer) => {
                let url = text(&answer, "url").to_owned();
                tokio::spawn(serve(client, url, port, session.errors.clone()));
            }
            Err(failure) => drop(failure.report()),
        }
    }
    Ok(Exit::Done)
}

async fn accept(listener: TcpListener, port: u16, clients: mpsc::Sender<(TcpStream, u16)>) {
    loop {
        // An error concerns one client, or passes when others have closed.
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        if clients.send((client, port)).await.is_err() {
            return;
        }
    }
}

/// Serves one client, and reports what fails.
async fn serve(client: TcpStream, url: String, port: u16, errors: ErrorContext) {
    let forwarded = async {
        let mut connection = Connection::new(upgrade(&url, Purpose::Ports, &errors).await?);
        forward(client, &mut connection, port).await
    };
    if let Err(failure) = forwarded.await {
        failure.report();
    }
}

async fn forward(client: TcpStream, connection: &mut Connection, port: u16) -> Result<(), Failure> {
    let port = port.to_string();
    let headers = |kind| [("streamtype", kind), ("port", port.as_str()), ("requestid", "0")];
    let (error, data) = (headers("error"), headers("data"));
    let numbers = connection.open(&[&error, &data]).await.map_err(|error| cut(&error))?;
    let [error, data] = numbers[..] else { return Ok(()) };
    let sender = connection.sender();
    // Nothing is sent on the stream of errors.
    sender.data(error, &[], true).await;
    let (reader, mut writer) = client.into_split();
    tokio::spawn(send(reader, sender, data));
    let mut report = Vec::new();
    let mut open = vec![error, data];
    while !open.is_empty() {
        let closed = match connection.next().await {
            Ok(Some(Event::Data { stream, bytes, is_last })) => {
                if stream == error {
                    report.extend(bytes);
                } else if writer.write_all(&bytes).await.is_err() {
                    // The client has closed.
                    return Ok(());
                }
                is_last.then_some(stream)
            }
            Ok(Some(Event::Reset { stream, .. })) => Some(stream),
            Ok(Some(_)) => None,
            Ok(None) | Err(_) => break,
        };
        open.retain(|&stream| Some(stream) != closed);
        if closed == Some(data) {
            let _: io::Result<()> = writer.shutdown().await;
        }
    }
    if report.is_empty() { Ok(()) } else { Err(not_forwarded(&port, &report)) }
}

fn not_forwarded(port: &str, report: &[u8]) -> Failure {
    let report = String::from_utf8_lossy(report);
    Failure::new(Exit::Failed, format!("cannot forward to port {port}: {}", escaped(report.trim())))
        .why("no process of the pod listens on this port, or the connection failed")
        .next("# let a process of the pod listen there, or name another port")
        .into()
}

/// Sends what the client sends.
async fn send(mut client: OwnedReadHalf, sender: Sender, stream: u32) {
    let mut buffer = vec![0; PIECE_BYTES];
    while let Ok(len @ 1..) = client.read(&mut buffer).await {
        if !sender.data(stream, &buffer[..len], false).await {
            return;
        }
    }
    sender.data(stream, &[], true).await;
}
