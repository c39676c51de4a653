//! What can be at either side other than Unix sockets and TCP: TLS, virtual machines, programs, and
//! standard input and output.

use std::{fmt, io};

use clap::Args;
use rustix::io::Errno;
#[cfg(feature = "tls")]
use stoop_relay::Tls;
use stoop_relay::{Front, Server};

#[cfg(feature = "tls")]
use super::tcp;
use super::tcp::{HostAndPort, host_and_port};
use crate::args::shared::ParseError;
use crate::exit::Exit;
use crate::failure::{Failure, describe};

/// The context id that stands for any (`VMADDR_CID_ANY`).
const ANY_CID: u32 = u32::MAX;

/// One side of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Tls(HostAndPort),
    Vsock { cid: u32, port: u32 },
    Exec(String),
    Stdio,
}

/// How sockets are carried between machines.
#[derive(Args, Debug, Default)]
pub(crate) struct WireFlags {
    /// Carry messages over a byte stream; the other side of it has to be a stoop relay with
    /// --framed as well
    ///
    /// A dgram: or seqpacket: socket at one side can then be relayed to tcp:, tls: or vsock: at the
    /// other, and comes out as one there.
    #[arg(long)]
    pub(crate) framed: bool,

    /// Certificate to show to the other side of a tls: connection, in PEM; required to listen
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<std::path::PathBuf>,

    /// The private key of --cert, in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<std::path::PathBuf>,

    /// Certificates of the authorities that issue those of the other side, in PEM
    ///
    /// Both sides are always verified: a tls: listener accepts only clients with a certificate.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<std::path::PathBuf>,

    /// Accept only certificates with this name: of a host, an IP address, or a URI such as
    /// spiffe://…; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_san: Vec<String>,
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wire::Tls(place) => place.shown(f, "tls"),
            Wire::Vsock { cid: ANY_CID, port } => write!(f, "vsock:any:{port}"),
            Wire::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
            Wire::Exec(command) => write!(f, "exec:{command}"),
            Wire::Stdio => f.write_str("-"),
        }
    }
}

/// Reads one side; `None`, if it is of another form.
pub(super) fn read(text: &str) -> Result<Option<Wire>, ParseError> {
    if text == "-" {
        return Ok(Some(Wire::Stdio));
    }
    let Some((scheme, rest)) = text.split_once(':') else { return Ok(None) };
    match scheme.to_ascii_lowercase().as_str() {
        "tls" | "tls-listen" | "ssl" | "openssl" | "openssl-listen" => match host_and_port(rest) {
            Some(place) => Ok(Some(Wire::Tls(place))),
            None => Err("a host and a port are needed: tls:host.example:8443".into()),
        },
        "vsock" | "vsock-connect" => match vsock(rest) {
            Some(wire) => Ok(Some(wire)),
            None => {
                Err("a context id and a port are needed: vsock:2:1234 for the host of this machine".into())
            }
        },
        "exec" | "system" if rest.is_empty() => Err("a command is needed: exec:'date'".into()),
        "exec" | "system" => Ok(Some(Wire::Exec(rest.to_owned()))),
        _ => Ok(None),
    }
}

fn vsock(rest: &str) -> Option<Wire> {
    let (cid, port) = rest.split_once(':')?;
    let cid = if cid == "any" { ANY_CID } else { cid.parse().ok()? };
    Some(Wire::Vsock { cid, port: port.parse().ok()? })
}

impl Wire {
    /// Returns whether file descriptors can go there.
    pub(super) fn takes_descriptors(&self) -> bool {
        matches!(self, Wire::Exec(_))
    }

    /// Returns the server that clients are relayed to.
    pub(super) fn server(&self, flags: &WireFlags) -> Result<Server, Failure> {
        match self {
            Wire::Tls(place) => tls_server(place, flags),
            Wire::Vsock { cid, port } => Ok(Server::vsock(*cid, *port)),
            Wire::Exec(command) => Ok(Server::exec("/bin/sh", ["-c", command])),
            Wire::Stdio => Server::stdio().map_err(|error| Failure::io("use standard input", &error)),
        }
    }

    /// Listens. Returns what clients come from, and where that is.
    pub(super) fn front(&self, flags: &WireFlags) -> Result<(Front, String), Failure> {
        match self {
            Wire::Tls(place) => tls_front(place, flags),
            Wire::Vsock { cid, port } => {
                let front = Front::vsock(*cid, *port);
                let front = front.map_err(|error| self.no_vsock(*port, &error))?;
                Ok((front, self.to_string()))
            }
            Wire::Exec(_) => Err(Failure::usage(
                format!("'{self}' cannot be listened at"),
                "a program is started for each client, so it can only be the second address",
            )),
            Wire::Stdio => {
                let front = Front::stdio().map_err(|error| Failure::io("use standard input", &error))?;
                Ok((front, self.to_string()))
            }
        }
    }
}

