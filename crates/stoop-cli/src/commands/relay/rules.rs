//! The flags that make a relay a guard, and the rules that they name.

use std::path::PathBuf;

use clap::Args;
use stoop_guard::{Protocol, Rules};

use crate::exit::Exit;
use crate::failure::Failure;

#[derive(Args, Debug)]
pub(crate) struct RuleFlags {
    /// Forward only HTTP requests that rules allow: of a file, or a set such as docker:read-only
    ///
    /// The sets are docker:read-only, docker:traefik and docker:ci-build. May be repeated: a
    /// request is allowed if one of them allows it. LISTEN must be a Unix stream socket, or tls:
    /// (clients are known by the names in their certificates). With --max-rate, --as-client and
    /// --send-proxy each request is a connection.
    #[arg(long, help_heading = "Rules", value_name = "RULES", conflicts_with = "grpc_rules")]
    pub(crate) http_rules: Vec<String>,

    /// Forward only gRPC calls that these rules allow: a file, or the set cri:read-only
    #[arg(long, help_heading = "Rules", value_name = "RULES")]
    pub(crate) grpc_rules: Vec<String>,

    /// Forward also this request: 'GET /containers/{id}/json?size', or 'package.Service/Method'
    #[arg(long, help_heading = "Rules", value_name = "REQUEST")]
    pub(crate) allow_request: Vec<String>,

    /// Forward what the rules do not allow, too, and only report it
    #[arg(long, help_heading = "Rules")]
    pub(crate) dry_run: bool,

    /// Forward everything, and write to a new file the smallest rules that allow what was seen
    #[arg(long, help_heading = "Rules", value_name = "FILE")]
    pub(crate) learn: Option<PathBuf>,
}

impl RuleFlags {
    /// Returns whether the relay is a guard.
    pub(crate) fn are_given(&self) -> bool {
        let named = [&self.http_rules, &self.grpc_rules, &self.allow_request];
        named.iter().any(|rules| !rules.is_empty()) || self.dry_run || self.learn.is_some()
    }

    /// Returns what the server speaks. HTTP, unless rules of gRPC are given.
    pub(crate) fn protocol(&self) -> Protocol {
        let is_call = |text: &String| !text.contains(' ');
        let all_calls = !self.allow_request.is_empty() && self.allow_request.iter().all(is_call);
        match !self.grpc_rules.is_empty() || (self.http_rules.is_empty() && all_calls) {
            true => Protocol::Grpc,
            false => Protocol::Http,
        }
    }

    /// Reads the rules.
    pub(crate) fn read(&self) -> Result<Rules, Failure> {
        let mut rules = Rules::default();
        for name in self.http_rules.iter().chain(&self.grpc_rules) {
            let named = read(name)?;
            if named.are_of_another(self.protocol()) {
                return Err(of_another(name, self.protocol()));
            }
            rules.join(named);
        }
        for text in &self.allow_request {
            rules.allow(text).map_err(|error| {
                Failure::new(Exit::Usage, format!("--allow-request '{text}' is not a rule"))
                    .why(error.to_string())
                    .next("stoop relay ./guard.sock docker --allow-request 'GET /containers/json?all'    # a rule")
            })?;
        }
        Ok(rules)
    }
}

/// Reads a set, or a file.
fn read(name: &str) -> Result<Rules, Failure> {
    let text = match Rules::set_text(name) {
        Some(text) => text.to_owned(),
        None => std::fs::read_to_string(name).map_err(|error| unread(name, &error))?,
    };
    Rules::parse(&text).map_err(|error| {
        let place = error.line().map(|line| format!(":{line}")).unwrap_or_default();
        Failure::new(Exit::Usage, format!("the rules in '{name}{place}' cannot be read"))
            .why(error.to_string())
            .next(format!("{}    # the line", shown(name, error.line())))
            .into()
    })
}

/// Explains rules that allow nothing, since they are about the other protocol.
fn of_another(name: &str, protocol: Protocol) -> Failure {
    let ((flag, spoken), (other, right)) = match protocol {
        Protocol::Grpc => (("--grpc-rules", "gRPC calls"), ("HTTP requests", "--http-rules")),
        _ => (("--http-rules", "HTTP requests"), ("gRPC calls", "--grpc-rules")),
    };
    let quoted = crate::shell::path(std::path::Path::new(name));
    Failure::new(Exit::Usage, format!("{flag} {name} would allow nothing"))
        .why(format!("the relay expects {spoken}, and all of these rules are about {other}"))
        .next(format!("stoop relay LISTEN SERVER {right} {quoted}    # if the server speaks that"))
        .into()
}

/// Returns a command that prints a line of a file.
fn shown(name: &str, line: Option<usize>) -> String {
    let path = crate::shell::path(std::path::Path::new(name));
    match line {
        Some(line) => format!("sed -n {line}p {path}"),
        None => format!("cat {path}"),
    }
}

fn unread(name: &str, error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Failure::new(Exit::Usage, format!("'{name}' is neither a file nor a set of rules"))
            .why(format!("the sets are {}", Rules::SETS.join(", ")))
            .next("stoop relay ./guard.sock docker --http-rules docker:read-only    # a set")
            .into();
    }
    Failure::io(format!("read '{name}'"), error)
}
