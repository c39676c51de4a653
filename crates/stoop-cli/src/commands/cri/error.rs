//! Explains errors in four parts.

use serde_json::Value;
use stoop::escaped;
use stoop_dynamic::{CallError, Code, Greeting, HttpResponse, Status};

use super::field::{short, text};
use super::select::{Sort, nearest};
use crate::accepted;
use crate::advice::Client;
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::failure::{Failure, Report};
use crate::shell::quoted;

/// How many candidates a report lists.
const LISTED: usize = 5;

/// The runtime, to be named in reports.
#[derive(Clone, Debug)]
pub(super) struct ErrorContext {
    pub(super) endpoint: Endpoint,
}

impl ErrorContext {
    /// Words a suggested client that waits as this command. Any other client only connects.
    pub(super) fn client(&self, client: &Client) -> String {
        match client.waits {
            true => self.command(&format!("{} version{}", client.flags().trim_start(), client.comment())),
            false => client.connect(),
        }
    }

    /// Explains a call that failed.
    pub(super) fn explain(&self, method: &str, error: &CallError) -> Failure {
        match error {
            CallError::Late => self.late(method),
            CallError::Answered(status) if status.code() == Code::DeadlineExceeded => self.late(method),
            CallError::Answered(status) => self.answered(method, status),
            CallError::Malformed(why) => Failure::new(Exit::Failed, format!("cannot call '{method}': {why}"))
                .why("the runtime uses another version of the interface")
                .next(self.grpc(&format!("describe {method}")))
                .into(),
            CallError::Http(response) => self.http_response(method, response),
            error => Failure::new(
                Exit::CutOff,
                format!("no answer to '{method}' from '{}': {error}", self.endpoint),
            )
            .why("the connection was closed before the answer was complete")
            .next(self.command("--wait 10s version    # once the runtime is running again"))
            .into(),
        }
    }

    /// Explains a response that is HTTP, but not gRPC.
    fn http_response(&self, method: &str, response: &HttpResponse) -> Failure {
        let is_error = response.status.is_client_error() || response.status.is_server_error();
        let exit = if is_error { Exit::HttpStatus } else { Exit::Failed };
        let what = format!("no answer to '{method}' from '{}': {response}", self.endpoint);
        Failure::new(exit, what)
            .why("a proxy answers, or a server that is not a container runtime")
            .seen(format!("the body begins with '{}'", escaped(&response.line)))
            .next(self.grpc("list"))
            .into()
    }

    fn answered(&self, method: &str, status: &Status) -> Failure {
        // Some runtimes answer in several lines.
        let message = status.message().split_whitespace().collect::<Vec<_>>().join(" ");
        let message = escaped(&message).to_string();
        match status.code() {
            Code::Unimplemented => Failure::new(Exit::No, format!("the runtime does not have '{method}'"))
                .why("it is older than this part of the interface, or does not serve the CRI")
                .seen(format!("it answered UNIMPLEMENTED: {message}"))
                .next(self.command("version"))
                .next(self.grpc("Status '{\"verbose\": true}'")),
            code => Failure::new(Exit::No, format!("the runtime refused '{method}': {message}"))
                .why(reason(code))
                .next(self.command("ps -a"))
                .next(self.command("info")),
        }
        .into()
    }

    /// Reports that a call did not end in time.
    pub(super) fn late(&self, method: &str) -> Failure {
        let report = Failure::new(Exit::TimedOut, format!("'{method}' did not end within the timeout"));
        let report = if accepted::surely_waits() {
            report.why(accepted::NOT_ACCEPTED)
        } else {
            report.why("the runtime is busy, or waits for something")
        };
        report.next(accepted::show_server(&quoted(self.endpoint.to_string().as_ref()))).into()
    }

    /// Reports that the server speaks another protocol.
    pub(super) fn other_protocol(&self, greeting: &Greeting) -> Failure {
        let (exit, seen) = match greeting {
            Greeting::Http1(line) => (Exit::Failed, format!("it speaks HTTP/1: '{line}'")),
            Greeting::Other(bytes) => (Exit::Failed, format!("it sent '{}'", escaped(bytes))),
            _ => (Exit::CutOff, "it closed the connection".to_owned()),
        };
        self.useless(exit).why("a runtime speaks gRPC at its socket").seen(seen).into()
    }

