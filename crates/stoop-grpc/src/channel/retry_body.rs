//! A replayable request body: returned from its beginning if the request was not sent.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot::{self, Receiver, Sender};
use tonic::{Status, body::Body};

/// How much of a body is kept for replay: all of most requests, but not a file.
const KEPT_MAX_BYTES: usize = 64 * 1024;

/// A body that is sent back through a channel when it is dropped, unless more of it was read than
/// is kept.
#[derive(Debug)]
pub(super) struct RetryBody {
    body: Body,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    /// `None` once the body cannot be replayed any more.
    sender: Option<Sender<Body>>,
}

impl RetryBody {
    pub(super) fn new(body: Body) -> (RetryBody, Receiver<Body>) {
        let (sender, back) = oneshot::channel();
        (RetryBody { body, kept: Vec::new(), kept_bytes: 0, sender: Some(sender) }, back)
    }

    fn keep(&mut self, data: &Bytes) {
        self.kept_bytes += data.len();
        // If the receiver is closed, the call has its response and needs no replay.
        if self.kept_bytes > KEPT_MAX_BYTES || self.sender.as_ref().is_none_or(Sender::is_closed) {
            self.sender = None;
            self.kept = Vec::new();
        } else {
            self.kept.push(data.clone());
        }
    }
}

impl Drop for RetryBody {
    fn drop(&mut self) {
        let Some(sender) = self.sender.take() else { return };
        let rest = std::mem::take(&mut self.body);
        let kept = std::mem::take(&mut self.kept);
        let body = if kept.is_empty() { rest } else { Body::new(Replay { kept: kept.into(), rest }) };
        // An error means that the call has its response already.
        let _ = sender.send(body);
    }
}

impl http_body::Body for RetryBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.keep(data);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that replays what was read of it, followed by the rest.
#[derive(Debug)]
struct Replay {
    kept: VecDeque<Bytes>,
    rest: Body,
}

impl http_body::Body for Replay {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.kept.pop_front() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.kept.is_empty() && self.rest.is_end_stream()
    }
}
