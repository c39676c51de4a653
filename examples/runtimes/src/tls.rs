//! Mutual TLS between machines. On a Unix domain socket the kernel identifies the caller; over a
//! network certificates do: both sides present one that the same authority has signed.
//!
//! A directory holds `ca.pem`, and for each name `name.pem` and `name.key`.

use std::fs;
use std::io;
use std::path::Path;

use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

/// Returns the configuration of a server of this name, for clients of the same authority.
///
/// # Errors
/// Returns an error if a file cannot be read.
pub fn server(directory: &Path, name: &str) -> io::Result<ServerTlsConfig> {
    Ok(ServerTlsConfig::new().identity(identity(directory, name)?).client_ca_root(authority(directory)?))
}

/// Returns the configuration of a client of this name, for servers of the same authority.
///
/// # Errors
/// Returns an error if a file cannot be read.
pub fn client(directory: &Path, name: &str) -> io::Result<ClientTlsConfig> {
    Ok(ClientTlsConfig::new().identity(identity(directory, name)?).ca_certificate(authority(directory)?))
}

fn identity(directory: &Path, name: &str) -> io::Result<Identity> {
    let read = |ending| fs::read(directory.join(name).with_extension(ending));
    Ok(Identity::from_pem(read("pem")?, read("key")?))
}

fn authority(directory: &Path) -> io::Result<Certificate> {
    Ok(Certificate::from_pem(fs::read(directory.join("ca.pem"))?))
}
