//! Candidates for gRPC: the services and methods of the server that was typed, or if it cannot be
//! asked, those that are built in.

use stoop_dynamic::{MethodDescriptor, Schema};

use super::machine::{Candidate, Sink};
use super::{limits, live};
use crate::args::Verb;
use crate::commands::grpc;

/// Passes on what may be done with a server. `words` precede the one that is typed.
pub(super) fn actions(words: &[String], typed: &str, sink: Sink<'_>) {
    sink(Candidate::new("list", "List services and methods"));
    sink(Candidate::new("describe", "Show the definition of a service, method or message"));
    let schema = schema(words);
    each_method(&schema, &mut |name, method| sink(Candidate::new(name, types_of(method))));
    // A short name is offered once one is typed: it may stand for several methods.
    if !typed.is_empty() && !typed.contains(['.', '/']) {
        let mut short = Vec::new();
        each_method(&schema, &mut |_, method| short.push(method.name().to_owned()));
        let is_one = |name: &&String| short.iter().filter(|other| other == name).count() == 1;
        short.iter().filter(is_one).for_each(|name| sink(Candidate::new(name, "")));
    }
}

/// Passes on what `list` or `describe` may be given.
pub(super) fn symbols(words: &[String], typed: &str, action: &str, sink: Sink<'_>) {
    let schema = schema(words);
    for service in schema.services() {
        sink(Candidate::new(service.full_name(), "service"));
    }
    if action == "list" {
        return;
    }
    each_method(&schema, &mut |name, method| sink(Candidate::new(name, types_of(method))));
    // There are hundreds of messages.
    if !typed.is_empty() {
        for message in schema.pool().all_messages().filter(|message| !message.is_map_entry()) {
            sink(Candidate::new(message.full_name(), "message"));
        }
        schema.pool().all_enums().for_each(|values| sink(Candidate::new(values.full_name(), "enum")));
        schema.pool().files().for_each(|file| sink(Candidate::new(file.name(), "file")));
    }
}

fn schema(words: &[String]) -> Schema {
    let asked = || {
        let Some(Verb::Grpc(flags)) = live::parsed(words) else { return None };
        let is_askable = live::is_reachable(&flags.endpoint) && !flags.builtin;
        is_askable.then(|| grpc::known(&flags, limits::server()))?
    };
    asked().unwrap_or_else(Schema::builtin)
}

fn each_method(schema: &Schema, each: &mut dyn FnMut(String, &MethodDescriptor)) {
    for service in schema.services() {
        for method in service.methods() {
            each(format!("{}/{}", service.full_name(), method.name()), &method);
        }
    }
}

/// Returns what a method takes and returns: `Request > stream Response`.
fn types_of(method: &MethodDescriptor) -> String {
    let stream = |is| if is { "stream " } else { "" };
    let (input, output) = (method.input(), method.output());
    let (from, to) = (stream(method.is_client_streaming()), stream(method.is_server_streaming()));
    format!("{from}{} > {to}{}", input.name(), output.name())
}
