//! The body of a request, which comes back where nobody has taken any of it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::{Status, body::Body};

/// Where a body comes back to.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Body>>>);

impl Slot {
    pub(super) fn take(&self) -> Option<Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, body: Body) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }
}

/// A body on loan.
#[derive(Debug)]
pub(super) struct Returned {
    body: Body,
    /// None once something has been taken.
    home: Option<Slot>,
}

impl Returned {
    pub(super) fn new(body: Body, home: &Slot) -> Returned {
        Returned { body, home: Some(home.clone()) }
    }
}

impl Drop for Returned {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.put(std::mem::take(&mut self.body));
        }
    }
}

impl http_body::Body for Returned {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.home = None;
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
