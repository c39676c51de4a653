//! Explains errors in four parts: what was requested, why it failed, what was observed, and what to
//! try.

use http::StatusCode;
use stoop::escaped;
use stoop_http::{Error, ErrorKind};

use crate::accepted;
use crate::advice::Client;
use crate::args::Http;
use crate::exit::Exit;
use crate::failure::{Failure, Report};
use crate::features::is_built;
use crate::shell::quoted;
use crate::time;
use crate::tls::{is_tls, tls_client};

/// The request, to be named in failure reports.
pub(super) struct ErrorContext<'f> {
    pub(super) flags: &'f Http,
    /// The method and path.
    pub(super) asked: String,
}

impl ErrorContext<'_> {
    /// Explains an error.
    pub(super) fn explain(&self, error: &Error) -> Failure {
        let report = |why: &str| self.report(&error.to_string()).why(why);
        let by_hand = || format!("stoop connect {}    # connect to it by hand", self.address());
        match error.kind() {
            ErrorKind::Http2Only => {
                report("the server speaks only HTTP/2, as gRPC servers do, and the request was HTTP/1.1")
                    .seen("its first bytes are HTTP/2 settings")
                    .next_all(self.grpc_list())
                    .next(self.command("--http2"))
            }
            ErrorKind::Http1Only => report("the server does not speak HTTP/2 without negotiation")
                .seen(heard(error))
                .next(self.command("").replace(" --http2", "")),
            ErrorKind::NotHttp if is_tls(error.opening()) => report(
                "TLS is not needed on a Unix socket: the kernel already keeps the data from other users",
            )
            .seen("the server speaks TLS: its first bytes are a TLS record")
            .next_all(tls_client(&self.address())),
            ErrorKind::NotHttp => {
                report("the server speaks another protocol").seen(heard(error)).next(by_hand())
            }
            ErrorKind::NoAnswer => {
                report("it speaks another protocol, such as TLS, refused this client, or exited")
                    .seen("the connection was accepted, but no data was received")
                    .next(by_hand())
                    .next_all(tls_client(&self.address()))
            }
            ErrorKind::Malformed => {
                report("the response starts like HTTP, but is invalid").seen(heard(error)).next(by_hand())
            }
            ErrorKind::HeaderTooLarge => {
                report("the size of response headers is limited").seen(heard(error)).next(by_hand())
            }
            ErrorKind::CutShort => report("the server closed the connection before the announced end")
                .next(self.command("-i    # shows the announced length")),
            ErrorKind::RequestBody => {
                report("the request body could not be sent completely").next(self.command(""))
            }
            _ if self.flags.http2 => {
                report("the server cancelled the request; a gRPC server accepts only gRPC")
                    .next_all(self.grpc_list())
            }
            _ => report("the connection was closed before the response was complete").next(self.command("")),
        }
        .into()
    }

    /// Reports that the deadline has passed.
    pub(super) fn late(&self, late: &str) -> Failure {
        let within = time::show(self.flags.timeout.unwrap_or_default());
        if accepted::surely_waits() {
            return self
                .report(&format!("{late} within {within}"))
                .why(accepted::NOT_ACCEPTED)
                .next(accepted::show_server(&self.address()))
                .into();
        }
        self.report(&format!("{late} within {within}"))
            .why("the server is busy, waiting for something, or does not speak HTTP")
            .seen("the connection is still open")
            .next(self.command("--timeout 1m"))
            .into()
    }

    /// Reports a response that is not the one an upgrade needs.
    pub(super) fn not_upgraded(&self, status: StatusCode) -> Failure {
        self.report(&format!("the server did not upgrade the connection: {status}"))
            .why("only some methods and paths can be upgraded, each to its own protocol")
            .next(self.command("").replace(&self.upgrade(), ""))
            .into()
    }

    /// Words a suggested client that waits as this command. Any other client only connects.
    pub(super) fn client(&self, client: &Client) -> String {
        match client.waits {
            true => self.command(&format!("{}{}", client.flags().trim_start(), client.comment())),
            false => client.connect(),
        }
    }

    fn report(&self, why: &str) -> Report {
        let ErrorContext { flags, asked } = self;
        Failure::new(Exit::Failed, format!("no response to '{asked}' from '{}': {why}", flags.endpoint))
    }

    /// Returns the command for a gRPC server, if this build has it.
    fn grpc_list(&self) -> Option<String> {
        is_built("grpc").then(|| format!("stoop grpc {} list", self.address()))
    }

    fn address(&self) -> String {
        quoted(self.flags.endpoint.to_string().as_ref())
    }

    /// Returns this command line with `more` appended. A body is left to the reader to fill in.
    fn command(&self, more: &str) -> String {
        let flags = self.flags;
        let request = flags.request.iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ");
        let data = if flags.data.is_some() { " --data …" } else { "" };
        let http2 = if flags.http2 { " --http2" } else { "" };
        let more = if more.is_empty() { String::new() } else { format!(" {more}") };
        format!("stoop http {} {request}{data}{http2}{}{more}", self.address(), self.upgrade())
    }

    fn upgrade(&self) -> String {
        let flag = |protocol: &String| format!(" --upgrade {}", quoted(protocol.as_ref()));
        self.flags.upgrade.as_ref().map(flag).unwrap_or_default()
    }
}

/// Returns the first line that the server sent.
fn heard(error: &Error) -> String {
    let line = error.opening().split(|&byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    format!("it sent '{}'", escaped(line))
}
