//! Rules by the names in a certificate (subject alternative names).

use std::io;

use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

/// Returns the names of hosts and the URIs in the certificate. If some are allowed, returns an
/// error unless it has one of them.
pub(super) fn check(certificate: &CertificateDer<'_>, allowed: &[String]) -> io::Result<Vec<String>> {
    let certificate = EndEntityCert::try_from(certificate).map_err(io::Error::other)?;
    let its = certificate.valid_uri_names().chain(certificate.valid_dns_names());
    let its: Vec<String> = its.map(str::to_owned).collect();
    if allowed.is_empty() || allowed.iter().any(|name| has(&certificate, name)) {
        return Ok(its);
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("the names of the peer's certificate are not allowed: {}", its.join(", ")),
    ))
}

fn has(certificate: &EndEntityCert<'_>, name: &str) -> bool {
    if name.contains("://") {
        return certificate.valid_uri_names().any(|uri| uri == name);
    }
    ServerName::try_from(name).is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
}
