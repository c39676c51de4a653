//! TLS over a Unix socket, on both ends: tokio-rustls over `aio::Stream`.
//!
//! ```text
//! cargo run -p stoop-adapters --example rustls
//! ```

use std::error::Error;
use std::io;
use std::sync::Arc;

use stoop::aio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// Creates both ends' settings, with a certificate for `localhost` that only they trust.
pub fn settings() -> Result<(TlsConnector, TlsAcceptor), Box<dyn Error>> {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate = pair.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((Arc::new(client).into(), Arc::new(server).into()))
}

/// Completes the handshake on both ends of a connection.
pub async fn connect(
    (connector, acceptor): (TlsConnector, TlsAcceptor),
) -> io::Result<(client::TlsStream<aio::Stream>, server::TlsStream<aio::Stream>)> {
    let (client, server) = aio::Stream::pair()?;
    let name = "localhost".try_into().map_err(io::Error::other)?;
    tokio::try_join!(connector.connect(name, client), acceptor.accept(server))
}

/// Sends a message over TLS, and returns it with the sender that the kernel reports.
pub async fn run() -> Result<String, Box<dyn Error>> {
    let (mut client, mut server) = connect(settings()?).await?;
    client.write_all(b"hello").await?;
    client.shutdown().await?;
    let mut text = String::new();
    server.read_to_string(&mut text).await?;
    // TLS does not hide the socket: the kernel still identifies the client.
    Ok(format!("{text} from pid {}", server.get_ref().0.peer().pid))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", run().await?);
    Ok(())
}
