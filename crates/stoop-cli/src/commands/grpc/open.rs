//! Detects the server's protocol, and creates a client for it.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use stoop::internal::Place;
use stoop::{Stream, aio};
use stoop_dynamic::ttrpc;
use stoop_dynamic::{Client, Code, Greeting, channel_as};

use super::h2c;
use super::session::Session;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::output::{Event, Text};

/// How long to wait for a gRPC server's first frame before trying ttrpc. Every gRPC server sends it
/// at once.
const GREETING_TIMEOUT: Duration = Duration::from_millis(100);

/// How long to wait for a ttrpc server's answer. It is only tried if nothing was received, so it
/// rarely delays anything for long.
const TRIAL: Duration = Duration::from_millis(300);

/// The path of the gRPC services of Docker's BuildKit.
const DOCKER_PATH: &str = "/grpc";

/// The suffix of containerd's ttrpc sockets.
const TTRPC_NAME: &[u8] = b".ttrpc";

impl Session<'_> {
    /// Creates a client on the connection: for gRPC, or for ttrpc if the server speaks that.
    pub(super) async fn open(&self, stream: Stream) -> Result<Client, Failure> {
        let client = self.open_unlimited(stream).await?;
        Ok(match self.flags.max_message {
            Some(bytes) => client.max_message_bytes(bytes.try_into().unwrap_or(usize::MAX)),
            None => client,
        })
    }

    async fn open_unlimited(&self, stream: Stream) -> Result<Client, Failure> {
        let stream = aio::Stream::try_from(stream)?;
        if self.flags.ttrpc || self.is_named_so() {
            return Ok(Client::ttrpc(ttrpc::Client::new(stream)));
        }
        let stream = self.upgraded(stream).await?;
        let authority = self.flags.authority.clone().unwrap_or(Authority::from_static("localhost"));
        let opened = channel_as(stream, authority).await;
        let (channel, mut listening) = opened.map_err(|error| self.errors.unusable(&error))?;
        let mut greeting = listening.greeting(GREETING_TIMEOUT).await;
        if greeting == Greeting::Nothing {
            if let Some(client) = self.try_ttrpc().await {
                return Ok(client);
            }
            greeting = listening.greeting(Duration::ZERO).await;
        }
        match greeting {
            Greeting::Http2 => {}
            Greeting::Nothing => {
                let error = "the server has not sent anything yet; waiting".to_owned();
                self.output.tell(&Event::Error { from: None::<Text>, error, count: 1 })?;
            }
            other => return Err(self.errors.other_protocol(&other)),
        }
        Ok(Client::grpc(channel))
    }

    /// Upgrades the connection, if the server has gRPC behind HTTP/1.
    async fn upgraded(&self, mut stream: aio::Stream) -> Result<aio::Stream, Failure> {
        let is_docker = matches!(&self.flags.endpoint, Endpoint::Named(name) if name.word() == "docker");
        let path = self.flags.h2c.as_deref().or(is_docker.then_some(DOCKER_PATH));
        let Some(path) = path else { return Ok(stream) };
        let asked = format!("POST {path}");
        match self.within(&asked, h2c::upgrade(&mut stream, path)).await? {
            Ok(()) => Ok(stream),
            Err(refusal) => Err(self.errors.not_upgraded(&asked, &refusal)),
        }
    }

    fn is_named_so(&self) -> bool {
        let Endpoint::At(target) = &self.flags.endpoint else { return false };
        let Place::Address(address) = &target.place else { return false };
        address.as_pathname().is_some_and(|path| path.as_os_str().as_encoded_bytes().ends_with(TTRPC_NAME))
    }

    /// Tries ttrpc on a separate connection. A ttrpc server answers any request, even one for an
    /// unknown service, which gets an error.
    async fn try_ttrpc(&self) -> Option<Client> {
        let Endpoint::At(target) = &self.flags.endpoint else { return None };
        let Place::Address(address) = &target.place else { return None };
        let question = async {
            let stream = stoop::Connect::new(address).timeout(TRIAL).stream_async().await.ok()?;
            let client = ttrpc::Client::new(stream);
            let call =
                ttrpc::Call { service: "stoop.Probe".into(), method: "Speak".into(), ..Default::default() };
            let mut answers = client.call(call, tokio_stream::once(Bytes::new())).await.ok()?;
            let spoke = match answers.message().await {
                Ok(_) => true,
                // A status that came from the server has no source.
                Err(status) => status.source().is_none() && status.code() == Code::Unimplemented,
            };
            drop(answers);
            spoke.then(|| Client::ttrpc(client))
        };
        tokio::time::timeout(TRIAL, question).await.ok().flatten()
    }
}