    /// Reports that the connection failed immediately.
    pub(super) fn unusable(&self, error: &dyn std::error::Error) -> Failure {
        let report = self.useless(Exit::CutOff).why("a runtime speaks gRPC at its socket");
        report.seen(error.to_string()).into()
    }

    fn useless(&self, exit: Exit) -> Report {
        let what = format!("'{}' is not a container runtime", self.endpoint);
        Failure::new(exit, what).next(self.grpc("list"))
    }

    /// Reports an id or a name that nothing has.
    pub(super) fn unknown(&self, sort: Sort, typed: &str, all: &[Value]) -> Failure {
        let word = sort.word();
        let report = Failure::new(Exit::No, format!("no {word} '{}'", escaped(typed)));
        let report = report.why(match nearest(all, typed) {
            Some(name) => format!("did you mean '{}'?", escaped(name)),
            None => format!("no id of a {word} begins like this, and none has this name"),
        });
        let report = report.seen(format!("{}s of the runtime: {}", word, all.len()));
        report.next(self.command(if sort == Sort::Pod { "pods" } else { "ps -a" })).into()
    }

    /// Reports an id or a name that several have.
    pub(super) fn ambiguous(&self, sort: Sort, typed: &str, found: &[&Value]) -> Failure {
        let what = format!("'{}' is ambiguous: {} {}s match", escaped(typed), found.len(), sort.word());
        let report = Failure::new(Exit::Usage, what).why("more of the id is needed");
        let report = found.iter().take(LISTED).fold(report, |report, item| {
            let state = text(item, "state");
            report.seen(format!("{} {}, {state}", short(text(item, "id")), text(item, "metadata.name")))
        });
        report.next(self.command(if sort == Sort::Pod { "pods" } else { "ps -a" })).into()
    }

    /// Reports that no container is meant.
    pub(super) fn none_chosen(&self) -> Failure {
        Failure::new(Exit::No, "no container matches")
            .why("the flags exclude all of them; those that do not run count only with -a or --state")
            .next(self.command("ps -a"))
            .into()
    }

    /// Answers a word that is not an action.
    pub(super) fn other_word(&self, word: &str) -> Failure {
        let report = Failure::new(Exit::Usage, format!("unknown action '{}'", escaped(word)));
        let (why, next) = match word {
            "config" => (
                "stoop has no configuration of its own, and does not change that of crictl",
                "cat /etc/crictl.yaml    # which stoop reads".to_owned(),
            ),
            "completion" => ("completion is for the whole command", "stoop completions --help".to_owned()),
            "update" => ("limits are changed by a call", self.grpc("describe UpdateContainerResources")),
            "checkpoint" => ("a checkpoint is made by a call", self.grpc("describe CheckpointContainer")),
            "runtime-config" => ("it is read by a call", self.grpc("RuntimeConfig")),
            "metricsp" => ("metrics are read by a call", self.grpc("ListPodSandboxMetrics")),
            "metricdescs" => ("they are read by a call", self.grpc("ListMetricDescriptors")),
            "update-runtime-config" => ("it is changed by a call", self.grpc("describe UpdateRuntimeConfig")),
            _ => ("neither stoop nor crictl has it", "stoop cri --help".to_owned()),
        };
        report.why(why).next(next).into()
    }

    /// Returns a command line of this command, for the same runtime.
    pub(super) fn command(&self, words: &str) -> String {
        match &self.endpoint {
            Endpoint::Named(_) => format!("stoop cri {words}"),
            Endpoint::At(_) => format!("stoop cri -r {} {words}", self.address()),
        }
    }

    fn grpc(&self, words: &str) -> String {
        format!("stoop grpc {} {words}", self.address())
    }

    fn address(&self) -> String {
        quoted(self.endpoint.to_string().as_ref())
    }
}

/// Returns what a code stands for.
fn reason(code: Code) -> &'static str {
    match code {
        Code::NotFound => "it does not exist, or no longer",
        Code::InvalidArgument => "the request is invalid",
        Code::FailedPrecondition => "its state does not permit it",
        Code::AlreadyExists => "it exists already",
        Code::PermissionDenied | Code::Unauthenticated => "the runtime does not permit it to this user",
        Code::ResourceExhausted => "a limit was reached",
        Code::Unavailable => "the runtime is not ready",
        _ => "the message is all that the runtime says",
    }
}
