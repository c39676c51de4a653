//! A channel that reads messages in Zstandard, and writes them on demand.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Request, Response};
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataMap;

use super::messages::Messages;
use super::{GRPC_ENCODING, Refused, ZSTD, announce, check};
use crate::box_channel::BoxChannel;

/// The compression of a response, which is removed from what tonic reads.
#[derive(Clone, Debug)]
struct ReceivedEncoding(HeaderValue);

/// Adds the name of the compression to headers that tonic has read without it.
pub(crate) fn restore(headers: &mut MetadataMap, extensions: &http::Extensions) {
    let encoding = extensions.get::<ReceivedEncoding>().and_then(|name| name.0.to_str().ok()?.parse().ok());
    if let Some(encoding) = encoding {
        headers.insert("grpc-encoding", encoding);
    }
}

/// A channel around another.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    inner: BoxChannel,
    max_message_bytes: usize,
    is_zstd: bool,
}

impl Channel {
    /// Reads messages up to this size. Requests are in Zstandard if that is wanted.
    pub(crate) fn new(inner: BoxChannel, max_message_bytes: usize, is_zstd: bool) -> Channel {
        Channel { inner, max_message_bytes, is_zstd }
    }
}

impl tower_service::Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        announce(request.headers_mut(), self.is_zstd);
        if self.is_zstd {
            request = request.map(|body| Translated::wrap(body, Messages::compressed()));
        }
        let response = self.inner.call(request);
        let max_bytes = self.max_message_bytes;
        Box::pin(async move { Ok(readable(check(response.await?)?, max_bytes)) })
    }
}

/// Makes the messages of a response readable for tonic, which has no Zstandard.
fn readable(mut response: Response<Body>, max_bytes: usize) -> Response<Body> {
    if response.headers().get(GRPC_ENCODING) != Some(&ZSTD) {
        return response;
    }
    if let Some(encoding) = response.headers_mut().remove(GRPC_ENCODING) {
        response.extensions_mut().insert(ReceivedEncoding(encoding));
    }
    response.map(|body| Translated::wrap(body, Messages::decompressed(max_bytes)))
}

/// A body whose messages are translated.
struct Translated {
    body: Body,
    messages: Messages,
    /// What comes after the data, once that has ended.
    end: Option<Option<Frame<Bytes>>>,
}

impl Translated {
    fn wrap(body: Body, messages: Messages) -> Body {
        Body::new(Translated { body, messages, end: None })
    }

    /// Ends the data. The rest of a message, if there is one, comes before the trailers.
    fn end(&mut self, trailers: Option<Frame<Bytes>>) -> Option<Frame<Bytes>> {
        let rest = self.messages.finish();
        if rest.is_empty() {
            self.end = Some(None);
            return trailers;
        }
        self.end = Some(trailers);
        Some(Frame::data(rest.into()))
    }
}

impl http_body::Body for Translated {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(last) = &mut self.end {
                return Poll::Ready(last.take().map(Ok));
            }
            let data = match ready!(Pin::new(&mut self.body).poll_frame(cx)?).map(Frame::into_data) {
                Some(Ok(data)) => data,
                Some(Err(trailers)) => return Poll::Ready(self.end(Some(trailers)).map(Ok)),
                None => return Poll::Ready(self.end(None).map(Ok)),
            };
            match self.messages.push(&data) {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data.into())))),
                Err(error) => {
                    self.end = Some(None);
                    return Poll::Ready(Some(Err(Status::from_error(Box::new(Refused::from(error))))));
                }
            }
        }
    }
}
