//! The guard: a server in front of a server.

mod body;
mod filter;
mod forward;
#[cfg(feature = "grpc")]
mod grpc;
mod identify;
mod judge;
mod protocol;
mod respond;
mod tunnel;
mod visible;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use hyper::body::Incoming;
use hyper::{Request, Response};
use stoop::serve::{self, End};
use stoop::{Address, Connect, Peer, Stream, aio};
use stoop_http::{Caller, Settings, Version};

use crate::decision::{Decision, Verdict};
use crate::rules::Rules;
use body::GuardBody;
use identify::Names;
pub use protocol::Protocol;

/// How long connecting to the server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The default for [`Guard::max_body_bytes`].
const MAX_BODY_BYTES: usize = 1 << 20;

type Handler = Box<dyn Fn(Decision) + Send + Sync>;
type Connector = Box<dyn Fn(Option<&Peer>) -> stoop::Result<Stream> + Send + Sync>;

/// A guard: forwards what rules allow, and refuses everything else.
pub struct Guard {
    rules: Rules,
    protocol: Protocol,
    server: Address,
    connector: Option<Connector>,
    names: Option<Names>,
    is_dry_run: bool,
    max_body_bytes: usize,
    handler: Option<Handler>,
    #[cfg(feature = "grpc")]
    schema: Option<stoop_dynamic::Schema>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Guard {
    /// Creates a guard for a server.
    pub fn new(rules: Rules, protocol: Protocol, server: Address) -> Guard {
        Guard {
            rules,
            protocol,
            server,
            connector: None,
            names: None,
            is_dry_run: false,
            max_body_bytes: MAX_BODY_BYTES,
            handler: None,
            #[cfg(feature = "grpc")]
            schema: (protocol == Protocol::Grpc).then(stoop_dynamic::Schema::builtin),
        }
    }

    /// Forwards what would be refused, too, and only reports it. What has no single meaning is
    /// still refused: it cannot be forwarded as it was meant.
    #[must_use]
    pub fn dry_run(mut self, on: bool) -> Guard {
        self.is_dry_run = on;
        self
    }

    /// Makes the connections to the server with this function, one for each request of the client
    /// that it gets, if the kernel knows one. It must not block. By default they are made to the
    /// server's address, which is not used then.
    #[must_use]
    pub fn connect_with(
        mut self,
        connect: impl Fn(Option<&Peer>) -> stoop::Result<Stream> + Send + Sync + 'static,
    ) -> Guard {
        self.connector = Some(Box::new(connect));
        self
    }

    /// Guards clients for which this process itself connects to the listener, such as those of a
    /// TLS listener: `names` returns the names in the certificate of the client that is behind an
    /// address. Every request of another process, or from an address without names, is refused.
    ///
    /// Such a client has no process and no user: rules for users, containers and units do not match
    /// it.
    #[must_use]
    pub fn named_clients(
        mut self,
        names: impl Fn(&Address) -> Option<Vec<String>> + Send + Sync + 'static,
    ) -> Guard {
        self.names = Some(Box::new(names));
        self
    }

    /// Limits the bodies that are judged, in bytes: 1 MiB by default. Others are streamed.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: usize) -> Guard {
        self.max_body_bytes = bytes;
        self
    }

    /// Uses this schema for conditions on the fields of gRPC messages, not the built-in one.
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn schema(mut self, schema: stoop_dynamic::Schema) -> Guard {
        self.schema = Some(schema);
        self
    }

    /// Calls `handler` with each decision, before the request is forwarded. It must not block.
    #[must_use]
    pub fn on_decision(mut self, handler: impl Fn(Decision) + Send + Sync + 'static) -> Guard {
        self.handler = Some(Box::new(handler));
        self
    }

    /// Guards the clients of a server's listener until `shutdown` completes.
    ///
    /// # Errors
    /// Returns an error if the listener is broken.
    pub async fn run(self, server: serve::Server, shutdown: impl Future) -> stoop::Result<End> {
        let guard = Arc::new(self);
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let guard = Arc::clone(&guard);
            async move { Ok::<_, Infallible>(guard.answer(request).await) }
        });
        stoop_http::Server::new(server).run(service, shutdown).await
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<GuardBody> {
        let (parts, body) = request.into_parts();
        let client = match &self.names {
            Some(names) => identify::named(&parts.extensions, names),
            None => Some(identify::client(&parts.extensions, self.rules.ask_for_workload())),
        };
        let judged = self.judge(client.as_ref(), &parts, body).await;
        let client = client.unwrap_or_default();
        let verdict = judged.verdict.clone();
        if let Some(handler) = &self.handler {
            handler(Decision {
                client,
                method: parts.method.to_string(),
                target: parts.uri.path_and_query().map_or_else(|| parts.uri.to_string(), ToString::to_string),
                was_forwarded: judged.outgoing.is_some(),
                verdict: verdict.clone(),
                seen: judged.seen,
            });
        }
        match judged.outgoing {
            Some(outgoing) => match self.forward(parts, outgoing).await {
                Ok(response) => response,
                Err(error) => respond::unavailable(self.protocol, &error),
            },
            None => respond::refusal(self.protocol, &verdict, judged.status),
        }
    }

    /// Returns the process that asks, for which the server is connected to. The process that
    /// connects for a named client is this one.
    fn asking<'p>(&self, parts: &'p Parts) -> Option<&'p Peer> {
        let caller = Caller::of(&parts.extensions).filter(|_| self.names.is_none());
        caller.map(|caller| &**caller)
    }

    /// Connects to the server for a client, or for a question of the guard: for each request anew,
    /// so that none can follow another's bytes.
    async fn connect(&self, client: Option<&Peer>) -> stoop_http::Result<stoop_http::Client<GuardBody>> {
        let stream = match &self.connector {
            Some(connect) => aio::Stream::try_from(connect(client)?)?,
            None => Connect::new(&self.server).timeout(CONNECT_TIMEOUT).stream_async().await?,
        };
        let version = match self.protocol {
            Protocol::Http => Version::Http1,
            Protocol::Grpc => Version::Http2,
        };
        stoop_http::Client::with(stream, version, &Settings::new()).await
    }
}

/// Returns the verdict for a request that has no single meaning.
fn unclear(why: impl fmt::Display) -> Verdict {
    Verdict::Unclear { why: why.to_string() }
}
