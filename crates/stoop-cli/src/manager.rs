//! Notifies the service manager from a thread of its own. Its queue may be full and its socket
//! unreachable. Neither may delay clients or prevent the server from running.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::Duration;

use stoop::notify::Notifier;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{ErrorLog, Output};

/// How long the server waits at the end for pending notifications.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// The connection to the service manager, if it started this process.
#[derive(Debug)]
pub(crate) struct Manager(Option<NotifyThread>);

#[derive(Debug)]
struct NotifyThread {
    /// The notifications to send.
    notifications: Sender<Notification>,
    /// Disconnected when all have been sent, or given up.
    sent_all: Receiver<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notification {
    Ready,
    Stopping,
}

impl Manager {
    /// Creates it from `NOTIFY_SOCKET`. An unusable value causes a warning.
    pub(crate) fn from_env(output: Output, errors: &Arc<ErrorLog>, verb: &str) -> Result<Manager, Failure> {
        let line = match Notifier::from_env() {
            Ok(Some(notifier)) => begin(notifier, errors),
            Ok(None) => None,
            Err(error) => {
                let report = Failure::new(Exit::Failed, error.to_string())
                    .why("readiness cannot be signalled to the service manager; clients are served nevertheless")
                    .seen("NOTIFY_SOCKET must be an absolute path, or @ and an abstract name")
                    .next(format!("env -u NOTIFY_SOCKET stoop {verb} …    # without a service manager"));
                output.warn(&report)?;
                None
            }
        };
        Ok(Manager(line))
    }

    /// Signals readiness. Does not block.
    pub(crate) fn ready(&self) {
        self.notify(Notification::Ready);
    }

    /// Signals that the server is about to stop. Does not block.
    pub(crate) fn stopping(&self) {
        self.notify(Notification::Stopping);
    }

    /// Waits a moment for pending notifications.
    pub(crate) fn finish(self) {
        let Some(NotifyThread { notifications, sent_all }) = self.0 else { return };
        drop(notifications);
        // Whatever the result, the process exits.
        let _ = sent_all.recv_timeout(FINISH_TIMEOUT);
    }

    fn notify(&self, notification: Notification) {
        if let Some(thread) = &self.0 {
            // The thread exits only after this sender is dropped.
            let _ = thread.notifications.send(notification);
        }
    }
}

/// Starts the thread. If none can be spawned, the server runs without notifications.
fn begin(notifier: Notifier, errors: &Arc<ErrorLog>) -> Option<NotifyThread> {
    let (sender, notifications) = mpsc::channel();
    let (done, sent_all) = mpsc::channel();
    let theirs = Arc::clone(errors);
    let started = thread::Builder::new().name("notify".into()).spawn(move || {
        let _done: Sender<()> = done;
        relay(&notifier, &notifications, &theirs);
    });
    if let Err(error) = &started {
        let error = Failure::io("start a thread for the service manager", error).summary();
        errors.report(None, error);
    }
    started.is_ok().then_some(NotifyThread { notifications: sender, sent_all })
}

/// Sends notifications until the server disconnects. Readiness, which a manager may wait for, is
/// retried while its queue is full and no later notification supersedes it.
fn relay(notifier: &Notifier, notifications: &Receiver<Notification>, errors: &ErrorLog) {
    let mut next = notifications.recv().ok();
    while let Some(now) = next {
        let sent = match now {
            Notification::Ready => notifier.ready(),
            Notification::Stopping => notifier.stopping(),
        };
        let is_full = sent.as_ref().is_err_and(stoop::Error::is_timed_out);
        if let Err(error) = sent {
            errors.report(None, error.to_string());
        }
        next = match notifications.try_recv() {
            Ok(later) => Some(later),
            Err(TryRecvError::Empty) if is_full && now == Notification::Ready => Some(now),
            Err(TryRecvError::Empty) => notifications.recv().ok(),
            Err(TryRecvError::Disconnected) => None,
        };
    }
}
