//! What the contents of a stream are, by its headers.

use super::super::super::hpack::{Found, Header};
use super::super::super::methods::Methods;
use super::super::super::secrets::{MASK, Secrets};
use super::super::grpc::{Known, Messages};
use super::super::http1::is_compressed;
use crate::follow::Side;

/// A stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The path of the request, if it is known.
    method: Option<String>,
    /// By [`Side::index`].
    pub(super) bodies: [Body; 2],
}

/// How the contents of one direction are judged.
#[derive(Debug, Default)]
pub(super) enum Body {
    /// They are compressed, or their headers were not seen.
    #[default]
    All,
    Text(Secrets),
    Grpc(Messages),
}

impl Body {
    pub(super) fn mask(&mut self, bytes: &mut [u8]) {
        match self {
            Body::All => bytes.fill(MASK),
            Body::Text(text) => text.mask(bytes),
            Body::Grpc(messages) => messages.mask(bytes),
        }
    }

    pub(super) fn gap(&mut self, len: u64) {
        match self {
            Body::All => {}
            Body::Text(text) => text.gap(),
            Body::Grpc(messages) => messages.gap(len),
        }
    }
}

impl Stream {
    /// Takes the headers of a request. Trailers change nothing.
    pub(super) fn requested(&mut self, from: Side, headers: &[Header], methods: Option<&dyn Methods>) {
        if let Found::Absent = Found::of(headers, ":method") {
            return;
        }
        self.method = match Found::of(headers, ":path") {
            Found::Known(path) => Some(String::from_utf8_lossy(path).into_owned()),
            _ => None,
        };
        self.bodies[from.index()] = self.body(headers, false, methods);
    }

    /// Takes the headers of a response. Trailers change nothing.
    pub(super) fn answered(&mut self, from: Side, headers: &[Header], methods: Option<&dyn Methods>) {
        if !matches!(Found::of(headers, ":status"), Found::Absent) {
            self.bodies[from.index()] = self.body(headers, true, methods);
        }
    }

    fn body(&self, headers: &[Header], is_response: bool, methods: Option<&dyn Methods>) -> Body {
        match Found::of(headers, "content-type") {
            Found::Known(kind) if kind.starts_with(b"application/grpc") => {
                return Body::Grpc(Messages::new(self.messages(is_response, methods)));
            }
            Found::Before => return Body::All,
            _ => {}
        }
        match Found::of(headers, "content-encoding") {
            Found::Known(coding) if is_compressed(coding) => Body::All,
            Found::Before => Body::All,
            _ => Body::Text(Secrets::default()),
        }
    }

    fn messages(&self, is_response: bool, methods: Option<&dyn Methods>) -> Known {
        match &self.method {
            Some(method) => Known::of(methods, method, is_response),
            None => Known::Nothing,
        }
    }
}
