//! A process of Docker that a request is attached to: tells the size of its terminal, and asks for
//! its exit code. Each on a connection of its own, because that of the request is taken.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use rustix::termios::{Winsize, tcgetwinsize};
use signal_hook::consts::SIGWINCH;
use signal_hook::iterator::Signals;
use stoop::aio;
use stoop::internal::Place;
use stoop_http::{Client, Version};

use super::docker::{Process, State};
use crate::args::Http;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::runtime;

/// How long one of these requests may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The largest description of a process that is read.
const MAX_BYTES: usize = 4 << 20;

/// How long a process may take to exit after its streams have ended. Docker closes them first.
const EXIT_GRACE: Duration = Duration::from_secs(2);

/// The delays between attempts: the first, and the longest.
const DELAYS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// Tells the size of this terminal to the server, now and whenever it changes, until this command
/// ends.
pub(super) fn keep_size(endpoint: &Endpoint, process: &Process) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io("watch the size of the terminal", &error);
    let mut changes = Signals::new([SIGWINCH]).map_err(failed)?;
    let (endpoint, process) = (endpoint.clone(), process.clone());
    let keep = move || {
        let (mut told, mut delay) = (None, DELAYS.0);
        loop {
            let now = tcgetwinsize(io::stdin()).ok().map(|Winsize { ws_row, ws_col, .. }| (ws_row, ws_col));
            match now {
                Some(size) if told != now => {
                    // Until the process is started, the server has no terminal to resize.
                    if ask(&endpoint, "POST", &process.resize(size.0, size.1))
                        .is_some_and(|(status, _)| status.is_success())
                    {
                        told = now;
                        continue;
                    }
                    thread::sleep(delay);
                    delay = (delay * 2).min(DELAYS.1);
                }
                _ => {
                    changes.wait().for_each(drop);
                    delay = DELAYS.0;
                }
            }
        }
    };
    thread::Builder::new().spawn(keep).map(drop).map_err(failed)
}

/// Returns the exit code of the process, or `None` if it goes on (detached) or the server does not
/// say.
pub(super) fn exit_code(flags: &Http, process: &Process) -> Option<u8> {
    let (end, mut delay) = (Instant::now() + EXIT_GRACE, DELAYS.0);
    loop {
        let (status, described) = ask(&flags.endpoint, "GET", &process.inspect())?;
        match process.state(&described) {
            State::Exited(code) if status == StatusCode::OK => return Some(code),
            State::Running if Instant::now() < end => thread::sleep(delay),
            _ => return None,
        }
        delay = (delay * 2).min(DELAYS.1);
    }
}

/// Makes a request, and returns the status and the body if there is a whole response.
fn ask(endpoint: &Endpoint, method: &str, target: &str) -> Option<(StatusCode, Vec<u8>)> {
    if matches!(endpoint, Endpoint::At(at) if matches!(at.place, Place::Descriptor(_))) {
        // An inherited connection is used once.
        return None;
    }
    let stream = endpoint.connect_stream(None, Some(LIMIT)).ok()?.connection;
    let runtime = runtime::start().ok()?;
    let asking = async {
        let mut client = Client::over(aio::Stream::try_from(stream).ok()?, Version::Http1).await.ok()?;
        let request =
            Request::builder().method(method).uri(target).body(Empty::<bytes::Bytes>::new()).ok()?;
        let response = client.send(request).await.ok()?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await.ok()?;
        Some((status, body.to_bytes().to_vec()))
    };
    runtime.block_on(async { tokio::time::timeout(LIMIT, asking).await.ok()? })
}
