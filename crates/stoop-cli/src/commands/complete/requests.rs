//! Candidates for the paths of HTTP requests: those of a well-known service, with the names that it
//! knows now.

use std::collections::HashMap;
use std::time::Instant;

use http_body_util::{BodyExt, Empty, Limited};
use stoop::aio;
use stoop_http::{Client, Version};
use stoop_inspect::endpoints::{Service, recognise};

use super::machine::{Candidate, Sink};
use super::paths;
use super::{limits, live};
use crate::args::{Http, Verb};
use crate::endpoint::Endpoint;

/// The largest list that is read: thousands of containers.
const MAX_BYTES: usize = 4 << 20;

/// Passes on the paths of the service that was typed. `words` precede the one that is typed.
pub(super) fn offer(words: &[String], typed: &str, sink: Sink<'_>) {
    // Without a path, it is no command yet.
    let words = [words, &["/".to_owned()]].concat();
    let Some(Verb::Http(flags)) = live::parsed(&words) else { return };
    let Some(service) = service(&flags.endpoint) else { return };
    let version = paths::version(typed);
    let rest = &typed[version.len()..];
    let mut names = HashMap::new();
    for (path, about) in paths::of(service.label()) {
        let Some((before, placeholder, after)) = paths::split(path) else {
            sink(Candidate::new(format!("{version}{path}"), *about));
            continue;
        };
        // The server is asked for names once they are what is typed.
        if !rest.starts_with(before) {
            continue;
        }
        let known =
            names.entry(placeholder).or_insert_with(|| asked(&flags, placeholder).unwrap_or_default());
        let typed = &rest[before.len()..];
        for name in known {
            // What follows a name is offered after it only: there are many of both.
            let is_named = typed.strip_prefix(name.as_str()).is_some_and(|more| more.starts_with('/'));
            match after.starts_with('/') && !is_named {
                true => sink(Candidate::new(format!("{version}{before}{name}/"), placeholder)),
                false => sink(Candidate::new(format!("{version}{before}{name}{after}"), *about)),
            }
        }
    }
    if let Some(path) = service.health_path {
        sink(Candidate::new(path, "whether it answers"));
    }
}

/// Returns the well-known service behind an endpoint.
fn service(endpoint: &Endpoint) -> Option<&'static Service> {
    match endpoint {
        Endpoint::Named(name) => name.services().next(),
        Endpoint::At(target) => match &target.place {
            stoop::internal::Place::Address(address) => recognise(address),
            _ => None,
        },
    }
}

/// Returns the names that a placeholder stands for, as the service lists them.
fn asked(flags: &Http, placeholder: &str) -> Option<Vec<String>> {
    let (path, pattern) = paths::listing(placeholder)?;
    if !live::is_reachable(&flags.endpoint) {
        return None;
    }
    let end = Instant::now() + limits::server();
    let stream = flags.endpoint.connect_stream(None, Some(limits::server())).ok()?.connection;
    let body = live::until(end, async {
        let mut client = Client::over(aio::Stream::try_from(stream).ok()?, Version::Http1).await.ok()?;
        let request = http::Request::get(path).body(Empty::<bytes::Bytes>::new()).ok()?;
        let answer = client.send(request).await.ok().filter(|answer| answer.status().is_success())?;
        Limited::new(answer.into_body(), MAX_BYTES).collect().await.ok().map(|body| body.to_bytes())
    })?;
    Some(paths::texts(&serde_json::from_slice(&body).ok()?, pattern))
}