impl Wire {
    /// Explains why a vsock address cannot be listened at.
    fn no_vsock(&self, port: u32, error: &io::Error) -> Failure {
        let doing = format!("cannot listen at {self}: {}", describe(error));
        let report = Failure::new(Exit::Failed, doing);
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::ADDRNOTAVAIL) => report
                .why("no vsock device of this machine has this context id; 1 requires the kernel's loopback, vsock_loopback")
                .next(format!("stoop relay vsock:any:{port} …    # any context id of this machine"))
                .into(),
            Some(Errno::AFNOSUPPORT) => report.why("this kernel has no vsock").into(),
            _ => Failure::io(format!("listen at {self}"), error),
        }
    }
}

#[cfg(feature = "tls")]
fn tls_server(place: &HostAndPort, flags: &WireFlags) -> Result<Server, Failure> {
    Ok(Server::tls(&place.host, place.port, &tls(flags)?))
}

#[cfg(feature = "tls")]
fn tls_front(place: &HostAndPort, flags: &WireFlags) -> Result<(Front, String), Failure> {
    if flags.cert.is_none() {
        return Err(Failure::usage(
            "a tls: listener needs --cert and --key",
            "clients verify its certificate",
        ));
    }
    let tls = tls(flags)?;
    let (listener, place) = tcp::listen(place)?;
    let front = Front::tls(listener, &tls).map_err(|error| Failure::io("listen with TLS", &error))?;
    Ok((front, Wire::Tls(place).to_string()))
}

/// Reads the certificates.
#[cfg(feature = "tls")]
fn tls(flags: &WireFlags) -> Result<Tls, Failure> {
    let Some(ca) = &flags.ca else {
        return Err(Failure::usage("tls: needs --ca", "it says whose certificates are trusted"));
    };
    let mut tls = Tls::new(&pem(ca)?).map_err(|error| unusable(ca, &error))?;
    if let (Some(cert), Some(key)) = (&flags.cert, &flags.key) {
        let identity = tls.identity(&pem(cert)?, &pem(key)?);
        tls = identity.map_err(|error| unusable(cert, &error))?;
    }
    Ok(flags.allow_san.iter().fold(tls, |tls, name| tls.allow_name(name)))
}

#[cfg(feature = "tls")]
fn pem(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::io(format!("read '{}'", path.display()), &error))
}

#[cfg(feature = "tls")]
fn unusable(path: &std::path::Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    Failure::new(Exit::Failed, format!("cannot use '{path}': {error}"))
        .why("certificates and keys are read as PEM, and a key has to be that of its certificate")
        .next(format!("openssl x509 -noout -text -in {path}    # what it is"))
        .into()
}

#[cfg(not(feature = "tls"))]
fn tls_server(_place: &HostAndPort, _flags: &WireFlags) -> Result<Server, Failure> {
    Err(without_tls())
}

#[cfg(not(feature = "tls"))]
fn tls_front(_place: &HostAndPort, _flags: &WireFlags) -> Result<(Front, String), Failure> {
    Err(without_tls())
}

#[cfg(not(feature = "tls"))]
fn without_tls() -> Failure {
    Failure::usage("tls: is not available", "this stoop was built without the feature 'tls'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<Option<String>, String> {
        read(text).map(|wire| wire.map(|wire| wire.to_string())).map_err(|error| error.to_string())
    }

    #[test]
    fn sides_are_read_and_can_be_typed_back() {
        for (text, form) in [
            ("-", "-"),
            ("tls:host.example:8443", "tls:host.example:8443"),
            ("tls-listen:[::1]:1", "tls:[::1]:1"),
            ("OPENSSL:host:1", "tls:host:1"),
            ("vsock:2:1234", "vsock:2:1234"),
            ("vsock:any:1234", "vsock:any:1234"),
            ("exec:sort -n | head", "exec:sort -n | head"),
        ] {
            assert_eq!(shown(text), Ok(Some(form.to_owned())), "{text}");
            assert_eq!(shown(form), Ok(Some(form.to_owned())), "{form}");
        }
        for text in ["./tls", "exec", "stream:./x", "tcp:host:1", "docker"] {
            assert_eq!(shown(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_is_incomplete_is_said() {
        for text in ["tls:8443", "tls:host:", "tls::1", "vsock:2", "vsock:host:1", "vsock:2:-1", "exec:"] {
            assert!(shown(text).is_err(), "{text}");
        }
    }
}
