//! Building a relay, and starting it.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use stoop::Kind;

use crate::accept::Acceptor;
use crate::admission::{Admission, Candidate, Shares};
use crate::counters::Counters;
use crate::datagrams::Datagrams;
use crate::event::Event;
use crate::fault::{Faults, Switch};
use crate::front::{Front, Source};
use crate::identity::require_privilege;
use crate::inbox::Inbox;
use crate::record::Recorder;
use crate::running::Running;
use crate::server::Server;
use crate::shared::{Handler, Judge, Shared};
use crate::threads::named;
use crate::worker::Worker;

/// Builds a relay.
pub struct Relay {
    server: Server,
    allows_descriptors: bool,
    frames: bool,
    max_connections: Option<usize>,
    idle_timeout: Option<Duration>,
    workers: Option<usize>,
    handler: Option<Handler>,
    shares: Shares,
    judge: Option<Judge>,
    max_time: Option<Duration>,
    bytes_per_second: Option<u64>,
    recorder: Option<Recorder>,
    faults: Option<[Faults; 2]>,
    seed: u64,
    as_client: bool,
    sends_proxy: bool,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Relay {
    /// Creates a relay to a server. By default it passes file descriptors on, has no limits, and
    /// reports nothing.
    #[must_use]
    pub fn to(server: Server) -> Relay {
        Relay {
            server,
            allows_descriptors: true,
            frames: false,
            max_connections: None,
            idle_timeout: None,
            workers: None,
            handler: None,
            shares: Shares::default(),
            judge: None,
            max_time: None,
            bytes_per_second: None,
            recorder: None,
            faults: None,
            seed: 0,
            as_client: false,
            sends_proxy: false,
        }
    }

    /// Sets whether file descriptors pass between Unix streams.
    ///
    /// Without them the kernel moves the data, which is faster. From Linux 6.16 on, sending any
    /// then fails with EPERM; an older kernel closes them without a word ([K-FD-15]).
    ///
    /// [K-FD-15]: stoop::kernel_facts#K-FD-15
    #[must_use]
    pub fn descriptors(mut self, on: bool) -> Relay {
        self.allows_descriptors = on;
        self
    }

    /// Relays at most this many clients at a time. Others wait in the backlog.
    #[must_use]
    pub fn max_connections(mut self, clients: usize) -> Relay {
        self.max_connections = Some(clients);
        self
    }

    /// Closes connections on which nothing came in either direction for this long.
    #[must_use]
    pub fn idle_timeout(mut self, limit: Duration) -> Relay {
        self.idle_timeout = Some(limit);
        self
    }

    /// Sets the number of threads that move data: by default one for each two processors.
    #[must_use]
    pub fn workers(mut self, threads: usize) -> Relay {
        self.workers = Some(threads.max(1));
        self
    }

    /// Calls `handler` with each event, on the thread where it happens. It must not block.
    #[must_use]
    pub fn on_event(mut self, handler: impl Fn(Event) + Send + Sync + 'static) -> Relay {
        self.handler = Some(Box::new(handler));
        self
    }

    /// Relays at most this many clients of each user at a time. Others are closed. Clients whose
    /// user the kernel does not report are not limited.
    #[must_use]
    pub fn max_per_user(mut self, clients: usize) -> Relay {
        self.shares.per_user = Some(clients);
        self
    }

    /// Relays at most this many clients of each group at a time. Others are closed. The groups are
    /// those that [`Relay::admission`] returns.
    #[must_use]
    pub fn max_per_group(mut self, clients: usize) -> Relay {
        self.shares.per_group = Some(clients);
        self
    }

    /// Calls `judge` with each client before it is connected to the server, on the thread that
    /// accepts, to decide whether it is relayed. It must not block.
    #[must_use]
    pub fn admission(mut self, judge: impl Fn(&Candidate<'_>) -> Admission + Send + Sync + 'static) -> Relay {
        self.judge = Some(Box::new(judge));
        self
    }

    /// Closes connections that have been open for this long, whatever they do.
    ///
    /// For a client that sends datagrams it is the time for which it has the same socket to the
    /// server: if it sends again, it gets another, and the server sees another client.
    #[must_use]
    pub fn max_time(mut self, limit: Duration) -> Relay {
        self.max_time = Some(limit);
        self
    }

    /// Limits how many bytes each connection may move in a second, in each direction, on average.
    ///
    /// Datagrams of a client that sends faster wait, at most 4096 of them and 4 MiB, and further
    /// ones are lost, and counted: a client that exceeds its limit must not delay the others. A
    /// server that answers faster has to wait.
    #[must_use]
    pub fn bytes_per_second(mut self, bytes: u64) -> Relay {
        self.bytes_per_second = Some(bytes);
        self
    }

    /// Sets whether messages go over byte streams, each in a frame of [`stoop::frame::Native`]. The
    /// other side of the stream has to be another such relay.
    ///
    /// A datagram or seqpacket socket can then be relayed to a stream, such as TCP, and a stream to
    /// one. File descriptors do not fit into frames: they are closed, and counted. A relay between
    /// sockets of one kind frames nothing.
    #[must_use]
    pub fn framed(mut self, on: bool) -> Relay {
        self.frames = on;
        self
    }

    /// Records what is relayed.
    #[must_use]
    pub fn record(mut self, recorder: Recorder) -> Relay {
        self.recorder = Some(recorder);
        self
    }

    /// Injects faults into what clients send, and into what the server sends. They can be changed
    /// while the relay runs: [`Running::faults`].
    #[must_use]
    pub fn faults(mut self, up: Faults, down: Faults) -> Relay {
        self.faults = Some([up, down]);
        self
    }

    /// Sets the seed of the faults, by default 0. With the same seed the same bytes and messages of
    /// the same client, as they are numbered, meet the same faults.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Relay {
        self.seed = seed;
        self
    }

    /// Sets whether each client is connected to the server with its own user, group and
    /// supplementary groups, so that the server sees them (`SO_PEERCRED`), and its file's
    /// permissions decide about the client. The process that the server sees is this one.
    ///
    /// The default is `false`. It requires `CAP_SETUID` and `CAP_SETGID`, and makes this process
    /// undumpable ([K-THREAD-3]). Clients whose ids the kernel does not report are closed. It is
    /// not for datagrams, which carry the ids of each message's sender.
    ///
    /// [K-THREAD-3]: stoop::kernel_facts#K-THREAD-3
    #[must_use]
    pub fn as_client(mut self, on: bool) -> Relay {
        self.as_client = on;
        self
    }

    /// Sets whether each connection to the server begins with a header of the PROXY protocol,
    /// version 2, which says who the client is: its address, and as a value of type 0xE0 the text
    /// `pid=812 uid=1000 gid=1000`. The server has to expect it.
    ///
    /// The default is `false`. It is for byte streams.
    #[must_use]
    pub fn send_proxy(mut self, on: bool) -> Relay {
        self.sends_proxy = on;
        self
    }

    /// Starts to relay the clients of a listener, or of a datagram socket.
    ///
    /// # Errors
    /// Returns an error if no thread can be started or no descriptor is left, and of kind
    /// `InvalidInput` if sockets of this kind cannot have one of the faults.
    pub fn start(self, front: impl Into<Front>) -> io::Result<Running> {
        let front = front.into();
        require_possible(&self, &front.0)?;
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let workers = self.workers.unwrap_or(processors.div_ceil(2));
        let inboxes: Result<Vec<_>, Errno> = (0..workers).map(|_| Inbox::new().map(Arc::new)).collect();
        let kind = front.0.kind();
        for faults in self.faults.iter().flatten() {
            if let Some(fault) = faults.impossible_for(kind) {
                let text = format!("a {kind} socket cannot have the fault '{fault}'");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        }
        let faults = self.faults.map(|[up, down]| Arc::new(Switch::new(self.seed, up, down)));
        if let Some(recorder) = &self.recorder {
            recorder.begin(kind, front.0.address(), self.server.to_string());
        }
        let shared = Arc::new(Shared {
            recorder: self.recorder.map(Arc::new),
            faults,
            counters: Counters::default(),
            idle_timeout: self.idle_timeout,
            server: self.server,
            allows_descriptors: self.allows_descriptors,
            frames: self.frames,
            max_connections: self.max_connections.unwrap_or(usize::MAX),
            shares: self.shares,
            seats: Mutex::default(),
            judge: self.judge,
            max_time: self.max_time,
            bytes_per_second: self.bytes_per_second,
            as_client: self.as_client,
            sends_proxy: self.sends_proxy,
            handler: self.handler,
            next_number: AtomicU64::new(1),
            inboxes: inboxes?,
            clients: Mutex::new(0),
            client_closed: Condvar::new(),
            is_stopping: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        let mut running = Running { shared: Arc::clone(&shared), workers: Vec::new(), acceptor: None };
        let source = front.0;
        if needs_workers(&source, &shared) {
            for inbox in &shared.inboxes {
                let worker = Worker::new(Arc::clone(&shared), Arc::clone(inbox))?;
                running.workers.push(named("relay", move || worker.run())?);
            }
        }
        let listener = match source {
            Source::Connections(listener) => listener,
            Source::Datagrams(socket) => {
                let datagrams = Datagrams::new(socket, shared)?;
                running.acceptor = Some(named("datagrams", move || datagrams.run())?);
                return Ok(running);
            }
        };
        listener.set_nonblocking()?;
        let acceptor = Acceptor::new(listener, shared)?;
        running.acceptor = Some(named("accept", move || acceptor.run())?);
        Ok(running)
    }
}

/// Refuses what would have no effect, or not the one that is meant.
fn require_possible(relay: &Relay, source: &Source) -> io::Result<()> {
    let unsupported = |what: &str| Err(io::Error::new(io::ErrorKind::Unsupported, what));
    match source {
        Source::Datagrams(_) if relay.as_client => unsupported("datagrams carry the ids of their sender"),
        Source::Datagrams(_) if relay.sends_proxy => unsupported("the PROXY protocol is for byte streams"),
        Source::Connections(listener) if relay.sends_proxy && listener.kind() != Kind::Stream => {
            unsupported("the PROXY protocol is for byte streams")
        }
        _ if relay.as_client => require_privilege(),
        _ => Ok(()),
    }
}

/// Datagrams have a thread of their own, and what is framed goes on as a stream.
fn needs_workers(source: &Source, shared: &Shared) -> bool {
    matches!(source, Source::Connections(_)) || (shared.frames && !shared.server.takes_datagrams())
}
