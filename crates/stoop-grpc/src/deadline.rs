//! Deadlines of calls: `grpc-timeout`, enforced by client and server for the whole call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::{Status, body::Body};

type Timer = Pin<Box<Sleep>>;

/// Returns a timer for the call's deadline, if it has one: the shorter of its own `grpc-timeout`
/// and `limit`.
pub(crate) fn timer<B>(request: &Request<B>, limit: Option<Duration>) -> Option<Timer> {
    let asked = asked(request.headers());
    let time = match (asked, limit) {
        (Some(asked), Some(limit)) => asked.min(limit),
        (time, None) | (None, time) => time?,
    };
    Some(Box::pin(tokio::time::sleep(time)))
}

/// Parses `grpc-timeout`: at most eight digits and a unit.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

fn exceeded() -> Status {
    Status::deadline_exceeded("deadline exceeded")
}

/// Runs a call, which fails when its deadline passes. `failed` makes the failure.
pub(crate) async fn within<E>(
    mut timer: Option<Timer>,
    side: Side,
    call: impl Future<Output = Result<Response<Body>, E>>,
    failed: impl FnOnce(Status) -> Result<Response<Body>, E>,
) -> Result<Response<Body>, E> {
    let response = match &mut timer {
        None => return call.await,
        Some(time) => tokio::select! {
            biased;
            response = call => match response {
                // The call's own error is replaced even if it came in the same moment: tonic's
                // transport has its own timer, and another status for it.
                Err(_) if Instant::now() >= time.deadline() => return failed(exceeded()),
                response => response?,
            },
            () = time.as_mut() => return failed(exceeded()),
        },
    };
    let whole = http_body::Body::is_end_stream(response.body());
    Ok(response.map(|body| if whole { body } else { Body::new(Timed { body, timer, side }) }))
}

/// Which end of a call this is.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    #[cfg(feature = "client")]
    Client,
    #[cfg(feature = "server")]
    Server,
}

/// A response body that ends at the deadline: with an error on the client's side, with a status in
/// trailers on the server's.
struct Timed {
    body: Body,
    /// `None` when the body has ended.
    timer: Option<Timer>,
    side: Side,
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(timer) = &mut self.timer else { return Poll::Ready(None) };
        if timer.as_mut().poll(cx).is_pending() {
            return Pin::new(&mut self.body).poll_frame(cx);
        }
        self.timer = None;
        Poll::Ready(Some(match self.side {
            #[cfg(feature = "client")]
            Side::Client => Err(exceeded()),
            #[cfg(feature = "server")]
            Side::Server => {
                let mut trailers = HeaderMap::new();
                exceeded().add_header(&mut trailers).map(|()| Frame::trailers(trailers))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.timer.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeout_is_parsed() {
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            asked(&headers)
        };
        assert_eq!(asked("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(asked("3M"), Some(Duration::from_secs(180)));
        assert_eq!(asked("4S"), Some(Duration::from_secs(4)));
        assert_eq!(asked("5m"), Some(Duration::from_millis(5)));
        assert_eq!(asked("6u"), Some(Duration::from_micros(6)));
        assert_eq!(asked("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for wrong in ["", "S", "1", "1x", "-1S", "+1S", "123456789S", "1.5S"] {
            assert_eq!(asked(wrong), None, "{wrong}");
        }
    }
}
