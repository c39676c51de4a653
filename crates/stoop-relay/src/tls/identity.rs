//! What is trusted, and what we show.

use std::io;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::names;

/// Certificates for TLS: whom to trust, and what to show. Cheap to clone.
///
/// A server requires certificates of its clients, so that it is not open to every machine that can
/// reach it.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    roots: Arc<RootCertStore>,
    identity: Option<Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>>,
    names: Vec<String>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("names", &self.0.names).finish_non_exhaustive()
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn certificates(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| invalid(&format!("not a certificate in PEM: {error}")))?;
    if all.is_empty() { Err(invalid("there is no certificate in it")) } else { Ok(all) }
}

impl Tls {
    /// Trusts peers whose certificates these authorities have issued, given in PEM.
    ///
    /// # Errors
    /// Returns an error if there is no certificate in it, or an invalid one.
    pub fn new(authorities_pem: &[u8]) -> io::Result<Tls> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authorities_pem)? {
            roots.add(certificate).map_err(|error| invalid(&error.to_string()))?;
        }
        Ok(Tls(Arc::new(Inner { roots: Arc::new(roots), identity: None, names: Vec::new() })))
    }

    /// Shows this certificate, with those of its issuers, if any, behind it. A server needs one.
    ///
    /// # Errors
    /// Returns an error if either is not in PEM, or the key is not that of the certificate.
    pub fn identity(&self, certificate_pem: &[u8], key_pem: &[u8]) -> io::Result<Tls> {
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|error| invalid(&format!("not a private key in PEM: {error}")))?;
        let identity = Some(Arc::new((certificates(certificate_pem)?, key)));
        let tls = Tls(Arc::new(Inner { identity, ..(*self.0).clone() }));
        tls.client()?;
        Ok(tls)
    }

    /// Accepts only peers whose certificate has this name: of a host, an IP address, or a URI such
    /// as `spiffe://…`. With several, any of them will do.
    #[must_use]
    pub fn allow_name(&self, name: impl Into<String>) -> Tls {
        let mut inner = (*self.0).clone();
        inner.names.push(name.into());
        Tls(Arc::new(inner))
    }

    /// Checks the names of a peer's certificate, and returns them.
    pub(super) fn check(&self, certificates: Option<&[CertificateDer<'_>]>) -> io::Result<Vec<String>> {
        match certificates.and_then(<[_]>::first) {
            Some(certificate) => names::check(certificate, &self.0.names),
            None if self.0.names.is_empty() => Ok(Vec::new()),
            None => Err(invalid("the peer has no certificate")),
        }
    }

    pub(super) fn client(&self) -> io::Result<Arc<ClientConfig>> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(Arc::clone(&self.0.roots));
        let config = match self.0.identity.as_deref() {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(io::Error::other)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    pub(super) fn server(&self) -> io::Result<Arc<ServerConfig>> {
        let Some((chain, key)) = self.0.identity.as_deref() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a TLS server needs a certificate"));
        };
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.0.roots), provider())
            .build()
            .map_err(io::Error::other)?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(io::Error::other)?;
        Ok(Arc::new(config))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
