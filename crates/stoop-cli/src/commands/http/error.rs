//! Explains errors in four parts: what was requested, why it failed, what was observed, and what to
//! try.

use http::StatusCode;
use stoop::escaped;
use stoop_http::{Error, ErrorKind};

use super::head::ResponseHead;
use crate::accepted;
use crate::advice::Client;
use crate::args::Http;
use crate::exit::Exit;
use crate::failure::{Failure, Report};
use crate::features::is_built;
use crate::refused;
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
        let report = |why: &str| self.report_as(exit_of(error.kind()), &error.to_string()).why(why);
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
                report("it speaks another protocol, such as TLS, does not allow this user, or exited")
                    .seen("the connection was accepted, but no data was received")
                    .seen_all(refused::seen(&self.flags.endpoint))
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
                .report_as(Exit::TimedOut, &format!("{late} within {within}"))
                .why(accepted::NOT_ACCEPTED)
                .next(accepted::show_server(&self.address()))
                .into();
        }
        self.report_as(Exit::TimedOut, &format!("{late} within {within}"))
            .why("the server is busy, waiting for something, or does not speak HTTP")
            .seen("the connection is still open")
            .next(self.command("--timeout 1m"))
            .into()
    }

    /// Reports a switch of protocols (101) that was not requested.
    pub(super) fn switched_unasked(&self, head: &ResponseHead) -> Failure {
        let to = head.headers().get(http::header::UPGRADE);
        let to = to.map(|to| escaped(to.as_bytes()).to_string()).unwrap_or_default();
        let report = self
            .report(&format!("the server switched protocols: 101 {}", head.reason()))
            .why("the request did not ask for that, and what follows is not HTTP");
        let protocol = if to.is_empty() { "tcp".into() } else { quoted(to.as_ref()) };
        report
            .seen(format!("it switched to '{to}'"))
            .next(self.command(&format!("--upgrade {protocol}")))
            .into()
    }

    /// Reports an error in the stream of a successful response.
    pub(super) fn reported(&self, error: &str) -> Failure {
        let ErrorContext { flags, asked } = self;
        let what = format!("'{}' reports an error for '{asked}': {}", flags.endpoint, escaped(error));
        Failure::new(Exit::No, what)
            .why("the status was sent before the work was done, and its stream has the error")
            .next(self.command("").replace(" --fail", ""))
            .into()
    }

    /// Reports an endless redirect.
    pub(super) fn too_many_redirects(&self, max: u32) -> Failure {
        self.report(&format!("more than {max} redirects"))
            .why("each response redirects to another path, and perhaps back")
            .next(self.command("-i    # shows where to"))
            .into()
    }

    /// Reports a request that would have to be made again, and cannot.
    pub(super) fn cannot_repeat(&self, why: &str) -> Failure {
        self.report(&format!("{why}, and the request cannot be made again"))
            .why("its body was read from a pipe, or its connection was inherited")
            .next(self.command("-i    # shows where to"))
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
        self.report_as(Exit::Failed, why)
    }

    fn report_as(&self, exit: Exit, why: &str) -> Report {
        let ErrorContext { flags, asked } = self;
        Failure::new(exit, format!("no response to '{asked}' from '{}': {why}", flags.endpoint))
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
        let request = flags
            .request
            .iter()
            .chain(&flags.curl.url)
            .map(|word| quoted(word.as_ref()))
            .collect::<Vec<_>>()
            .join(" ");
        let data = if !flags.data.0.is_empty() { " --data …" } else { "" };
        let http2 = if flags.http2 { " --http2" } else { "" };
        let more = if more.is_empty() { String::new() } else { format!(" {more}") };
        format!("stoop http {} {request}{data}{http2}{}{more}", self.address(), self.upgrade())
    }

    fn upgrade(&self) -> String {
        let flag = |protocol: &String| format!(" --upgrade {}", quoted(protocol.as_ref()));
        self.flags.upgrade.as_ref().map(flag).unwrap_or_default()
    }
}

/// Returns the exit code for a class of error.
fn exit_of(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::CutShort | ErrorKind::NoAnswer => Exit::CutOff,
        _ => Exit::Failed,
    }
}

/// Reports `--json TEXT`, which is curl's flag for a body.
pub(super) fn json_is_data(path: &str, data: &str) -> Failure {
    let report = Failure::new(Exit::Usage, format!("unexpected argument {}", quoted(data.as_ref())));
    let report =
        report.why("--json prints the response as JSON lines; JSON is sent by --data, which recognizes it");
    let [path, data] = [path, data].map(|word| quoted(word.as_ref()));
    report.next(format!("stoop http ADDR {path} --data {data}")).into()
}

/// Reports a request to several URLs, as curl makes them.
pub(super) fn one_request(url: &str) -> Failure {
    let report = Failure::new(Exit::Usage, format!("more than one URL: {}", quoted(url.as_ref())));
    let report = report.why("a command makes one request; --globoff takes braces and brackets as they are");
    report.next("xargs -n 1 stoop http ADDR < paths").into()
}

/// Returns the first line that the server sent.
fn heard(error: &Error) -> String {
    let line = error.opening().split(|&byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    format!("it sent '{}'", escaped(line))
}
