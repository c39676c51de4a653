//! Bodies: streamed without trailers of clients, or collected up to a limit.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, Limited};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body in either direction.
pub(super) type GuardBody = UnsyncBoxBody<Bytes, BoxError>;

/// How long a body that is judged may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

pub(super) fn empty() -> GuardBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn full(bytes: impl Into<Bytes>) -> GuardBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Streams a body as it arrives. Trailers, which no rule judges, are left out.
pub(super) fn stream<B>(body: B) -> GuardBody
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    WithoutTrailers(body).boxed_unsync()
}

/// Streams a response's body with its trailers.
pub(super) fn whole<B>(body: B) -> GuardBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// Why a body was not collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotCollected {
    TooLarge,
    TooSlow,
    Broken,
}

/// Collects a body of at most so many bytes.
pub(super) async fn collect<B>(body: B, max_bytes: usize) -> Result<Bytes, NotCollected>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(NotCollected::TooLarge);
    }
    let collected = tokio::time::timeout(ARRIVAL, Limited::new(body, max_bytes).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(NotCollected::TooLarge),
        Ok(Err(_)) => Err(NotCollected::Broken),
        Err(_) => Err(NotCollected::TooSlow),
    }
}

struct WithoutTrailers<B>(B);

impl<B> Body for WithoutTrailers<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll_frame(cx)) {
            Some(Ok(frame)) if frame.is_trailers() => None,
            other => other.map(|frame| frame.map_err(Into::into)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
