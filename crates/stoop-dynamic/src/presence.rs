//! Finds out whether a server without reflection has a service, without running any of its methods.
//!
//! First a method is called that no service has. Servers in Go, and ttrpc's, then report whether
//! the service or the method is missing. Others report the same in both cases. They are asked for a
//! method of the service, with a request that ends before its message: a server that knows the
//! method answers that the message is missing, and does not run it.

use bytes::Bytes;
use prost_reflect::{MethodDescriptor, ServiceDescriptor};
use tonic::{Code, Status};

use crate::client::CallError;
use crate::ttrpc::Call;
use crate::{Client, Options};

/// The name of a method that no service has.
const NO_METHOD: &str = "-";

/// Whether a server has a service, as far as its answers show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// It has the service.
    Present,
    /// It reports that it does not have the service.
    Absent,
    /// Its answers do not show it.
    Unknown,
    /// It refuses the calls of this client: `UNAUTHENTICATED` or `PERMISSION_DENIED`.
    Refused(Code),
}

impl Client {
    /// Returns whether the server has this service. No method of it is run.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # use stoop_dynamic::{Client, Options, Presence, Schema};
    /// # let endpoint = stoop_grpc::Endpoint::try_from(path.as_path())?;
    /// # let incoming = endpoint.listen(|bind| bind).await?;
    /// # let (_reporter, health) = tonic_health::server::health_reporter();
    /// # let routes = tonic::service::Routes::new(health);
    /// # let server = stoop_grpc::Server::new(routes);
    /// # tokio::spawn(server.serve(incoming, std::future::pending::<()>()));
    /// let client = Client::grpc(stoop_grpc::connect(path.as_path()).await?);
    /// let pool = Schema::builtin().pool().clone();
    /// let health = pool.get_service_by_name("grpc.health.v1.Health").ok_or("no service")?;
    /// assert_eq!(client.presence(&health, &Options::default()).await, Presence::Present);
    ///
    /// // A server with tonic does not report whether a service or a method is missing.
    /// let images = pool.get_service_by_name("runtime.v1.ImageService").ok_or("no service")?;
    /// assert_eq!(client.presence(&images, &Options::default()).await, Presence::Unknown);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, the call is cancelled.
    pub async fn presence(&self, service: &ServiceDescriptor, options: &Options) -> Presence {
        let Some(without) = self.ask(service.full_name(), NO_METHOD, Some(Bytes::new()), options).await
        else {
            return Presence::Unknown;
        };
        let presence = by_text(&without);
        if presence != Presence::Unknown || without.code() != Code::Unimplemented || self.is_ttrpc() {
            return presence;
        }
        // A request of several messages may be empty: the method would be run.
        let methods = service.methods().filter(|method| !method.is_client_streaming());
        for method in methods {
            let Some(status) = self.ask(service.full_name(), method.name(), None, options).await else {
                continue;
            };
            match compared(&status, &without, &method) {
                Presence::Unknown => {}
                presence => return presence,
            }
        }
        Presence::Unknown
    }

    /// Calls a method with this message or without any, and returns the server's status.
    async fn ask(
        &self,
        service: &str,
        method: &str,
        message: Option<Bytes>,
        options: &Options,
    ) -> Option<Status> {
        let call = Call { service: service.to_owned(), method: method.to_owned(), ..Call::default() };
        let answer = match self.call_raw(call, tokio_stream::iter(message), options.clone()).await {
            Ok(mut answers) => answers.message().await.map(|_| ()),
            Err(error) => Err(error),
        };
        match answer {
            Ok(()) => Some(Status::ok("")),
            Err(CallError::Answered(status)) => Some(*status),
            Err(_) => None,
        }
    }
}

/// Judges the answer to a call of a method that does not exist. The texts are the only mark:
/// "unknown service x" in Go, "service x" in ttrpc.
fn by_text(status: &Status) -> Presence {
    let words = status.message().strip_prefix("unknown ").unwrap_or(status.message());
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Presence::Refused(status.code()),
        Code::Unimplemented if words.starts_with("service ") => Presence::Absent,
        Code::Unimplemented if words.starts_with("method ") => Presence::Present,
        _ => Presence::Unknown,
    }
}

/// Judges the answer to a call without a message, by the answer to that of a method that does not
/// exist.
fn compared(status: &Status, without: &Status, method: &MethodDescriptor) -> Presence {
    let path = |name: &str| format!("{}/{name}", method.parent_service().full_name());
    let text = without.message().replace(&path(NO_METHOD), &path(method.name()));
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Presence::Refused(status.code()),
        // These may be a proxy's, or say nothing about the method.
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled => {
            Presence::Unknown
        }
        Code::Unimplemented if status.message() == text => Presence::Unknown,
        _ => Presence::Present,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Schema;

    fn judged(code: Code, said: &str, without: &str) -> Presence {
        let method = Schema::builtin().method("csi.v1.Identity/Probe", &[]).unwrap();
        let without = Status::new(Code::Unimplemented, without);
        match by_text(&without) {
            Presence::Unknown => compared(&Status::new(code, said), &without, &method),
            known => known,
        }
    }

    #[test]
    fn the_answers_of_each_implementation_are_told_apart() {
        let unimplemented = Code::Unimplemented;
        // Go and ttrpc.
        for (said, presence) in [
            ("unknown service csi.v1.Identity", Presence::Absent),
            ("unknown method - for service csi.v1.Identity", Presence::Present),
            ("service csi.v1.Identity", Presence::Absent),
            ("method -", Presence::Present),
        ] {
            assert_eq!(judged(unimplemented, said, said), presence, "{said}");
        }
        // Python, Node, Java, tonic.
        let here = "\"b'/csi.v1.Identity/Probe'\" requires exactly one request message.";
        for (code, said, without) in [
            (unimplemented, here, "Method not found!"),
            (
                unimplemented,
                "Received no message",
                "The server does not implement the method /csi.v1.Identity/-",
            ),
            (Code::Internal, "Half-closed without a request", "Method not found: csi.v1.Identity/-"),
            (Code::Internal, "Missing request message.", ""),
        ] {
            assert_eq!(judged(code, said, without), Presence::Present, "{said}");
        }
        for (said, without) in [
            ("Method not found!", "Method not found!"),
            ("Method not found: csi.v1.Identity/Probe", "Method not found: csi.v1.Identity/-"),
            ("", ""),
        ] {
            assert_eq!(judged(unimplemented, said, without), Presence::Unknown, "{said}");
        }
        assert_eq!(judged(Code::Unavailable, "no backend", ""), Presence::Unknown);
        let denied = Presence::Refused(Code::PermissionDenied);
        assert_eq!(judged(Code::PermissionDenied, "", ""), denied);
    }
}
