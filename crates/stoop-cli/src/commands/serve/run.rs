//! The event loop, and the graceful shutdown.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::clients::Clients;
use super::listener::{self, ServerSocket};
use super::service::Service;
use super::shared::{Shared, Step};
use super::workers::Workers;
use crate::args::Serve;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::inherited::Inherited;
use crate::manager::Manager;
use crate::output::{ErrorLog, Event, Output};
use crate::signals::Signals;

/// The maximum number of programs that datagrams may start at a time if no other limit was given: a
/// datagram costs its sender nothing.
const PROGRAMS: u32 = 64;

/// The delay after the kernel lacked memory to poll.
const PAUSE: Duration = Duration::from_millis(5);

/// How many clients are accepted from one listener, at the end, before time and signals are checked
/// again.
const STEPS_PER_TURN: usize = 64;

/// Serves until a signal arrives.
pub(crate) fn run(flags: &Serve) -> Outcome {
    flags.quiet.apply();
    // This comes first: a file descriptor opened by this process could be mistaken for an inherited
    // one.
    let inherited = Inherited::take(flags.address.as_ref(), flags.bind.kind.kind)?;
    // Before anything is created: from here on, a signal removes the socket file again.
    let signals = Signals::catch()?;
    let output = Output::new(flags.json, false);
    let service = Service::new(&flags.service)?;
    let sockets = listener::open(flags, &service, inherited)?;
    let unlimited_programs = service.runs_programs() && sockets.iter().any(ServerSocket::is_for_datagrams);
    let workers = Workers::new(flags.max_connections.or(unlimited_programs.then_some(PROGRAMS)))?;
    let has_connections = sockets.iter().any(|socket| !socket.is_for_datagrams());
    let errors = Arc::new(ErrorLog::new(output));
    let shared = Arc::new(Shared { service, output, errors, workers });
    let clients = match has_connections && !shared.service.runs_programs() {
        true => Clients::start(&shared)?,
        false => Clients::none(),
    };
    // The last step that may fail: a client or service manager that is told of the server may rely
    // on it.
    for socket in &sockets {
        output.tell(&socket.announcement(&shared.service))?;
    }
    let manager = Manager::from_env(shared.output, &shared.errors, "serve")?;
    manager.ready();

    let count = flags.count.or(flags.once.then_some(1));
    let mut event_loop = EventLoop { sockets, signals, shared, clients, grace: flags.grace };
    event_loop.serve(count)?;
    manager.stopping();
    event_loop.finish(count.is_some())?;
    manager.finish();
    event_loop.shared.errors.flush();
    Ok(Exit::Done)
}

struct EventLoop {
    sockets: Vec<ServerSocket>,
    signals: Signals,
    shared: Arc<Shared>,
    clients: Clients,
    grace: Duration,
}

/// What the poll reported.
enum Ready {
    /// A signal arrived.
    Signal,
    /// The time limit has passed.
    TimedOut,
    /// These listeners are readable. If empty, a client was served.
    Sockets(Vec<usize>),
}

impl EventLoop {
    /// Serves until a signal arrives, or until `count` clients were accepted.
    fn serve(&mut self, count: Option<u64>) -> Result<(), Failure> {
        let mut served = 0;
        loop {
            let ready = match self.wait(None)? {
                Ready::Signal => return Ok(()),
                Ready::TimedOut => continue,
                Ready::Sockets(ready) => ready,
            };
            for index in ready {
                let step = self.sockets[index].step(&self.shared, &self.clients)?;
                served += u64::from(step == Step::Served);
                if count.is_some_and(|count| served >= count) {
                    return Ok(());
                }
            }
        }
    }

    /// Removes the socket files, serves the clients that have connected, and waits until they are
    /// done or the time limit has passed. If the server was to exit after a number of clients, the
    /// time limit starts with a signal.
    fn finish(&mut self, is_counted: bool) -> Result<(), Failure> {
        for socket in &mut self.sockets {
            if let Err(error) = socket.release() {
                self.shared.errors.report(None, error.to_string());
            }
        }
        let mut deadline = if is_counted { None } else { Some(self.begin_grace()) };
        if is_counted {
            self.sockets.clear();
        }
        loop {
            self.drain()?;
            if self.sockets.is_empty() && self.shared.workers.is_idle() {
                return Ok(());
            }
            match (self.wait(deadline)?, deadline) {
                (Ready::Sockets(_), Some(deadline)) if deadline <= Instant::now() => break,
                (Ready::Sockets(_), _) => {}
                (Ready::Signal, None) => deadline = Some(self.begin_grace()),
                (Ready::Signal | Ready::TimedOut, _) => break,
            }
        }
        self.shared.workers.terminate_children();
        Ok(())
    }

    fn begin_grace(&self) -> Instant {
        let grace_ms = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        self.shared.output.note(&Event::Stopping { connections: self.shared.workers.busy(), grace_ms });
        let now = Instant::now();
        now.checked_add(self.grace).unwrap_or(now + Duration::from_secs(u32::MAX.into()))
    }

    /// Accepts waiting clients as far as the limit permits, and closes the listeners without any.
    fn drain(&mut self) -> Result<(), Failure> {
        let mut open = Vec::new();
        for mut socket in self.sockets.drain(..) {
            let mut has_more = true;
            // A continuous flow of clients must not keep the server from handling signals and the
            // time limit.
            for _ in 0..STEPS_PER_TURN {
                if !self.shared.workers.has_room() {
                    break;
                }
                match socket.step(&self.shared, &self.clients)? {
                    Step::WouldBlock => {
                        has_more = false;
                        break;
                    }
                    Step::Exhausted => break,
                    Step::Served | Step::Refused => {}
                }
            }
            if has_more {
                open.push(socket);
            }
        }
        self.sockets = open;
        Ok(())
    }

    /// Waits for a signal, for a client at any listener (if the limit permits one), and for one to
    /// be done.
    fn wait(&self, deadline: Option<Instant>) -> Result<Ready, Failure> {
        let workers = &self.shared.workers;
        let mut entries = vec![
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::from_borrowed_fd(workers.as_fd(), PollFlags::IN),
        ];
        if workers.has_room() {
            entries.extend(
                self.sockets.iter().map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)),
            );
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut entries, left.as_ref()) {
            Ok(0) => return Ok(Ready::TimedOut),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Ready::Sockets(Vec::new())),
            // The poll lacks memory, which is not the clients' fault.
            Err(rustix::io::Errno::NOMEM | rustix::io::Errno::AGAIN) => {
                std::thread::sleep(PAUSE);
                let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
                return Ok(if is_late { Ready::TimedOut } else { Ready::Sockets(Vec::new()) });
            }
            Err(errno) => return Err(Failure::io("wait for clients", &errno.into())),
        }
        let ready: Vec<bool> = entries.iter().map(|entry| !entry.revents().is_empty()).collect();
        if ready[0] {
            self.signals.take();
            return Ok(Ready::Signal);
        }
        if ready[1] {
            workers.acknowledge();
        }
        Ok(Ready::Sockets(
            ready[2..].iter().enumerate().filter(|(_, ready)| **ready).map(|(index, _)| index).collect(),
        ))
    }
}
