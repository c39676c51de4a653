//! Rules by the names in a certificate (subject alternative names).

use std::io;

use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

/// Returns an error unless the certificate has one of the names. It names those that it has.
pub(super) fn check(certificate: &CertificateDer<'_>, allowed: &[String]) -> io::Result<()> {
    let certificate = EndEntityCert::try_from(certificate).map_err(io::Error::other)?;
    if allowed.iter().any(|name| has(&certificate, name)) {
        return Ok(());
    }
    let its: Vec<&str> = certificate.valid_uri_names().chain(certificate.valid_dns_names()).collect();
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
