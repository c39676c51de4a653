//! Events and spans for `tracing` with the feature of that name; compiled to nothing without it.

use std::future::Future;

use super::counters::Ended;
use crate::{Address, Error, Refusal};

#[cfg(feature = "tracing")]
macro_rules! event {
    ($level:ident, $($fields:tt)*) => { ::tracing::$level!(target: "stoop::serve", $($fields)*) };
}

#[cfg(not(feature = "tracing"))]
macro_rules! event {
    ($level:ident, $($key:ident = $value:expr,)* $text:literal) => { let _ = ($(&$value,)*); };
}

/// Returns whether events about single clients are enabled, and so their ids needed.
pub(super) fn logs_clients() -> bool {
    #[cfg(feature = "tracing")]
    return ::tracing::enabled!(target: "stoop::serve", ::tracing::Level::DEBUG);
    #[cfg(not(feature = "tracing"))]
    return false;
}

/// The span in which a handler runs, of level `DEBUG`. Its fields identify the client in the
/// handler's own events.
pub(super) struct HandlerSpan {
    #[cfg(feature = "tracing")]
    span: ::tracing::Span,
}

impl HandlerSpan {
    /// Returns a span for the handler of a connection.
    pub(super) fn of_connection(pid: Option<u32>, uid: Option<u32>) -> HandlerSpan {
        #[cfg(feature = "tracing")]
        return HandlerSpan { span: ::tracing::debug_span!(target: "stoop::serve", "connection", pid, uid) };
        #[cfg(not(feature = "tracing"))]
        return {
            let _ = (pid, uid);
            HandlerSpan {}
        };
    }

    /// Returns a span for the handler of a message.
    pub(super) fn of_message(uid: Option<u32>, from: &Address) -> HandlerSpan {
        #[cfg(feature = "tracing")]
        return HandlerSpan { span: ::tracing::debug_span!(target: "stoop::serve", "message", uid, %from) };
        #[cfg(not(feature = "tracing"))]
        return {
            let _ = (uid, from);
            HandlerSpan {}
        };
    }

    /// Calls the handler inside the span.
    pub(super) fn in_scope<T>(&self, call: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        return self.span.in_scope(call);
        #[cfg(not(feature = "tracing"))]
        return call();
    }

    /// Enters the span for each poll of the handler's future.
    pub(super) fn instrument<F: Future>(self, handling: F) -> impl Future<Output = F::Output> {
        #[cfg(feature = "tracing")]
        return ::tracing::Instrument::instrument(handling, self.span);
        #[cfg(not(feature = "tracing"))]
        return handling;
    }
}

pub(super) fn accepted(pid: Option<u32>, uid: Option<u32>, active: usize) {
    event!(debug, pid = pid, uid = uid, active = active, "accepted");
}

pub(super) fn refused(pid: Option<u32>, uid: Option<u32>, reason: Refusal) {
    let reason = reason.to_string();
    event!(info, pid = pid, uid = uid, reason = reason.as_str(), "refused by the policy");
}

pub(super) fn over_connection_limit(uid: u32, limit: usize) {
    event!(info, uid = uid, limit = limit, "refused: this user has reached its limit on connections");
}

pub(super) fn over_message_limit(uid: Option<u32>) {
    event!(
        debug,
        uid = uid,
        "dropped: its sender has reached a limit on messages in flight or unread replies"
    );
}

pub(super) fn ended(how: Ended) {
    let how = match how {
        Ended::Finished => "finished",
        Ended::Panicked => "panicked",
        Ended::Idle => "idle",
        Ended::Overdue => "overdue",
        Ended::Aborted => "aborted",
    };
    event!(debug, how = how, "ended");
}

pub(super) fn failed(what: &'static str, error: &Error) {
    let error = error.to_string();
    event!(warn, what = what, error = error.as_str(), "failed");
}

pub(super) fn draining(active: usize) {
    event!(info, active = active, "draining");
}

pub(super) fn handed_over() {
    event!(info, "handed over to a successor");
}
